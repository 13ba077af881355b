"""Events and output of a broadcast -> its steps -> the screen.

Rule 1: a step is shown when it has ended on all sub-nodes, else when the next one begins or the run
ends.
Rule 2: a step that waits to be shown holds back the output of the next one, as a slow reader does;
no event waits.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import trio

from pegasus.events import (
    Ended,
    Event,
    Listener,
    Missing,
    Printed,
    Returned,
    RunEnded,
    Started,
    SubNodeAdded,
    Taken,
)
from pegasus.gather.blocks import Blocks
from pegasus.gather.kept import OutputStore
from pegasus.gather.naming import GroupNames
from pegasus.gather.step import GatheredStep, GatheredTry, StepResult
from pegasus.model import SubNode
from pegasus.screen import Screen

GatherKind: TypeAlias = bool | Literal["diff"]
"""Whether outputs are gathered, and whether they are shown as differences."""

LAST_WAIT = 2.0
"""Seconds in which the last step is written once the run was killed; a reader may stall."""

MOST_WAITING = 1000
"""Steps and messages that wait to be shown, above which messages are left out. A step with output
never is: the output of the next one waits."""


@asynccontextmanager
async def open_gathered(
    kind: GatherKind, screen: Screen, sub_nodes: Sequence[SubNode], killed: trio.Event
) -> AsyncIterator[Listener]:
    """Open the listener that shows a run on the screen; at the end all steps are shown.

    Args:
        kind: the value of ``--gather``; False gives the screen itself.
        screen: what it shows on.
        sub_nodes: all sub-nodes of the run, as far as they are known at its beginning.
        killed: set when the run was killed; then a reader that stalls is not waited for.
    """
    if not kind:
        yield screen
        return
    gathered = Gathered(screen, sub_nodes, diff=kind == "diff")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gathered.run, nursery.cancel_scope)
            nursery.start_soon(_hurry, killed, nursery.cancel_scope)
            yield gathered
            gathered.close()
    finally:
        gathered.store.close()


async def _hurry(killed: trio.Event, scope: trio.CancelScope) -> None:
    await killed.wait()
    scope.deadline = trio.current_time() + LAST_WAIT


class Gathered:
    """A listener; see ``open_gathered``."""

    def __init__(self, screen: Screen, sub_nodes: Sequence[SubNode], *, diff: bool) -> None:
        self.store = OutputStore()
        self._screen = screen
        self._names = GroupNames(sub_nodes)
        self._blocks = Blocks(screen, self.store, self._names, diff=diff)
        self._members = {each.number for each in sub_nodes}  # without those that are missing
        self._step: GatheredStep | None = None
        self._send, self._to_show = trio.open_memory_channel[StepResult | str](math.inf)
        self._waiting = 0  # what is not shown yet
        self._left_out = 0  # messages
        self._shown = trio.Event()

    # What happens.

    def tell(self, event: Event) -> None:
        """Take an event; never waits, never fails."""
        match event:
            case Taken(number, job):
                self._finish()
                awaited = set(self._members) if event.resumes is None else None
                self._step = GatheredStep(number, awaited)
                self._put(f"=== run job {number}: '{job.command.rstrip()}' ===")
            case Started(assignment) if self._owns(assignment.number):
                self._new_try(assignment.sub_node)
            case Returned(assignment) if self._owns(assignment.number):
                self._forget(assignment.sub_node.number)
            case Ended(assignment) if self._owns(assignment.number):
                self._end(event)
            case SubNodeAdded(sub_node):
                self._members.add(sub_node.number)
                self._names.add(sub_node)
                self._screen.tell(event)
                return
            case Missing(sub_node):
                self._members.discard(sub_node.number)
                self._settle(sub_node.number)
                self._screen.tell(event)
                return
            case RunEnded():
                self._finish()
            case _:
                self._screen.tell(event)
                return
        self._screen.note(event)

    async def show(self, printed: Printed) -> None:
        """Keep output; waits while an earlier step is being shown."""
        while self._waiting:
            await self._shown.wait()
        found = self._try_of(printed)
        if found is None:
            await self._screen.show(printed)
            return
        self._screen.note(printed)
        await self.store.add(found.outputs[printed.stream], printed.data)

    def close(self) -> None:
        """Let ``run`` end when all is shown."""
        self._finish()
        self._send.close()

    # The step.

    def _owns(self, number: int) -> bool:
        return self._step is not None and self._step.number == number

    def _new_try(self, sub_node: SubNode) -> GatheredTry:
        assert self._step is not None  # noqa: S101 -- the caller has asked ``_owns``
        self._forget(sub_node.number)
        found = self._step.tries[sub_node.number] = GatheredTry(sub_node)
        return found

    def _forget(self, number: int) -> None:
        """Drop a try: only the last one counts."""
        if self._step is not None and (found := self._step.tries.pop(number, None)):
            for output in found.outputs.values():
                self.store.forget(output)

    def _try_of(self, printed: Printed) -> GatheredTry | None:
        if self._step is None or not self._owns(printed.assignment.number):
            return None
        return self._step.tries.get(printed.assignment.sub_node.number)

    def _end(self, event: Ended) -> None:
        assert self._step is not None  # noqa: S101 -- the caller has asked ``_owns``
        sub_node = event.assignment.sub_node
        found = self._step.tries.get(sub_node.number) or self._new_try(sub_node)
        if not event.again:
            found.outcome = event.outcome
            self._settle(sub_node.number)

    def _settle(self, number: int) -> None:
        """Do not wait for a sub-node any more; finish the step where it was the last one."""
        if self._step is not None and self._step.awaited is not None:
            self._step.awaited.discard(number)
            if not self._step.awaited:
                self._finish()

    def _finish(self) -> None:
        """Let the step be shown."""
        step, self._step = self._step, None
        if step is not None:
            result = step.finish(self.store.forget)
            if result.outputs or result.failures:
                self._put(result)

    def _put(self, what: StepResult | str) -> None:
        """Show something after what waits; where too much waits, output alone is kept."""
        if not self._waiting and isinstance(what, str):
            self._screen.say(what)
            return
        if self._waiting >= MOST_WAITING and (isinstance(what, str) or not what.outputs):
            self._left_out += 1
            return
        self._waiting += 1
        self._send.send_nowait(what)

    # The screen.

    async def run(self, scope: trio.CancelScope) -> None:
        """Show what waits, one after the other, until the listener is closed.

        Args:
            scope: is cancelled then.
        """
        async for what in self._to_show:
            if isinstance(what, str):
                self._screen.say(what)
            else:
                await self._blocks.show(what)
            if self._waiting == 1:
                await self.store.reuse()
                self._say_left_out()
            self._waiting -= 1
            self._shown.set()
            self._shown = trio.Event()
        scope.cancel(reason="all steps are shown")

    def _say_left_out(self) -> None:
        if self._left_out:
            count, self._left_out = self._left_out, 0
            self._screen.say(
                f"{count:,} messages on steps without output were left out: the reader of the "
                "output was too slow. `pegasus status` shows what failed."
            )
