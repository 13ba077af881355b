"""Which jobs of a queue file a take gives, and the text of the file without them.

Rule 1: pure: text in, text out.
Rule 2: the file is read no further than its picker needs, and never beyond a barrier or a fault.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pegasus import grid
from pegasus.demand import Nowhere
from pegasus.errors import FileFault, TemplateFault
from pegasus.model import Barrier, Command, Job, TakenJob
from pegasus.picker import JobFill, PickAnswer, Picker, Skip
from pegasus.queue_file.content import State
from pegasus.queue_file.entries import Written, WrittenBarrier
from pegasus.queue_file.known import EntryScan, KnownEntry, LeftText, move
from pegasus.queue_file.remainder import Change, FileEdit, Found, is_same, without
from pegasus.queue_file.settled import Pending
from pegasus.yaml_text import Scalar


@dataclass(frozen=True, slots=True)
class TakeResult:
    """The result of a take.

    Attributes:
        jobs: the jobs that were taken, in the order of the file.
        fault: why the next job cannot be taken, if its entry has a fault.
        empty: whether nothing is left in the file, neither a job nor a barrier.
        missing: whether there is no file; then ``fault`` says so, and ``empty`` is true.
        pending: what is still incomplete, so that more jobs may come without a new change.
        refused: why jobs that stay in the file can run nowhere; the entries after them were read.
        barrier: the barrier that is the first thing in the file now; None where there is another.
        is_complete: whether the file was read to its end, a barrier or a fault, so that nothing
            more could be taken from it.
        left: the file after the take; None if there is none.
        state: of the file that the take has written, if nothing else can have more jobs.
    """

    jobs: tuple[TakenJob, ...] = ()
    fault: FileFault | None = None
    empty: bool = False
    missing: bool = False
    pending: Pending | None = None
    refused: tuple[FileFault, ...] = ()
    barrier: Barrier | None = None
    is_complete: bool = True
    left: LeftText | None = field(default=None, compare=False, repr=False)
    state: State | None = field(default=None, compare=False, repr=False)


class Picked:
    """The jobs that a take picks from a file, and the file without them.

    Args:
        path: as the user gave it; faults name it.
        data: the complete part of the file.
        picker: picks the jobs; it was told to begin.
        first: the number of the first job.
        known: the entries at the head of the file that are known from the last take.
        pulse: see ``QueueReader``.
    """

    def __init__(
        self,
        path: str,
        data: bytes,
        picker: Picker,
        first: int = 1,
        *,
        known: Sequence[KnownEntry] = (),
        pulse: Callable[[], None] | None = None,
    ) -> None:
        self._data = data
        self._first = first
        self.jobs: list[TakenJob] = []
        self.fault: FileFault | None = None
        self._refused: list[FileFault] = []
        self._scan = EntryScan(path, data, known, pulse)
        self._changes: list[Change] = []
        self._open: Change | None = None  # the last change, as long as no entry after it stays
        self._next: Found | None = None
        self._has_more = False
        self._keeps = False
        self._edits: Sequence[FileEdit] = ()
        self._kept: list[KnownEntry] = []
        self._has_gap = False  # whether an entry that is not known stands after those kept
        self._pick(picker)
        if self._open is not None:
            self._open.after = self._next

    def result(
        self,
        pending: Pending | None = None,
        left: LeftText | None = None,
        state: State | None = None,
    ) -> TakeResult:
        """Give the result of the take, for when ``rest`` has replaced the file."""
        empty = not (self.fault or self._keeps or self._next or pending)
        barrier = self._next.barrier if isinstance(self._next, WrittenBarrier) else None
        return TakeResult(
            tuple(self.jobs),
            self.fault,
            empty,
            pending=pending,
            refused=tuple(self._refused),
            barrier=None if self._keeps else barrier,
            is_complete=not self._has_more,
            left=left,
            state=state,
        )

    def rest(self, *, may_say_empty: bool) -> bytes:
        """Give the file without the jobs, after it was parsed and compared; see ``without``."""
        data, self._edits = without(self._data, self._changes, may_say_empty=may_say_empty)
        return data

    def known(self) -> Sequence[KnownEntry]:
        """Give the entries at the head of what is left, for when ``rest`` has replaced the file."""
        move(self._kept, self._edits)
        return self._kept

    def _pick(self, picker: Picker) -> None:
        known = self._scan.known
        for index in itertools.count():
            each = known[index] if index < len(known) else None
            if each is None or self._open is not None:
                self._next = self._scan.find(index)
                if not isinstance(self._next, Written):
                    self._end_at(self._next, picker)
                    return
            if picker.is_full:
                self._has_more = self._keeps = True
                self._kept += () if self._has_gap else known[index:]
                return
            n = self._pick_known(each, index, picker) if each else self._pick_found(picker)
            if n:
                self._change(n)
            if self.fault is not None:
                if n:
                    self._next = self._scan.find(index + 1)
                return
            if not n:
                self._keep(each)

    def _end_at(self, found: FileFault | WrittenBarrier | None, picker: Picker) -> None:
        """End the scan where no more jobs can come."""
        if isinstance(found, FileFault):
            self._has_more = picker.is_full
            self.fault = None if picker.is_full else found

    def _pick_known(self, known: KnownEntry, index: int, picker: Picker) -> int:
        """Pick the first jobs of a known entry, which is parsed only if there are any."""
        answer = picker.pick(known.job, known.copies)
        if answer is Skip.ENTRY:
            return 0
        if isinstance(answer, Nowhere) and known.refusal and known.refusal[0] == answer:
            self._refused.append(known.refusal[1])
            return 0
        if self._open is None:
            self._next = self._scan.find(index)
        n = self._pick_found(picker, answer)
        if isinstance(answer, Nowhere):
            known.refusal = answer, self._refused[-1]
        return n

    def _pick_found(self, picker: Picker, answer: PickAnswer | None = None) -> int:
        """Pick the first jobs of the entry that was parsed last; return how many.

        Args:
            picker: picks them.
            answer: of the picker for the first job, if it was asked.
        """
        written = self._next
        assert isinstance(written, Written)  # noqa: S101 -- all else ends the scan
        n, copies = 0, grid.count(written.entry)
        for job in grid.jobs(written.entry):
            if answer is None:
                if picker.is_full:
                    self._has_more = True
                    break
                answer = picker.pick(job, copies - n)
            if isinstance(answer, Skip):
                break
            if isinstance(answer, Nowhere):
                self._refused.append(self._refusal(written, answer, n))
                break
            try:
                commands = self._filled(job, answer, _template(written, n))
            except FileFault as fault:
                self.fault = fault
                break
            self.jobs.append(TakenJob(self._first + len(self.jobs), job, commands))
            answer = None
            n += 1
        return n

    def _filled(self, job: Job, fill: JobFill, template: Scalar) -> tuple[Command, ...]:
        try:
            return fill(job)
        except TemplateFault as fault:
            raise self._scan.reader.fault_at(template, fault) from fault

    def _refusal(self, written: Written, nowhere: Nowhere, n: int) -> FileFault:
        """Give the fault of a job that can run nowhere, at the key that is to blame."""
        if nowhere.about == "command":
            fault = TemplateFault(*nowhere.at, nowhere.what, nowhere.instead)
            return self._scan.reader.fault_at(_template(written, n), fault)
        start = written.demand_start(nowhere.about)
        return FileFault(self._scan.reader.source.position(start), nowhere.what, nowhere.instead)

    def _change(self, n: int) -> None:
        """Note that the first jobs of the entry that was parsed last are taken."""
        written = self._next
        assert isinstance(written, Written)  # noqa: S101 -- it has jobs
        if self._open is None:
            self._begin_change(self._scan.before)
        parts = grid.remains(grid.sizes(written.entry), n)
        self._steps.append((written, parts))
        self._keeps = self._keeps or bool(parts)
        self._has_gap = self._has_gap or bool(parts)

    def _keep(self, known: KnownEntry | None) -> None:
        """Note that an entry stays: a known one, or the one that was parsed last."""
        self._keeps = True
        found = self._next
        if self._scan.reader.list.flow:  # its text can only be parsed as a whole
            if self._open is None:
                self._begin_change(None)
            assert isinstance(found, Written)  # noqa: S101 -- a list in brackets has no known ones
            self._steps.append((found, None))
            return
        if self._open is not None:
            self._open.after, self._open = found, None
        if self._has_gap:
            return
        if known is None:
            assert isinstance(found, Written)  # noqa: S101 -- all else ends the scan
            known = self._scan.as_known(found)
        self._kept.append(known)

    def _begin_change(self, before: Written | None) -> None:
        self._open = Change(self._scan.reader, self._scan.base, before)
        self._steps = self._open.steps
        self._changes.append(self._open)


def _template(written: Written, n: int) -> Scalar:
    """Give the command of the n-th job of an entry, from 0, in its file."""
    return written.commands[n // math.prod(len(values) for _, values in written.entry.params)]


class BarrierRemoval:
    """A file without the barrier with which it begins.

    Args:
        path: as the user gave it; faults name it.
        data: the complete part of the file.
        barrier: the barrier.
        pulse: see ``QueueReader``.

    Attributes:
        is_first: whether the file begins with it.
    """

    def __init__(
        self, path: str, data: bytes, barrier: Barrier, pulse: Callable[[], None] | None = None
    ) -> None:
        self._data = data
        self._scan = EntryScan(path, data, pulse=pulse)
        self._found = self._scan.find(0)
        self.is_first = is_same(self._found, barrier)

    def rest(self, *, may_say_empty: bool) -> bytes:
        """Give the file without it, after it was parsed and compared; see ``without``."""
        assert isinstance(self._found, WrittenBarrier)  # noqa: S101 -- ``is_first`` was asked
        change = Change(self._scan.reader, 0, None, [(self._found, ())], self._scan.find(1))
        return without(self._data, [change], may_say_empty=may_say_empty)[0]
