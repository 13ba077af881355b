"""A run as one HTML page, which needs no network, and no script to be read.

Rule 1: all text is escaped by the template library, and has no control character before that.
Rule 2: the size is bounded by the numbers below, whatever the run printed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from pegasus import __version__, duration
from pegasus.model import succeeded
from pegasus.record import RunRecord
from pegasus.report.lanes import Lane, LaneBar, LaneBundle, Timeline, timeline_of
from pegasus.report.last_lines import cut_text, joined, shown_text, tail_of
from pegasus.report.page_text import (
    Fact,
    bar_label,
    counted,
    facts_of,
    local_time,
    log_pattern,
    moment_words,
)
from pegasus.report.summary import missing_words
from pegasus.run_state import STATUS_WORDS, Execution, Result, StatusWord, word_for
from pegasus.slot_words import slots_text

GENERATOR = "Pegasus report"
"""How a page identifies itself; a file without it is never replaced."""

LETTERS: dict[StatusWord, str] = {
    "succeeded": "S",
    "failed": "F",
    "killed": "K",
    "timed out": "T",
    "lost": "L",
    "cancelled": "C",
    "not started": "N",
    "running": "R",
    "detached": "D",
}
"""A letter for each word: it is in the bar, and chooses colour and pattern."""

MOST_FAILURES = 500
"""Rows of the table of failures; `pegasus results` lists all."""

BAR_LINES = 3
"""Lines of output that a bar shows."""

LARGEST_PAGE = 10_000_000
"""Bytes of a page: more is slow to open and to send."""

BAR_CHARACTERS = (200, 100, 50, 20)
"""Characters of a command, and of its output, that a bar shows: the first of these that keeps the
page smaller. Only commands and outputs that are full of markup need another than the first."""

FAILURE_LINES = 10
"""Lines of each output in the table of failures."""

FAILURE_FACTOR = 10
"""How many times as many characters as a bar a row of that table shows."""

LEAST_TEXT_WIDTH = 0.005
"""Share of the axis below which a bar has no text: it would have no room, also when zoomed."""


AXIS_EDGE = 0.07
"""Share of the axis at both ends where a label that is centred on its moment has no room."""


@dataclass(frozen=True, slots=True)
class AxisText:
    """A label of the axis; ``place`` names the end of the axis that it is close to."""

    left: str
    place: str
    time: str
    day: str


@dataclass(frozen=True, slots=True)
class LaneMark:
    """A bar or a bundle, as the page shows it.

    Attributes:
        left: where it begins, in per cent of the axis.
        width: its length, the same.
        letter: chooses its colour and pattern.
        text: what stands in it where there is room.
        is_open: whether its end is not known.
        label: what it is, as a sentence.
        when: its times, and where it ran.
        command: the beginning of the command.
        lines: the last lines that it printed.
    """

    left: str
    width: str
    letter: str
    text: str
    is_open: bool
    label: str
    when: str
    command: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A row of the table of failures."""

    job: int
    where: str
    letter: str
    outcome: str
    started: str
    took: str
    command: str
    streams: Sequence[tuple[str, Sequence[str]]]
    log: str


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane, as the page shows it; ``share`` is a whole number of per cent."""

    name: str
    share: int
    count: int
    failed: int
    busy: str
    words: str
    marks: Sequence[LaneMark]


@dataclass(frozen=True, slots=True)
class Count:
    """How many commands there are of a word."""

    word: StatusWord
    letter: str
    number: int
    share: str


def page_of(run: RunRecord, now: float) -> str:
    """Write the page.

    Args:
        run: the run, read.
        now: seconds since the epoch.
    """
    timeline, page = timeline_of(run, now), ""
    for room in BAR_CHARACTERS:
        page = _page(run, timeline, now, room)
        if len(page.encode("utf-8", "backslashreplace")) < LARGEST_PAGE:
            break
    return page


def _page(run: RunRecord, timeline: Timeline, now: float, room: int) -> str:
    script = resources.files("pegasus.report").joinpath("templates/page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page.html")
        .render(
            generator=f"{GENERATOR}, version {__version__}",
            script=script,
            digest=digest,
            title=f"Run {run.began.number}" if run.began.number else f"Run {run.name}",
            name=shown_text(run.name),
            headline=shown_text(_headline(run, now)),
            warnings=[shown_text(warning) for warning in run.warnings],
            notes=[shown_text(note) for note in _notes(run)],
            facts=_facts(run, timeline),
            places="Sub-nodes and slots" if run.state.has_pools else "Sub-nodes",
            counts=list(_counts(run)),
            letters=LETTERS,
            axis=list(_axis(timeline)),
            lanes=[_lane_view(run, timeline, lane, room) for lane in timeline.lanes],
            failures=[
                _failure(run, each, room * FAILURE_FACTOR)
                for each in run.state.failures(MOST_FAILURES)
            ],
            failure_count=run.state.failure_count,
            written=moment_words(now),
        )
    )


def _environment() -> Environment:
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("pegasus.report", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _headline(run: RunRecord, now: float) -> str:
    """Say how far the run has come."""
    state, end = run.state, run.state.end
    if end is not None:
        how = "" if end.exit_status is None else f" with exit status {end.exit_status}"
        return f"ended ({end.result}) after {duration.words(max(0.0, end.at - run.began_at))}{how}"
    if run.alive:
        return f"has been running for {duration.words(max(0.0, now - run.began_at))}"
    return f"was interrupted: Pegasus was killed, and was last seen at {local_time(state.last_at)}"


def _notes(run: RunRecord) -> Iterator[str]:
    """Say what a broadcast continues, and which sub-nodes it lacks."""
    if run.began.resumes:
        yield f"It continues the broadcast of run {run.began.resumes}."
    if run.state.missing:
        yield missing_words(run.state)


def _facts(run: RunRecord, timeline: Timeline) -> list[Fact]:
    share = timeline.utilisation
    words = "no sub-node was connected" if share is None else f"{share:.0%}"
    places = "slots" if run.state.has_pools else "sub-nodes"
    return [*facts_of(run), Fact(f"Utilisation of the {places}", words)]


def _counts(run: RunRecord) -> Iterator[Count]:
    counts = run.state.counts()
    total = counts.total()
    for word in STATUS_WORDS:
        if counts[word]:
            share = _per_cent(counts[word], total)
            yield Count(word, LETTERS.get(word, ""), counts[word], share)


def _axis(timeline: Timeline) -> Iterator[AxisText]:
    for label in timeline.labels():
        share = (label.at - timeline.begin) / timeline.span
        place = "first" if share < AXIS_EDGE else "last" if share > 1 - AXIS_EDGE else ""
        yield AxisText(_per_cent(share, 1.0), place, label.time, label.day)


def _per_cent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3f}".rstrip("0").rstrip(".")


# Lanes.


def _lane_view(run: RunRecord, timeline: Timeline, lane: Lane, room: int) -> LaneView:
    name = shown_text(lane.name)
    marks = [
        _bundle_mark(timeline, part, name)
        if isinstance(part, LaneBundle)
        else _bar_mark(run, timeline, part, name, room)
        for part in timeline.parts_of(lane)
    ]
    failed = sum(bar.outcome is not None and not succeeded(bar.outcome) for bar in lane.bars)
    node = lane.sub_node
    words = cut_text(f"cannot be reached: {node.words}", BAR_CHARACTERS[0])
    if node.connection != "unreachable":
        words = "" if lane.was_used else "was not connected"
    share = round(100 * timeline.share(lane))
    busy = duration.words(lane.busy)
    return LaneView(name, share, len(lane.bars), failed, busy, words, marks)


def _bar_mark(run: RunRecord, timeline: Timeline, bar: LaneBar, name: str, room: int) -> LaneMark:
    letter, share = LETTERS[bar.word], (bar.end - bar.start) / timeline.span
    failed = bar.outcome is not None and not succeeded(bar.outcome)
    tail = tail_of(run, bar.job, bar.execution, BAR_LINES, room)
    until = "until now" if bar.is_open and bar.outcome is None else f"to {local_time(bar.end)}"
    return LaneMark(
        left=_per_cent(bar.start - timeline.begin, timeline.span),
        width=_per_cent(bar.end - bar.start, timeline.span),
        letter=letter,
        text="" if share < LEAST_TEXT_WIDTH else f"{letter}\u2060" * failed + str(bar.job.number),
        is_open=bar.is_open,
        label=cut_text(bar_label(bar), BAR_CHARACTERS[0]),
        when=f"{local_time(bar.start)} {until}, on {_where(bar.execution) or name}",
        command=cut_text(bar.execution.assignment.command, room),
        lines=joined(tail, failed=failed),
    )


def _where(execution: Execution) -> str:
    """Name the sub-node and the slots of a command; empty where it has none."""
    slots = slots_text(execution.assignment.slots)
    return shown_text(f"{execution.sub_node}, {slots}") if slots else ""


def _bundle_mark(timeline: Timeline, bundle: LaneBundle, name: str) -> LaneMark:
    numbers = [bar.job.number for bar in bundle.bars]
    return LaneMark(
        left=_per_cent(bundle.start - timeline.begin, timeline.span),
        width=_per_cent(bundle.end - bundle.start, timeline.span),
        letter=LETTERS[bundle.word],
        text="",
        is_open=False,
        label=f"{len(bundle.bars):,} commands: {counted(bundle.counts)}",
        when=f"{local_time(bundle.start)} to {local_time(bundle.end)}, on {name}",
        command=f"jobs {min(numbers)} to {max(numbers)}",
        lines=(),
    )


# Failures.


def _failure(run: RunRecord, result: Result, room: int) -> FailureRow:
    job, execution = result.job, result.execution
    command = job.job.command if execution is None else execution.assignment.command
    tail = {} if execution is None else tail_of(run, job, execution, FAILURE_LINES, room)
    shown = command if len(command) <= room else f"{command[:room]}…"
    started = execution.started_at if execution else None
    seconds = execution.seconds if execution else None
    return FailureRow(
        job=job.number,
        where=(_where(execution) or shown_text(str(execution.sub_node))) if execution else "",
        letter=LETTERS[word_for(result.outcome)],
        outcome=cut_text(str(result.outcome), room),
        started="" if started is None else local_time(started),
        took="" if seconds is None else duration.words(seconds),
        command="\n".join(map(shown_text, shown.split("\n"))),
        streams=[(stream.value, lines) for stream, lines in tail.items()],
        log=shown_text(log_pattern(run, job, execution)) if tail and execution else "",
    )
