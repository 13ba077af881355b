"""Which commands of this run hold which slots.

Rule 1: a slot is held by one command at most, and what other runs of the queue hold is held, too.
Rule 2: a slot is held from before its job is taken until its command is certainly gone. Where the
connection broke, the node has to say so.
Rule 3: the thread of a take and Trio's thread both come here. The lock of the state is never held
while the disk is waited for, so a disk that hangs cannot stop Trio's thread.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

import trio

from pegasus.demand import group_of
from pegasus.dispatch.lanes import Pick
from pegasus.dispatch.sharing import SharedHolds
from pegasus.holds import AT_MOST_POOL, DoubtfulHold, Hold
from pegasus.model import Assignment, SubNode

HoldKey: TypeAlias = tuple[int, int]
"""The number of a job of this run, and the number of its sub-node."""

SlotKey: TypeAlias = tuple[str, str, str]
"""The place, the name of the pool, and the key of the slot."""


class SlotLedger:
    """What the commands of this run hold.

    Args:
        run_name: of this run.
        shared: tells the other runs of the queue.

    Attributes:
        shared: see above.
        released_at: when a slot was seen to become free last, on Trio's clock.
    """

    def __init__(self, run_name: str, shared: SharedHolds) -> None:
        self.shared = shared
        self.released_at: dict[SlotKey, float] = {}
        self._run_name = run_name
        self._held: dict[HoldKey, tuple[Hold, ...]] = {}
        self._doubtful: dict[HoldKey, tuple[Hold, ...]] = {}
        self._lost_at: dict[HoldKey, float] = {}
        self._others: frozenset[SlotKey] = frozenset()
        self._looks = self._newest_look = 0  # at the other runs: begun; the last that counts
        self._inherited: list[tuple[str, int]] = []  # jobs of earlier runs that have ended
        self._is_written = True
        self._changed = trio.Event()
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # only threads that may wait for the disk take it

    def __bool__(self) -> bool:
        return bool(self._held or self._doubtful)

    def see_others(self, now: float) -> set[SlotKey]:
        """Read what other runs hold; in the thread of a take, under the lock of the queue.

        Returns:
            Every slot that is held now, by this run or by another one.
        """
        with self._lock:
            self._looks += 1
            look = self._looks
        seen = frozenset(map(_key_of, self.shared.others()))
        with self._lock:
            if look > self._newest_look:  # a slow look must not undo what a later one has seen
                self._newest_look = look
                self._note_release(self._others - seen, now)
                self._others = seen
            return {*self._taken(), *seen}

    def look_at_others(self, now: float) -> bool:
        """Read what other runs hold, outside of a take; return whether something is free now."""
        before = self._others
        self.see_others(now)
        return bool(before - self._others)

    @property
    def has_others(self) -> bool:
        """Whether another run held anything at the last look."""
        return bool(self._others)

    def wake(self) -> None:
        """Wake the task that waits for a change: it is to look at the other runs."""
        self._changed.set()

    async def wait_changed(self) -> None:
        """Wait until a command of this run lets a slot go."""
        self._changed = trio.Event()
        await self._changed.wait()

    @property
    def may_doubt(self) -> bool:
        """Whether anything may be held by a command that is not known to run."""
        return bool(self._others or self._doubtful)

    def last_release(self, place: str, pool: str) -> float:
        """Give when a slot of a pool became free last, on Trio's clock."""
        times = [at for key, at in self.released_at.items() if key[:2] == (place, pool)]
        return max(times, default=-math.inf)

    def held_keys(self, place: str, pool: str) -> set[str]:
        """Give the keys of the slots of a pool that are held."""
        return {slot for where, name, slot in self.taken() if (where, name) == (place, pool)}

    def taken(self) -> set[SlotKey]:
        """Give every slot that is held, by this run or by another one."""
        with self._lock:
            return self._taken()

    def _taken(self) -> set[SlotKey]:
        return {*map(_key_of, self._all()), *self._others}

    def _all(self) -> Iterator[Hold]:
        for held in (self._held, self._doubtful):
            for holds in held.values():
                yield from holds

    def hold(self, picked: Iterable[tuple[int, Pick]]) -> None:
        """Let jobs hold their slots, and tell the other runs; in a thread.

        Args:
            picked: jobs, with their numbers.
        """
        with self._lock:
            for number, pick in picked:
                holds = self._holds_of(number, pick)
                if holds:
                    self._held[self._key(number, pick.worker.sub_node)] = holds
                    self._is_written = False
        self.flush()

    def give_back(self, picked: Iterable[tuple[int, Pick]]) -> None:
        """Let slots go whose jobs were not taken after all, and tell the others; in Trio's thread.

        Args:
            picked: jobs, with their numbers.
        """
        self.drop(picked)
        if not self._is_written:
            self._changed.set()

    def drop(self, picked: Iterable[tuple[int, Pick]]) -> None:
        """Let slots go that are picked anew; in a thread."""
        with self._lock:
            for number, pick in picked:
                if self._held.pop(self._key(number, pick.worker.sub_node), ()):
                    self._is_written = False

    def _key(self, number: int, sub_node: SubNode) -> HoldKey:
        return number, sub_node.number

    def _holds_of(self, number: int, pick: Pick) -> tuple[Hold, ...]:
        place, name = pick.worker.place, self._run_name
        holds = [
            Hold(place, each.pool, slot.key, name, number)
            for each in pick.slots
            for slot in each.slots
        ]
        if group := group_of(pick.job):
            pool = AT_MOST_POOL + group
            taken = {slot for _, other, slot in self._taken() if other == pool}
            free = (str(n) for n in range(len(taken) + 1) if str(n) not in taken)
            holds.append(Hold("", pool, next(free), name, number, on=place))
        return tuple(holds)

    def release(self, assignment: Assignment, now: float, *, is_gone: bool = True) -> bool:
        """Let the slots of a command become free.

        Args:
            assignment: what ended.
            now: on Trio's clock.
            is_gone: False where it is not known whether the command still runs.

        Returns:
            Whether it held any.
        """
        key = self._key(assignment.number, assignment.sub_node)
        with self._lock:
            holds = self._held.pop(key, ())
            if not holds:
                return False
            if is_gone:
                self._free(holds, now)
            else:
                # A job may be lost twice on one sub-node, while its first command still runs there.
                self._doubtful[key] = (*self._doubtful.get(key, ()), *holds)
                self._lost_at[key] = now
        self._changed.set()
        return True

    def release_inherited(self, run_name: str, assignment: Assignment) -> None:
        """Let the slots of a command of an earlier run become free: it was followed to its end."""
        if assignment.slots or assignment.job.demand.at_most:
            with self._lock:
                self._inherited.append((run_name, assignment.number))
                self._is_written = False
            self._changed.set()

    def in_doubt(self, now: float) -> list[DoubtfulHold]:
        """Give what commands hold of which it is not known whether they still run."""
        with self._lock:
            mine = [
                DoubtfulHold(hold, is_detached=False, seconds_over=now - self._lost_at[key])
                for key, holds in self._doubtful.items()
                for hold in holds
            ]
        return [*mine, *self.shared.doubtful()]

    def resolve(self, gone: Collection[Hold], now: float) -> list[Hold]:
        """Let slots become free whose commands are gone; return the holds of other runs."""
        with self._lock:
            for key, holds in list(self._doubtful.items()):
                if all(hold in gone for hold in holds):
                    del self._doubtful[key], self._lost_at[key]
                    self._free(holds, now)
        self._changed.set()
        return [hold for hold in gone if hold.run != self._run_name]

    def flush(self) -> None:
        """Tell the other runs, if something has changed; in a thread."""
        with self._writing:
            with self._lock:
                if self._is_written:
                    return
                holds, inherited = list(self._all()), self._inherited
                self._inherited = []
                self._is_written = True
            is_known = self.shared.write(holds)
            for run_name, number in inherited:
                self.shared.release_of(run_name, number)
            if not is_known:
                self._is_written = False

    @property
    def is_written(self) -> bool:
        """Whether the other runs know what this one holds."""
        return self._is_written

    def _free(self, holds: Sequence[Hold], now: float) -> None:
        self._note_release(map(_key_of, holds), now)
        self._is_written = False

    def _note_release(self, keys: Iterable[SlotKey], now: float) -> None:
        """Note when slots became free; a place for ``at_most`` is on no node, and never probed."""
        for key in keys:
            if key[0]:
                self.released_at[key] = now


def _key_of(hold: Hold) -> SlotKey:
    return hold.place, hold.pool, hold.slot
