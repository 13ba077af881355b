"""Runs of jobs with needs, simulated event by event: who holds what is written down apart from
what the choice is told, so that a slot that is given twice is found.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pegasus.demand import Nowhere, group_of
from pegasus.model import Demand, Job, Pool, Slot, SubNode
from pegasus.placement import NodeState, Placed, PoolState, Round

PROBED = ("nvidia", "amd", "probe")
VALID = 1.0
"""Seconds for which the answer of a probe is valid."""

PROBE_LIMIT = 10.0
RECHECK = 5.0


@dataclass(slots=True)
class Machine:
    """A machine, and what really goes on there.

    Attributes:
        slots: what each pool really has.
        foreign: what others use: pool and key of a slot.
        held: who holds what: pool and key of a slot.
        freed: when a slot was last released.
        hangs: whether probes get no answer.
        answers: of each pool, when the last answer came, when its probe began, and what others
            used then; None for what failed.
        asking: the pools whose probe is under way.
        next_ask: when a pool may be asked again after a probe that failed or found others.
        states: what the choice was told of the pools that are not probed, until it changes.
    """

    name: str
    slots: dict[str, tuple[Slot, ...]] = field(default_factory=dict)
    foreign: set[tuple[str, str]] = field(default_factory=set)
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    freed: dict[tuple[str, str], float] = field(default_factory=dict)
    hangs: bool = False
    answers: dict[str, tuple[float, float, set[str] | None]] = field(default_factory=dict)
    asking: set[str] = field(default_factory=set)
    next_ask: dict[str, float] = field(default_factory=dict)
    states: dict[int, PoolState] = field(default_factory=dict)


@dataclass(slots=True)
class Place:
    """A sub-node, the machine where it is, and its shells: those that are open, and the most."""

    sub_node: SubNode
    machine: Machine
    lanes: int
    most: int
    connected: bool = True
    running: int = 0
    opening: bool = False
    slotless: int = 0


@dataclass(slots=True)
class Line:
    """An entry of the queue: equal jobs, so far as their placing is concerned."""

    job: Job
    left: int
    first: int

    @property
    def number(self) -> int:
        """The number of its next job."""
        return self.first - self.left


@dataclass(slots=True)
class Try:
    """A job that runs, or waits for another try."""

    number: int
    job: Job
    tried: list[int] = field(default_factory=list)
    since: float = 0.0
    ends: float = 0.0
    place: Place | None = None
    slots: tuple[tuple[str, str], ...] = ()


Durations = Callable[[random.Random, int], float]


class Simulation:
    """A run of a queue.

    Args:
        places: the sub-nodes.
        jobs: the entries: a job, and how many of them there are.
        chance: for everything that is random.
        seconds: the duration of a job, by its number.
        failing: the share of tries that fail and are tried again, at most twice.
        remembers: whether the demands of the whole queue are remembered between rounds.

    Attributes:
        now: the time.
        started: the numbers of the jobs that began, in order, with the times.
        refused: the entries whose jobs can run nowhere, by the number after their last job; they
            stay in the queue.
        busy: for how long jobs held slots on each sub-node: seconds times slots.
        rounds: how many rounds there were.
    """

    def __init__(
        self,
        places: Sequence[Place],
        jobs: Iterable[tuple[Job, int]],
        chance: random.Random,
        seconds: Durations,
        *,
        failing: float = 0.0,
        remembers: bool = False,
    ) -> None:
        self.places = places
        self.lines: list[Line] = []
        total = 0
        for job, count in jobs:
            total += count
            self.lines.append(Line(job, count, total))
        self.total = total
        self.chance = chance
        self.seconds = seconds
        self.failing = failing
        self.remembers = remembers
        self.now = 0.0
        self.started: dict[int, float] = {}
        self.busy: dict[int, float] = {}
        self.done: set[int] = set()
        self.refused: set[int] = set()
        self.retries: list[Try] = []
        self.running: set[int] = set()
        self.tries: dict[int, Try] = {}
        self.rounds = 0
        self.last: Round | None = None
        self.on_round: Callable[[Round], None] = lambda _: None
        self._hints: Mapping[Demand, tuple[int, ...]] = {}
        self._known: frozenset[Demand] | None = None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    # Time.

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (time, next(self._order), act))

    def run(self, limit: int = 1_000_000) -> None:
        """Run everything to the end; the caller checks what is left."""
        self.place_all()
        while self._events and limit:
            self.now, _, act = heapq.heappop(self._events)
            act()
            while self._events and self._events[0][0] == self.now:
                heapq.heappop(self._events)[2]()
            if len(self.lines) > len(self.refused) or self.retries:
                self.place_all()
            elif not self.running:
                return
            limit -= 1
        assert limit, "it goes round in circles"

    @property
    def waiting(self) -> list[Line]:
        """The entries that are left, without those that were refused."""
        return [line for line in self.lines if line.first not in self.refused]

    # What the choice is told.

    def states(self) -> list[NodeState]:
        """Describe the sub-nodes that are connected, as they are now."""
        pools: dict[tuple[str, int], PoolState] = {}
        found = []
        for place in self.places:
            if not place.connected:
                continue
            own: dict[str, PoolState] = {}
            for pool in place.sub_node.pools:
                key = (place.machine.name, id(pool))
                if key not in pools:
                    state = place.machine.states.get(id(pool))
                    if state is None:
                        state = self._pool_state(place.machine, pool)
                    if pool.kind not in PROBED:
                        place.machine.states[id(pool)] = state
                    pools[key] = state
                own[pool.name] = pools[key]
            ready = place.lanes - place.running
            slotless = sum(len(place.machine.slots[name]) for name in own) - place.slotless
            grows = place.lanes < place.most
            found.append(NodeState(place.sub_node, ready, grows, own, slotless, place.machine.name))
        return found

    def _pool_state(self, machine: Machine, pool: Pool) -> PoolState:
        mine = [slot for slot in machine.slots[pool.name] if not pool.ids or slot.id in pool.ids]
        held = sum((pool.name, slot.key) in machine.held for slot in mine)
        idle = [slot for slot in mine if (pool.name, slot.key) not in machine.held]
        if pool.kind not in PROBED:
            return PoolState(pool.name, pool.kind, idle, (), held)
        answer = machine.answers.get(pool.name)
        if answer is None:
            return PoolState(pool.name, pool.kind, size_known=False)
        at, began, used = answer
        if used is None:
            return PoolState(pool.name, pool.kind, held=held, unusable=len(idle))
        free, unverified, unusable = [], [], 0
        for slot in idle:
            if slot.key in used:
                unusable += 1
            elif self.now - at <= VALID and machine.freed.get((pool.name, slot.key), 0) <= began:
                free.append(slot)
            else:
                unverified.append(slot)
        return PoolState(pool.name, pool.kind, free, unverified, held, unusable)

    # A round.

    def place_all(self) -> None:
        """Place what can be placed, and ask for what must be asked."""
        self.rounds += 1
        running = Counter(
            group_of(self.tries[number].job)
            for number in self.running
            if self.tries[number].job.demand.at_most is not None
        )
        absent = [each.sub_node for each in self.places if not each.connected]
        choice = Round(self.states(), self._hints, running, absent, self._known)
        for again in list(self.retries):
            answer = choice.place(again.job, tried=again.tried)
            if isinstance(answer, Placed):
                self.retries.remove(again)
                self._start(again, answer)
        if self._place_lines(choice) and self.remembers:
            self._known = choice.seen
        self._hints = choice.hints
        self.last = choice
        for number, pool in choice.probes:
            self._ask(number, pool)
        for number, pool in choice.rechecks:
            self._ask(number, pool)
        for place in self.places:
            if wanted := choice.lanes_wanted.get(place.sub_node.number):
                self._open(place, wanted)
        self.on_round(choice)

    def _open(self, place: Place, wanted: int) -> None:
        if place.opening:
            return
        place.opening = True

        def opened() -> None:
            place.opening = False
            place.lanes = min(place.most, place.lanes + wanted)

        self.at(self.now + 0.05, opened)

    def _place_lines(self, choice: Round) -> bool:
        """Place jobs of the queue; return whether all of it was looked at."""
        index = 0
        while index < len(self.lines):
            line = self.lines[index]
            index += 1
            while line.left:
                if choice.is_full:
                    return False
                answer = choice.place(line.job, line.left)
                if isinstance(answer, Nowhere):
                    self.refused.add(line.first)
                    break
                if not isinstance(answer, Placed):
                    break
                self._start(Try(line.number, line.job), answer)
                line.left -= 1
                if not line.left:
                    index -= 1
                    del self.lines[index]
        return True

    def _start(self, each: Try, placed: Placed) -> None:
        place = next(it for it in self.places if it.sub_node.number == placed.sub_node.number)
        assert place.connected
        assert place.running < place.lanes
        slots = []
        for held in placed.slots:
            for slot in held.slots:
                key = (held.pool, slot.key)
                assert key not in place.machine.held, "a slot is held twice"
                if held.kind in PROBED:
                    self._check_probed(place.machine, key)
                place.machine.held[key] = each.number
                place.machine.states.clear()
                slots.append(key)
        place.running += 1
        place.slotless += not slots
        each.place, each.slots, each.since = place, tuple(slots), self.now
        each.ends = self.now + self.seconds(self.chance, each.number)
        self.started.setdefault(each.number, self.now)
        self.tries[each.number] = each
        self.running.add(each.number)
        self.at(each.ends, lambda: self._end(each, failed=self.chance.random() < self.failing))

    def _check_probed(self, machine: Machine, key: tuple[str, str]) -> None:
        at, began, used = machine.answers[key[0]]
        assert used is not None
        assert key[1] not in used
        assert machine.freed.get(key, 0) <= began
        assert self.now - at <= VALID

    def _end(self, each: Try, *, failed: bool) -> None:
        if each.number not in self.running or each is not self.tries[each.number]:
            return  # it ended with its connection
        assert each.place is not None
        self.running.remove(each.number)
        number = each.place.sub_node.number
        used = (self.now - each.since) * len(each.slots)
        self.busy[number] = self.busy.get(number, 0.0) + used
        each.place.running -= 1
        each.place.slotless -= not each.slots
        for key in each.slots:
            assert each.place.machine.held.pop(key) == each.number
            each.place.machine.freed[key] = self.now
            each.place.machine.states.clear()
        if failed and len(each.tried) < 2:
            tried = [*each.tried, each.place.sub_node.number]
            self.retries.append(Try(each.number, each.job, tried))
        else:
            self.done.add(each.number)

    # Probes, and what others do.

    def _ask(self, number: int, pool: str) -> None:
        machine = next(each.machine for each in self.places if each.sub_node.number == number)
        if pool in machine.asking:
            return
        wait = machine.next_ask.get(pool, 0.0)
        machine.asking.add(pool)
        self.at(max(self.now, wait), lambda: self._probe(machine, pool))

    def _probe(self, machine: Machine, pool: str) -> None:
        began = self.now
        hangs = machine.hangs
        delay = PROBE_LIMIT if hangs else self.chance.uniform(0.02, 0.5)

        def answer() -> None:
            machine.asking.remove(pool)
            used = {key for name, key in machine.foreign if name == pool}
            machine.answers[pool] = (self.now, began, None if hangs else used)
            machine.next_ask[pool] = self.now + (RECHECK if used or hangs else 0.0)
            if hangs and machine.answers.get(pool) is None:
                del machine.answers[pool]

        self.at(began + delay, answer)

    def disconnect(self, place: Place, seconds: float) -> None:
        """Let the connection to a sub-node break, with all that runs there."""
        if not place.connected:
            return
        place.connected = False
        for number in list(self.running):
            each = self.tries[number]
            if each.place is place:
                self._end(each, failed=True)

        def connect() -> None:
            place.connected = True

        self.at(self.now + seconds, connect)
