"""What is shown of a step that has ended: blocks of output, or differences, and failures."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import trio

from pegasus.gather.difference import MOST_DIFF_BYTES, difference, is_short
from pegasus.gather.kept import KeptOutput, OutputStore
from pegasus.gather.naming import GroupNames
from pegasus.gather.step import OutputGroup, StepResult
from pegasus.model import Stream
from pegasus.screen import Screen

RULE = "-" * 15
"""The line above and below the names of a group, as ``clush`` and ``dshbak`` draw it."""

_AFTER_NAMES = {Stream.STDOUT: "", Stream.STDERR: ": standard error"}


class Blocks:
    """Shows steps on a screen.

    Args:
        screen: where they are shown.
        store: has their outputs.
        names: gives the names of groups.
        diff: whether outputs are shown as differences from the one that most sub-nodes have.
    """

    def __init__(
        self, screen: Screen, store: OutputStore, names: GroupNames, *, diff: bool
    ) -> None:
        self._screen = screen
        self._store = store
        self._names = names
        self._diff = diff

    async def show(self, step: StepResult) -> None:
        """Show a step, and forget its outputs; waits while the reader is too slow."""
        for stream, groups in step.outputs.items():
            if self._diff:
                await self._show_differences(step, stream, groups)
            else:
                for group in groups:
                    await self._show_group(step, stream, group)
            for group in groups:
                self._store.forget(group.output)
        for outcome, sub_nodes in step.failures:
            what = "has not ended" if outcome is None else str(outcome)
            self._screen.say(f"job {step.number} on {self._names.with_count(sub_nodes)}: {what}")

    async def _show_group(self, step: StepResult, stream: Stream, group: OutputGroup) -> None:
        """Show an output once, below the names of its sub-nodes; nothing where there is none."""
        if group.output.size == 0:
            return
        names = self._names.with_count(group.sub_nodes)
        head = f"{RULE}\n{names}{_AFTER_NAMES[stream]}\n{RULE}\n"
        await self._screen.show_block(stream, head, self._store.read(group.output))
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
        text = b"".join([part async for part in self._store.read(output)])
        return text if is_short(text) else None


def _all_of_it(step: StepResult, group: OutputGroup) -> str:
    number = group.sub_nodes[0].number
    return f"`pegasus logs {step.number} --sub-node {number}` shows all of it."


async def _sole(data: bytes) -> AsyncGenerator[bytes, None]:
    await trio.lowlevel.checkpoint()
    yield data
