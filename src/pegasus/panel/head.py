"""The first lines of the panel: numbers of commands, times, and a bar.

Rule 1: where there is little room, words are left out before numbers, and failures never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pegasus.estimate import Remaining, remaining_words, short_remaining_words
from pegasus.panel.pieces import PanelPiece, cells_of, clean
from pegasus.panel.view import PanelView
from pegasus.panel.words import clock, whole_seconds
from pegasus.run_state import JobState
from pegasus.terminal_text import on_one_line

_BETWEEN: PanelPiece = ("  ", "plain")
_LEAST_BAR = 12
"""Cells for which a bar is worth it."""

_LONGEST_BAR = 60
"""Cells beyond which a bar shows nothing more."""


def head_lines(view: PanelView, room: int) -> tuple[list[PanelPiece], list[PanelPiece]]:
    """Lay out the line of numbers, and the line with the bar.

    Args:
        view: what is shown.
        room: cells of a line.
    """
    elapsed = whole_seconds(view.elapsed)
    long, short = _left(view, remaining_words), _left(view, short_remaining_words)
    beside: Sequence[PanelPiece]
    for counts in _variants(view):
        line = [*counts, _BETWEEN, (f"for {elapsed}", "plain"), _BETWEEN, *long]
        if cells_of(line) <= room:
            return line, _bar(view, [], room)
        if cells_of(counts) <= room:
            break
    else:
        counts = []
    with_elapsed = [*counts, _BETWEEN, (f"for {elapsed}", "plain")]
    if cells_of(with_elapsed) <= room:
        for beside in (long, short):
            if cells_of(beside) + _LEAST_BAR + 1 <= room:
                return with_elapsed, _bar(view, beside, room)
    both: list[PanelPiece] = [
        (clock(view.elapsed), "plain"),
        ("  " if short else "", "plain"),
        *short,
    ]
    return counts, _bar(view, both, room)


def numbers_words(view: PanelView) -> str:
    """Say the numbers of commands, how long the run has taken, and how long it will take."""
    counts = next(_variants(view))
    elapsed: list[PanelPiece] = [(f"for {whole_seconds(view.elapsed)}", "plain")]
    parts: list[list[PanelPiece]] = [counts, elapsed, _left(view, remaining_words)]
    words = ", ".join("".join(text for text, _ in part) for part in parts if part)
    return f"{words}; {view.notice}" if view.notice else words


def _left(view: PanelView, words: Callable[[Remaining], str]) -> list[PanelPiece]:
    if view.state.is_over:
        return []
    if view.waits_for_jobs:
        return [("waits for jobs", "attention")]
    return [(words(view.estimate), "plain" if view.estimate.seconds is not None else "dim")]


def _variants(view: PanelView) -> Iterator[list[PanelPiece]]:
    """Give the numbers in ever fewer words; the first that fits is shown."""
    totals = view.totals
    bad: PanelPiece = (f"{totals.failed:,} failed", "bad" if totals.failed else "plain")
    running: PanelPiece = (f"{totals.running:,} running", "good" if totals.running else "plain")
    if view.state.pace.is_broadcast:
        yield _joined(_step_words(view), bad, running, *_slots(view), *_further(view))
        yield _joined(_step_words(view), bad, running, *_further(view))
        yield _joined(_step_words(view), bad, running)
        yield [(f"{_step(view)} ", "plain"), (f"{totals.failed} failed ", bad[1])]
        return
    ended: PanelPiece = (f"{totals.ended:,} ended", "plain")
    waits = "counting the queue" if view.waiting is None else f"{_waiting(view):,} waiting"
    waiting: PanelPiece = (waits, "plain")
    yield _joined(ended, bad, running, waiting, *_slots(view), *_further(view))
    yield _joined(ended, bad, running, waiting, *_further(view))
    yield _joined(ended, bad, running, waiting)
    short = "?" if view.waiting is None else f"{_waiting(view)}"
    wait: PanelPiece = (f"{short} wait", "plain")
    run: PanelPiece = (f"{totals.running} run", running[1])
    blank: PanelPiece = (" ", "plain")
    yield [(f"{totals.ended} ended ", "plain"), bad, blank, run, blank, wait]
    yield [bad, blank, run, blank, wait]
    yield [bad]


def _waiting(view: PanelView) -> int:
    """How many jobs have not started: in the file, or taken for the first time."""
    return (view.waiting or 0) + view.totals.taken - view.totals.retries


def _joined(*pieces: PanelPiece) -> list[PanelPiece]:
    joined: list[PanelPiece] = []
    for piece in pieces:
        joined += [(", ", "plain"), piece]
    return joined[1:]


def _further(view: PanelView) -> list[PanelPiece]:
    """Give what is seldom the case: jobs that will be tried again, sub-nodes that are missing."""
    pieces: list[PanelPiece] = []
    if retries := view.totals.retries:
        noun = "retry" if retries == 1 else "retries"
        pieces.append((f"{retries:,} {noun}", "attention"))
    if connecting := view.connecting:
        pieces.append((f"{connecting:,} connecting", "attention"))
    return pieces


def _slots(view: PanelView) -> list[PanelPiece]:
    """Say how many of the slots are held, for each name of a pool, and how many others use."""
    counts = view.state.slot_counts()
    pieces: list[PanelPiece] = [
        (clean(f"{name} {each.held}/{each.size}"), "plain")
        for name, each in counts.items()
        if each.size
    ]
    if used := sum(each.used for each in counts.values()):
        pieces.append((f"{used:,} used by others", "attention"))
    return pieces


def waits_line(view: PanelView) -> list[PanelPiece]:
    """Say what the head of the queue waits for.

    Nothing where it waits for nothing, or only because everything is in use.
    """
    if view.state.is_over or view.notice:
        return []
    if not view.state.waiting_for:
        return _allocation(view)
    if view.running and view.state.has_pools and not view.state.has_free_slots:
        return []
    first, *others = view.state.waiting_for
    where = f"{first.position}: " if first.position else ""
    more = f" (and {len(others):,} more wait)" if others else ""
    words = clean(on_one_line(f"{where}{first.words}"))
    return [("waits: ", "attention"), (words + more, "plain")]


def _allocation(view: PanelView) -> list[PanelPiece]:
    """Say what a Slurm allocation of the run waits for."""
    waiting = [each for each in view.state.allocations.values() if each.state == "waiting"]
    if not waiting:
        return []
    first = waiting[0]
    why = f": {first.words}" if first.words else ""
    words = clean(on_one_line(f"Slurm allocation {first.job}{why}"))
    return [("waits: ", "attention"), (words, "plain")]


# A broadcast.


def _current(view: PanelView) -> JobState | None:
    return next(reversed(view.state.jobs.values()), None)


def _step(view: PanelView) -> str:
    job = _current(view)
    if job is None:
        return "no step"
    of = "" if view.waiting is None else f"/{job.number + view.waiting}"
    return f"step {job.number}{of}"


def _step_words(view: PanelView) -> PanelPiece:
    """Say which step runs, and how many sub-nodes have done it."""
    job = _current(view)
    if job is None:
        return "no step yet", "plain"
    done = sum(not each.is_open for each in job.final)
    of = "" if view.waiting is None else f" of {job.number + view.waiting:,}"
    return f"step {job.number:,}{of}: {done:,} of {_targets(view):,} ended", "plain"


def _targets(view: PanelView) -> int:
    """How many sub-nodes run a step: those that were connected."""
    nodes = view.state.sub_nodes.values()
    return sum(each.was_connected for each in nodes) or len(nodes)


# The bar.


def _bar(view: PanelView, beside: Sequence[PanelPiece], room: int) -> list[PanelPiece]:
    """Lay out the bar, and beside it what has no room in the first line."""
    share = _share(view)
    percent = "" if share is None else f" {int(share * 100):3} %"
    needed = cells_of(beside) + (2 if beside else 0)
    cells = min(_LONGEST_BAR, room - needed - len(percent))
    pieces: list[PanelPiece] = []
    if cells >= _LEAST_BAR:
        inside = cells - 2
        filled = 0 if share is None else int(share * inside)
        tip = ">" if share is not None and 0 < filled < inside else ""
        done = "=" * (filled - len(tip)) + tip
        pieces = [("[", "plain"), (done, "good"), (" " * (inside - filled) + "]", "plain")]
    pieces.append((percent, "plain"))
    return [*pieces, _BETWEEN, *beside] if beside else pieces


def _share(view: PanelView) -> float | None:
    """Give the share of the jobs that have ended; None where their number is not known."""
    totals = view.totals
    if view.waiting is None:
        return None
    if not view.state.pace.is_broadcast:
        total = totals.ended + totals.running + totals.taken + view.waiting
        return totals.ended / total if total else None
    job = _current(view)
    if job is None:
        return None
    done = sum(not each.is_open for each in job.final) / max(1, _targets(view))
    return (job.number - 1 + min(1.0, done)) / (job.number + view.waiting)
