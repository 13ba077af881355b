"""The prober: asks nodes which slots are free, beside everything else.

Rule 1: to request an answer never waits, and an answer that is late delays nothing but the starts
on its own slots: there is a task for each pool of each sub-node.
Rule 2: a node is asked only while somebody requests it, and no more often than that is of use.
Rule 3: an answer is replaced as a whole, so that another thread may read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TypeAlias

import trio

from pegasus import duration, probes
from pegasus.dispatch.asking import Answer, Asker, open_asker
from pegasus.dispatch.ports import Session
from pegasus.errors import NodeUnreachable
from pegasus.events import Listener, Noted, Probed, SlotSeen
from pegasus.model import Lost, NotStarted, Pool, SubNode

PROBE_LIMIT = 10.0
"""Seconds for an answer. ``nvidia-smi`` takes 0.02 s where the driver stays loaded, and some
seconds where it is loaded for each call; one that takes much longer hangs in a broken driver."""

FRESH = 1.0
"""Seconds for which an answer counts after it came: a start must not rely on an older one, since
others may have begun to use the slot. Also the pause before the next question while a slot is free
that a job, which needs several, cannot use yet; at least as long as the answer took."""

BUSY_POLL = 5.0
"""Seconds between two questions while others use slots that a job waits for: they use them for
minutes to days, so that a start 5 s late costs nothing, and a call costs the node some work."""

SETTLING = 3.0
"""Seconds after a command has ended in which the memory of its GPU may still be in use."""

SETTLING_POLL = 0.5
"""Seconds between two questions during that time."""

FIRST_FAILURE_PAUSE = 2.0
LAST_FAILURE_PAUSE = 60.0
"""Seconds before the next try after a failure; doubled after each one. A probe that fails for one
moment is tried again soon; one that fails always costs a call a minute."""

IDLE_LIMIT = 60.0
"""Seconds without a request after which the connection for the questions is closed: it takes one of
few sessions on its node."""

OUTPUT_KEPT = 2000
"""Characters of the output of a probe that the record keeps: the rows of some twenty GPUs."""

OpenForProbe: TypeAlias = Callable[[SubNode], AbstractAsyncContextManager[Session]]

HeldKeys: TypeAlias = Callable[[SubNode, str], Collection[str]]
"""Returns the keys of the slots of a pool that commands of Pegasus hold now."""


def hold_nothing(_sub_node: SubNode, _pool: str) -> Collection[str]:
    """Return that no slot is held."""
    return ()


@dataclass(frozen=True, slots=True)
class PoolAnswer:
    """What is known of the slots of a pool.

    Attributes:
        seen: its slots, as the last valid answer gave them; empty while it fails.
        began_at: when the probe began that gave this answer, on Trio's clock.
        came_at: when the answer came.
        words: why no slot counts as free; empty where the answer is valid.
        is_failing: whether the last probe failed.
        is_asking: whether a probe is under way.
        lasts: whether the answer stays valid, since others cannot use such slots.
    """

    seen: tuple[SlotSeen, ...] = ()
    began_at: float = -math.inf
    came_at: float = -math.inf
    words: str = ""
    is_failing: bool = False
    is_asking: bool = False
    lasts: bool = False

    def is_fresh(self, since: float, now: float) -> bool:
        """Return whether a command may start on a slot that is seen as free.

        Args:
            since: when the slot became free.
            now: the time, on Trio's clock.
        """
        if self.is_failing:
            return False
        return self.lasts or (self.began_at >= since and now - self.came_at <= FRESH)


@dataclass(frozen=True, slots=True)
class ProberInput:
    """What the tasks of a prober work with.

    Attributes:
        open_session: connects to a sub-node; raises NodeUnreachable.
        listener: gets each answer that differs from the one before, and what fails.
        busy_limit: up to how many MiB of its memory in use a GPU counts as free.
        holds: the slots that Pegasus holds: an answer does not count them as used by others.
        on_answer: is called when an answer has come.
    """

    open_session: OpenForProbe
    listener: Listener
    busy_limit: int
    holds: HeldKeys
    on_answer: Callable[[], None]


class Prober:
    """Asks nodes for the slots of their pools, when it is requested.

    Args:
        open_session: see ``ProberInput``, as for the others.
        listener: see there.
        busy_limit: see there.
        holds: see there.

    Attributes:
        on_change: is called when an answer has come.
    """

    def __init__(
        self,
        open_session: OpenForProbe,
        listener: Listener,
        busy_limit: int = probes.BUSY_LIMIT,
        holds: HeldKeys = hold_nothing,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._input = ProberInput(open_session, listener, busy_limit, holds, self._change)
        self._tasks: dict[tuple[int, str], _PoolTask] = {}
        self._send, self._receive = trio.open_memory_channel[_PoolTask](math.inf)
        self._scope = trio.CancelScope()

    def _change(self) -> None:
        self.on_change()

    def request(self, sub_node: SubNode, pool: Pool, since: float = -math.inf) -> None:
        """Request an answer; never waits. A request counts until the next probe begins.

        A probe begins at once where the last one began before ``since``, or where its answer is
        older than ``FRESH`` and some slot that nobody holds is free. It begins later where others
        use them all, and after a failure. A node is asked for its processors once.

        Args:
            sub_node: the node to ask.
            pool: one that is probed.
            since: a probe that began before that does not count: a slot became free then.
        """
        key = (sub_node.number, pool.name)
        if key not in self._tasks:
            self._tasks[key] = _PoolTask(sub_node, pool, self._input)
            self._send.send_nowait(self._tasks[key])
        self._tasks[key].request(since)

    def state(self, sub_node: SubNode, pool: Pool) -> PoolAnswer | None:
        """Return what is known of the slots of a pool; None before the first answer."""
        task = self._tasks.get((sub_node.number, pool.name))
        return task.answer if task is not None and task.answer.came_at > -math.inf else None

    def forget(self, sub_node: SubNode) -> None:
        """End the probes of a sub-node that leaves the run; never waits."""
        for key in [key for key in self._tasks if key[0] == sub_node.number]:
            self._tasks.pop(key).scope.cancel(reason="the sub-node leaves the run")

    async def run(self) -> None:
        """Ask, until ``close`` is called."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                async for task in self._receive:
                    nursery.start_soon(task.serve)

    def close(self) -> None:
        """Ask nothing more; never waits. ``run`` ends when the probes under way are ended."""
        self._scope.cancel(reason="nothing more will be started")


class _PoolTask:
    """Asks one sub-node for the slots of one pool.

    Attributes:
        answer: what is known.
        scope: encloses the task.
    """

    def __init__(self, sub_node: SubNode, pool: Pool, given: ProberInput) -> None:
        self.answer = PoolAnswer(lasts=not probes.changes(pool))
        self.scope = trio.CancelScope()
        self._sub_node = sub_node
        self._pool = pool
        self._given = given
        self._is_wanted = False
        self._since = -math.inf
        self._woken = trio.Event()
        self._failures = 0
        self._told: object = None
        self._noted = ""

    def request(self, since: float) -> None:
        """Request an answer of a probe that began at ``since`` or later."""
        self._is_wanted = True
        self._since = max(self._since, since)
        self._woken.set()

    async def serve(self) -> None:
        """Ask whenever it is due, over a session that is closed after some time without use."""
        with self.scope:
            while await self._wait_due(math.inf):
                self._begin()
                try:
                    async with (
                        self._given.open_session(self._sub_node) as session,
                        open_asker(session, self._sub_node) as asker,
                    ):
                        await self._ask_all(asker)
                except NodeUnreachable as error:
                    self._lose_connection(error.words)

    # When.

    async def _wait_due(self, limit: float) -> bool:
        """Wait until a probe is due, for at most ``limit`` seconds; return whether one is."""
        end = trio.current_time() + limit
        while (due := self._due()) > trio.current_time():
            if trio.current_time() >= end:
                return False
            self._woken = trio.Event()
            with trio.move_on_at(min(due, end)):
                await self._woken.wait()
        return True

    def _due(self) -> float:
        """Return when the next probe begins, as far as is known now."""
        answer = self.answer
        if not self._is_wanted:
            return math.inf
        if answer.is_failing:
            return answer.came_at + self._failure_pause
        if answer.came_at == -math.inf:
            return -math.inf
        if answer.lasts:
            return math.inf
        return -math.inf if answer.began_at < self._since else answer.came_at + self._pause

    @property
    def _failure_pause(self) -> float:
        return min(FIRST_FAILURE_PAUSE * 2.0 ** min(self._failures - 1, 10), LAST_FAILURE_PAUSE)

    @property
    def _pause(self) -> float:
        """Seconds between a valid answer and the next question."""
        answer = self.answer
        held = self._given.holds(self._sub_node, self._pool.name)
        if any(not each.used_by and each.slot.key not in held for each in answer.seen):
            return max(FRESH, answer.came_at - answer.began_at)
        return SETTLING_POLL if answer.began_at - self._since < SETTLING else BUSY_POLL

    # The question.

    async def _ask_all(self, asker: Asker) -> None:
        """Ask over one session, until nobody has requested an answer for some time.

        Raises:
            NodeUnreachable: the connection is broken.
        """
        is_first = True
        while True:
            began_at = trio.current_time()
            answer = await asker.ask(probes.command_of(self._pool), PROBE_LIMIT)
            if isinstance(answer.outcome, Lost | NotStarted):
                if is_first:
                    raise NodeUnreachable(answer.outcome.words)
                self._is_wanted = True  # it broke while it was idle: ask over a new one
                self.answer = replace(self.answer, is_asking=False)
                return
            self._receive(answer, began_at)
            is_first = False
            if not await self._wait_due(0.0 if self.answer.lasts else IDLE_LIMIT):
                return
            self._begin()

    def _begin(self) -> None:
        self._is_wanted = False
        self.answer = replace(self.answer, is_asking=True)

    def _receive(self, answer: Answer, began_at: float) -> None:
        """Note, and report, an answer."""
        read = probes.read_answer(
            self._pool, answer.outcome, answer.stdout, answer.stderr, self._given.busy_limit
        )
        held = self._given.holds(self._sub_node, self._pool.name)
        seen = tuple(
            replace(each, used_by="") if each.slot.key in held else each for each in read.seen
        )
        self._note(seen, read.words, began_at)
        gist = replace(read, seen=seen).gist
        if gist != self._told:
            self._told = gist
            output = (answer.stdout + b"\n" + answer.stderr).decode(errors="replace").strip()
            self._given.listener.tell(
                Probed(self._sub_node, self._pool.name, seen, read.words, output[:OUTPUT_KEPT])
            )
        if not read.words:
            self._noted = ""
        elif read.words != self._noted:
            self._noted = read.words
            self._report(read.words)
        self._given.on_answer()

    def _lose_connection(self, words: str) -> None:
        """Note that the node cannot be asked. The first time its worker reports the reason."""
        began_at = trio.current_time()
        self._note((), words, began_at)
        if self._failures > 1 and words != self._noted:
            self._noted = words
            self._report(words)
        self._given.on_answer()

    def _note(self, seen: tuple[SlotSeen, ...], words: str, began_at: float) -> None:
        self._failures = self._failures + 1 if words else 0
        self.answer = PoolAnswer(
            seen,
            began_at,
            trio.current_time(),
            words,
            is_failing=bool(words),
            lasts=self.answer.lasts,
        )

    def _report(self, words: str) -> None:
        self._given.listener.tell(
            Noted(
                f"{self._sub_node}: no {self._pool.name} counts as free: {words}. Trying again in "
                f"{duration.words(self._failure_pause)}, and then at longer intervals."
            )
        )
