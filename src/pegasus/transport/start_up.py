"""The start of a shell: what an account's start-up files print, and the limits of the wait.

Rule 1: whatever is printed before the shell is ready may explain a failure, and is output of no
command.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import trio

from pegasus.errors import NodeUnreachable
from pegasus.terminal_text import on_one_line

READY_LIMIT = 60.0
"""Seconds for a shell to become ready: start-up files on a busy node and a home directory on a slow
file system need many; the limit is for a node that never answers."""

SLOW_START = 5.0
"""Seconds after which the wait is reported: start-up files that take longer may never end, and only
their owner can know why."""

START_UP_LIMIT = 65536
"""Bytes that are kept of the output of an account's start-up files: it may explain a failure."""

START_UP_SHOWN = 300
"""Characters of it that are shown; the last ones, since a question or a prompt comes last."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
"""Output of a prompt for a terminal: colours, modes, a title."""


class StartUp:
    """What was printed before a shell was ready.

    Args:
        mark: precedes the shell's own messages; it is no output.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark, self._data = mark, b""

    def add(self, data: bytes) -> None:
        """Keep more of the output; only its end is needed."""
        self._data = (self._data + data)[-START_UP_LIMIT:]

    def forget(self) -> None:
        """Forget what was added."""
        self._data = b""

    @property
    def words(self) -> str:
        """The output of the start-up files, or of another program before the shell, as text."""
        text = self._data.replace(self._mark[1:], b"").decode(errors="replace")
        return _ESCAPE_SEQUENCE.sub("", text).strip()

    @property
    def end(self) -> str:
        """The end of this output, on one line: a question or a prompt comes last."""
        words = on_one_line(self.words, START_UP_LIMIT)
        return words if len(words) <= START_UP_SHOWN else f"…{words[-START_UP_SHOWN:]}"

    async def wait(
        self, wait_ready: Callable[[], Awaitable[None]], on_slow: Callable[[str], None]
    ) -> None:
        """Wait until the shell can take a command.

        Args:
            wait_ready: returns once the shell is ready.
            on_slow: gets a sentence, once, where this takes long.

        Raises:
            NodeUnreachable: the shell did not become ready in time.
        """
        with trio.move_on_after(SLOW_START):
            return await wait_ready()
        on_slow(
            f"waiting for a shell; after {SLOW_START:g} seconds the account's start-up files have "
            f"not ended, and have printed {self.end or 'nothing'}"
        )
        with trio.move_on_after(READY_LIMIT - SLOW_START):
            return await wait_ready()
        raise NodeUnreachable(
            f"the shell on the node was not ready in {READY_LIMIT:g} seconds; the account's "
            f"start-up files have printed {self.end or 'nothing'}"
        )
