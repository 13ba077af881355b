"""The screen as a run uses it: a listener for events and output.

Rule 1: there is one output for each file, however many descriptors lead to it. So lines in one file
keep their order, and a stalled reader of one file does not hold back the other.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from itertools import groupby
from typing import TypeAlias

import trio

from pegasus.colour import ColorChoice, wants_colour
from pegasus.events import (
    Cut,
    Ended,
    Event,
    Printed,
    Reconnected,
    Started,
    StopStored,
)
from pegasus.lines import EveryNth, LineSplitter, block_of
from pegasus.model import Assignment, Stream, SubNode, succeeded
from pegasus.screen import messages
from pegasus.screen.area import Area, AreaLines
from pegasus.screen.layout import Layout
from pegasus.screen.live import LiveArea, can_be_live
from pegasus.screen.output import ROOM_FOR_EVENTS, ROOM_FOR_NOTES, Output
from pegasus.screen.screen_file import JobText, ScreenFile
from pegasus.screen.tails import Tails
from pegasus.slot_words import mark_of

SCREEN_END_LIMIT = 5.0
"""Seconds that readers have for the rest of the text when a run fails. A slow reader needs less,
and a person should not wait longer for a traceback."""

_TextKey: TypeAlias = tuple[int, int, str | None, Stream]
"""Identifies a stream: the job's number, the sub-node's number, the key of a detached command, as
it may belong to another run, and the stream."""


class Screen:
    """A listener that shows a run; see ``open_screen``, which makes one.

    All output of a job comes between its run line and its done line, as far as they go to the
    same file. Call ``show`` for one stream of one job from one task at a time.
    """

    def __init__(
        self,
        fds: Mapping[Stream, int],
        *,
        color: ColorChoice,
        print_period: int,
        environ: Mapping[str, str],
        on_reader_gone: Callable[[], None],
        live: bool,
        quiet: bool = False,
    ) -> None:
        self._quiet = quiet
        self._tails = Tails()
        self._live: LiveArea | None = None
        self._period = 0 if quiet else print_period
        self._on_reader_gone = on_reader_gone
        self._reader_gone = False
        self._messages = messages.OwnMessages()
        self._texts: dict[_TextKey, JobText] = {}
        self._by_stream: dict[Stream, ScreenFile] = {}
        files: dict[object, ScreenFile] = {}
        for stream, fd in fds.items():
            key = _file_of(fd)
            if key not in files:
                is_live = live and key == _file_of(fds[Stream.STDERR])
                files[key] = self._open_file(stream, fd, color, environ, live=is_live)
            self._by_stream[stream] = files[key]
        self._live = self._by_stream[Stream.STDERR].live
        self._files = tuple(files.values())

    def tell(self, event: Event) -> None:
        """Show an event; never waits, never fails."""
        if self._live is not None:
            self._live.note_change()
        match event:
            case Started(assignment):
                self._say_of(assignment, messages.started(assignment))
            case Ended(assignment, outcome):
                for stream in Stream:
                    self._finish_text(_key(assignment, stream))
                self._tails.forget(assignment)
                failed = not succeeded(outcome)
                self._say_of(assignment, messages.ended(outcome), failed=failed)
                if self._quiet and failed:
                    self._say(None, messages.failed(event), ROOM_FOR_NOTES, failed=True)
            case Cut(assignment, words):
                self._say_of(assignment, messages.cut(words))
            case Reconnected(assignment):
                self._say_of(assignment, messages.reconnected(assignment))
            case StopStored(assignment):
                self._say_of(assignment, messages.stop_stored(assignment))
            case _:  # others are not shown
                text = isinstance(event, messages.ToldEvent) and self._messages.about(event)
                if text:
                    self._say(None, text, ROOM_FOR_NOTES)

    async def show(self, printed: Printed) -> None:
        """Show output of a command; waits while the reader is too slow."""
        if self._live is not None:
            self._tails.add(printed)
            self._live.note_change()
        if self._period == 0:
            await trio.lowlevel.checkpoint()
            return
        file = self._by_stream[printed.stream]
        for data in file.slices(printed.data):
            if self._text(printed).lines.is_step(data):  # which needs no room
                await trio.lowlevel.checkpoint_if_cancelled()
            else:
                await file.output.wait_room()
            if not file.output.gone:
                text = self._text(printed)
                file.show(text, text.feed(data))

    def note(self, what: Event | Printed) -> None:
        """Take an event or output that is shown otherwise into account for the live area."""
        if self._live is not None:
            self._live.note_change()
            if isinstance(what, Printed):
                self._tails.add(what)
        if isinstance(what, Ended):
            self._tails.forget(what.assignment)

    async def show_block(
        self, stream: Stream, head: str, parts: AsyncGenerator[bytes, None]
    ) -> None:
        """Show text of several sub-nodes, without a prefix; waits while the reader is too slow.

        Args:
            stream: which file it goes to.
            head: lines of Pegasus, shown before.
            parts: the text, in parts; it is closed.
        """
        file = self._by_stream[stream]
        lines = LineSplitter(last_state=file.terminal)
        async with aclosing(parts):
            await file.output.wait_room()
            file.output.put(*file.layout.head_of(head))
            async for part in parts:
                for data in file.slices(part):
                    await file.output.wait_room()
                    if file.output.gone:
                        return
                    file.output.put(*file.layout.plain_lines(lines.feed(data)))
            file.output.put(*file.layout.plain_lines(lines.finish()))

    def say(self, *lines: str, failed: bool = False) -> None:
        """Show messages of Pegasus.

        Args:
            lines: each is shown as one line, whatever it contains.
            failed: whether they are about something that did not succeed.
        """
        self._say(None, messages.own_lines(*lines), ROOM_FOR_NOTES, failed=failed)

    def say_summary(self, lines: Iterable[str], is_failure: Callable[[str], bool]) -> None:
        """Show the lines of a summary: all of them, or none where the reader is too slow.

        Args:
            lines: see ``say``.
            is_failure: whether a line is about something that did not succeed.
        """
        file = self._by_stream[Stream.STDERR]
        parts = [
            file.lines(None, messages.own_lines(*some), failed=failed)
            for failed, some in groupby(lines, is_failure)
        ]
        file.output.offer(b"".join(parts), ROOM_FOR_NOTES)

    @property
    def is_live(self) -> bool:
        """Whether there is an area below the log."""
        return self._live is not None

    def show_area(self, lines: AreaLines) -> None:
        """Draw an area below the log from now on, where the screen is live.

        Args:
            lines: called for each frame; see ``AreaLines``.
        """
        if self._live is not None:
            self._live.start(lines)

    def tail_of(self, assignment: Assignment) -> bytes:
        """Give the last bytes, up to 4 KiB, of the stream to which a command printed last.

        There are none where the screen is not live, or where the command does not run.
        """
        return self._tails.of(assignment)

    async def wait_written(self) -> None:
        """Wait until all events are written to standard error, or never will be.

        The time depends on the reader: bound it.
        """
        await self._by_stream[Stream.STDERR].output.wait_written()

    def close(self) -> None:
        """Show the last lines of jobs that have not ended, and let the writers end; never waits."""
        for key in list(self._texts):
            self._finish_text(key)
        if self._live is not None:
            self._live.close()
        for file in self._files:
            file.output.close()

    def writers(self) -> list[Callable[[], Awaitable[None]]]:
        """Give the tasks of the files; they end when all is closed and written."""
        drawing = [self._live.run] if self._live is not None else []
        return [*(file.output.run for file in self._files), *drawing]

    def _open_file(
        self,
        stream: Stream,
        fd: int,
        color: ColorChoice,
        environ: Mapping[str, str],
        *,
        live: bool,
    ) -> ScreenFile:
        terminal = os.isatty(fd)
        area = Area(fd) if live else None
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
            area=area,
        )
        if area is None:
            return ScreenFile(output, layout, terminal, None)
        drawing = LiveArea(output, area, fd, colour=colour, on_fault=self._say_no_area)
        return ScreenFile(output, layout, terminal, drawing)

    def _lose_reader(self) -> None:
        if not self._reader_gone:
            self._reader_gone = True
            self._on_reader_gone()

    def _say_fault(self, stream: Stream, error: OSError) -> None:
        other = self._by_stream[Stream.STDERR if stream is Stream.STDOUT else Stream.STDOUT]
        if other is not self._by_stream[stream]:
            other.say(None, messages.unwritable(stream, error), ROOM_FOR_NOTES)

    def _say_no_area(self, error: Exception) -> None:
        self.say(messages.no_area(error))

    def _say(self, sub_node: SubNode | None, text: str, room: int, *, failed: bool = False) -> None:
        self._by_stream[Stream.STDERR].say(sub_node, text, room, failed=failed)

    def _say_of(self, assignment: Assignment, text: str, *, failed: bool = False) -> None:
        if self._quiet:
            return
        file, mark = self._by_stream[Stream.STDERR], mark_of(assignment)
        file.say(assignment.sub_node, text, ROOM_FOR_EVENTS, mark, failed=failed)

    def _text(self, printed: Printed) -> JobText:
        key = _key(printed.assignment, printed.stream)
        text = self._texts.get(key)
        if text is None:
            given, is_live = printed.assignment, self._by_stream[printed.stream].live is not None
            lines, shown = LineSplitter(last_state=is_live), EveryNth(self._period)
            text = JobText(given.sub_node, mark_of(given), lines, shown)
            self._texts[key] = text
        return text

    def _finish_text(self, key: _TextKey) -> None:
        if text := self._texts.pop(key, None):
            self._by_stream[key[3]].show(text, text.finish())


@asynccontextmanager
async def open_screen(
    *,
    stdout_fd: int = 1,
    stderr_fd: int = 2,
    color: ColorChoice = "auto",
    print_period: int = 1,
    environ: Mapping[str, str] = os.environ,
    on_reader_gone: Callable[[], None] = lambda: None,
    live: bool = False,
    quiet: bool = False,
) -> AsyncIterator[Screen]:
    """Show a run on two files, which stay open.

    At the end everything is written, however long a reader takes; bound that where it matters.
    When the block fails, readers have ``SCREEN_END_LIMIT``. When it is cancelled, the rest is lost.

    Args:
        stdout_fd: the file for the standard output of jobs.
        stderr_fd: the file for everything else.
        color: the value of ``--color``.
        print_period: show each N-th line of each stream of a job; 0 shows none.
        environ: the environment, for ``NO_COLOR``, ``FORCE_COLOR``, ``TERM`` and ``COLUMNS``.
        on_reader_gone: called once, from a task of the screen, when the reader of either file
            has gone.
        live: whether there is a live area below the log, drawn from ``Screen.show_area`` on;
            only where standard error can have one.
        quiet: whether only messages of Pegasus are shown, and what did not succeed, in a line each.
    """
    fds = {Stream.STDOUT: stdout_fd, Stream.STDERR: stderr_fd}
    screen = Screen(
        fds,
        color=color,
        print_period=print_period,
        environ=environ,
        on_reader_gone=on_reader_gone,
        live=live and can_be_live(stdout_fd, stderr_fd, environ),
        quiet=quiet,
    )
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for writer in screen.writers():
            nursery.start_soon(writer)
        try:
            yield screen
        except Exception as error:  # noqa: BLE001 - raised again below, when all is written
            failure = error
            nursery.cancel_scope.deadline = trio.current_time() + SCREEN_END_LIMIT
        finally:
            screen.close()
    if failure is not None:
        raise failure


def _key(assignment: Assignment, stream: Stream) -> _TextKey:
    return assignment.number, assignment.sub_node.number, assignment.key, stream


def _file_of(fd: int) -> object:
    try:
        status = os.fstat(fd)
    except OSError:  # closed; the first write will fail
        return fd
    return status.st_dev, status.st_ino
