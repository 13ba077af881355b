"""``pegasus stop``: order a run, from any terminal, to take no more, to end, or to end one job.

The order is a file in the record of the run, so any user who can write there can stop the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus import orders
from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.errors import ExitStatus, PegasusError
from pegasus.orders import AbortOrder, DrainOrder, Order, StopJobOrder
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, choose_run, find_runs
from pegasus.screen import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSettings:
    """The command line; see ``pegasus stop --help``.

    Attributes:
        job: the number of the one job that is ended; None for the whole run.
        sub_node: the number of the sub-node on which the job is ended; None for all of them.
        now: whether running jobs are ended.
        run: the run's name or a part of it; None for the run that goes on.
        every: whether all runs of the queue are stopped.
    """

    queue_file: Path
    job: int | None = None
    sub_node: int | None = None
    now: bool = False
    run: str | None = None
    every: bool = False
    color: ColorChoice = "auto"


async def stop(settings: StopSettings) -> ExitStatus:
    """Order the run of a queue to stop, and wait until it has obeyed.

    Returns:
        SUCCESS where each run has obeyed, or is over; JOB_FAILED where one has not, or none goes
        on.

    Raises:
        PegasusError: the command line contradicts itself, or does not say which run is meant.
    """
    order = order_of(settings)
    return await in_foreground(partial(_stop, settings, order), settings.color)


def order_of(settings: StopSettings) -> Order:
    """Make an order of the command line.

    Raises:
        PegasusError: it contradicts itself.
    """
    if settings.every and settings.run is not None:
        raise PegasusError("--all means every run, and --run one. Leave out either.")
    if settings.job is None:
        if settings.sub_node is not None:
            raise PegasusError("--sub-node says where a job is ended. Give the job's number, too.")
        return AbortOrder() if settings.now else DrainOrder()
    if settings.every:
        raise PegasusError("Each run has numbers of its own for its jobs. Say which with --run.")
    return StopJobOrder(settings.job, settings.sub_node)


async def _stop(settings: StopSettings, order: Order, screen: Screen) -> ExitStatus:
    warnings: list[str] = []
    real = QueueFile(settings.queue_file).real
    runs = await trio.to_thread.run_sync(find_runs, real, warnings)
    for warning in warnings:
        screen.say(warning)
    chosen = choose(runs, settings.run, every=settings.every)
    if not chosen:
        which = "No run of this queue goes on" if settings.run is None else "That run is over"
        screen.say(f"{which}: there is nothing to stop.")
        return ExitStatus.JOB_FAILED
    obeyed: list[bool] = []
    async with trio.open_nursery() as nursery:
        for run in chosen:
            nursery.start_soon(_stop_one, run, order, screen, obeyed)
    return ExitStatus.SUCCESS if all(obeyed) else ExitStatus.JOB_FAILED


def choose(runs: Sequence[RunRecord], name: str | None, *, every: bool) -> list[RunRecord]:
    """Give the runs that are meant and still go on.

    Raises:
        PegasusError: there is none of that name, or it could be any of several.
    """
    if name is not None:
        run = choose_run(runs, name)
        return [run] if run.alive else []
    alive = [run for run in runs if run.alive]
    if len(alive) > 1 and not every:
        names = ", ".join(f"{run.name} ({_where(run)})" for run in alive)
        raise PegasusError(
            f"{len(alive)} runs of this queue go on: {names}. Say which with --run NAME, or --all."
        )
    return alive


async def _stop_one(run: RunRecord, order: Order, screen: Screen, obeyed: list[bool]) -> None:
    """Send an order to a run, wait, and add whether it has obeyed or is over."""
    folder = orders.orders_of(run.folder.path)
    try:
        sent = orders.send(folder, order)
    except OSError as error:
        raise PegasusError(
            f"{error.filename or folder}: {error.strerror or error}. Only a user who may "
            "write into the record of a run can stop it."
        ) from error
    reply = await orders.wait_obeyed(
        sent,
        is_alive=run.is_alive,
        on_wait=partial(screen.say, f"waiting for run {run.name} ({_where(run)})"),
    )
    screen.say(orders.describe_reply(order, reply, run.name, _where(run)))
    obeyed.append(reply.done)


def _where(run: RunRecord) -> str:
    return f"process {run.began.pid} on {run.began.host}"
