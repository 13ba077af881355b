"""A test node of either kind: one real sshd with an address and a home of its own."""

from __future__ import annotations

import abc
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tests.nodes.errors import NodesFault
from tests.nodes.processes import Process, end, kill
from tests.nodes.waiting import wait_until

Way: TypeAlias = Literal["docker", "local"]
Server: TypeAlias = Literal["openssh", "dropbear"]

LET_IN = re.compile(r"^Accepted \w+ for |Pubkey auth succeeded for ", re.MULTILINE)

LISTENING = 10.0  # seconds for an sshd to listen; it takes 0.02, and 1 on a busy machine
ANSWERING = 30.0  # seconds for a script of `Node.run`; a handshake takes 0.3
STOPPING = 5.0  # seconds until all processes of a node have stopped


@dataclass(frozen=True, slots=True)
class Plan:
    """The description of a node to make.

    Attributes:
        name: its name, and its alias for ssh: ``node-1``.
        shell: its login shell, as `shells.shell_named` takes it.
        folder: its own folder on this machine, which docker nodes see at the same path.
        options: lines of ``sshd_config``, before all others, so that they have precedence.
    """

    name: str
    shell: str
    folder: Path
    options: tuple[tuple[str, str], ...]

    @property
    def home(self) -> Path:
        """The home of the account on this node."""
        return self.folder / "home"

    @property
    def log(self) -> Path:
        """The log file of sshd."""
        return self.folder / "log"

    def sshd_config(self, *more: str, environment: tuple[str, ...] = ()) -> str:
        """Write sshd's configuration: stock, except for what makes it a test node."""
        wanted = [value for name, value in self.options if name.lower() == "setenv"]
        set_env = " ".join([*environment, *wanted])
        lines = [f"{name} {value}" for name, value in self.options if name.lower() != "setenv"]
        lines += [f"SetEnv {set_env}"] if set_env else []
        lines += [
            f"HostKey {self.folder}/host_key",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            f"PidFile {self.folder}/sshd.pid",
            "StrictModes no",  # other users may write to the folders above
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UseDNS no",
            "PermitUserRC no",
            "PrintMotd no",
            "PrintLastLog no",
            *more,
        ]
        return "\n".join([*lines, ""])


class Node(abc.ABC):
    """One real sshd. A test can do the same to both kinds, except for `cut`.

    Attributes:
        name: ``node-1`` and so on; also its alias in the ssh config of its `Nodes`.
        address: where its sshd listens; no other node has the same address.
        port: the port there.
        user: the account to log in as.
        shell: the name of the account's login shell, as the test asked for it.
        home: the account's home; the same path here and on the node.
        ssh_config: the file for ssh's ``-F`` in which it has its name.
    """

    def __init__(self, plan: Plan, *, address: str, port: int, user: str, ssh_config: Path) -> None:
        self._plan = plan
        self.ssh_config = ssh_config
        self.name = plan.name
        self.shell = plan.shell
        self.home = plan.home
        self.address = address
        self.port = port
        self.user = user

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address}:{self.port}, {self.shell}>"

    # Queries.

    def log(self) -> str:
        """Return the log of sshd since the node was made, over all its starts."""
        return self._plan.log.read_text(encoding="utf-8", errors="replace")

    def connections(self) -> int:
        """Count the SSH connections that were authenticated since the node was made.

        Each `run` and `ssh` of the test counts as well.
        """
        return len(LET_IN.findall(self.log()))

    def processes(self, among: Sequence[Process] | None = None) -> list[Process]:
        """Return the processes that were started on the node, zombies included, without sshd.

        Args:
            among: all processes of this machine, as they were a moment ago; None to look now.
        """
        return [process for process in self._everything(among) if not process.is_sshd]

    def living(self, among: Sequence[Process] | None = None) -> list[Process]:
        """Return those of `processes` that still run: no zombies."""
        return [process for process in self.processes(among) if process.alive]

    def sshds(self) -> list[Process]:
        """Return the living sshd processes that serve connections, without the one that listens."""
        listener = self._listener()
        return [
            process
            for process in self._everything()
            if process.is_sshd and process.alive and process.host_pid != listener
        ]

    def ssh(
        self,
        *arguments: str | bytes,
        options: tuple[str, ...] = (),
        stdin: bytes = b"",
        limit: float = ANSWERING,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``ssh NODE ARGUMENTS...`` over a connection of its own; the login shell gets them.

        Args:
            arguments: the command; ssh joins several by spaces.
            options: for ssh's ``-o``; they have precedence over the ssh config.
            stdin: the input of the command.
            limit: seconds; `subprocess.TimeoutExpired` is raised after that.
        """
        extra = [f"-o{option}" for option in options]
        return subprocess.run(
            ["ssh", "-F", str(self.ssh_config), "-T", *extra, self.name, *arguments],
            input=stdin,
            capture_output=True,
            timeout=limit,
            check=False,
        )

    def run(self, script: str, *, limit: float = ANSWERING) -> str:
        """Run a script of the POSIX shell on the node over ssh and return its standard output.

        It reaches ``sh`` by standard input, so any login shell works.

        Raises:
            NodesFault: its exit status is not 0, with what it said on standard error.
        """
        done = self.ssh("exec sh -s", stdin=script.encode(), limit=limit)
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()
            raise NodesFault(f"{self.name}: exit status {done.returncode}: {words}")
        return done.stdout.decode()

    # Actions.

    def pause(self) -> None:
        """Freeze the node: sshd, its connections and its commands stop where they are."""

        def stopped() -> bool:
            moving = [p for p in self._everything() if p.alive and p.state not in "Tt"]
            for process in moving:
                process.signal(signal.SIGSTOP)
            return not moving

        wait_until(stopped, limit=STOPPING, what=f"{self.name} to stop")

    def resume(self) -> None:
        """Continue a paused node."""
        for process in self._everything():
            process.signal(signal.SIGCONT)

    @abc.abstractmethod
    def cut(self) -> None:
        """Disconnect the node from the network: packets are lost, connections stay open."""

    @abc.abstractmethod
    def heal(self) -> None:
        """Connect it again, with the same address."""

    @abc.abstractmethod
    def kill(self) -> None:
        """Take the node down at once, as in a power cut: sshd and every command on it."""

    @abc.abstractmethod
    def start(self) -> None:
        """Start a killed node again: the same address, port, host key and home."""

    @abc.abstractmethod
    def stop_listening(self) -> None:
        """End the sshd that listens, as its restart does: connections continue; `start` ends it."""

    def kill_sessions(self) -> None:
        """Kill the sshd processes that serve connections; commands and the listener live on."""
        end(self.sshds, self._kill, what=f"the connections of {self.name}")

    def end_commands(self) -> None:
        """Kill every command on the node, for tests that leave some behind on purpose."""
        end(self.living, self._kill, what=f"the commands on {self.name}")

    # Differences between the two kinds.

    @abc.abstractmethod
    def _everything(self, among: Sequence[Process] | None = None) -> list[Process]:
        """Return all processes of the node, with sshd and its helpers; see `processes`."""

    def _kill(self, process: Process) -> None:
        """Kill one process of the node with SIGKILL."""
        kill(process)

    @abc.abstractmethod
    def _has_ended(self) -> bool:
        """Return whether the sshd that listens has ended."""

    @abc.abstractmethod
    def _listener(self) -> int | None:
        """Return the pid of the sshd that listens, as this machine sees it, if it runs."""

    def _wait_listening(self, starts: int) -> None:
        """Wait until sshd has logged for the ``starts``-th time that it listens.

        It writes its pid file after that line; a node without one cannot be ended.
        """
        said = f"Server listening on {self.address} port {self.port}."

        def settled() -> bool:
            listens = self.log().count(said) >= starts and self._listener() is not None
            return listens or self._has_ended()

        wait_until(settled, limit=LISTENING, what=f"the sshd of {self.name}")
        if self.log().count(said) < starts:
            words = self.log().strip() or "nothing in its log"
            raise NodesFault(f"the sshd of {self.name} does not start: {words}")


class Nodes:
    """Test nodes that were started together, with what ssh needs to reach them.

    Attributes:
        way: ``docker`` or ``local``.
        why: the reason for this kind, in one line.
        ssh_config: a file for ssh's ``-F``, with the nodes' names as aliases.
        key: the private key for all of them.
        known_hosts: the nodes' host keys.
        can_cut: whether `Node.cut` works here.
    """

    def __init__(self, nodes: list[Node], *, way: Way, why: str, folder: Path) -> None:
        self._nodes = nodes
        self.way: Way = way
        self.why = why
        self.ssh_config = folder / "ssh_config"
        self.key = folder / "key"
        self.known_hosts = folder / "known_hosts"
        self.can_cut = way == "docker"

    def translate(self, hosts: str) -> tuple[str, dict[str, str]]:
        """Return a hosts file with which Pegasus reaches the nodes, and variables that it needs."""
        return hosts, {}

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, which: int | str) -> Node:
        """Return a node by its number from 0, or by its name."""
        if isinstance(which, int):
            return self._nodes[which]
        return next(node for node in self._nodes if node.name == which)
