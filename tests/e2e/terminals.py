"""A program in a pseudo-terminal, which a test reads and types into."""

from __future__ import annotations

import re
import signal
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pexpect
import pyte
import pytest

from tests.e2e.runner import LIMIT, Pegasus
from tests.whole_frames import WholeFrames

ROWS = 24

FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
"""For tests that open a terminal: pexpect forks, and only calls exec after that."""


class Terminal:
    """A terminal with one program.

    Attributes:
        screen: what the terminal shows.
        modes_before: the modes of the terminal when the program started.
    """

    def __init__(
        self,
        argv: list[str],
        folder: Path,
        environment: dict[str, str],
        columns: int = 80,
        rows: int = ROWS,
    ) -> None:
        self._child: Any = pexpect.spawn(
            argv[0],
            argv[1:],
            cwd=str(folder),
            env=environment,
            dimensions=(rows, columns),
            timeout=LIMIT,
        )
        self._shown = b""
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1)
        self._stream = WholeFrames(self.screen)
        self.modes_before = self.modes()

    @classmethod
    def of(cls, pegasus: Pegasus, words: list[str], columns: int, no_color: str = "") -> Self:
        """Start ``pegasus WORDS...`` in a terminal with 256 colours."""
        environment = {**pegasus.environment, "TERM": "xterm-256color", "NO_COLOR": no_color}
        return cls([*pegasus.program, *words], pegasus.folder, environment, columns)

    @property
    def all_rows(self) -> list[str]:
        """All rows that were ever shown and stayed, with those that have scrolled out."""
        top = ["".join(row[x].data for x in sorted(row)) for row in self.screen.history.top]
        return [row.rstrip() for row in [*top, *self.screen.display] if row.strip()]

    def resize(self, columns: int, rows: int) -> None:
        """Drag the window's corner."""
        self._child.setwinsize(rows, columns)
        self.screen.resize(rows, columns)

    def read_until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Read until the rows of the screen meet a condition; give them."""
        deadline = time.monotonic() + LIMIT
        while not condition(self.rows):
            assert time.monotonic() < deadline, "\n".join(["not so:", *self.screen.display])
            self._read(0.05)
        return self.rows

    @property
    def pid(self) -> int:
        """The process of the program."""
        pid: int = self._child.pid
        return pid

    @property
    def shown(self) -> str:
        """Everything that the terminal received, with its escape sequences."""
        return self._shown.decode()

    @property
    def rows(self) -> list[str]:
        """The rows of the screen that are not blank."""
        return [row.rstrip() for row in self.screen.display if row.strip()]

    def modes(self) -> list[Any]:
        """Return the modes of the terminal."""
        return termios.tcgetattr(self._child.child_fd)

    def type(self, keys: str) -> None:
        """Press keys."""
        self._child.send(keys)

    def count(self, text: str) -> int:
        """Count a text in everything that was received, wherever its lines are wrapped."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.shown)
        return _count(text, re.sub(r"(\r\n)\[Pegasus\] ", r"\1", plain))

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until `count` of a text reaches a number."""
        deadline = time.monotonic() + LIMIT
        while self.count(text) < times:
            assert time.monotonic() < deadline, f"no {text!r}:\n{self}"
            try:
                self._read(0.05)
            except pexpect.EOF:
                assert self.count(text) >= times, f"ended without {text!r}:\n{self}"

    def wait(self) -> int:
        """Read to the end; return the exit status, minus N for a signal N."""
        while not self._child.flag_eof:
            with suppress(pexpect.EOF):
                self._read(LIMIT)
        self._stream.end()
        self._child.wait()
        signalled: int | None = self._child.signalstatus
        status: int = self._child.exitstatus if signalled is None else -signalled
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self._child.kill(number)

    def kill(self) -> None:
        """Kill the program with SIGKILL."""
        self._child.kill(signal.SIGKILL)

    def hang_up(self) -> None:
        """Close the terminal, as a window that is closed does; wait for the end of the program."""
        self._child.ptyproc.fileobj.close()
        self._child.ptyproc.wait()

    def close(self) -> None:
        """Close the terminal and end the program."""
        self._child.close(force=True)

    def __str__(self) -> str:
        return self.shown

    def _read(self, seconds: float) -> None:
        try:
            data = self._child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return
        self._shown += data
        self._stream.feed(data)


class ScreenTerminal(Terminal):
    """A terminal whose tests look at the current screen only."""

    @property
    def text(self) -> str:
        """The text of the screen."""
        return "\n".join(row.rstrip() for row in self.screen.display).rstrip()

    def count(self, text: str) -> int:
        """Count a text on the screen, wherever its lines are wrapped."""
        return _count(text, self.text.replace("\n[Pegasus] ", ""))

    def shows(self, text: str) -> bool:
        """Return whether the screen contains a text."""
        return self.count(text) > 0

    def __str__(self) -> str:
        return self.text


def _count(text: str, shown: str) -> int:
    """Count a text without regard to blanks, which the end of a row does not show."""
    return "".join(shown.split()).count("".join(text.split()))
