"""What another user of the machine can see and access of a run, and prepare for it."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.leftovers import Traces
from tests.e2e.runner import Pegasus, Running, umask
from tests.other_user import NOBODY, attempts, needs_root

SECRET = "hunter2"
JOBS = f"- echo {SECRET}; exec sleep 1000\n" * 3
BOTH = "- localhost\n- node-1\n"
REFUSED = {"EACCES", "EPERM"}
SOCKETS = re.compile(r"/\S*/pgs-\w+")
ASKED_FOR = "pgs-XXXXXXXXXXXX"  # the template of mktemp; an X in a name that it made is its own


@pytest.fixture
def common(pegasus: Pegasus) -> Iterator[Pegasus]:
    """The pegasus command in a world-readable folder, without a folder for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="pgt-", dir="/tmp"))
    folder.chmod(0o755)
    environment = {**pegasus.environment, "XDG_RUNTIME_DIR": ""}
    yield replace(pegasus, folder=folder, environment=environment)
    pegasus.end()
    shutil.rmtree(folder)


def mode_of(path: Path) -> int:
    """Return the permissions of a file, or of a link itself."""
    return stat.S_IMODE(path.lstat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    """Return the modes of everything in a folder; a run's name is ``RUN``."""
    return {
        re.sub(r"\d{4}-\d{8}-\d{6}-\d+", "RUN", str(path.relative_to(folder))): mode_of(path)
        for path in folder.rglob("*")
    }


def sockets_of(traces: Traces) -> Path:
    """Find the folder of the control sockets of the current run."""
    said = [match[0] for one in traces.processes() for match in SOCKETS.finditer(one.command)]
    (folder,) = {name for name in said if not name.endswith(ASKED_FOR)}
    return Path(folder)


def start(pegasus: Pegasus, mask: int = 0o022, *options: str, queue_mode: int = 0o644) -> Running:
    """Start a run of two jobs that print a secret and continue, while a third one waits."""
    pegasus.queue_file.write_text(JOBS)
    pegasus.queue_file.chmod(queue_mode)
    with umask(mask):
        running = pegasus.start("q", *options, hosts=BOTH)
    running.wait_for(f"] {SECRET}", on="stdout", times=2)
    return running


def end(running: Running) -> None:
    """Abort a run."""
    running.signal()
    running.wait_for("nothing more is taken")
    running.signal()
    assert running.wait().status == 130


@pytest.mark.parametrize(("mask", "queue_mode"), [(0o022, 0o644), (0o000, 0o600)])
def test_the_modes_of_all_that_a_run_makes(
    common: Pegasus, nothing_left: Traces, mask: int, queue_mode: int
) -> None:
    """Whatever the umask: only the owner has access to the record, the lock and the sockets."""
    common.folder.joinpath("hosts.yaml").touch(0o644)
    running = start(common, mask, queue_mode=queue_mode)
    sockets = sockets_of(nothing_left)
    found = modes(sockets)
    common.start_bare("stop", "--now", f"--queue-file={common.queue_file}").wait()
    assert running.wait().status == 130
    assert {name: mode for name, mode in found.items() if name != "config"} == {"0": 0o600}
    assert modes(common.folder) == {
        "hosts.yaml": 0o644,
        "queue.yaml": queue_mode,
        "consumed.yaml": queue_mode,
        "queue.yaml.lock": 0o600,
        ".pegasus": 0o700,
        ".pegasus/.gitignore": 0o600,
        ".pegasus/RUN": 0o700,
        ".pegasus/RUN/journal.jsonl": 0o600,
        ".pegasus/RUN/lock": 0o600,
        ".pegasus/RUN/orders": 0o700,
        ".pegasus/RUN/output": 0o700,
        ".pegasus/RUN/output/1.stdout": 0o600,
        ".pegasus/RUN/output/2.stdout": 0o600,
    }
    assert sockets.parent == Path("/tmp")
    assert not sockets.exists()


@needs_root
def test_another_user_gets_at_nothing(common: Pegasus, nothing_left: Traces) -> None:
    """No other user reads outputs, writes orders, opens a control socket or holds the lock."""
    running = start(common, mask=0)
    sockets = sockets_of(nothing_left)
    (record,) = common.folder.glob(".pegasus/*-*")
    results = attempts(
        [
            ("list", sockets),
            ("connect", sockets / "0"),
            ("read", sockets / "config"),
            ("make", sockets / "mine"),
            ("move", sockets),
            ("open up", sockets),
            ("list", record.parent),
            ("list", record),
            ("move", record.parent),
            ("read", record / "journal.jsonl"),
            ("read", record / "output" / "1.stdout"),
            ("hold", record / "lock"),
            ("make", record / "orders"),
            ("make", record / "orders" / "0-1.order"),
            ("read", common.folder / "queue.yaml.lock"),
            ("hold", common.folder / "queue.yaml.lock"),
            ("remove", common.folder / "queue.yaml.lock"),
            ("write", common.folder / "queue.yaml"),
            ("write", common.folder / "consumed.yaml"),
            ("make", common.folder / ".queue.yaml.pegasus-take"),
            ("make", common.folder / ".queue.yaml.pegasus-new"),
        ]
    )
    end(running)
    assert {what: said for what, said in results.items() if said not in REFUSED} == {}


@pytest.mark.parametrize("by_clients", ["", "1"])
def test_command_lines_here_tell_nothing_of_commands(
    pegasus: Pegasus, nothing_left: Traces, by_clients: str
) -> None:
    """``ps`` on this machine shows no command and no parameter of a job on a node."""
    queue = f"- command: 'echo go {{{{ token }}}}; exec sleep 1000'\n  token: {SECRET}\n"
    environment = {"PEGASUS_SSH_CLIENTS": by_clients} if by_clients else {}
    running = pegasus.start("q", hosts="- node-1\n", queue=queue, environment=environment)
    running.wait_for("] go", on="stdout")
    here = [one.command for one in nothing_left.processes()]
    end(running)
    assert any("ssh" in command for command in here)
    assert not [command for command in here if SECRET in command]


def test_a_runtime_folder_that_is_not_ours_alone(
    pegasus: Pegasus, nothing_left: Traces, runtime_folder: Path
) -> None:
    """No file of ssh is made where another user could replace it; the run continues."""
    given = runtime_folder / "given"
    given.mkdir()
    given.chmod(0o777)
    running = pegasus.start(
        "q",
        hosts="- node-1\n",
        queue="- echo ran; exec sleep 1000\n",
        environment={"XDG_RUNTIME_DIR": str(given)},
    )
    running.wait_for("] ran", on="stdout")
    sockets, within = sockets_of(nothing_left), list(given.iterdir())
    end(running)
    assert sockets.parent == Path("/tmp")
    assert within == []


def test_the_name_of_the_sockets_is_seen_by_nobody_before_they_are(
    pegasus: Pegasus, nothing_left: Traces, tmp_path: Path, runtime_folder: Path
) -> None:
    """No command line contains the name of the folder before the folder exists and is private."""
    tools = tmp_path / "tools"
    tools.mkdir()
    program = shutil.which("mktemp")
    (tools / "mktemp").write_text(
        "#!/bin/sh\n"
        "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null >$SEEN\n"
        f'exec {program} "$@"\n'
    )
    (tools / "mktemp").chmod(0o755)
    seen = tmp_path / "seen"
    path = f"{tools}:{pegasus.environment['PATH']}"
    running = pegasus.start(
        "q",
        hosts="- node-1\n",
        queue="- echo ran; exec sleep 1000\n",
        environment={"PATH": path, "SEEN": str(seen)},
    )
    running.wait_for("] ran", on="stdout")
    sockets = sockets_of(nothing_left)
    end(running)
    assert sockets.parent == runtime_folder
    assert len(sockets.name) >= len("pgs-") + 12
    assert f"{sockets.parent}/pgs-" in seen.read_text()
    assert str(sockets) not in seen.read_text()


@not_detached("without a record nothing is detached")
@needs_root
def test_a_record_that_somebody_else_has_planted(pegasus: Pegasus) -> None:
    """A ``.pegasus`` of another user is not written to, and its content and orders are ignored."""
    planted = pegasus.folder / ".pegasus"
    planted.mkdir()
    planted.chmod(0o777)
    os.chown(planted, NOBODY, NOBODY)
    done = pegasus.run("q", hosts="- localhost\n", queue="- echo ran\n")
    assert done.status == 0
    assert "another user owns this folder. The run is not recorded" in done.stderr
    assert list(planted.iterdir()) == []
    for command in ("status", "logs", "retry", "stop"):
        told = pegasus.start_bare(command, f"--queue-file={pegasus.queue_file}").wait()
        assert "another user owns this folder" in told.stderr, command
        assert told.status == 2
