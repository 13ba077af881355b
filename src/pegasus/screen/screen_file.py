"""A file that the screen writes to, and the streams of jobs whose lines go there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pegasus.lines import Block, EveryNth, LineSplitter, block_of
from pegasus.model import SubNode
from pegasus.screen.layout import Layout
from pegasus.screen.live import LiveArea
from pegasus.screen.output import Output
from pegasus.terminal_text import is_plain

TERMINAL_SLICE = 16 * 1024
"""Bytes that are laid out for a terminal at a time where they are not plain ASCII. That takes up
to 1 us a byte, and signals and keep-alives should not wait longer."""


@dataclass(frozen=True, slots=True)
class ScreenFile:
    """A file that the screen writes to, and the layout of lines there."""

    output: Output
    layout: Layout
    terminal: bool
    live: LiveArea | None

    def slices(self, data: bytes) -> Iterator[bytes]:
        """Divide data of a job into parts that are laid out at a time."""
        if not self.terminal or len(data) <= TERMINAL_SLICE:
            yield data
            return
        # The first line may have begun in earlier data, which need not have been plain.
        plain = data.find(b"\n") + 1 if is_plain(data) else 0
        slow = memoryview(data)[: plain or None]
        yield from (
            bytes(slow[start : start + TERMINAL_SLICE])
            for start in range(0, len(slow), TERMINAL_SLICE)
        )
        if 0 < plain < len(data):
            yield data[plain:]

    def show(self, text: JobText, block: Block) -> None:
        """Show lines of a job."""
        self.output.put(*self.layout.lines_of(text.sub_node, block, text.mark))

    def say(
        self, source: SubNode | None, text: str, room: int, mark: str = "", *, failed: bool = False
    ) -> None:
        """Show lines about a sub-node, or of Pegasus (None), unless so many bytes wait already."""
        self.output.offer(self.lines(source, text, mark, failed=failed), room)

    def lines(
        self, source: SubNode | None, text: str, mark: str = "", *, failed: bool = False
    ) -> bytes:
        """Lay out lines about a sub-node, or of Pegasus (None)."""
        return b"".join(self.layout.lines_of(source, block_of(text), mark, failed=failed))


@dataclass(frozen=True, slots=True)
class JobText:
    """A stream of a job: where it comes from, its lines, and which of them are shown."""

    sub_node: SubNode
    mark: str
    lines: LineSplitter
    shown: EveryNth

    def feed(self, data: bytes) -> Block:
        """Take data, and give the lines of it that are shown."""
        return self.shown.take(self.lines.feed(data))

    def finish(self) -> Block:
        """Give the last line, if it is shown."""
        return self.shown.take(self.lines.finish())
