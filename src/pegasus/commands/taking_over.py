"""Takes over the detached commands that earlier runs of a queue have left.

What happens to them is recorded in the record of the run that started them, whoever follows them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus.commands.stages import Stages
from pegasus.dispatch import Dispatcher, Inherited, Owner, Stage, Stray
from pegasus.errors import ExitStatus, PegasusError
from pegasus.event_bus import EventBus, LiveState
from pegasus.events import RunEnded, RunMode, RunResult, Started, Taken
from pegasus.model import Stream
from pegasus.orders import StopJobOrder, clear_stored, orders_of, read_orders, stored_stops
from pegasus.panel import LivePanel, PanelStack
from pegasus.record import OutputName, RunRecord
from pegasus.record.recording import Record
from pegasus.record.taking_over import ContinuedRun, LeftCommand, find_left, take_over
from pegasus.report.summary import names_failure, summary_of
from pegasus.run_state import Result, RunState
from pegasus.screen import Screen


@dataclass(frozen=True, slots=True)
class TakenRun:
    """An earlier run whose commands are followed.

    Attributes:
        continued: its record, which is continued.
        bus: gets what happens to its commands.
        live: the state of these commands alone.
    """

    continued: ContinuedRun
    bus: EventBus
    live: LiveState

    @property
    def state(self) -> RunState:
        """The state of the commands that were taken over."""
        return self.live.state

    def inherited(self) -> list[Inherited]:
        """Give its commands, as dispatch needs them."""
        owner = Owner(self.continued.name, self.bus, self.continued.record.persist)
        folder = self.continued.record.folder
        stops = stored_stops(folder.path) if folder is not None else []
        inherited = [
            Inherited(
                left.assignment,
                owner,
                left.extent,
                left.stop_stored or any(_is_meant(stop.order, left) for stop in stops),
                left.has_ended,
            )
            for left in self.continued.commands
        ]
        clear_stored(stops)
        return inherited

    def strays(self) -> list[Stray]:
        """Give its folders in which no command has started."""
        strays = self.continued.state.folders.strays
        return [Stray(sub_node, key, self.bus) for key, sub_node in strays.items()]

    def end(self, result: RunResult) -> None:
        """Record that nobody follows its commands any more.

        Args:
            result: how it ends where some of them have not ended.
        """
        failed = self.continued.state.failure_count or self.state.failure_count
        status = ExitStatus.JOB_FAILED if failed else ExitStatus.SUCCESS
        self.bus.tell(RunEnded(status, result if self.state.open_jobs else "done"))


def _is_meant(order: StopJobOrder, left: LeftCommand) -> bool:
    number, sub_node = left.assignment.number, left.assignment.sub_node.number
    return order.number == number and order.sub_node in {None, sub_node}


@asynccontextmanager
async def take_over_left(
    queue: Path, by: str, screen: Screen, only: Callable[[RunRecord], bool] = lambda _: True
) -> AsyncIterator[list[TakenRun]]:
    """Follow, during the block, the records of runs that have left detached commands.

    Args:
        queue: the real path of the queue file.
        by: the name of the run that takes them over; empty for ``pegasus attach``.
        screen: shows what happens to the commands.
        only: which runs to take over.
    """
    warnings: list[str] = []
    try:
        runs = await trio.to_thread.run_sync(find_left, queue, warnings)
    except PegasusError:
        if not by:
            raise
        runs = []  # the records cannot be read; the new run's own record has said so
    for warning in warnings if not by else ():
        screen.say(warning)
    async with AsyncExitStack() as stack:
        taken: list[TakenRun] = []
        for run in runs:
            if not only(run):
                continue
            if run.alive:
                _say_followed(run, by, screen)
                continue
            opened = take_over(run, by, screen.say)
            continued = await stack.enter_async_context(opened)
            if continued is not None:
                taken.append(_taken(continued, screen))
        yield taken


def _say_followed(run: RunRecord, by: str, screen: Screen) -> None:
    """Say that another Pegasus follows commands which may run on the same sub-nodes."""
    follower = run.state.follower
    if by and follower is not None and any(run.state.running()):
        screen.say(
            f"Commands of run {run.name} are followed by process {follower.pid} on "
            f"{follower.host}; their sub-nodes may be used at the same time by this run."
        )


def _taken(continued: ContinuedRun, screen: Screen) -> TakenRun:
    live = LiveState()
    bus = EventBus(continued.record, screen, live)
    live.tell(continued.record.began)
    running = [left for left in continued.commands if not left.has_ended]
    for left in running:
        assignment = left.assignment
        live.state.apply(Taken(assignment.number, assignment.job), left.started_at)
        live.state.apply(Started(assignment), left.started_at)
        bus.resume(assignment, left.extent)
    if running:
        count = "1 command" if len(running) == 1 else f"{len(running)} commands"
        screen.say(f"Run {continued.name} has left {count} on nodes. Following them.")
    return TakenRun(continued, bus, live)


def show_panels(
    first: LivePanel | None, taken: Sequence[TakenRun], screen: Screen, stages: Stages
) -> None:
    """Show the panel of this run, if there is one, and of each run that was taken over."""
    words = stages.ending.words
    others = [LivePanel(run.state, lambda: 0, screen.tail_of, words) for run in taken]
    screen.show_area(PanelStack(first, others))


def follow_orders(
    taken: Sequence[TakenRun], dispatcher: Dispatcher, stages: Stages, nursery: trio.Nursery
) -> None:
    """Obey orders to the runs that were taken over, also those that were sent before."""
    for run in taken:
        folder = run.continued.record.folder
        if folder is not None:
            requests = read_orders(orders_of(folder.path))
            obey = partial(stages.obey_orders, requests, dispatcher, run_name=run.continued.name)
            nursery.start_soon(obey)


def status_of(taken: Sequence[TakenRun]) -> ExitStatus:
    """Give the exit status for the commands that were taken over."""
    failed = any(run.state.failure_count for run in taken)
    return ExitStatus.JOB_FAILED if failed else ExitStatus.SUCCESS


def status_of_run(
    error: PegasusError | None, state: RunState, taken: Sequence[TakenRun], *, interrupted: bool
) -> ExitStatus:
    """Give the exit status of a run.

    Args:
        error: what ended it, if anything did.
        state: of the run.
        taken: the earlier runs whose commands count, too.
        interrupted: whether a user ended it.
    """
    if error is not None:
        return error.exit_status
    if interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.JOB_FAILED if state.failure_count or state.missing else status_of(taken)


def result_of_run(error: PegasusError | None, stages: Stages) -> RunResult:
    """Give how a run ends."""
    if error is not None:
        return "failed"
    if stages.ending.left:
        return "left"
    if stages.ending.stage >= Stage.ABORTING:
        return "aborted"
    return "drained" if stages.ending.stage is Stage.DRAINING else "done"


def log_of(record: Record, mode: RunMode, result: Result) -> str | None:
    """Give the path of a command's outputs, as a pattern; None where it has none."""
    if record.folder is None or (execution := result.started) is None:
        return None
    job, sub_node = result.job.number, execution.sub_node.number
    name = OutputName(job, sub_node, Stream.STDOUT).file_name(mode)
    path = Path(os.path.relpath(record.folder.output / name))
    return f"{path.with_suffix('')}.*"


def say_summary(screen: Screen, lines: list[str]) -> None:
    """Show the lines of a summary, if there are any; those about failures differ in colour."""
    if lines:
        screen.say_summary(lines, names_failure)


def words_on_taken(taken: TakenRun) -> list[str]:
    """Summarise what became of the commands of an earlier run."""
    if not taken.state.counts():
        return []
    record = taken.continued.record
    lines = summary_of(taken.state, partial(log_of, record, record.began.mode))
    return [f"Taken over from run {taken.continued.name}: {lines[0]}", *lines[1:]]
