"""Nodes without Docker: sshds on loopback addresses, run by the user of the tests.

The tests cannot make an account, so they emulate its login shell: sshd forces a
small launcher on every session, which executes the shell as sshd would have started it, with the
same ``argv``, the same home and working directory. The account's own shell starts the launcher with
a home that is empty, so that no start-up file of the developer's is read. Differences that
remain: ``SHLVL`` and ``_`` are set, a marker is in the environment, and the longest
command is some twenty bytes shorter than the kernel's limit for one argument.
"""

from __future__ import annotations

import os
import pwd
import shlex
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.nodes.access import furnish, login_shell
from tests.nodes.errors import NodesFault
from tests.nodes.node import Node, Plan
from tests.nodes.processes import ENDING, Process, end, kill
from tests.nodes.run import Run, marker, processes_of, read_pid
from tests.nodes.shells import find, shell_named

TRIES = 5  # a port that was free a moment ago may be taken; five in a row are a fault
NO_LOGIN = {"nologin", "false", "sync", "halt", "shutdown"}

LAUNCHER = """\
#!{bash}
export HOME={home} SHELL={shell}
cd "$HOME" || exit 1
export -n PWD OLDPWD
unset SHLVL
if [ "${{SSH_ORIGINAL_COMMAND+given}}" ]; then
  command=$SSH_ORIGINAL_COMMAND
  unset SSH_ORIGINAL_COMMAND
  exec -a {called} {shell} -c "$command"
fi
exec -a -{called} {shell}
"""


class LocalNode(Node):
    """An sshd on a loopback address."""

    def __init__(self, plan: Plan, *, run: Run, address: str, port: int) -> None:
        user = account().pw_name
        ssh_config = run.folder / "ssh_config"
        super().__init__(plan, address=address, port=port, user=user, ssh_config=ssh_config)
        self._run = run
        self._starts = 0
        self._sshd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start sshd; wait until it listens."""
        folder = self._plan.folder
        self._starts += 1
        self._sshd = subprocess.Popen(
            [str(sshd_path()), "-D", "-f", f"{folder}/sshd_config", "-E", str(self._plan.log)],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._run.children.append(self._sshd)
        self._wait_listening(self._starts)

    def kill(self) -> None:
        """Kill sshd, its connections and every command on the node with SIGKILL."""
        end(self._everything, kill, what=self.name)
        if self._sshd is not None:
            self._sshd.wait(ENDING)
            self._sshd = None
        (self._plan.folder / "sshd.pid").unlink(missing_ok=True)

    def stop_listening(self) -> None:
        """End only the sshd that listens."""
        if self._sshd is not None:
            self._sshd.terminate()
            self._sshd.wait(ENDING)
            self._sshd = None
        (self._plan.folder / "sshd.pid").unlink(missing_ok=True)

    def cut(self) -> None:
        """Refuse: the loopback interface cannot be disconnected."""
        raise NotImplementedError(
            "a local node can't be cut off the network: "
            "ask `nodes.can_cut` first, or run with PEGASUS_TEST_NODES=docker"
        )

    def heal(self) -> None:
        """Refuse, as `cut` does."""
        self.cut()

    def _has_ended(self) -> bool:
        return self._sshd is None or self._sshd.poll() is not None

    def _everything(self, among: Sequence[Process] | None = None) -> list[Process]:
        return processes_of(self._run.folder, self.name, among)

    def _listener(self) -> int | None:
        return read_pid(self._plan.folder / "sshd.pid")


def account() -> pwd.struct_passwd:
    """Return the account that runs the tests, in which every local node is logged in to.

    Raises:
        NodesFault: there is none, or login is disabled for it.
    """
    try:
        found = pwd.getpwuid(os.getuid())
    except KeyError:
        raise NodesFault(
            f"uid {os.getuid()} has no account here, which sshd needs: "
            "run the tests as a user of /etc/passwd"
        ) from None
    if Path(found.pw_shell).name in NO_LOGIN:
        raise NodesFault(
            f"the login shell of {found.pw_name} is {found.pw_shell}, so that sshd can't start "
            "anything: run the tests as a user who can log in"
        )
    return found


def sshd_path() -> Path:
    """Return sshd's absolute path, which it requires."""
    path = find("sshd")
    if path is None:
        raise NodesFault("there is no sshd: `apt-get install openssh-server`")
    return path


def start_local(run: Run, plans: list[Plan], public_key: str) -> tuple[list[Node], dict[str, str]]:
    """Start the nodes; return them and their host keys by name."""
    for plan in plans:
        shell_named(plan.shell).path()  # report a missing shell before anything starts
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # which sshd's service would have made
    nodes: list[Node] = []
    keys: dict[str, str] = {}
    for number, plan in enumerate(plans):
        keys[plan.name] = furnish(plan, public_key)
        write_launcher(plan)
        nodes.append(start_one(run, plan, f"127.0.0.{number + 2}"))
    return nodes, keys


def write_launcher(plan: Plan) -> None:
    """Write the program that executes the node's login shell."""
    (plan.folder / "nowhere").mkdir()
    launcher = plan.folder / "launcher"
    shell = login_shell(plan)
    text = LAUNCHER.format(
        bash=shell_named("bash").path(),
        home=shlex.quote(str(plan.home)),
        shell=shlex.quote(str(shell)),
        called=shlex.quote(shell.name),
    )
    launcher.write_text(text, encoding="utf-8")
    launcher.chmod(0o755)


def start_one(run: Run, plan: Plan, address: str) -> LocalNode:
    """Start a node on a free port, and on another if that one was taken."""
    for trial in range(1, TRIES + 1):
        port = free_port(address)
        environment = (f"HOME={plan.folder}/nowhere", marker(run.folder, plan.name))
        lines = (
            f"ListenAddress {address}",
            f"Port {port}",
            f"ForceCommand exec {plan.folder}/launcher",
            f"UsePAM {'yes' if is_locked() else 'no'}",
        )
        text = plan.sshd_config(*lines, environment=environment)
        (plan.folder / "sshd_config").write_text(text, encoding="utf-8")
        node = LocalNode(plan, run=run, address=address, port=port)
        try:
            node.start()
        except NodesFault:
            node.kill()
            if trial == TRIES or "Address already in use" not in node.log():
                raise
        else:
            return node
    raise AssertionError  # the last attempt returns or raises


def free_port(address: str) -> int:
    """Return a port that is unused at that address at the moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def is_locked() -> bool:
    """Return whether the account's password is locked, which sshd without PAM refuses."""
    try:
        lines = Path("/etc/shadow").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{account().pw_name}:!") for line in lines)
