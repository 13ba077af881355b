"""Events and output of a broadcast -> its steps -> the screen.

Rule 1: a step is shown when it has ended on all sub-nodes, else when the next one begins or the run
ends.
Rule 2: a step that waits to be shown holds back the output of the next one, as a slow reader does;
no event waits.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
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
    Taken,
)
from pegasus.gather.difference import MOST_DIFF_BYTES, difference, is_short
from pegasus.gather.kept import KeptOutput, OutputStore
from pegasus.gather.naming import GroupNames
from pegasus.gather.step import GatheredTry, OutputGroup, Step, StepResult
from pegasus.model import Stream, SubNode
from pegasus.screen import Screen

GatherKind: TypeAlias = bool | Literal["diff"]
"""Whether outputs are gathered, and whether they are shown as differences."""

LAST_WAIT = 2.0
"""Seconds in which the last step is written once the run was killed; a reader may stall."""

MOST_WAITING = 1000
"""Steps and messages that wait to be shown, above which messages are left out. A step with output
never is: the output of the next one waits."""

RULE = "-" * 15
"""The line above and below the names of a group, as ``clush`` and ``dshbak`` draw it."""

_AFTER_NAMES = {Stream.STDOUT: "", Stream.STDERR: ": standard error"}


@asynccontextmanager
async def open_gathered(
    kind: GatherKind, screen: Screen, sub_nodes: Sequence[SubNode], killed: trio.Event
) -> AsyncIterator[Listener]:
    """Open the listener that shows a run on the screen; at the end all steps are shown.

    Args:
        kind: the value of ``--gather``; False gives the screen itself.
        screen: what it shows on.
        sub_nodes: all sub-nodes of the run.
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
        self._expected = [each.number for each in sub_nodes]
        self._missing: set[int] = set()
        self._diff = diff
        self._step: Step | None = None
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
                expected = self._expected if event.resumes is None else None
                self._step = Step(number, expected)
                self._put(f"=== run job {number}: '{job.command.rstrip()}' ===")
            case Started(assignment) if self._owns(assignment.number):
                self._new_try(assignment.sub_node)
            case Returned(assignment) if self._owns(assignment.number):
                self._forget(assignment.sub_node.number)
            case Ended(assignment) if self._owns(assignment.number):
                self._end(event)
            case Missing(sub_node):
                self._missing.add(sub_node.number)
                self._finish_if_over()
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
            self._finish_if_over()

    def _finish_if_over(self) -> None:
        if self._step is not None and self._step.is_over(self._missing):
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
                await self._show_step(what)
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

    async def _show_step(self, step: StepResult) -> None:
        for stream, groups in step.outputs.items():
            if self._diff:
                await self._show_differences(step, stream, groups)
            else:
                for group in groups:
                    await self._show_group(step, stream, group)
            for group in groups:
                self.store.forget(group.output)
        for outcome, sub_nodes in step.failures:
            what = "has not ended" if outcome is None else str(outcome)
            self._screen.say(f"job {step.number} on {self._names.with_count(sub_nodes)}: {what}")

    async def _show_group(self, step: StepResult, stream: Stream, group: OutputGroup) -> None:
        """Show an output once, below the names of its sub-nodes; nothing where there is none."""
        if group.output.size == 0:
            return
        names = self._names.with_count(group.sub_nodes)
        head = f"{RULE}\n{names}{_AFTER_NAMES[stream]}\n{RULE}\n"
        await self._screen.show_block(stream, head, self.store.read(group.output))
        if group.output.missing:
            self._screen.say(
                f"{group.output.missing:,} of {group.output.size:,} bytes of this output could not "
                f"be kept in a temporary file. {_all_of_it(step, group)}"
            )

    async def _show_differences(
        self, step: StepResult, stream: Stream, groups: Sequence[OutputGroup]
    ) -> None:
        """Show the output that most sub-nodes have, and how the others differ from it."""
        most = max(groups, key=lambda group: len(group.sub_nodes))
        await self._show_group(step, stream, most)
        reference = await self._short_text(most.output)
        for group in groups:
            if group is most:
                continue
            text = await self._short_text(group.output)
            if reference is None or text is None:
                await self._show_long(step, stream, group, most)
                continue
            names = self._names_for_diff(most, stream), self._names_for_diff(group, stream)
            found = await trio.to_thread.run_sync(difference, reference, text, names)
            await self._screen.show_block(stream, "", _sole(found))

    async def _show_long(
        self, step: StepResult, stream: Stream, group: OutputGroup, most: OutputGroup
    ) -> None:
        names = (self._names_for_diff(most, stream), self._names_for_diff(group, stream))
        sizes = f"{most.output.size:,} bytes and {group.output.size:,} bytes"
        words = f"--- {names[0]}\n+++ {names[1]}\n"
        await self._screen.show_block(stream, words, _sole(b""))
        self._screen.say(
            f"These outputs differ ({sizes}), and are too long to be compared here. "
            f"{_all_of_it(step, group)}"
        )

    def _names_for_diff(self, group: OutputGroup, stream: Stream) -> str:
        return self._names.with_count(group.sub_nodes) + _AFTER_NAMES[stream]

    async def _short_text(self, output: KeptOutput) -> bytes | None:
        """Give an output that is short enough to be compared, and was kept; else None."""
        if output.missing or output.size > MOST_DIFF_BYTES:
            return None
        text = b"".join([part async for part in self.store.read(output)])
        return text if is_short(text) else None


def _all_of_it(step: StepResult, group: OutputGroup) -> str:
    number = group.sub_nodes[0].number
    return f"`pegasus logs {step.number} --sub-node {number}` shows all of it."


async def _sole(data: bytes) -> AsyncGenerator[bytes, None]:
    await trio.lowlevel.checkpoint()
    yield data
