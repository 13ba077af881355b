"""queue.yaml: reading it, and under its lock taking jobs from its head and putting jobs in.

Rule 1: a job is given out only once the file without it is on the disk.
Rule 2: what is written is read back first; what does not read as it should is never written.
Rule 3: the file is the user's: every byte that is not about the jobs in question stays.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from pegasus import grid
from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.model import Entry, Job
from pegasus.queue_file import consumed, content, disk, lock, rendering, splice
from pegasus.queue_file.consumed import Receipt
from pegasus.queue_file.content import State
from pegasus.queue_file.entries import QueueReader, Written, check_added, check_command
from pegasus.yaml_text import Scalar

Fill: TypeAlias = Callable[[Job], str]
"""Fills a job in for the sub-node that is to run it; may raise TemplateFault."""


def _none(_: Sequence[Job]) -> None:
    """Give no receipt."""


MOST_TRIES = 20
"""How often a queue file that others rewrite without the lock is read anew before giving up."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a take gave.

    Attributes:
        jobs: the jobs that are taken, each with its command filled in, in the file's order.
        fault: what keeps the next job from being taken, where something is wrong with it.
        empty: whether no job is left in the file.
        missing: whether there is no file; then ``fault`` says so, and ``empty`` is true.
    """

    jobs: tuple[tuple[Job, str], ...] = ()
    fault: FileFault | None = None
    empty: bool = False
    missing: bool = False


class QueueFile:
    """One queue file, which need not exist.

    A symbolic link is followed; the lock and consumed.yaml stand beside the real file.

    Args:
        path: as the user gave it; messages name it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._given = Path(path)
        self._real = Path(os.path.realpath(path))

    @property
    def real(self) -> Path:
        """The file behind all symbolic links, as they are now."""
        if str(self._real) != (real := os.path.realpath(self.path)):
            self._real = Path(real)
        return self._real

    @contextlib.asynccontextmanager
    async def locked(self, on_wait: Callable[[str], None]) -> AsyncIterator[LockedQueue]:
        """Hold the queue's lock; only who holds it can change the file.

        Waiting for it can be cancelled; getting and releasing it are no checkpoints.

        Args:
            on_wait: is told once, after a second of waiting, who holds the lock.

        Raises:
            PegasusError: there can be no lock there.
        """
        real = self.real
        async with lock.held(real, self.path, on_wait):
            yield LockedQueue(self.path, real)

    def state(self) -> State | None:
        """Tell one state of the file from another, cheaply; None where there is no file."""
        return content.state(self._given)

    async def recover(self, patience: float) -> None:
        """Bring a take to its end that a crash interrupted, if nobody holds the lock for longer.

        Whoever holds it does so as well; and where it can't be done, nothing is lost by waiting.

        Args:
            patience: seconds to wait for the lock.
        """
        import trio  # noqa: PLC0415 -- it is loaded where it runs; who only reads can do without

        with trio.move_on_after(patience), contextlib.suppress(PegasusError):
            async with self.locked(lambda _: None) as locked:
                locked.recover()

    def is_interrupted(self) -> bool:
        """Tell whether a take goes on now, or was interrupted by a crash."""
        return consumed.is_interrupted(self.real)

    def entries(self) -> Iterator[Entry | FileFault]:
        """Read all entries, and in the place of a bad one its fault.

        Needs no lock: the file is replaced, never half-written, by every Pegasus.
        A file that is missing or cannot be read is one fault.
        """
        try:
            data, _ = content.read(self.path, self.real)
        except FileFault as fault:
            yield fault
            return
        for written in QueueReader(self.path, data):
            yield written if isinstance(written, FileFault) else written.entry

    def count(self) -> int:
        """Tell how many jobs wait, without those that cannot be taken because of a fault."""
        return sum(grid.count(entry) for entry in self.entries() if isinstance(entry, Entry))


@dataclass(frozen=True, slots=True)
class LockedQueue:
    """A queue file whose lock is held: a way to change it, which ends with the lock.

    Its methods wait for the disk: call them in a worker thread, and not abandoned.

    Attributes:
        path: as the user gave it.
        real: the file itself.
    """

    path: str
    real: Path

    def recover(self) -> None:
        """Bring a take to its end that a crash interrupted, whichever way it had gone.

        Raises:
            PegasusError: the files could not be written.
        """
        with disk.errors(self.path, "Nothing was changed"):
            consumed.recover(self.real)

    def take(
        self, fills: Sequence[Fill], receipt: Callable[[Sequence[Job]], Receipt | None] = _none
    ) -> Taken:
        """Take jobs from the head of the file, as many as there are sub-nodes for them.

        The jobs before the first fault are taken, in one rewrite of the file. Where there is
        nothing to take, nothing is written.

        Args:
            fills: one for each sub-node that is free; job number i is filled in by number i.
            receipt: gives, for the jobs that are about to be taken, who is told of it; it may be
                asked several times before a take succeeds.

        Raises:
            PegasusError: the file could not be rewritten (FileFault: it must not be); nothing was
                taken and nothing is lost.
        """
        with disk.errors(self.path, "Nothing was taken, and nothing is lost"):
            for _ in range(MOST_TRIES):
                try:
                    data, state = content.read(self.path, self.real)
                except FileFault as fault:
                    consumed.recover(self.real)
                    missing = content.state(self.real) is None
                    return Taken(fault=fault, empty=missing, missing=missing)
                picked = _Picked(QueueReader(self.path, data), fills)
                if not picked.jobs:
                    consumed.recover(self.real)
                    return picked.taken()
                if self._replace(picked, state, receipt):
                    return picked.taken()
        raise PegasusError(
            f"{self.path}: other programs keep rewriting this file, so nothing was taken. "
            "Edit it with `pegasus lock`."
        )

    def _replace(
        self,
        picked: _Picked,
        state: State,
        receipt: Callable[[Sequence[Job]], Receipt | None],
    ) -> bool:
        """Do the take; tell False where the file has changed since it was read."""
        consumed.recover_if_interrupted(self.real)  # whatever comes of this take
        content.refuse_read_only(self.path, self.real)
        content.refuse_record(self.path, self.real, consumed.record_of(self.real))
        record = "".join(rendering.canonical(job) for job, _ in picked.jobs)
        return consumed.take(
            self.real,
            picked.rest(),
            record,
            unchanged=lambda: content.state(self.real) == state,
            receipt=receipt([job for job, _ in picked.jobs]),
        )

    def add(self, entries: Sequence[Entry], *, top: bool = False) -> None:
        """Put entries into the file, which is made where it is missing.

        Args:
            entries: what to put in, in this order.
            top: before all others instead of after them.

        Raises:
            FileFault: the file has a fault, or an entry could not be run; nothing was written.
            PegasusError: the file could not be rewritten; nothing was written.
        """
        if not entries:
            return
        for entry in entries:
            check_added(entry, self.path)
        with disk.errors(self.path, "Nothing was added"):
            consumed.recover(self.real)
            for _ in range(MOST_TRIES):
                state = content.state(self.real)
                data = b"" if state is None else content.read(self.path, self.real)[0]
                if content.replace(self.real, _with(self.path, data, entries, top=top), state):
                    return
        raise PegasusError(f"{self.path}: other programs keep rewriting this file. Try again.")

    def put_back(self, jobs: Sequence[Job], *, top: bool = False) -> None:
        """Put jobs into the file as they were taken, one entry for each; see ``add``."""
        entries = [
            Entry((job.command,), tuple((name, (value,)) for name, value in job.params))
            for job in jobs
        ]
        self.add(entries, top=top)


class _Picked:
    """The jobs at the head of a file that can be filled in, and what is left without them."""

    def __init__(self, reader: QueueReader, fills: Sequence[Fill]) -> None:
        self.reader = reader
        self.jobs: list[tuple[Job, str]] = []
        self.fault: FileFault | None = None
        self._gone: list[Written] = []
        self._entries = iter(reader)
        self._parts: list[tuple[range, ...]] = []
        self._left: tuple[Entry, ...] = ()
        self._next: Written | FileFault | None = None
        self._pick(fills)

    def taken(self) -> Taken:
        empty = self.fault is None and not self._left and self._next is None
        return Taken(tuple(self.jobs), self.fault, empty)

    def rest(self) -> bytes:
        """Give the file without the jobs, read back and found to say what it should."""
        flow, text = self.reader.list.flow, self.reader.source.text
        for style in rendering.Style(text, flow), rendering.Style(text, flow, strict=True):
            remainder = rendering.remaining(self._gone[-1], self._parts, style)
            edits = splice.cut(self.reader, self._gone, remainder)
            data = splice.edited(self.reader.source, edits)
            if self._reads_as_it_should(data):
                return data
            # What follows the last entry and is none must not become a list by its going.
            data = rendering.emptied(data)
            if self._reads_as_it_should(data):
                return data
        raise PegasusError(
            f"{self._gone[0].entry.place}: Pegasus cannot take a job from this entry without "
            "changing others. Nothing was taken. Write the entry in another way, and please "
            "report this as a bug."
        )

    def _pick(self, fills: Sequence[Fill]) -> None:
        for found in self._entries:
            self._next = found
            if self._left or len(self.jobs) == len(fills):
                return
            if isinstance(found, FileFault):
                self.fault = found
                return
            self._pick_from(found, fills)
            if self.fault is not None:
                if self._left:
                    self._next = next(self._entries, None)
                return
        self._next = None

    def _pick_from(self, written: Written, fills: Sequence[Fill]) -> None:
        sizes = [len(values) for _, values in written.entry.params]
        n = 0
        wanted = fills[len(self.jobs) :]
        for job, fill in zip(grid.jobs(written.entry), wanted, strict=False):
            try:
                command = self._filled(job, fill, written.commands[n // math.prod(sizes)])
            except FileFault as fault:
                self.fault = fault
                break
            self.jobs.append((job, command))
            n += 1
        if n:
            self._gone.append(written)
            self._parts = grid.remains([len(written.commands), *sizes], n)
            self._left = grid.entries(written.entry, self._parts)

    def _filled(self, job: Job, fill: Fill, template: Scalar) -> str:
        try:
            command = fill(job)
        except TemplateFault as fault:
            raise self.reader.place_in(template, fault) from fault
        place = functools.partial(self.reader.source.place, template.start)
        check_command(command, place, "this command, filled in,")
        return command

    def _reads_as_it_should(self, data: bytes) -> bool:
        again = iter(QueueReader(self.reader.source.path, data))
        if not all(_same(next(again, None), entry) for entry in self._left):
            return False
        if isinstance(self._next, Written):
            return _same(next(again, None), self._next.entry)
        if self._next is not None:
            return isinstance(next(again, None), FileFault)
        return self.fault is not None or next(again, None) is None


def _same(found: Written | FileFault | None, entry: Entry) -> bool:
    return isinstance(found, Written) and replace(found.entry, place=entry.place) == entry


def _with(path: str, data: bytes, entries: Sequence[Entry], *, top: bool) -> bytes:
    """Give the file with more entries in it, read back and found to say what it should."""
    reader = QueueReader(path, data)
    before = list(itertools.islice(reader, 1)) if top else list(reader)
    if not (top or reader.list.flow or data.endswith((b"\n", b"\r"))):
        # Ending its last line may add a line break to a text: what is read back, has it as well.
        reader = QueueReader(path, data + b"\n" * bool(reader.source.text))
        before = list(reader)
    _refuse_closed(reader, before, top=top)
    flow = reader.list.flow
    for style in rendering.Style(flow=flow), rendering.Style(flow=flow, strict=True):
        written = [rendering.added(entry, style) for entry in entries]
        data = splice.edited(reader.source, [splice.insert(reader, written, top=top)])
        at, neighbours = (0, before) if top else _last_of(reader, before)
        if _has_more(path, data[at:], neighbours, entries, top=top):
            return data
    raise PegasusError(f"{path}: Pegasus cannot add to this file. Please report this as a bug.")


def _last_of(
    reader: QueueReader, found: Sequence[Written | FileFault]
) -> tuple[int, Sequence[Written | FileFault]]:
    """Find what has to be read back when something is put behind it: where it begins, and what."""
    if not found or reader.list.flow or isinstance(found[-1], FileFault):
        return 0, found
    start = reader.source.line_start(found[-1].item.start)
    return reader.source.offset(start), found[-1:]


def _has_more(
    path: str,
    data: bytes,
    before: Sequence[Written | FileFault],
    entries: Sequence[Entry],
    *,
    top: bool,
) -> bool:
    """Read a file back: are the entries in it, and are their neighbours what they were?"""
    again = iter(QueueReader(path, data))
    if not top and not all(_alike(next(again, None), then) for then in before):
        return False
    if not all(_same(next(again, None), entry) for entry in entries):
        return False
    return _alike(next(again, None), before[0] if top and before else None)


def _refuse_closed(reader: QueueReader, found: Sequence[Written | FileFault], *, top: bool) -> None:
    """Raise the fault of a file into which nothing can be put at that end."""
    last = found[-1] if found else None
    if not isinstance(last, FileFault):
        return
    in_block = reader.list.start is not None and not reader.list.flow
    if reader.list.end is None and not (top and in_block):
        raise last


def _alike(now: Written | FileFault | None, then: Written | FileFault | None) -> bool:
    if isinstance(now, Written) and isinstance(then, Written):
        return _same(now, then.entry)
    return type(now) is type(then)
