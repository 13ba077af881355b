"""No text of the user is evaluated by a shell on this machine, whatever its use.

The witness is a file that can only be created here: its path
is in an environment variable that Pegasus has and no node has. On a node the same text touches
/dev/null.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.runner import Pegasus

TOUCH = "touch ${WITNESS:-/dev/null}"
EVIL = (
    f"$({TOUCH})",
    f"`{TOUCH}`",
    f";{TOUCH};",
    f"'; {TOUCH}; '",
    f'"; {TOUCH}; "',
    f"a\n{TOUCH}\n",
    f"| {TOUCH} #",
    f"&& {TOUCH} &",
    "-oProxyCommand=" + TOUCH,
    f"--ssh-config=$({TOUCH})",
    "%h %n %r ${WITNESS} {{{{ }}}} \\{{",
    rf"\"$({TOUCH})\"",
    f">(${TOUCH})",
)
SIGNS = TOUCH.replace(" ", "${IFS}")
"""The same without blanks, for hostnames."""


@pytest.fixture
def watched(pegasus: Pegasus, tmp_path: Path) -> Iterator[Pegasus]:
    """The pegasus command, with a witness: the test fails if the file is created."""
    witness = tmp_path / "witness"
    yield replace(pegasus, environment={**pegasus.environment, "WITNESS": str(witness)})
    assert not witness.exists()


def yaml(text: str) -> str:
    """Write a text as YAML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@pytest.mark.parametrize(("mode", "by_clients"), [("q", ""), ("b", "1")])
def test_commands_and_parameters(watched: Pegasus, mode: str, by_clients: str) -> None:
    """Commands, and parameters of jobs and sub-nodes, are evaluated by a shell on their node only.

    With ``quote``, not even there.
    """
    values = ", ".join(map(yaml, EVIL))
    commands = [text for text in EVIL if "{{" not in text]
    queue = (
        f"- command: printf '%s\\n' {{{{ quote x }}}} {{{{ quote place }}}}\n  x: [{values}]\n"
        f"- command: echo {{{{ x }}}} {{{{ place }}}}\n  x: [{values}]\n"
    ) + "".join(f"- {yaml(text)}\n" for text in commands)
    hosts = f"- hostname: node-1\n  place: {yaml(EVIL[0])}\n"
    environment = {"PEGASUS_SSH_CLIENTS": by_clients} if by_clients else {}
    done = watched.run(mode, hosts=hosts, queue=queue, environment=environment)
    assert done.status == 1  # some are not commands
    assert "Traceback" not in done.stderr
    assert f"{2 * len(EVIL) + len(commands)} commands: " in done.stderr
    (output,) = watched.folder.glob(".pegasus/*/output")
    for number, text in enumerate(EVIL, start=1):
        printed = (output / f"{number}{'-0' if mode == 'b' else ''}.stdout").read_text()
        assert printed == f"{text}\n{EVIL[0]}\n"


NO_HOSTS = (
    f"$({SIGNS})",
    f"`{SIGNS}`",
    f"node-1;{SIGNS}",
    f"$({SIGNS})@node-1",
    f"ssh://$({SIGNS})@node-1",
    "ssh://%24%28touch%20$WITNESS%29@node-1",
    f"ssh://node-1|{SIGNS}",
    f"-oProxyCommand={SIGNS}",
    f"ssh://-oProxyCommand={SIGNS}",
    f"ssh://%2doProxyCommand={SIGNS}@node-1",
    f"me@-oProxyCommand={SIGNS}",
    "ssh://me%00@node-1",
    "ssh://me%0a@node-1",
    "ssh://node-1:70000",
)


def test_hostnames_that_are_none(watched: Pegasus) -> None:
    """A hostname with shell metacharacters is refused with its position, before any connection."""
    hosts = "".join(f"- {yaml(name)}\n" for name in NO_HOSTS)
    checked = watched.run("check", "--connect", hosts=hosts, queue="- echo ran\n")
    assert checked.status == 2
    for line in range(1, len(NO_HOSTS) + 1):
        assert f"hosts.yaml:{line}:3: the hostname " in checked.stdout
    done = watched.run("q")
    assert done.status == 2
    assert "hosts.yaml:1:3: the hostname " in done.stderr
    assert watched.queue_file.read_text() == "- echo ran\n"


def test_hostnames_with_tokens_of_ssh(watched: Pegasus) -> None:
    """Text that ssh would expand in its own settings is a literal name on the command line."""
    names = ["%h", "n%%h", "%n@node-9", "ssh://%25h@n%25h", "~", "!node-1", "*", "#x", "%d/../x"]
    hosts = "".join(f"- {yaml(name)}\n" for name in names)
    done = watched.run("q", hosts=hosts, queue="- echo ran\n")
    assert done.status == 2
    assert "Traceback" not in done.stderr
    for name in names:
        assert f"{name} cannot be reached" in done.stderr


@pytest.mark.parametrize("name", ["a b'\"c\nd", "%h[ab]*\\${HOME}$(touch $WITNESS)~é", "-oPort=9"])
def test_paths_of_files(watched: Pegasus, name: str) -> None:
    """An ssh configuration and a queue file are found by any name."""
    config, queue = watched.folder / name, watched.folder / f"{name}.yaml"
    shutil.copy(watched.nodes.ssh_config, config)
    queue.write_text("- echo ran\n")
    watched.hosts_file.write_text("- node-1\n")
    files = [
        f"--hosts-file={watched.hosts_file}",
        f"--queue-file={queue.name}",
        f"--ssh-config={config.name}",
    ]
    done = watched.start_bare("q", *files).wait()
    assert (done.status, done.stdout) == (0, "[node-1] ran\n"), done.stderr


def test_add_and_retry(watched: Pegasus) -> None:
    """What is added is kept literally, also by a retry."""
    watched.hosts_file.write_text("- node-1\n")
    queue = f"--queue-file={watched.queue_file}"
    values = f"--param=x={','.join(EVIL)}"
    command = "printf %s {{ quote x }}; exit 1"
    for first in (["add", queue, values, command], ["retry", queue]):
        told = watched.start_bare(*first).wait()
        assert told.status == 0, told.stderr
        assert watched.run("q").status == 1
        newest = max(watched.folder.glob(".pegasus/*-*"), key=lambda path: path.stat().st_mtime)
        for number, text in enumerate(EVIL, start=1):
            assert (newest / "output" / f"{number}.stdout").read_text() == text


EDITOR = f"true $({TOUCH}) `{TOUCH}` ; {TOUCH}"


def test_an_editor_s_words_meet_no_shell(watched: Pegasus) -> None:
    """EDITOR is a program and its arguments; no shell expansion applies."""
    queue = watched.folder / "$(touch $WITNESS); touch $WITNESS"
    queue.write_text("- echo ran\n")
    told = watched.start_bare("lock", f"--queue-file={queue}", environment={"EDITOR": EDITOR})
    done = told.wait()
    assert "Traceback" not in done.stderr
    assert queue.read_text() == "- echo ran\n"
