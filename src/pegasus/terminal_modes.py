"""The modes of the terminal, and whether this process is in its foreground.

Rule 1: in the background nothing is changed; the modes belong to who is in the foreground.
Rule 2: what is changed is restored, also after a ``kill -9``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LOCAL_FLAGS = 3
"""The index of the flags that contain ECHO in the result of ``tcgetattr``."""

_GUARD_END_LIMIT = 1.0
"""Seconds for the guard to end; it needs a few milliseconds."""

_GUARD = """\
TMOUT=0; trap '' HUP INT TERM QUIT
exec 3>&1
ours=$(stty -g <&3) || exit
read -r _ && exit
sleep 0.3 || sleep 1
[ "$(stty -g <&3)" = "$ours" ] && stty echo <&3
"""
"""What shows typed keys again after a ``kill -9`` of this process: its standard input is a pipe
from this process, and its standard output the terminal. It waits for a moment, since a shell sets
modes of its own when its job was killed; where it did, they stay."""


def in_foreground(fd: int) -> bool:
    """Report whether this process is in the foreground of the terminal, and in its session."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def in_background(fd: int) -> bool:
    """Report whether a shell has put this process in the background of the terminal."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # it is not the terminal of this process's session: it has no background
        return False


@contextmanager
def never_stopped() -> Iterator[None]:
    """Allow changes of the terminal from the background, without being stopped for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class HiddenKeys:
    """Keeps the terminal from showing the keys that are typed; ``close`` it at the end.

    The keys stay in the terminal's input. Ctrl-C, Ctrl-Z and Ctrl-S work as before.

    Args:
        fd: the terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._are_hidden = False
        self._guard: subprocess.Popen[bytes] | None = None

    def hide(self) -> None:
        """Hide them, if that is not done, and if this process is in the foreground."""
        if self._are_hidden or not in_foreground(self._fd):
            return
        if self._set_echo(on=False):
            self._are_hidden = True
            self._start_guard()

    def show(self) -> None:
        """Show them as before."""
        if self._are_hidden:
            self._are_hidden = False
            if in_foreground(self._fd):
                self._set_echo(on=True)

    def forget(self) -> None:
        """Forget that they were hidden: another process may have changed the modes since."""
        self._are_hidden = False

    def close(self) -> None:
        """Show them as before; nothing is left behind."""
        self.show()
        guard, self._guard = self._guard, None
        if guard is not None and guard.stdin is not None:
            with suppress(OSError):
                guard.stdin.write(b"\n")
            with suppress(OSError):
                guard.stdin.close()
            try:
                guard.wait(_GUARD_END_LIMIT)
            except subprocess.TimeoutExpired:
                guard.kill()
                guard.wait()

    def _set_echo(self, *, on: bool) -> bool:
        """Switch the echo; report whether it was the other way before."""
        with suppress(OSError, termios.error), never_stopped():
            modes = termios.tcgetattr(self._fd)
            if bool(modes[_LOCAL_FLAGS] & termios.ECHO) is not on:
                modes[_LOCAL_FLAGS] ^= termios.ECHO
                termios.tcsetattr(self._fd, termios.TCSANOW, modes)
                return True
        return False

    def _start_guard(self) -> None:
        if self._guard is not None:
            return
        with suppress(OSError):  # without it, only a kill -9 leaves the keys hidden
            self._guard = subprocess.Popen(
                ["sh", "-c", _GUARD],
                stdin=subprocess.PIPE,
                stdout=self._fd,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
