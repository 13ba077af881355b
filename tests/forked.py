"""Starts ``pegasus`` in processes that are forked from one that has imported it.

Each start of ``pegasus`` imports for 0.3 s of processor time, two thirds of that of the end-to-end
tests. A forked process differs from a new one in its imports alone: it has a session, folder,
environment and command line of its own, also in ``/proc``, no other open files, and it ends as a
new one does.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, TypeAlias

LIMIT = 60.0
"""Seconds for a command; it takes one on an idle machine."""

ARGUMENTS, ENVIRONMENT = 16 * 1024, 48 * 1024
"""The room in bytes for the command line and for the environment of a process."""

PROGRAM = """\
import sys
from tests.forked import serve
serve(int(sys.argv[1]))
from pegasus.__main__ import main
sys.exit(main())
"""
"""What the process that forks runs: `serve` returns in the forked ones only."""

PADDING = "PADDING"  # an environment variable

NUMBER = 8
"""Bytes of the length of an order, and of its answer: the process number, or 0 with an error."""

Order: TypeAlias = tuple[list[str], str, dict[str, str], int]
"""Arguments, folder, environment, umask."""

_one_order = threading.Lock()


class Forked:
    """A process, with the interface of `subprocess.Popen` as far as tests use it.

    Attributes:
        pid: its process number.
        stdout: the pipe of its standard output, None if that is a file.
        stderr: the same for its standard error.
    """

    def __init__(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], outputs: Sequence[int]
    ) -> None:
        """Start it, with an empty standard input.

        Args:
            argv: the program's name, and its arguments.
            cwd: where it works.
            env: its whole environment.
            outputs: the file descriptors of its standard output and standard error.

        Raises:
            OSError: it cannot be started there.
        """
        self._argv = argv
        self._status: int | None = None
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        self._ended, told = os.pipe()
        try:
            self.pid = _order((list(argv), str(cwd), dict(env), _umask()), [*outputs, told])
        except BaseException:
            os.close(self._ended)
            raise
        finally:
            os.close(told)

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after these seconds.
        """
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(list(self._argv), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ends right now
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self._status is not None:
            return self._status
        ended = select.poll()  # unlike select(), with any file descriptor
        ended.register(self._ended, select.POLLIN)
        if ended.poll(None if timeout is None else timeout * 1000):
            told = os.read(self._ended, NUMBER)
            assert told, "the process that forks has ended"
            os.close(self._ended)
            self._status = int(told)
        return self._status


def can_fork(argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a forked process is like a new one.

    Python reads some variables when it starts, and there is a certain room.
    """
    here = _environment()
    names = {name for name in {**here, **env} if name.startswith(("PYTHON", "LANG", "LC_"))}
    return all(env.get(name) == here.get(name) for name in names) and _fit(argv, env)


def start_forked(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Forked:
    """Start ``pegasus`` with pipes for its outputs, as `Forked` does."""
    (out, into_out), (err, into_err) = os.pipe(), os.pipe()
    try:
        process = Forked(argv, cwd, env, [into_out, into_err])
    except BaseException:
        os.close(out)
        os.close(err)
        raise
    finally:
        os.close(into_out)
        os.close(into_err)
    process.stdout, process.stderr = os.fdopen(out, "rb"), os.fdopen(err, "rb")
    return process


def run_forked(
    words: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``pegasus`` with these arguments, without a terminal or any input.

    Args:
        words: the arguments.
        cwd: where it works; None for here.
        env: the whole environment; None for this one.

    Raises:
        AssertionError: it still runs after the limit.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        where, variables = cwd or Path.cwd(), os.environ if env is None else env
        outputs = [out.fileno(), err.fileno()]
        process = Forked(["pegasus", *words], where, variables, outputs)
        with suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT)
        status = process.poll()
        process.kill()
        texts = [os.pread(fd, os.fstat(fd).st_size, 0).decode() for fd in outputs]
    assert status is not None, f"{words}: it was still running after {LIMIT} s: {texts}"
    return subprocess.CompletedProcess(list(words), status, *texts)


def _order(order: Order, descriptors: list[int]) -> int:
    """Have a process forked; return its number.

    Raises:
        OSError: it cannot be started.
    """
    data = json.dumps(order).encode()
    assert _fit(order[0], order[2]), "no room for the command line or the environment"
    with _one_order:
        control = _server()
        socket.send_fds(control, [len(data).to_bytes(NUMBER)], descriptors)
        control.sendall(data)
        answer = control.recv(NUMBER, socket.MSG_WAITALL)
    assert answer, "the process that forks has ended"
    pid = int.from_bytes(answer)
    if not pid:
        raise OSError(f"cannot be started in {order[1]}")
    return pid


def _fit(argv: Iterable[str], env: Mapping[str, str]) -> bool:
    """Return whether there is room for a command line and an environment."""
    path = len(os.fsencode(sys.executable)) + 1
    return path + len(_block(argv)) <= ARGUMENTS and len(_block(_settings(env))) <= ENVIRONMENT


def _umask() -> int:
    """Return the umask of this process: os.umask() would change that of all its threads."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Umask:")), 8)


@cache
def _server() -> socket.socket:
    """Start the process that has imported everything; it ends when its socket is closed."""
    ours, its = socket.socketpair()
    with its:
        server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(its.fileno()), "x" * ARGUMENTS],
            cwd=Path(__file__).parents[1],
            env={**_environment(), PADDING: "x" * ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
            start_new_session=True,
        )
    atexit.register(server.wait, LIMIT)
    atexit.register(ours.close)  # before that
    return ours


def _environment() -> dict[str, str]:
    """Return the environment of the process that forks: as tests give it to ``pegasus``."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONWARNINGS"}}
    return {**kept, "LANG": "C.UTF-8"}


def serve(number: int) -> None:
    """Fork for each order that comes through a socket; return in each of the forked processes.

    Args:
        number: the file descriptor of the socket.
    """
    import pegasus

    for module in pkgutil.walk_packages(pegasus.__path__, "pegasus."):
        importlib.import_module(module.name)
    sys.path.remove("")  # the folder of the tests, and then that of each process
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=number)
    running: dict[int, tuple[int, int]] = {}  # by pidfd: process number, where its end is told
    events = select.poll()
    events.register(number, select.POLLIN)
    while True:
        for ready, _ in events.poll():
            if ready in running:
                events.unregister(ready)
                _tell_end(ready, *running.pop(ready))
                continue
            header, descriptors, _, _ = socket.recv_fds(
                control, NUMBER, 3, socket.MSG_WAITALL | socket.MSG_CMSG_CLOEXEC
            )
            if not header:
                _end(running)
            order = control.recv(int.from_bytes(header), socket.MSG_WAITALL)
            pid = os.fork()
            if not pid:
                return _become(json.loads(order), control, descriptors)
            out, err, told = descriptors
            os.close(out)
            os.close(err)
            ended = os.pidfd_open(pid)
            running[ended] = pid, told
            events.register(ended, select.POLLIN)


def _tell_end(ended: int, pid: int, told: int) -> None:
    """Tell the exit status of a process that has ended, and reap it."""
    os.close(ended)
    how = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert how
    status = how.si_status if how.si_code == os.CLD_EXITED else -how.si_status
    with suppress(BrokenPipeError):  # nobody asks any more
        os.write(told, str(status).encode())
    os.close(told)
    os.waitpid(pid, 0)


def _end(running: dict[int, tuple[int, int]]) -> None:
    """End what runs, as the tests have ended, and this process."""
    for pid, _ in running.values():
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _become(order: Order, control: socket.socket, descriptors: list[int]) -> None:
    """Make this forked process what was ordered."""
    argv, cwd, env, umask = order
    answer = 0
    try:
        os.setsid()
        os.umask(umask)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        sys.argv[:] = argv
        _show([sys.executable, *argv], env)
        answer = os.getpid()
    finally:
        control.sendall(answer.to_bytes(NUMBER))
    control.detach()
    for standard, fd in enumerate([os.open(os.devnull, os.O_RDONLY), *descriptors[:2]]):
        os.dup2(fd, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _show(argv: Iterable[str], env: Mapping[str, str]) -> None:
    """Write the command line and the environment to where ``/proc`` reads them."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    argv_from, argv_to, env_from, env_to = map(int, fields[45:49])  # in this order in proc(5)
    for words, start, end in (argv, argv_from, argv_to), (_settings(env), env_from, env_to):
        block = _block(words).ljust(end - start, b"\0")
        assert len(block) == end - start
        ctypes.memmove(start, block, len(block))
    Path("/proc/self/comm").write_text("pegasus", encoding="utf-8")


def _settings(env: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in env.items()]


def _block(words: Iterable[str]) -> bytes:
    """Return what a process has in memory for these words."""
    return b"".join(os.fsencode(word) + b"\0" for word in words)
