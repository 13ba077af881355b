"""The screen as a run sees it: a listener that is told events and shown output.

Rule 1: one output per file, however many descriptors lead to it, so that order is kept where it
can be seen, and a reader of one that stalls does not hold back the other.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import trio

from pegasus.colour import ColorChoice, wants_colour
from pegasus.events import Connected, Ended, Event, Noted, Printed, Started, Unreachable
from pegasus.lines import Block, EveryNth, Lines, block_of
from pegasus.model import Assignment, Stream, SubNode
from pegasus.screen import messages
from pegasus.screen.layout import Layout
from pegasus.screen.output import ROOM_FOR_EVENTS, ROOM_FOR_NOTES, Output
from pegasus.terminal_text import is_plain

LAST_WORDS = 5.0
"""Seconds that readers have for what waits when a run fails. One that is only slow needs less,
and nobody should have to wait for a traceback longer than that."""

_Key: TypeAlias = tuple[int, int, Stream]
"""Whose stream: the job's number, the sub-node's number, and which stream."""

_SLICE = 16 * 1024
"""Bytes that are laid out for a terminal in one go where they are not plain ASCII, which takes up
to 1 us a byte; and signals and keep-alives should not wait for more than that."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where lines go, and how they look there."""

    output: Output
    layout: Layout
    terminal: bool

    def slices(self, data: bytes) -> Iterator[bytes]:
        if not self.terminal or len(data) <= _SLICE:
            yield data
            return
        # The first line may have begun in earlier data, which need not have been plain.
        plain = data.find(b"\n") + 1 if is_plain(data) else 0
        slow = memoryview(data)[: plain or None]
        yield from (bytes(slow[start : start + _SLICE]) for start in range(0, len(slow), _SLICE))
        if 0 < plain < len(data):
            yield data[plain:]

    def show(self, sub_node: SubNode, block: Block) -> None:
        self.output.put(*self.layout.lines_of(sub_node, block))

    def say(self, sub_node: SubNode | None, text: str, room: int) -> None:
        self.output.offer(b"".join(self.layout.lines_of(sub_node, block_of(text))), room)


@dataclass(frozen=True, slots=True)
class _Text:
    """One stream of a job's: its lines, and which of them are shown."""

    sub_node: SubNode
    lines: Lines
    shown: EveryNth

    def feed(self, data: bytes) -> Block:
        return self.shown.take(self.lines.feed(data))

    def finish(self) -> Block:
        return self.shown.take(self.lines.finish())


class Screen:
    """A listener that shows a run to a person; see ``open_screen``, which makes one.

    All of a job's output stands between its run line and its done line, as far as they go to
    the same file. Call ``show`` for one stream of one job from one task at a time.
    """

    def __init__(
        self,
        fds: Mapping[Stream, int],
        *,
        color: ColorChoice,
        print_period: int,
        environ: Mapping[str, str],
        on_reader_gone: Callable[[], None],
    ) -> None:
        self._period = print_period
        self._on_reader_gone = on_reader_gone
        self._reader_gone = False
        self._own = messages.OwnMessages()
        self._texts: dict[_Key, _Text] = {}
        self._places: dict[Stream, _Place] = {}
        files: dict[object, _Place] = {}
        for stream, fd in fds.items():
            place = files.setdefault(_file_of(fd), self._place(stream, fd, color, environ))
            self._places[stream] = place
        self._files = tuple(files.values())

    def tell(self, event: Event) -> None:
        """Say what there is to say of an event; never waits, never fails."""
        match event:
            case Started(assignment):
                self._say(assignment.sub_node, messages.started(assignment))
            case Ended(assignment, outcome):
                for stream in Stream:
                    self._finish_text(_key(assignment, stream))
                self._say(assignment.sub_node, messages.ended(outcome))
            case Connected() | Unreachable() | Noted():
                if text := self._own.about(event):
                    self._say(None, text, ROOM_FOR_NOTES)
            case _:  # not shown
                pass

    async def show(self, printed: Printed) -> None:
        """Show what a command printed; waits while its reader does not keep up."""
        if self._period == 0:
            await trio.lowlevel.checkpoint()
            return
        place = self._places[printed.stream]
        for data in place.slices(printed.data):
            await place.output.wait_room()
            if not place.output.gone:
                text = self._text(printed)
                place.show(text.sub_node, text.feed(data))

    def say(self, *lines: str) -> None:
        """Say something in Pegasus's own name.

        Args:
            lines: each is shown as one line, whatever it contains.
        """
        self._say(None, messages.own_lines(*lines), ROOM_FOR_NOTES)

    async def wait_written(self) -> None:
        """Wait until all that was told stands on standard error, or never will.

        That takes as long as its reader likes: bound it.
        """
        await self._places[Stream.STDERR].output.wait_written()

    def close(self) -> None:
        """Show the last lines of whoever has not ended, and let the writers end; waits not."""
        for key in list(self._texts):
            self._finish_text(key)
        for file in self._files:
            file.output.close()

    def writers(self) -> list[Callable[[], Awaitable[None]]]:
        """Give the tasks that write, one for each file; they end when all is closed and written."""
        return [file.output.run for file in self._files]

    def _place(
        self, stream: Stream, fd: int, color: ColorChoice, environ: Mapping[str, str]
    ) -> _Place:
        terminal = os.isatty(fd)
        colour = wants_colour(color, environ, terminal=terminal)
        layout = Layout(fd, terminal=terminal, colour=colour, environ=environ)
        output = Output(
            fd,
            terminal=terminal,
            on_gone=self._lose_reader,
            on_fault=partial(self._say_fault, stream),
            left_out=lambda count: b"".join(
                layout.lines_of(None, block_of(messages.left_out(count)))
            ),
        )
        return _Place(output, layout, terminal)

    def _lose_reader(self) -> None:
        if not self._reader_gone:
            self._reader_gone = True
            self._on_reader_gone()

    def _say_fault(self, stream: Stream, error: OSError) -> None:
        other = self._places[Stream.STDERR if stream is Stream.STDOUT else Stream.STDOUT]
        if other is not self._places[stream]:
            other.say(None, messages.unwritable(stream, error), ROOM_FOR_NOTES)

    def _say(self, sub_node: SubNode | None, text: str, room: int = ROOM_FOR_EVENTS) -> None:
        self._places[Stream.STDERR].say(sub_node, text, room)

    def _text(self, printed: Printed) -> _Text:
        key = _key(printed.assignment, printed.stream)
        text = self._texts.get(key)
        if text is None:
            text = _Text(printed.assignment.sub_node, Lines(), EveryNth(self._period))
            self._texts[key] = text
        return text

    def _finish_text(self, key: _Key) -> None:
        if text := self._texts.pop(key, None):
            self._places[key[2]].show(text.sub_node, text.finish())


@asynccontextmanager
async def open_screen(
    *,
    stdout_fd: int = 1,
    stderr_fd: int = 2,
    color: ColorChoice = "auto",
    print_period: int = 1,
    environ: Mapping[str, str] = os.environ,
    on_reader_gone: Callable[[], None] = lambda: None,
) -> AsyncIterator[Screen]:
    """Show a run on two files, which stay open.

    At the end all that was told is written out, however long a reader takes; bound that where it
    matters. When the block fails a reader has ``LAST_WORDS`` for it, and when it is cancelled
    nothing more is waited for: what waits is lost.

    Args:
        stdout_fd: where what jobs print to their standard output goes.
        stderr_fd: where everything else goes.
        color: what ``--color`` says.
        print_period: show each N-th line of each stream of a job's; 0 shows none.
        environ: where ``NO_COLOR``, ``FORCE_COLOR``, ``TERM`` and ``COLUMNS`` are looked up.
        on_reader_gone: called once, from a task of the screen's, when the reader of either file
            has gone away.
    """
    fds = {Stream.STDOUT: stdout_fd, Stream.STDERR: stderr_fd}
    screen = Screen(
        fds,
        color=color,
        print_period=print_period,
        environ=environ,
        on_reader_gone=on_reader_gone,
    )
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for writer in screen.writers():
            nursery.start_soon(writer)
        try:
            yield screen
        except Exception as error:  # noqa: BLE001 - raised again below, when all is written
            failure = error
            nursery.cancel_scope.deadline = trio.current_time() + LAST_WORDS
        finally:
            screen.close()
    if failure is not None:
        raise failure


def _key(assignment: Assignment, stream: Stream) -> _Key:
    return assignment.number, assignment.sub_node.number, stream


def _file_of(fd: int) -> object:
    try:
        status = os.fstat(fd)
    except OSError:  # closed; the first write will say so
        return fd
    return status.st_dev, status.st_ino
