"""Runs the pegasus command as users do: a process with its files beside it.

done = pegasus.run("q", hosts="- node-1", queue="- echo hello")
assert done.status == 0

running = pegasus.start("q", queue="- sleep 60")
running.wait_for("=== run")
running.signal(signal.SIGINT)
assert running.wait().status == 130
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal, TypeAlias

from tests.forked import Forked, can_fork, start_forked
from tests.nodes import Nodes

LIMIT = 30.0  # seconds for a run to end, or for a line to appear; a connection takes 0.3
AFTERWARDS = 5.0  # seconds for the end of the outputs once the process has ended

DETACH = "PEGASUS_TEST_DETACH"
"""An environment variable; where it is set, the runs of the tests are detached."""

SLURM = "PEGASUS_TEST_SLURM"
"""An environment variable; where it is set, the nodes of the tests are those of an allocation."""

FORK = "PEGASUS_TEST_FORK"
"""An environment variable; where it is set, most runs are forked: see `tests.forked`."""

RUNNERS = ("q", "queue", "b", "broadcast")

StreamName: TypeAlias = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a process: its exit status, negative for a signal, and its raw outputs."""

    status: int
    out: bytes
    err: bytes

    @property
    def stdout(self) -> str:
        """Standard output as text."""
        return self.out.decode(errors="backslashreplace")

    @property
    def stderr(self) -> str:
        """Standard error as text."""
        return self.err.decode(errors="backslashreplace")


class Running:
    """A process whose outputs are read continuously."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._read: dict[StreamName, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._readers: list[threading.Thread] = []
        self.pid = process.pid
        if process.stdout and process.stderr:
            self._follow("stdout", process.stdout)
            self._follow("stderr", process.stderr)

    def _follow(self, name: StreamName, pipe: IO[bytes]) -> None:
        def read() -> None:
            with pipe:
                while chunk := os.read(pipe.fileno(), 1 << 16):
                    with self._changed:
                        self._read[name] += chunk
                        self._changed.notify_all()
            with self._changed:
                self._readers.remove(threading.current_thread())
                self._changed.notify_all()

        reader = threading.Thread(target=read, daemon=True, name=f"{self.pid} {name}")
        self._readers.append(reader)
        reader.start()

    @property
    def stdout(self) -> str:
        """Standard output so far, as text."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """Standard error so far, as text."""
        return self._text("stderr")

    def _text(self, name: StreamName) -> str:
        with self._changed:
            return self._read[name].decode(errors="backslashreplace")

    @property
    def status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def wait_for(
        self,
        text: str,
        *,
        on: StreamName | None = None,
        times: int = 1,
        limit: float = LIMIT,
    ) -> str:
        """Wait until a text has appeared a number of times; return the line of the last one.

        Args:
            text: what to wait for; it may be part of an incomplete line.
            on: the stream to search; both if not given.
            times: how often it must have appeared since the start.
            limit: seconds to wait.

        Raises:
            AssertionError: the limit passed, or the process ended without it.
        """
        streams: list[StreamName] = [on] if on else ["stdout", "stderr"]

        def lines() -> list[str]:
            every = [line for name in streams for line in self._text(name).splitlines()]
            return [line for line in every for _ in range(line.count(text))]

        deadline = time.monotonic() + limit
        with self._changed:
            while len(found := lines()) < times:
                left = deadline - time.monotonic()
                if left <= 0 or not self._readers:
                    why = f"not within {limit:g} s" if left <= 0 else f"ended, {self._end()}"
                    raise AssertionError(f"no {text!r}: {why}\n{self._said()}")
                self._changed.wait(left)
        return found[times - 1]

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def wait(self, limit: float = LIMIT, *, afterwards: float = AFTERWARDS) -> Done:
        """Wait until it has ended; return its exit status and outputs.

        Args:
            limit: seconds for its end.
            afterwards: seconds for the end of its outputs once it has ended.

        Raises:
            AssertionError: it has not ended when the limit passes, or a process holds its outputs.
        """
        try:
            status = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {limit:g} s\n{self._said()}") from None
        with self._changed:
            if not self._changed.wait_for(lambda: not self._readers, afterwards):
                raise AssertionError(f"ended, but its outputs are still held\n{self._said()}")
        return Done(status, bytes(self._read["stdout"]), bytes(self._read["stderr"]))

    def kill(self) -> None:
        """Kill it with SIGKILL if it still runs, and reap it."""
        self._process.kill()
        self._process.wait()

    def _end(self) -> str:
        status = self._process.wait(AFTERWARDS)
        return f"exit status {status}"

    def _said(self) -> str:
        return f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


def installed() -> tuple[str, ...]:
    """Return the command line of the pegasus of this environment."""
    script = Path(sys.executable).parent / "pegasus"
    if script.exists():
        return (str(script),)
    return (sys.executable, "-c", "from pegasus.cli import main; main()")


@dataclass(frozen=True, slots=True)
class Pegasus:
    """The pegasus command, with a folder of its own for its files.

    Attributes:
        folder: where it is run; ``hosts.yaml`` and ``queue.yaml`` are in it.
        nodes: the test nodes that its ssh knows by name.
        environment: its whole environment.
        program: its command line up to the subcommand.
        started: all started processes, for the end of the test.
    """

    folder: Path
    nodes: Nodes
    environment: dict[str, str]
    program: tuple[str, ...] = field(default_factory=installed)
    started: list[Running] = field(default_factory=list)

    @property
    def hosts_file(self) -> Path:
        """The hosts file."""
        return self.folder / "hosts.yaml"

    @property
    def queue_file(self) -> Path:
        """The queue file."""
        return self.folder / "queue.yaml"

    @property
    def consumed_file(self) -> Path:
        """The file of the jobs that were taken from the queue."""
        return self.folder / "consumed.yaml"

    def on(self, nodes: Nodes) -> Pegasus:
        """Return the same, with other nodes."""
        return replace(self, nodes=nodes)

    def write_hosts(self, text: str) -> None:
        """Write the hosts file, in the form in which Pegasus reaches the nodes of the test.

        It is replaced as a whole: a run that starts at the same moment may be reading it.
        """
        translated, variables = self.nodes.translate(text)
        self.environment.update(variables)
        new = self.hosts_file.with_name(".hosts.new")
        new.write_text(translated, encoding="utf-8")
        with suppress(FileNotFoundError):
            shutil.copymode(self.hosts_file, new)
        new.replace(self.hosts_file)

    def files(self) -> list[str]:
        """Return the options that name the test's own files."""
        return [
            f"--hosts-file={self.hosts_file}",
            f"--queue-file={self.queue_file}",
            f"--ssh-config={self.nodes.ssh_config}",
        ]

    def start(
        self,
        command: str,
        *arguments: str,
        hosts: str | None = None,
        queue: str | bytes | None = None,
        environment: dict[str, str] | None = None,
    ) -> Running:
        """Start ``pegasus COMMAND ... ARGUMENTS`` with the test's own files, and do not wait.

        Args:
            command: the subcommand.
            arguments: what comes after the options that name the files.
            hosts: written into the hosts file before; None leaves it as it is, and where there is
                none yet, it lists all of the nodes.
            queue: written into the queue file before; None leaves it as it is.
            environment: variables to add or to replace.
        """
        if hosts is None and not self.hosts_file.exists():
            hosts = "".join(f"- {node.name}\n" for node in self.nodes)
        if hosts is not None:
            self.write_hosts(hosts)
        if queue is not None:
            self.queue_file.write_bytes(queue.encode() if isinstance(queue, str) else queue)
        if DETACH in os.environ and command in RUNNERS and "--detach" not in arguments:
            arguments = (*arguments, "--detach")
        return self.start_bare(command, *self.files(), *arguments, environment=environment)

    def start_bare(self, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        """Start ``pegasus ARGUMENTS`` and nothing else."""
        argv = [*self.program, *arguments]
        env = {**self.environment, **(environment or {})}
        process: subprocess.Popen[bytes] | Forked
        if FORK in os.environ and self.program == installed() and can_fork(argv, env):
            process = start_forked(argv, cwd=self.folder, env=env)
        else:
            process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        running = Running(process)
        self.started.append(running)
        return running

    def run(
        self,
        command: str,
        *arguments: str,
        hosts: str | None = None,
        queue: str | bytes | None = None,
        environment: dict[str, str] | None = None,
        limit: float = LIMIT,
    ) -> Done:
        """Run it to its end, as `start` and `Running.wait` do."""
        running = self.start(command, *arguments, hosts=hosts, queue=queue, environment=environment)
        return running.wait(limit)

    def end(self) -> None:
        """Kill what still runs, after a test that failed."""
        for running in self.started:
            running.kill()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set another umask for processes that are started in the block."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def own_environment(folder: Path) -> dict[str, str]:
    """Return an environment that keeps nothing of the developer's but PATH.

    Its home and its place for temporary files are made in the folder.
    """
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    kept = ("PATH", "PEGASUS_TEST", "PEGASUS_SSH_CLIENTS", "XDG_RUNTIME_DIR", "PYTHONWARNINGS")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    if len(installed()) > 1:  # a source tree that is not installed
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2] / "src")
    environment |= {"HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp"}
    return {**environment, "LANG": "C.UTF-8", "TERM": "dumb"}
