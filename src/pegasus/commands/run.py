"""``pegasus queue`` and ``pegasus broadcast``: open resources in order, and pass them on.

From the outside in: signals, the screen, the record, the SSH connections, the dispatcher. The first
signal drains the run, the second aborts it, the third kills what runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import trio

from pegasus.allocations import AllocationLimits, is_requested, make_allocations
from pegasus.commands.frame import FINAL_SCREEN_WAIT, in_frame
from pegasus.commands.next_words import retry_hint, words_on_waiting
from pegasus.commands.run_settings import RunSettings
from pegasus.commands.stages import Stages
from pegasus.commands.taking_over import (
    TakenRun,
    follow_orders,
    log_of,
    result_of_run,
    say_summary,
    show_panels,
    status_of_run,
    take_over_left,
    words_on_taken,
)
from pegasus.digest import say_numbers
from pegasus.dispatch import BroadcastDispatcher, QueueDispatcher, ResumedSteps, Run
from pegasus.errors import ExitStatus, PegasusError, sole_error
from pegasus.event_bus import EventBus, LiveState
from pegasus.events import Noted, RunDraining, RunEnded
from pegasus.findings import notes_on
from pegasus.gather import open_gathered
from pegasus.hosts_file import follow_hosts, hosts_state, read_hosts
from pegasus.model import SubNode
from pegasus.notifier import Notifier, open_notifier
from pegasus.orders import orders_of, read_orders
from pegasus.panel import LivePanel
from pegasus.queue_file import QueueFile, WaitingJobs, fault_below
from pegasus.queue_file.count_following import follow_count
from pegasus.queue_file.job_source import JobSource, fill
from pegasus.record.recording import Record, open_record
from pegasus.report.summary import last_words
from pegasus.resuming import (
    broadcast_to_resume,
    notes_on_unfinished,
    resume_command,
    steps_to_resume,
    words_on_rest,
)
from pegasus.retry_causes import CauseSearch
from pegasus.run_state import RunState
from pegasus.screen import Screen
from pegasus.shared_slots import BarrierWatch, SharedSlots
from pegasus.stalls import watch_stalls
from pegasus.standard_streams import write_message
from pegasus.transport import OpenSession, open_ssh, session_opener

BY_CLIENTS = "PEGASUS_SSH_CLIENTS"
"""An environment variable; where it is set, each shell is opened by an ``ssh`` client process."""


WAITS_FOR_JOBS = (
    "Waiting for jobs in the queue (--daemon): `pegasus add` adds one. Ctrl-C ends the run."
)


async def run(settings: RunSettings) -> ExitStatus:
    """Run the queue, or broadcast it.

    Raises:
        PegasusError: a file is invalid, or something is missing here; nothing was taken.
    """
    hosts_seen, choice = hosts_state(settings.hosts_file), settings.choice
    every = read_hosts(settings.hosts_file)
    notes = choice.limit.find_notes(str(settings.hosts_file), every)
    settings = replace(settings, hosts_seen=hosts_seen, notes=(*settings.notes, *notes))
    chosen = choice.of(every)
    if settings.detach and any(sub_node.transport == "slurm" for sub_node in chosen):
        raise PegasusError(
            f"{settings.hosts_file}: --detach does not work on Slurm, where a command ends with "
            "its step. Leave out --detach, and start Pegasus itself with `sbatch`."
        )
    queue = QueueFile(settings.queue_file)
    if queue.state() is None and not settings.daemon:
        raise PegasusError(
            f"{settings.queue_file}: there is no such file. `pegasus init` writes a starter, "
            "--queue-file names another, --daemon waits for it."
        )
    if settings.resume:
        settings = replace(settings, resumes=await broadcast_to_resume(queue, write_message))
    return await in_frame(
        partial(_run_notified, settings, chosen, queue),
        color=settings.color,
        print_period=settings.print_period,
        live=settings.live,
        quiet=settings.quiet,
    )


async def _first_notes(opened: _OpenedRun) -> list[str]:
    """Give what a user should know before a run takes anything."""
    settings, queue = opened.settings, opened.queue
    about_files = notes_on(settings.hosts_file, opened.sub_nodes, queue.real)
    notes = [*settings.notes, *map(str, about_files)]
    notes += filter(None, [queue.blind_spot()])
    if fault := await trio.to_thread.run_sync(fault_below, queue, abandon_on_cancel=True):
        notes.append(f"{fault} The entries above it run first: correct it before they have ended.")
    if settings.broadcast and not settings.resume:
        notes += await notes_on_unfinished(queue, opened.record.name, _resume_command(settings))
    return notes


async def _run_notified(
    settings: RunSettings,
    sub_nodes: Sequence[SubNode],
    queue: QueueFile,
    screen: Screen,
    stages: Stages,
) -> ExitStatus:
    """Run, and let the notifier know what happens."""
    ending = stages.ending
    opened = open_notifier(settings.notify, screen.say, ending.is_aborted, ending.after_run)
    async with opened as notifier:
        return await _run_recorded(settings, sub_nodes, queue, screen, stages, notifier=notifier)


async def _run_recorded(
    settings: RunSettings,
    sub_nodes: Sequence[SubNode],
    queue: QueueFile,
    screen: Screen,
    stages: Stages,
    *,
    notifier: Notifier,
) -> ExitStatus:
    """Run with a record, and print the summary."""
    live, began = LiveState(), trio.current_time()
    error: PegasusError | None = None
    there = [each for each in sub_nodes if not is_requested(each)]
    record_opened = open_record(
        queue.real,
        f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}",
        mode=settings.mode,
        hosts_file=str(settings.hosts_file),
        sub_nodes=there,
        on_trouble=screen.say,
        detached=settings.detach,
        resumes=settings.resumes[-1] if settings.resumes else "",
    )
    async with (
        record_opened as record,
        take_over_left(queue.real, record.name, screen) as taken,
        open_gathered(settings.gather, screen, there, stages.ending.kill_now) as shown,
    ):
        stages.may_leave = settings.detach or bool(taken)
        waiting = WaitingJobs(queue, lambda: live.state.taken)
        panel = LivePanel(live.state, lambda: waiting.jobs, screen.tail_of, stages.ending.words)
        show_panels(panel, taken, screen, stages)
        # The record comes first: what is on the screen is in the journal.
        bus = EventBus(record, shown, live)
        live.tell(record.began)
        files = [*sub_nodes], queue, record
        opened = _OpenedRun(settings, *files, bus, taken, screen, live.state, waiting)
        for note in await _first_notes(opened):
            opened.note(note)
        notifier.begin(bus, record, live.state)
        for run_before in taken:
            notifier.follow(run_before.bus, run_before.continued.record)
        try:
            await _dispatch(opened, stages)
        except PegasusError as caught:
            error = caught
            screen.say(str(caught), failed=True)
        status = _end(opened, live.state, stages, notifier, error)
    await _say_end(opened, stages, error, trio.current_time() - began)
    return status


async def _say_end(
    opened: _OpenedRun, stages: Stages, error: PegasusError | None, took: float
) -> None:
    """Print the summary, what is left, and the next step."""
    settings, queue, record, screen = opened.settings, opened.queue, opened.record, opened.screen
    state = opened.state
    rest = await _rest(settings, queue, record, opened.sub_nodes)
    waiting = [] if settings.broadcast else await words_on_waiting(queue)
    if state.counts():
        logs = partial(log_of, record, settings.mode) if await _has_outputs(record) else None
        if not rest and state.failure_count and record.kept:
            rest = [await retry_hint(settings.queue_file, queue, record)]
        say_summary(screen, [*last_words(state, logs, took), *rest, *waiting])
    elif rest or waiting:
        screen.say(*rest, *waiting)
    elif error is None and not stages.interrupted:
        screen.say(f"{settings.queue_file}: the queue is empty, nothing was run.")


@dataclass(frozen=True, slots=True)
class _OpenedRun:
    """What a run works on."""

    settings: RunSettings
    sub_nodes: list[SubNode]
    queue: QueueFile
    record: Record
    listener: EventBus
    taken: Sequence[TakenRun]
    screen: Screen
    state: RunState
    waiting: WaitingJobs
    noted: set[str] = field(default_factory=set)

    @property
    def counts(self) -> bool:
        """Whether the jobs in the queue file are counted: what is shown, or a limit, needs it."""
        most = self.settings.max_failures
        return bool(self.screen.is_live or self.settings.quiet or (most and most.is_percentage))

    def note(self, words: str) -> None:
        """Show and record a message."""
        self.listener.tell(Noted(words))

    def note_once(self, words: str) -> None:
        """Show and record a message, once in this run."""
        if words not in self.noted:
            self.noted.add(words)
            self.note(words)


def _end(
    opened: _OpenedRun,
    state: RunState,
    stages: Stages,
    notifier: Notifier,
    error: PegasusError | None,
) -> ExitStatus:
    """Report the end of the run, and of the runs that it has followed."""
    # What did not succeed in the broadcast that is continued has run once more.
    resumes = opened.settings.resumes
    others = [each for each in opened.taken if each.continued.name not in resumes]
    status = status_of_run(error, state, others, interrupted=stages.interrupted)
    opened.listener.tell(ended := _ended(status, error, stages))
    notifier.end(ended, error)
    for run_before in opened.taken:
        run_before.end("left" if error else result_of_run(error, stages))
        say_summary(opened.screen, words_on_taken(run_before))
    return status


def _ended(status: ExitStatus, error: PegasusError | None, stages: Stages) -> RunEnded:
    reason = "" if error is None else str(error)
    return RunEnded(status, result_of_run(error, stages), reason=reason)


async def _rest(
    settings: RunSettings, queue: QueueFile, record: Record, sub_nodes: Sequence[SubNode]
) -> list[str]:
    """Say what is left of a broadcast; nothing where the disk does not answer in time."""
    if settings.broadcast:
        with trio.move_on_after(FINAL_SCREEN_WAIT):
            return await words_on_rest(queue, record.name, sub_nodes, _resume_command(settings))
    return []


def _resume_command(settings: RunSettings) -> str:
    files = settings.hosts_file, settings.queue_file, settings.ssh_config
    return resume_command(*files, settings.limit)


async def _has_outputs(record: Record) -> bool:
    """Return whether there are recorded outputs; False where the disk does not answer in time."""
    with trio.move_on_after(FINAL_SCREEN_WAIT):
        return await trio.to_thread.run_sync(record.has_outputs, abandon_on_cancel=True)
    return False


async def _dispatch(opened: _OpenedRun, stages: Stages) -> None:
    """Open the connections and run the jobs; follow orders, changes of the files, and Slurm."""
    settings, record, taken, bus = opened.settings, opened.record, opened.taken, opened.listener
    send_hosts, hosts = trio.open_memory_channel[Sequence[SubNode]](0)
    send_updates, updates = trio.open_memory_channel[Sequence[SubNode]](0)
    resumed, by_clients = _resumed_steps(opened), BY_CLIENTS in os.environ
    limits = AllocationLimits(settings.timeout, settings.broadcast)
    bus.add(allocations := make_allocations(opened, stages.ending, limits))
    with stages.ending.working, sole_error():
        await allocations.describe()
        async with (
            open_ssh(settings.ssh_config, by_clients=by_clients, on_note=opened.note) as ssh,
            trio.open_nursery() as nursery,
        ):
            sub_nodes: Sequence[SubNode] = allocations.sub_nodes
            nursery.start_soon(allocations.run, hosts, send_updates)
            nursery.start_soon(_tell_draining, stages, bus)
            if settings.broadcast:
                sub_nodes = await allocations.wait_all(bus, may_be_empty=settings.daemon)
                opened.sub_nodes[:] = sub_nodes  # what is left is left on these
            one_run = _make_run(opened, stages, sub_nodes, resumed, session_opener(ssh))
            one_run = replace(one_run, sub_node_updates=updates, requested=allocations.requested)
            mode = BroadcastDispatcher if settings.broadcast else QueueDispatcher
            allocations.dispatcher = dispatcher = mode(one_run)
            if record.folder is not None:
                requests = read_orders(orders_of(record.folder.path))
                nursery.start_soon(stages.obey_orders, requests, dispatcher)
            follow_orders(taken, dispatcher, stages, nursery)
            for each in (bus, *(run_before.bus for run_before in taken)):
                nursery.start_soon(watch_stalls, each, settings.stall)
            if opened.counts:
                nursery.start_soon(follow_count, opened.waiting)
            if settings.quiet:
                numbers = opened.state, lambda: opened.waiting.jobs, stages.ending.words
                nursery.start_soon(say_numbers, *numbers, opened.screen.say)
            if not settings.broadcast:
                followed = settings.hosts_file, settings.hosts_seen, send_hosts, opened.note
                nursery.start_soon(follow_hosts, *followed, settings.choice)
            if sub_nodes or not settings.broadcast:
                await dispatcher.run_all()
            stages.ending.drained.set()
            nursery.cancel_scope.cancel(reason="the run is over")


async def _tell_draining(stages: Stages, listener: EventBus) -> None:
    """Record that nothing more is taken, for readers of the record."""
    await stages.ending.draining.wait()
    listener.tell(RunDraining())


def _resumed_steps(opened: _OpenedRun) -> ResumedSteps | None:
    """Give what finds the steps of the broadcast that is continued; None without one.

    Raises:
        PegasusError: there is no record, which the run needs.
    """
    settings, record = opened.settings, opened.record
    if settings.detach and record.folder is None:
        raise PegasusError("--detach needs a record, to find the commands again. See above.")
    if not settings.resumes:
        return None
    if record.folder is None:
        raise PegasusError("--resume needs a record, for what it does. See above.")
    known = opened.queue, record.name, settings.resumes[-1], opened.sub_nodes, opened.note
    return lambda missing: steps_to_resume(*known, missing=missing)


def _make_run(
    opened: _OpenedRun,
    stages: Stages,
    sub_nodes: Sequence[SubNode],
    resumed: ResumedSteps | None,
    open_session: OpenSession,
) -> Run:
    """Put together what dispatch works with."""
    settings, record, bus, taken = opened.settings, opened.record, opened.listener, opened.taken
    idle = partial(opened.note_once, WAITS_FOR_JOBS)
    causes, count = CauseSearch(settings.retry_on, opened.note), len(sub_nodes)
    bus.add(causes)
    return Run(
        name=record.name,
        sub_nodes=sub_nodes,
        open_session=open_session,
        queue=JobSource(opened.queue, record, bus.without(record), may_be_missing=settings.daemon),
        fill=fill,
        listener=bus,
        ending=stages.ending,
        daemon=settings.daemon,
        max_failures=settings.max_failures,
        known_jobs=opened.waiting.known,
        retries=settings.retries,
        retries_after=causes.retries_after,
        timeout=settings.timeout,
        detached=settings.detach,
        give_up=settings.give_up,
        persist=record.persist,
        inherited=[each for run_before in taken for each in run_before.inherited()],
        strays=[each for run_before in taken for each in run_before.strays()],
        batch=batch.at_least_one_of(count) if (batch := settings.batch) else None,
        max_unreachable=most.of(count) if (most := settings.max_unreachable) else None,
        resumed=resumed,
        gpu_busy=settings.gpu_busy,
        on_idle=idle,
        shared=SharedSlots(opened.queue.real, record.name, is_detached=settings.detach),
        barriers=BarrierWatch(opened.queue.real, record.name, opened.state),
    )
