"""The environment of a job: that of a command of ``ssh``, or of this machine's own shell."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.e2e.runner import Pegasus
from tests.nodes import Nodes

SENDING = """\
Host *
  SendEnv LANG LC_* APP_? APP_LONG* OTHER* PEGASUS_*
  SendEnv -OTHER_SECRET*
  SetEnv APP_2=set APP_NEW="two words" PEGASUS_JOB=77
"""

OURS = {
    "LANG": "C.UTF-8",
    "LC_TIME": "C",
    "APP_1": "one  with = and 'quotes'",
    "APP_2": "overruled by SetEnv",
    "APP_10": "no pattern has it",
    "APP_LONGER": "é\nof two lines",
    "APP_[": "a bracket is no pattern",
    "OTHER": "",
    "OTHER_SECRET_1": "taken back",
    "app_1": "case counts",
    "PEGASUS_RUN": "not the run's name",
    "PEGASUS_SUB_NODE": "77",
}

OF_A_CONNECTION = {"SSH_CONNECTION", "SSH_CLIENT", "_", "SHLVL", "OLDPWD"}
OF_A_JOB = {"PEGASUS_RUN", "PEGASUS_JOB", "PEGASUS_SUB_NODE"}


def variables(environment: bytes) -> dict[str, str]:
    """Parse the output of ``env -0``, without what differs between connections."""
    pairs = (entry.partition("=") for entry in environment.decode().split("\0") if entry)
    return {name: value for name, _, value in pairs if name not in OF_A_CONNECTION}


@pytest.mark.parametrize("protocol", ["mux", "clients"])
def test_the_environment_is_that_of_ssh(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], protocol: str
) -> None:
    """SendEnv and SetEnv apply to jobs as to ``ssh node env``; a job's own variables win."""
    nodes = make_nodes(1, options={"AcceptEnv": "*"})
    nodes.ssh_config.write_text(SENDING + nodes.ssh_config.read_text())
    ssh = ["ssh", "-F", str(nodes.ssh_config), "-T", "node-1", "exec sh -c 'env -0'"]
    plain = subprocess.run(
        ssh,
        env={**pegasus.environment, **OURS},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    expected = variables(plain.stdout)
    assert expected["APP_2"] == "set"
    assert expected["APP_LONGER"] == OURS["APP_LONGER"]

    environment = OURS if protocol == "mux" else {**OURS, "PEGASUS_SSH_CLIENTS": "1"}
    done = pegasus.on(nodes).run("q", queue="- env -0 >~/found\n", environment=environment)
    assert done.status == 0, done.stderr
    assert "ssh process for each command" not in done.stderr
    found = variables((nodes[0].home / "found").read_bytes())
    assert found["PEGASUS_RUN"] != OURS["PEGASUS_RUN"]
    assert (found["PEGASUS_JOB"], found["PEGASUS_SUB_NODE"]) == ("1", "0")
    unlike = OF_A_JOB | {"PEGASUS_SSH_CLIENTS"}
    assert {n: v for n, v in found.items() if n not in unlike} == {
        n: v for n, v in expected.items() if n not in unlike
    }


def test_the_locale_arrives(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """With ssh and sshd as in Debian and Ubuntu, text is UTF-8 in a job as well."""
    nodes = make_nodes(1, options={"AcceptEnv": "LANG LC_*"})
    text = nodes.ssh_config.read_text()
    nodes.ssh_config.write_text(f"{text}  SendEnv LANG LC_*\n")
    queue = "- printf 'a\\303\\244\\n' | grep -c 'a.$'\n"
    done = pegasus.on(nodes).run("q", queue=queue, environment={"LC_ALL": "C.UTF-8"})
    assert done.stdout == "[node-1] 1\n", done.stderr
    done = pegasus.on(nodes).run("q", queue=queue, environment={"LC_ALL": "C"})
    assert done.stdout == "[node-1] 0\n", done.stderr


def test_commands_arrive_in_any_locale(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """A locale that a node lacks, or has in another encoding, changes no command."""
    nodes = make_nodes(2, shells=("bash", "dash"), options={"AcceptEnv": "LC_*"})
    nodes.ssh_config.write_text("Host *\n  SendEnv LC_*\n" + nodes.ssh_config.read_text())
    queue = "- printf %s 'é 字'\n"
    for locale in ("ja_JP.SJIS", "no such locale", "C.UTF-8"):
        done = pegasus.on(nodes).run("b", queue=queue, environment={"LC_ALL": locale})
        assert sorted(done.stdout.splitlines()) == ["[node-1] é 字", "[node-2] é 字"], done.stderr


def test_no_agent_is_forwarded(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """A job cannot reach the user's ssh-agent, even if the configuration forwards it."""
    nodes = make_nodes(1)
    nodes.ssh_config.write_text("Host *\n  ForwardAgent yes\n" + nodes.ssh_config.read_text())
    agent = pegasus.folder / "agent"
    for way in ({}, {"PEGASUS_SSH_CLIENTS": "1"}):
        environment = {"SSH_AUTH_SOCK": str(agent), **way}
        queue = "- echo ${SSH_AUTH_SOCK-none}\n"
        done = pegasus.on(nodes).run("q", queue=queue, environment=environment)
        assert done.stdout == "[node-1] none\n", done.stderr


def test_the_limit_of_open_files_is_the_user_s(pegasus: Pegasus) -> None:
    """Pegasus raises its own limit of open files; a job on localhost has the original one."""
    for soft, hard in ((200, 400), (300, 300)):
        limits = ("sh", "-c", f'ulimit -S -n {soft}; ulimit -H -n {hard}; exec "$@"', "sh")
        limited = replace(pegasus, program=(*limits, *pegasus.program))
        queue = "- ulimit -S -n; ulimit -H -n\n"
        done = limited.run("q", hosts="- localhost\n", queue=queue)
        assert done.stdout == f"[localhost] {soft}\n[localhost] {hard}\n", done.stderr
