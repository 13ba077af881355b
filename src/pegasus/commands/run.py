"""``pegasus queue`` and ``pegasus broadcast``: open things in order, and hand them down.

A run reads from the outside in: signals, the screen, the ways into the nodes, the dispatcher. The
first signal ends the taking, the second ends the commands, the third ends them at once.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trio

from pegasus.dispatch import Drain, Run, run_broadcast, run_queue
from pegasus.errors import ExitStatus, PegasusError, sole_error
from pegasus.events import Event, Listener, Noted, Printed
from pegasus.hosts_file import read_hosts
from pegasus.interrupt import open_interrupts
from pegasus.model import Job, SubNode
from pegasus.process import raise_open_files_limit
from pegasus.queue_file import QueueFile, Taken
from pegasus.screen import Screen, open_screen
from pegasus.summary import Summary
from pegasus.template import parse
from pegasus.transport import open_ssh, session_opener

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


class LockedQueue:
    """The queue file, as dispatch asks for it: a take is one step under the lock."""

    def __init__(self, file: QueueFile, listener: Listener, *, may_be_missing: bool) -> None:
        self._file = file
        self._listener = listener
        self._may_be_missing = may_be_missing
        self._seen = file.state()
        # Its own limiter: a slow disk must not keep processes from being started.
        self._disk = trio.CapacityLimiter(1)

    async def take(self, fills: Sequence[Callable[[Job], str]]) -> Taken:
        """Take up to one job a fill; cancelled while it waits for the lock, it has taken none."""
        async with self._file.locked(lambda words: self._listener.tell(Noted(words))) as locked:
            self._seen = self._file.state()
            with trio.CancelScope(shield=True):
                taken = await trio.to_thread.run_sync(locked.take, fills, limiter=self._disk)
        return Taken(empty=True) if taken.missing and self._may_be_missing else taken

    def changed(self) -> bool:
        """Tell whether the file is another than when it was last looked into."""
        return self._file.state() != self._seen


class Stages:
    """The three stages of an end: no more taking, no more running, no more patience."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.drain = Drain()
        self.aborting = trio.CancelScope()
        self.hurry = trio.Event()
        self.interrupted = False

    async def obey(self, signals: AsyncIterator[str]) -> None:
        """Go one stage further with each signal."""
        async with trio.open_nursery() as nursery:
            stages = iter([lambda name: nursery.start_soon(self._drain, name), self._abort])
            async for name in signals:
                self.interrupted = True
                next(stages, self._kill)(name)

    async def _drain(self, name: str) -> None:
        """Take nothing more; the notice is a promise, so it comes after what it promises."""
        self.drain.begin()
        await self.drain.over.wait()
        if not self.aborting.cancel_called:
            self._screen.say(
                f"{name}: nothing more is taken; what runs goes on to its end. "
                "Once more to end it (SIGTERM, SIGKILL after 10 s)."
            )

    def _abort(self, name: str) -> None:
        self.drain.begin()
        self.aborting.cancel(reason=name)
        self._screen.say(f"{name}: ending what runs. Once more to kill it at once.")

    def _kill(self, name: str) -> None:
        self.hurry.set()
        self._screen.say(f"{name}: killing what runs.")


async def run(settings: RunSettings) -> ExitStatus:
    """Run the queue, or broadcast it.

    Raises:
        PegasusError: a file or the machine is not as it has to be; nothing was taken.
    """
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
    summary = Summary()
    error: PegasusError | None = None
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
            nursery.start_soon(_drain_when, reader_gone, stages.drain)
            listener = Listeners(screen, summary)
            with stages.aborting:
                try:
                    await _dispatch(settings, sub_nodes, queue, listener, stages)
                except PegasusError as caught:
                    error = caught
                    screen.say(str(caught))
            if not summary.empty:
                screen.say(summary.text())
            elif error is None and not stages.interrupted:
                screen.say(f"{settings.queue_file}: the queue is empty, nothing was run.")
            nursery.start_soon(_close_when, stages.hurry, closing)
    if error is not None:
        return error.exit_status
    if stages.interrupted:
        return ExitStatus.INTERRUPTED
    return ExitStatus.SUCCESS if summary.all_succeeded else ExitStatus.JOB_FAILED


async def _close_when(hurry: trio.Event, closing: trio.CancelScope) -> None:
    """Leave a screen that stands still behind, but only where everything has to end at once."""
    await hurry.wait()
    closing.deadline = trio.current_time() + LAST_WORDS


async def _drain_when(reader_gone: trio.Event, drain: Drain) -> None:
    await reader_gone.wait()
    drain.begin()


async def _dispatch(
    settings: RunSettings,
    sub_nodes: Sequence[SubNode],
    queue: QueueFile,
    listener: Listener,
    stages: Stages,
) -> None:
    with sole_error():
        async with open_ssh(settings.ssh_config) as ways:
            one_run = Run(
                name=f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}",
                sub_nodes=sub_nodes,
                open_session=session_opener(ways, stages.hurry),
                queue=LockedQueue(queue, listener, may_be_missing=settings.daemon),
                fill=fill,
                listener=listener,
                drain=stages.drain,
                daemon=settings.daemon,
                error_aborts=settings.error_aborts,
                retries=settings.retries,
                timeout=settings.timeout,
            )
            await (run_broadcast if settings.broadcast else run_queue)(one_run)


def fill(job: Job, sub_node: SubNode) -> str:
    """Fill a job in for a sub-node, whose parameters win over the job's.

    Raises:
        TemplateFault: it can't be.
    """
    values = dict(job.params) | {"hostname": sub_node.hostname} | dict(sub_node.params)
    return parse(job.command).fill(values)
