"""Which jobs of a queue file a take gives, and the text of the file without them.

Rule 1: pure: text in, text out.
Rule 2: the remaining text is parsed before it is given; it must contain exactly the other jobs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pegasus import grid
from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.model import Command, Entry, Job, TakenJob
from pegasus.queue_file import rendering, splice
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.queue_file.settled import Pending
from pegasus.yaml_text import Scalar

JobFill: TypeAlias = Callable[[Job], tuple[Command, ...]]
"""Renders a job; raises TemplateFault if that is impossible."""


@dataclass(frozen=True, slots=True)
class TakeResult:
    """The result of a take.

    Attributes:
        jobs: the jobs that were taken, in the order of the file.
        fault: why the next job cannot be taken, if its entry has a fault.
        empty: whether no job is left in the file.
        missing: whether there is no file; then ``fault`` says so, and ``empty`` is true.
        pending: what is still incomplete, so that more jobs may come without a new change.
    """

    jobs: tuple[TakenJob, ...] = ()
    fault: FileFault | None = None
    empty: bool = False
    missing: bool = False
    pending: Pending | None = None


class Picked:
    """The jobs that a take picks from a file, and the file without them.

    Args:
        reader: the complete part of the file.
        fills: one for each job that is wanted, in order.
        first: the number of the first job.
        stays: the incomplete text that follows.
    """

    def __init__(
        self, reader: QueueReader, fills: Sequence[JobFill], first: int = 1, stays: bytes = b""
    ) -> None:
        self.reader = reader
        self._first = first
        self._stays = stays
        self.jobs: list[TakenJob] = []
        self.fault: FileFault | None = None
        self._gone: list[Written] = []
        self._entries = iter(reader)
        self._parts: list[tuple[range, ...]] = []
        self._left: tuple[Entry, ...] = ()
        self._next: Written | FileFault | None = None
        self._pick(fills)

    def result(self, pending: Pending | None = None) -> TakeResult:
        """Give the result of the take, for when ``rest`` has replaced the file."""
        empty = not (self.fault or self._left or self._next or pending)
        return TakeResult(tuple(self.jobs), self.fault, empty, pending=pending)

    def rest(self) -> bytes:
        """Give the file without the jobs, after it was parsed and compared."""
        flow, text = self.reader.list.flow, self.reader.source.text
        for style in rendering.Style(text, flow), rendering.Style(text, flow, strict=True):
            remainder = rendering.remaining(self._gone[-1], self._parts, style)
            edits = splice.cut(self.reader, self._gone, remainder)
            data = splice.edited(self.reader.source, edits)
            if self._reads_as_it_should(data):
                return data + self._stays
            # Text after the last entry must not become a list because the entry is gone.
            data = rendering.emptied(data)
            if not self._stays and self._reads_as_it_should(data):
                return data
        raise PegasusError(
            f"{self._gone[0].entry.position}: Pegasus cannot take a job from this entry without "
            "changing others. Nothing was taken. Write the entry in another way, and please "
            "report this as a bug."
        )

    def _pick(self, fills: Sequence[JobFill]) -> None:
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

    def _pick_from(self, written: Written, fills: Sequence[JobFill]) -> None:
        sizes = [len(values) for _, values in written.entry.params]
        n = 0
        wanted = fills[len(self.jobs) :]
        for job, fill in zip(grid.jobs(written.entry), wanted, strict=False):
            try:
                commands = self._filled(job, fill, written.commands[n // math.prod(sizes)])
            except FileFault as fault:
                self.fault = fault
                break
            self.jobs.append(TakenJob(self._first + len(self.jobs), job, commands))
            n += 1
        if n:
            self._gone.append(written)
            self._parts = grid.remains([len(written.commands), *sizes], n)
            self._left = grid.entries(written.entry, self._parts)

    def _filled(self, job: Job, fill: JobFill, template: Scalar) -> tuple[Command, ...]:
        try:
            return fill(job)
        except TemplateFault as fault:
            raise self.reader.fault_at(template, fault) from fault

    def _reads_as_it_should(self, data: bytes) -> bool:
        source = self.reader.source
        again = iter(QueueReader(source.path, data, source.pulse))
        if not all(is_same(next(again, None), entry) for entry in self._left):
            return False
        if isinstance(self._next, Written):
            return is_same(next(again, None), self._next.entry)
        if self._next is not None:
            return isinstance(next(again, None), FileFault)
        return self.fault is not None or next(again, None) is None


def is_same(found: Written | FileFault | None, entry: Entry) -> bool:
    """Tell whether what was read is this entry, at whatever position."""
    return isinstance(found, Written) and replace(found.entry, position=entry.position) == entry
