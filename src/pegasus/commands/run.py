"""``pegasus queue`` and ``pegasus broadcast``: open resources in order, and pass them on.

From the outside in: signals, the screen, the record, the SSH connections, the dispatcher. The first
signal drains the run, the second aborts it, the third kills what runs.
"""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import trio

from pegasus.commands.frame import FINAL_SCREEN_WAIT, in_frame
from pegasus.commands.stages import Stages
from pegasus.commands.taking_over import (
    TakenRun,
    follow_orders,
    log_of,
    result_of_run,
    status_of,
    take_over_left,
    words_on_taken,
)
from pegasus.dispatch import BroadcastDispatcher, QueueDispatcher, Run
from pegasus.errors import ExitStatus, PegasusError, sole_error
from pegasus.event_bus import EventBus, LiveState
from pegasus.events import Noted, RunEnded, RunMode
from pegasus.findings import notes_on
from pegasus.gather import GatherKind, open_gathered
from pegasus.hosts_file import SubNodeLimit, follow_hosts, hosts_state, read_hosts
from pegasus.model import Command, Job, SubNode
from pegasus.notifier import Notifier, open_notifier
from pegasus.orders import orders_of, read_orders
from pegasus.queue_file import QueueFile
from pegasus.queue_file.job_source import JobSource
from pegasus.record.recording import Record, open_record
from pegasus.rendered import render
from pegasus.report.summary import summary_of, utilisation_of
from pegasus.resuming import (
    broadcast_to_resume,
    notes_on_unfinished,
    steps_to_resume,
    words_on_rest,
)
from pegasus.retry_causes import CauseSearch, RetryCauses
from pegasus.run_state import RunState
from pegasus.screen import Screen
from pegasus.share import Share
from pegasus.stalls import watch_stalls
from pegasus.standard_streams import write_error
from pegasus.transport import open_ssh, session_opener

BY_CLIENTS = "PEGASUS_SSH_CLIENTS"
"""An environment variable; where it is set, each shell is opened by an ``ssh`` client process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What the command line says about a run; see ``pegasus queue --help``."""

    hosts_file: Path
    queue_file: Path
    ssh_config: Path | None = None
    print_period: int = 1
    color: Literal["auto", "always", "never"] = "auto"
    daemon: bool = False
    error_aborts: bool = False
    broadcast: bool = False
    retries: int = 0
    timeout: float = math.inf
    detach: bool = False
    give_up: float = math.inf
    limit: tuple[str, ...] = ()
    live: bool = True
    retry_on: RetryCauses | None = None
    stall: float = math.inf
    notify: str | None = None
    gather: GatherKind = False
    batch: Share | None = None
    max_unreachable: Share | None = None
    resume: bool = False
    hosts_seen: tuple[int, ...] = ()
    """The state in which the hosts file was read."""
    limit_notes: tuple[str, ...] = ()
    """What ``--limit`` names and the hosts file does not have."""
    resumes: tuple[str, ...] = ()
    """The runs of the broadcast that is continued, the newest last."""


async def run(settings: RunSettings) -> ExitStatus:
    """Run the queue, or broadcast it.

    Raises:
        PegasusError: a file is invalid, or something is missing here; nothing was taken.
    """
    hosts_seen, limit = hosts_state(settings.hosts_file), SubNodeLimit(settings.limit)
    every = read_hosts(settings.hosts_file)
    notes = limit.find_notes(str(settings.hosts_file), every)
    settings = replace(settings, hosts_seen=hosts_seen, limit_notes=tuple(notes))
    queue = QueueFile(settings.queue_file)
    if queue.state() is None and not settings.daemon:
        raise PegasusError(
            f"{settings.queue_file}: there is no such file. `pegasus init` writes a starter, "
            "--queue-file names another, --daemon waits for it."
        )
    if settings.resume:
        settings = replace(settings, resumes=await broadcast_to_resume(queue, _say_early))
    return await in_frame(
        partial(_run_notified, settings, limit.choose(every), queue),
        color=settings.color,
        print_period=settings.print_period,
        live=settings.live,
    )


async def _first_notes(
    settings: RunSettings, sub_nodes: Sequence[SubNode], queue: QueueFile, name: str
) -> list[str]:
    """Give what a user should know before a run takes anything."""
    about_files = notes_on(settings.hosts_file, sub_nodes, queue.real)
    notes = [*settings.limit_notes, *map(str, about_files)]
    notes += filter(None, [queue.blind_spot()])
    if settings.broadcast and not settings.resume:
        notes += await notes_on_unfinished(queue, name)
    return notes


def _say_early(words: str) -> None:
    """Show a message before there is a screen."""
    write_error(f"[Pegasus] {words}\n")


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
    record_opened = open_record(
        queue.real,
        f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}",
        mode=_mode(settings),
        hosts_file=str(settings.hosts_file),
        sub_nodes=sub_nodes,
        on_trouble=screen.say,
        detached=settings.detach,
        resumes=settings.resumes[-1] if settings.resumes else "",
    )
    async with (
        record_opened as record,
        take_over_left(queue.real, record.name, screen) as taken,
        open_gathered(settings.gather, screen, sub_nodes, stages.ending.kill_now) as shown,
    ):
        stages.may_leave = settings.detach or bool(taken)
        # The record comes first: what is on the screen is in the journal.
        bus = EventBus(record, shown, live)
        live.tell(record.began)
        for note in await _first_notes(settings, sub_nodes, queue, record.name):
            bus.tell(Noted(note))
        causes = CauseSearch(settings.retry_on, lambda words: bus.tell(Noted(words)))
        bus.add(causes)
        notifier.begin(bus, record, live.state)
        for run_before in taken:
            notifier.follow(run_before.bus, run_before.continued.record)
        try:
            source = JobSource(queue, record, bus.without(record), may_be_missing=settings.daemon)
            opened = _OpenedRun(settings, sub_nodes, queue, source, record, bus, taken, causes)
            await _dispatch(opened, stages)
        except PegasusError as caught:
            error = caught
            screen.say(str(caught))
        # What did not succeed in the broadcast that is continued has run once more.
        others = [each for each in taken if each.continued.name not in settings.resumes]
        status = _status(error, live.state, others, interrupted=stages.interrupted)
        bus.tell(ended := RunEnded(status, result_of_run(error, stages)))
        notifier.end(ended, error)
        for run_before in taken:
            run_before.end("left" if error else result_of_run(error, stages))
            if lines := words_on_taken(run_before):
                screen.say(*lines)
    rest = await _rest(settings, queue, record, sub_nodes)
    if live.state.counts():
        wall = trio.current_time() - began
        logs = await _has_outputs(record)
        screen.say(*_last_words(settings, live.state, record, wall, rest, logs=logs))
    elif rest:
        screen.say(*rest)
    elif error is None and not stages.interrupted:
        screen.say(f"{settings.queue_file}: the queue is empty, nothing was run.")
    return status


@dataclass(frozen=True, slots=True)
class _OpenedRun:
    """What a run works on."""

    settings: RunSettings
    sub_nodes: Sequence[SubNode]
    queue: QueueFile
    source: JobSource
    record: Record
    listener: EventBus
    taken: Sequence[TakenRun]
    causes: CauseSearch


def _status(
    error: PegasusError | None, state: RunState, taken: Sequence[TakenRun], *, interrupted: bool
) -> ExitStatus:
    if error is not None:
        return error.exit_status
    if interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.JOB_FAILED if state.failure_count or state.missing else status_of(taken)


def _mode(settings: RunSettings) -> RunMode:
    return "broadcast" if settings.broadcast else "queue"


async def _rest(
    settings: RunSettings, queue: QueueFile, record: Record, sub_nodes: Sequence[SubNode]
) -> list[str]:
    """Say what is left of a broadcast; nothing where the disk does not answer in time."""
    if settings.broadcast:
        with trio.move_on_after(FINAL_SCREEN_WAIT):
            return await words_on_rest(queue, record.name, sub_nodes)
    return []


async def _has_outputs(record: Record) -> bool:
    """Return whether there are recorded outputs; False where the disk does not answer in time."""
    with trio.move_on_after(FINAL_SCREEN_WAIT):
        return await trio.to_thread.run_sync(record.has_outputs, abandon_on_cancel=True)
    return False


def _last_words(
    settings: RunSettings,
    state: RunState,
    record: Record,
    wall: float,
    rest: Sequence[str],
    *,
    logs: bool,
) -> list[str]:
    """Return the summary, with the paths of the outputs and the command for what is left."""
    logs_of = partial(log_of, record, _mode(settings)) if logs else lambda _: None
    default = settings.queue_file == Path("queue.yaml")
    which = "" if default else f" --queue-file {shlex.quote(str(settings.queue_file))}"
    words = [*summary_of(state, logs_of), utilisation_of(state, wall)]
    if state.failure_count and record.kept and not rest:
        words.append(f"To put what did not succeed back into the queue: pegasus retry{which}")
    return [*words, *rest]


async def _dispatch(opened: _OpenedRun, stages: Stages) -> None:
    """Open the connections and run the jobs; follow orders and changes of the hosts file."""
    settings, record, taken = opened.settings, opened.record, opened.taken
    if settings.detach and record.folder is None:
        raise PegasusError("--detach needs a record, to find the commands again. See above.")
    resumed = None
    if settings.resumes:
        if record.folder is None:
            raise PegasusError("--resume needs a record, for what it does. See above.")
        names = record.name, settings.resumes[-1]
        resumed = partial(steps_to_resume, opened.queue, *names, opened.sub_nodes)
    send_updates, updates = trio.open_memory_channel[Sequence[SubNode]](0)
    by_clients, count = BY_CLIENTS in os.environ, len(opened.sub_nodes)

    def note(words: str) -> None:
        opened.listener.tell(Noted(words))

    with stages.ending.working, sole_error():
        async with (
            open_ssh(settings.ssh_config, by_clients=by_clients, on_note=note) as ssh,
            trio.open_nursery() as nursery,
        ):
            one_run = Run(
                name=record.name,
                sub_nodes=opened.sub_nodes,
                open_session=session_opener(ssh),
                queue=opened.source,
                fill=fill,
                listener=opened.listener,
                ending=stages.ending,
                daemon=settings.daemon,
                error_aborts=settings.error_aborts,
                retries=settings.retries,
                retries_after=opened.causes.retries_after,
                timeout=settings.timeout,
                detached=settings.detach,
                give_up=settings.give_up,
                persist=record.persist,
                inherited=[each for run_before in taken for each in run_before.inherited()],
                strays=[each for run_before in taken for each in run_before.strays()],
                sub_node_updates=updates,
                batch=batch.at_least_one_of(count) if (batch := settings.batch) else None,
                max_unreachable=most.of(count) if (most := settings.max_unreachable) else None,
                resumed=partial(resumed, note) if resumed else None,
            )
            mode = BroadcastDispatcher if settings.broadcast else QueueDispatcher
            dispatcher = mode(one_run)
            if record.folder is not None:
                requests = read_orders(orders_of(record.folder.path))
                nursery.start_soon(stages.obey_orders, requests, dispatcher)
            follow_orders(taken, dispatcher, stages, nursery)
            for bus in (opened.listener, *(run_before.bus for run_before in taken)):
                nursery.start_soon(watch_stalls, bus, settings.stall)
            if not settings.broadcast:
                seen, limit = settings.hosts_seen, SubNodeLimit(settings.limit)
                nursery.start_soon(
                    follow_hosts, settings.hosts_file, seen, send_updates, note, limit
                )
            await dispatcher.run_all()
            nursery.cancel_scope.cancel(reason="the run is over")


def fill(job: Job, sub_node: SubNode) -> Command:
    """Render a job for a sub-node; a take that was cancelled ends here.

    Raises:
        TemplateFault: it cannot be rendered.
    """
    with suppress(RuntimeError):  # a retry is rendered in Trio's own thread
        trio.from_thread.check_cancelled()
    return render(job, sub_node)
