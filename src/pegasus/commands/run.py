"""``pegasus queue`` and ``pegasus broadcast``: open things in order, and hand them down.

A run reads from the outside in: signals, the screen, the ways into the nodes, the dispatcher. The
first signal ends the taking, the second ends the commands, the third ends them at once.
"""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

import trio

from pegasus.commands.notes import notes_on
from pegasus.commands.roster import follow_hosts, hosts_state
from pegasus.commands.stages import Stages
from pegasus.dispatch import BroadcastDispatcher, Ending, Fill, QueueDispatcher, Run, Stage
from pegasus.errors import ExitStatus, PegasusError, TemplateFault, sole_error
from pegasus.events import Ended, Event, Listener, Noted, Printed
from pegasus.events import Taken as TakenEvent
from pegasus.hosts_file import read_hosts
from pegasus.interrupt import open_interrupts
from pegasus.model import Command, Job, Stream, SubNode, TakenJob
from pegasus.orders import orders_of, read_orders
from pegasus.process import raise_open_files_limit
from pegasus.queue_file import Pending, QueueFile, Receipt, Taken
from pegasus.record import How, Mode, OutputName
from pegasus.record.recording import Record, open_record
from pegasus.rendered import render
from pegasus.screen import Screen, open_screen
from pegasus.summary import Summary
from pegasus.transport import open_ssh, session_opener

BY_CLIENTS = "PEGASUS_SSH_CLIENTS"
"""An environment variable; where it is set each command takes a client process of ssh's."""

LAST_WORDS = 3.0
"""Seconds that the screen has for its last words when everything was to end at once."""


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
    hosts_seen: tuple[int, ...] = ()
    """The state in which the hosts file was read."""


class Listeners:
    """Several listeners as one."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def tell(self, event: Event) -> None:
        """Tell each."""
        for listener in self._listeners:
            listener.tell(event)

    async def show(self, printed: Printed) -> None:
        """Show it to each, one after the other."""
        for listener in self._listeners:
            await listener.show(printed)


@dataclass(frozen=True, slots=True)
class TakenBatch:
    """The result of a take."""

    jobs: Sequence[TakenJob]
    fault: PegasusError | None


class LockedQueue:
    """The queue file, as dispatch asks for it: a take is one step under the lock."""

    def __init__(
        self, file: QueueFile, listener: Listener, record: Record, *, may_be_missing: bool
    ) -> None:
        self._file = file
        self._record = record
        self._number = 1
        self._listener = listener
        self._may_be_missing = may_be_missing
        self._seen = file.states()
        self._pending: Pending | None = None
        # Its own limiter: a slow disk must not keep processes from being started.
        self._disk = trio.CapacityLimiter(1)

    async def take(self, fills: Sequence[Fill]) -> TakenBatch:
        """Take up to one job a fill.

        It can be cancelled while it waits for the lock, reads and renders, and has taken none then;
        from the moment in which it begins to write it goes on to its end.
        """
        first = self._number
        taken = await self._take(fills)
        numbered = enumerate(cast("Sequence[tuple[Job, tuple[Command, ...]]]", taken.jobs), first)
        jobs = [TakenJob(number, job, commands) for number, (job, commands) in numbered]
        for each in jobs:
            self._listener.tell(TakenEvent(each.number, each.job))
        return TakenBatch(jobs, taken.fault)

    async def is_empty(self) -> bool:
        """Return whether there is no job and no fault; takes nothing."""

        def refuse(_: Job) -> tuple[Command, ...]:
            raise TemplateFault(1, 1, "no sub-node is connected")

        looked = await self._take([refuse])
        return not (looked.jobs or looked.fault)

    async def _take(self, fills: Sequence[Fill]) -> Taken:
        async with self._file.locked(lambda words: self._listener.tell(Noted(words))) as locked:
            self._seen = self._file.states()
            self._pending = None  # a take that fails leaves nothing that one could wait for
            receipts: list[Receipt] = []
            receipt = partial(self._receipt, receipts)
            # Not abandoned when it is cancelled: it asks from time to time, and gives up or ends.
            taken = await trio.to_thread.run_sync(
                locked.take,
                cast("Sequence[Callable[[Job], str]]", fills),
                receipt,
                trio.from_thread.check_cancelled,
                limiter=self._disk,
            )
        if receipts and taken.jobs and not receipts[-1].given:
            self._record.write_anyway(self._number)
        self._number += len(taken.jobs)
        self._pending = taken.pending
        return Taken(empty=True) if taken.missing and self._may_be_missing else taken

    def _receipt(self, receipts: list[Receipt], jobs: Sequence[Job]) -> Receipt | None:
        """Let the journal be told in the very moment in which jobs are taken."""
        wanted = self._record.receipt(self._number, jobs)
        if wanted is None:
            return None
        receipts.append(Receipt(*wanted))
        return receipts[-1]

    def changed(self) -> bool:
        """Tell whether there may be more than when the file was last looked into."""
        pending = self._pending
        if pending is not None and self._file.signs() != pending.signs:
            return True
        return self._file.states() != self._seen

    @property
    def pending(self) -> str:
        """What is waited for that somebody has not written to its end."""
        return self._pending.words if self._pending else ""


async def run(settings: RunSettings) -> ExitStatus:
    """Run the queue, or broadcast it.

    Raises:
        PegasusError: a file or the machine is not as it has to be; nothing was taken.
    """
    settings = replace(settings, hosts_seen=hosts_state(settings.hosts_file))
    sub_nodes = read_hosts(settings.hosts_file)
    queue = QueueFile(settings.queue_file)
    if queue.state() is None and not settings.daemon:
        raise PegasusError(
            f"{settings.queue_file}: there is no such file. `pegasus init` writes a starter, "
            "--queue-file names another, --daemon waits for it."
        )
    raise_open_files_limit()
    with open_interrupts() as signals, sole_error():
        async with trio.open_nursery() as nursery:
            status = await _run_on_screen(settings, sub_nodes, queue, signals, nursery)
            nursery.cancel_scope.cancel(reason="the run is over")
    return status


async def _run_on_screen(
    settings: RunSettings,
    sub_nodes: Sequence[SubNode],
    queue: QueueFile,
    signals: AsyncIterator[str],
    nursery: trio.Nursery,
) -> ExitStatus:
    reader_gone = trio.Event()
    screen_opened = open_screen(
        color=settings.color,
        print_period=settings.print_period,
        on_reader_gone=reader_gone.set,
    )
    with trio.CancelScope() as closing:
        async with screen_opened as screen:
            stages = Stages(screen)
            nursery.start_soon(stages.obey, signals)
            nursery.start_soon(_drain_when, reader_gone, stages.ending)
            status = await _run_recorded(settings, sub_nodes, queue, screen, stages)
            nursery.start_soon(_close_when, stages.ending.kill_now, closing)
    return status


async def _run_recorded(
    settings: RunSettings,
    sub_nodes: Sequence[SubNode],
    queue: QueueFile,
    screen: Screen,
    stages: Stages,
) -> ExitStatus:
    """Run with a record, and say what it came to."""
    summary, began = Summary(), trio.current_time()
    error: PegasusError | None = None
    record_opened = open_record(
        queue.real,
        f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}",
        mode=_mode(settings),
        hosts_file=str(settings.hosts_file),
        sub_nodes=sub_nodes,
        on_trouble=screen.say,
    )
    async with record_opened as record:
        # The record first: what is on the screen is in the journal.
        listener = Listeners(record, screen, summary)
        for written in notes_on(settings.hosts_file, sub_nodes, queue.real):
            listener.tell(Noted(str(written)))
        if words := queue.blind_spot():
            listener.tell(Noted(words))
        try:
            await _dispatch(
                settings, sub_nodes, queue, record=record, listener=listener, stages=stages
            )
        except PegasusError as caught:
            error = caught
            screen.say(str(caught))
        status = _status(error, summary, interrupted=stages.interrupted)
        record.conclude(status, _how(error, stages))
    if not summary.empty:
        wall = trio.current_time() - began
        logs = await _has_outputs(record)
        screen.say(*_last_words(settings, summary, record, wall, logs=logs))
    elif error is None and not stages.interrupted:
        screen.say(f"{settings.queue_file}: the queue is empty, nothing was run.")
    return status


def _status(error: PegasusError | None, summary: Summary, *, interrupted: bool) -> ExitStatus:
    if error is not None:
        return error.exit_status
    if interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.SUCCESS if summary.all_succeeded else ExitStatus.JOB_FAILED


def _mode(settings: RunSettings) -> Mode:
    return "broadcast" if settings.broadcast else "queue"


def _how(error: PegasusError | None, stages: Stages) -> How:
    if error is not None:
        return "failed"
    if stages.ending.stage >= Stage.ABORTING:
        return "aborted"
    return "drained" if stages.ending.stage is Stage.DRAINING else "done"


async def _has_outputs(record: Record) -> bool:
    """Tell whether there are outputs to look at; no where the disk does not say in time."""
    with trio.move_on_after(LAST_WORDS):
        return await trio.to_thread.run_sync(record.has_outputs, abandon_on_cancel=True)
    return False


def _last_words(
    settings: RunSettings, summary: Summary, record: Record, wall: float, *, logs: bool
) -> list[str]:
    """Give the summary, with where the outputs are and how to try again what failed."""

    def log_of(ended: Ended) -> str | None:
        if record.folder is None or not logs:
            return None
        job, sub_node = ended.assignment.number, ended.assignment.sub_node.number
        name = OutputName(job, sub_node, Stream.STDOUT).file_name(_mode(settings))
        path = Path(os.path.relpath(record.folder.output / name))
        return f"{path.with_suffix('')}.*"

    default = settings.queue_file == Path("queue.yaml")
    which = "" if default else f" --queue-file {shlex.quote(str(settings.queue_file))}"
    words = [*summary.lines(log_of), summary.utilisation(wall)]
    if not summary.all_succeeded and record.kept:
        words.append(f"To put what did not succeed back into the queue: pegasus retry{which}")
    return words


async def _close_when(kill_now: trio.Event, closing: trio.CancelScope) -> None:
    """Leave a screen that stands still behind, but only where everything has to end at once."""
    await kill_now.wait()
    closing.deadline = trio.current_time() + LAST_WORDS


async def _drain_when(reader_gone: trio.Event, ending: Ending) -> None:
    await reader_gone.wait()
    ending.drain()


async def _dispatch(
    settings: RunSettings,
    sub_nodes: Sequence[SubNode],
    queue: QueueFile,
    *,
    record: Record,
    listener: Listener,
    stages: Stages,
) -> None:
    """Open the connections, and run the jobs; orders and new sub-nodes may come meanwhile."""
    send_updates, updates = trio.open_memory_channel[Sequence[SubNode]](0)
    by_clients = BY_CLIENTS in os.environ

    def note(words: str) -> None:
        listener.tell(Noted(words))

    with stages.ending.working, sole_error():
        async with (
            open_ssh(settings.ssh_config, by_clients=by_clients, on_note=note) as ssh,
            trio.open_nursery() as nursery,
        ):
            one_run = Run(
                name=record.name,
                sub_nodes=sub_nodes,
                open_session=session_opener(ssh),
                queue=LockedQueue(queue, listener, record, may_be_missing=settings.daemon),
                fill=fill,
                listener=listener,
                ending=stages.ending,
                daemon=settings.daemon,
                error_aborts=settings.error_aborts,
                retries=settings.retries,
                timeout=settings.timeout,
                sub_node_updates=updates,
            )
            mode = BroadcastDispatcher if settings.broadcast else QueueDispatcher
            dispatcher = mode(one_run)
            if record.folder is not None:
                requests = read_orders(orders_of(record.folder.path))
                nursery.start_soon(stages.obey_orders, requests, dispatcher)
            if not settings.broadcast:
                seen = settings.hosts_seen
                nursery.start_soon(follow_hosts, settings.hosts_file, seen, send_updates, note)
            await dispatcher.run_all()
            nursery.cancel_scope.cancel(reason="the run is over")


def fill(job: Job, sub_node: SubNode) -> Command:
    """Render a job for a sub-node; a take that is no longer wanted ends here.

    Raises:
        TemplateFault: it can't be.
    """
    with suppress(RuntimeError):  # a retry is rendered without a take, in Trio's own thread
        trio.from_thread.check_cancelled()
    return render(job, sub_node)
