"""A queue that is edited with ``pegasus lock``, and a scripted editor.

The editor runs what the test writes into a fifo, so that no test depends on timing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.runner import Running, installed
from tests.e2e.terminals import ScreenTerminal
from tests.nodes import wait_until

EDITOR = """\
#!{python} -S
import os, signal, sys, termios, time, tty
file = sys.argv[-1]
def say(word):
    with open({said!r}, "a") as said:
        said.write(word + "\\n")
def write(text):
    with open(file, "w") as edited:
        edited.write(text)
say("open " + str(os.getpid()) + " " + file)
while True:
    with open({orders!r}) as orders:
        order = orders.read()
    exec(order)
    say("done")
"""

BROKEN = "- true\n- foo: 1\n"

QUEUE = "- true # mine\n"


class Editor:
    """A scripted program that Pegasus starts as the editor."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "editor"
        self._said, self._orders = folder / "said", folder / "orders"
        os.mkfifo(self._orders)
        self._said.touch()
        text = EDITOR.format(python=sys.executable, said=str(self._said), orders=str(self._orders))
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o755)

    def said(self, word: str) -> list[str]:
        """Return the rest of each line of its output that begins with a word."""
        lines = self._said.read_text(encoding="utf-8").splitlines()
        return [line.removeprefix(word).strip() for line in lines if line.startswith(word)]

    def wait_open(self, times: int = 1) -> tuple[int, str]:
        """Wait until the editor is open for the n-th time; return its process and its file."""
        opened = wait_until(
            lambda: self.said("open")[times - 1 :], what=f"the editor to open ({times})"
        )
        pid, file = opened[0].split(" ", 1)
        return int(pid), file

    def do(self, order: str) -> None:
        """Execute a statement in the editor, and wait for its end."""
        before = len(self.said("done"))
        self.finish(order)
        wait_until(lambda: len(self.said("done")) > before, what=f"the editor to do {order!r}")

    def finish(self, order: str = "sys.exit()") -> None:
        """Execute a statement that ends the editor."""
        wait_until(lambda: self._give(order), what="the editor to listen")

    def _give(self, order: str) -> bool:
        try:
            fd = os.open(self._orders, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no reader yet
                raise
            return False
        with contextlib.closing(os.fdopen(fd, "wb")) as orders:
            orders.write(order.encode())
        return True


@dataclass(frozen=True, slots=True)
class LockDesk:
    """A folder with a queue, an editor, and terminals."""

    folder: Path
    environment: dict[str, str]
    editor: Editor
    opened: list[Callable[[], None]] = field(default_factory=list)

    @property
    def queue(self) -> Path:
        """The queue file."""
        return self.folder / "queue.yaml"

    def lock_words(self, editor: str | None = None) -> list[str]:
        """Return the command line of ``pegasus lock``."""
        words = [*installed(), "lock"]
        given = str(self.editor.path) if editor is None else editor
        return [*words, "--queue-file", str(self.queue), "--editor", given]

    def sit_down(self, editor: str | None = None) -> ScreenTerminal:
        """Start ``pegasus lock`` in a terminal of its own."""
        return self.terminal(self.lock_words(editor))

    def terminal(self, words: list[str]) -> ScreenTerminal:
        """Start a program in a terminal."""
        terminal = ScreenTerminal(words, self.folder, {**self.environment, "TERM": "xterm"})
        self.opened.append(terminal.close)
        return terminal

    def start(self, words: list[str]) -> Running:
        """Start a program without a terminal."""
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        running = Running(process)
        self.opened.append(running.kill)
        return running

    def is_locked(self) -> bool:
        """Return whether a process holds the queue's lock."""
        with (self.folder / "queue.yaml.lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False
