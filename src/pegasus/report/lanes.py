"""The state of a run -> lanes of bars, on one axis of time.

Rule 1: pure; the present time is an argument.
Rule 2: a lane is a place where one command runs at a time: a sub-node, or a slot of its first pool.
Which ones a command has is decided in one class; a command with several slots is in each of them.
Rule 3: the number of marks is bounded, whatever the number of commands.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeAlias

from pegasus.model import Outcome, Slot
from pegasus.record import RunRecord
from pegasus.run_state import (
    Execution,
    JobState,
    RunState,
    StatusWord,
    SubNodeState,
    word_for,
)

MOST_BARS = 15_000
"""Bars that are drawn one by one. A browser lays out so many in about a second; of more, those that
are narrower than a part of the axis are drawn together."""

LEAST_PARTS = 50
"""Parts of the axis in which bars are drawn together, at least."""

_LABEL_STEPS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
)
"""Seconds between two labels of the axis that people can read at a glance."""

MOST_LABELS = 8
"""Labels of the axis."""

_DAY = 86400

_WORST_FIRST: tuple[StatusWord, ...] = (
    "failed",
    "lost",
    "killed",
    "timed out",
    "not started",
    "cancelled",
    "detached",
    "running",
    "taken",
    "succeeded",
)
"""Which word stands for several commands."""


@dataclass(frozen=True, slots=True)
class LaneBar:
    """A try of a command, in a lane.

    Attributes:
        start: seconds since the epoch.
        end: the same; of a bar that is open, how far it is known to reach.
        word: the word for its outcome, or for its state.
        outcome: its outcome; None where it runs.
        is_open: whether its end is not known.
        job: its job.
        execution: the try.
        number: the number of the try, from 1.
    """

    start: float
    end: float
    word: StatusWord
    outcome: Outcome | None
    is_open: bool
    job: JobState
    execution: Execution
    number: int


@dataclass(frozen=True, slots=True)
class LaneBundle:
    """Several short commands, one after the other, that are drawn together."""

    bars: Sequence[LaneBar]

    @property
    def start(self) -> float:
        """When the first of them started."""
        return self.bars[0].start

    @property
    def end(self) -> float:
        """When the last of them ended."""
        return max(bar.end for bar in self.bars)

    @property
    def counts(self) -> Counter[StatusWord]:
        """How many commands there are of each word."""
        return Counter(bar.word for bar in self.bars)

    @property
    def word(self) -> StatusWord:
        """The worst of their words."""
        return min((bar.word for bar in self.bars), key=_WORST_FIRST.index)


LanePart: TypeAlias = LaneBar | LaneBundle


@dataclass(slots=True)
class Lane:
    """A place where one command runs at a time, and what ran there.

    Attributes:
        name: for people.
        sub_node: the sub-node, and its connection.
        bars: its commands, by their starts.
    """

    name: str
    sub_node: SubNodeState
    bars: list[LaneBar] = field(default_factory=list)

    @property
    def busy(self) -> float:
        """Seconds in which commands ran."""
        return sum(bar.end - bar.start for bar in self.bars)

    @property
    def was_used(self) -> bool:
        """Whether it could have run a command."""
        return self.sub_node.was_connected or bool(self.bars)


@dataclass(frozen=True, slots=True)
class AxisLabel:
    """A moment with a label on the axis; ``day`` is set where it differs from the label before."""

    at: float
    time: str
    day: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The lanes of a run, and the axis.

    Attributes:
        begin: seconds since the epoch.
        end: the same, always later.
        lanes: by the numbers of their sub-nodes, and there by their slots.
    """

    begin: float
    end: float
    lanes: Sequence[Lane]

    @property
    def span(self) -> float:
        """The length of the axis in seconds."""
        return self.end - self.begin

    def share(self, lane: Lane) -> float:
        """Give the share of the time in which commands ran in a lane."""
        return min(1.0, lane.busy / self.span)

    @property
    def utilisation(self) -> float | None:
        """The mean share of all lanes that could be used; None without one."""
        shares = [self.share(lane) for lane in self.lanes if lane.was_used]
        return sum(shares) / len(shares) if shares else None

    def parts_of(self, lane: Lane) -> Sequence[LanePart]:
        """Give what is drawn in a lane: bars, and bundles where there are too many bars."""
        if sum(len(each.bars) for each in self.lanes) <= MOST_BARS:
            return lane.bars
        length = self.span / max(LEAST_PARTS, MOST_BARS // len(self.lanes))
        return list(_bundled(lane.bars, self.begin, length))

    def labels(self) -> list[AxisLabel]:
        """Give the labels of the axis, at round times of the day in the local time zone."""
        return list(_labels(self.begin, self.end))


def timeline_of(run: RunRecord, now: float) -> Timeline:
    """Arrange the commands of a run in lanes.

    Args:
        run: the run, read.
        now: seconds since the epoch; as far as that, what runs is drawn.
    """
    state = run.state
    lanes = _Lanes(state)
    for job in state.jobs.values():
        tries: Counter[int] = Counter()
        for execution in job.executions:
            where = execution.sub_node.number if job.everywhere else 0
            tries[where] += 1
            bar = _bar_of(run, job, execution, tries[where], now)
            if bar:
                lanes.add(bar)
    found = lanes.all()
    every = [bar for lane in found for bar in lane.bars]
    end = state.end.at if state.end else now if run.alive else state.last_at
    begin = min([run.began_at, *(bar.start for bar in every)])
    end = max([begin + 1.0, end, *(bar.end for bar in every)])
    return Timeline(begin, end, found)


class _Lanes:
    """The lanes of a run, and which of them a command has.

    Args:
        state: of the run.
    """

    def __init__(self, state: RunState) -> None:
        self._nodes = state.sub_nodes
        self._plain = {
            number: Lane(str(each.sub_node), each)
            for number, each in state.sub_nodes.items()
            if not each.sub_node.pools
        }
        self._slots: dict[tuple[int, str], Lane] = {}  # by the sub-node's number and Slot.key
        self._beside: dict[int, list[LaneBar]] = {}  # of commands without a slot of the first pool
        self._shared: dict[int, tuple[int, str]] = {}  # whose lanes a sub-node has, and their name
        for use in state.pool_uses():
            for each in use.sub_nodes:
                if each.pools[0].name == use.pool.name:
                    self._shared[each.number] = use.sub_nodes[0].number, use.name
            if use.is_first:
                for slot in use.slots:
                    self._slot_lane(use.sub_nodes[0].number, slot.slot)

    def _slot_lane(self, number: int, slot: Slot) -> Lane:
        owner, name = self._shared.get(number, (number, str(self._nodes[number].sub_node)))
        lane = self._slots.get((owner, slot.key))
        if lane is None:
            node = self._nodes[owner]
            lane = Lane(f"{name} {node.sub_node.pools[0].name} {slot.id}", node)
            self._slots[owner, slot.key] = lane
        return lane

    def add(self, bar: LaneBar) -> None:
        """Draw a command where it ran; of a sub-node that is unknown nothing is drawn."""
        number, slots = bar.execution.sub_node.number, bar.execution.assignment.slots
        if number in self._plain:
            self._plain[number].bars.append(bar)
        elif number in self._nodes and slots and slots[0].slots:
            for slot in slots[0].slots:
                self._slot_lane(number, slot).bars.append(bar)
        elif number in self._nodes:
            self._beside.setdefault(number, []).append(bar)

    def all(self) -> list[Lane]:
        """Give all lanes, in their order."""
        lanes: dict[int, list[Lane]] = {number: [lane] for number, lane in self._plain.items()}
        for (number, _), lane in self._slots.items():
            lanes.setdefault(number, []).append(lane)
        for number, node in self._nodes.items():
            name = str(node.sub_node)
            if number in self._beside:
                words = f"{name} without {node.sub_node.pools[0].name}"
                lanes.setdefault(number, []).extend(_packed(words, node, self._beside[number]))
            elif number not in lanes and self._shared.get(number, (number, ""))[0] == number:
                lanes[number] = [Lane(name, node)]  # it has not said which slots it has
        found = [lane for number in sorted(lanes) for lane in lanes[number]]
        for lane in found:
            lane.bars.sort(key=lambda bar: bar.start)
        return found


def _packed(name: str, node: SubNodeState, bars: list[LaneBar]) -> list[Lane]:
    """Put commands that ran beside each other into as few lanes as have room for them."""
    lanes: list[Lane] = []
    ends: list[tuple[float, int]] = []
    for bar in sorted(bars, key=lambda bar: bar.start):
        if ends and ends[0][0] <= bar.start:
            _, place = heapq.heappop(ends)
        else:
            place = len(lanes)
            lanes.append(Lane(f"{name}, {place + 1}" if place else name, node))
        lanes[place].bars.append(bar)
        heapq.heappush(ends, (bar.end, place))
    return lanes


def _bar_of(
    run: RunRecord, job: JobState, execution: Execution, number: int, now: float
) -> LaneBar | None:
    start = execution.started_at if execution.started_at is not None else execution.ended_at
    if start is None:
        return None
    outcome = run.state.outcome_of(execution)
    is_open = execution.outcome is None
    if not is_open:
        end = execution.ended_at if execution.ended_at is not None else start
    elif run.alive or execution.outlives_pegasus:
        end = now
    else:
        end = run.state.last_at  # Pegasus was killed after this
    running: StatusWord = "detached" if run.state.is_over else "running"
    word = running if outcome is None else word_for(outcome)
    return LaneBar(start, max(start, end), word, outcome, is_open, job, execution, number)


def _bundled(bars: Sequence[LaneBar], begin: float, length: float) -> Iterator[LanePart]:
    def part(bar: LaneBar) -> tuple[int, Execution | None]:
        is_short = bar.end - bar.start < length and not bar.is_open
        return int((bar.start - begin) / length), None if is_short else bar.execution

    for _, group in groupby(bars, part):
        together = list(group)
        yield together[0] if len(together) == 1 else LaneBundle(together)


def _labels(begin: float, end: float) -> Iterator[AxisLabel]:
    step = next((step for step in _LABEL_STEPS if (end - begin) / step <= MOST_LABELS), None)
    if step is None or step >= _DAY:
        yield from _day_labels(begin, end, math.ceil((end - begin) / _DAY / MOST_LABELS))
        return
    offset = datetime.fromtimestamp(begin).astimezone().utcoffset()
    shift = offset.total_seconds() if offset else 0.0
    at, before = math.ceil((begin + shift) / step) * step - shift, ""
    while at <= end:
        local = datetime.fromtimestamp(at).astimezone()
        time, day = local.strftime("%H:%M:%S" if step < 60 else "%H:%M"), _day_text(local)
        yield AxisLabel(at, time, "" if day == before else day)
        at, before = at + step, day


def _day_labels(begin: float, end: float, days: int) -> Iterator[AxisLabel]:
    """Label midnights; some days have 23 or 25 hours."""
    day = datetime.fromtimestamp(begin).astimezone().replace(tzinfo=None)
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)
    while (at := midnight.astimezone().timestamp()) <= end:
        if at < begin:
            midnight += timedelta(days=1)
            continue
        yield AxisLabel(at, "", _day_text(midnight))
        midnight += timedelta(days=days)


def _day_text(local: datetime) -> str:
    return local.strftime("%b %d")
