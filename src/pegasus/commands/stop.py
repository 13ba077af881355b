"""``pegasus stop``: order a run, from any terminal, to take no more, to end, or to end one job.

The order is a file in the record of the run, so any user who can write there can stop the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import trio

from pegasus import orders
from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.errors import ExitStatus, PegasusError
from pegasus.orders import AbortOrder, DrainOrder, LeaveOrder, Order, StopJobOrder
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, choose_run, find_runs
from pegasus.report.job_numbers import numbers_text
from pegasus.report.left import (
    LeftFolder,
    follower_words,
    how_to_stop_words,
    left_in,
    stored_words,
)
from pegasus.report.run_meant import no_such_queue
from pegasus.screen import Screen
from pegasus.sub_node_names import number_meant
from pegasus.terminal_text import on_one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSettings:
    """The command line; see ``pegasus stop --help``.

    Attributes:
        job: the number of the one job that is ended; None for the whole run.
        sub_node: what the sub-node is called on which the job is ended; None for all of them.
        now: whether running jobs are ended.
        leave: whether Pegasus ends, and its detached commands go on.
        run: the run's name or a part of it; None for the run that goes on.
        every: whether all runs of the queue are stopped.
    """

    queue_file: Path
    job: int | None = None
    sub_node: str | int | None = None
    now: bool = False
    leave: bool = False
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
    if settings.leave and (settings.now or settings.job is not None):
        raise PegasusError(
            "--leave ends Pegasus and lets commands go on. --now and a job's number end commands. "
            "Leave out either."
        )
    if settings.job is None:
        if settings.sub_node is not None:
            raise PegasusError("--sub-node says where a job is ended. Give the job's number, too.")
        if settings.leave:
            return LeaveOrder()
        return AbortOrder() if settings.now else DrainOrder()
    if settings.every:
        raise PegasusError("Each run has numbers of its own for its jobs. Say which with --run.")
    return StopJobOrder(settings.job)


async def _stop(settings: StopSettings, order: Order, screen: Screen) -> ExitStatus:
    runs = await find_shown(settings.queue_file, screen)
    chosen = await trio.to_thread.run_sync(
        partial(choose, runs, settings.run, every=settings.every)
    )
    if not chosen:
        left = await trio.to_thread.run_sync(_left_of, runs, settings.run)
        if isinstance(order, StopJobOrder) and left and settings.sub_node is not None:
            order = _on_sub_node(order, left[-1], settings.sub_node)
        return _stop_left(left, order, settings, screen)
    if isinstance(order, StopJobOrder) and settings.sub_node is not None:
        (run,) = chosen
        await trio.to_thread.run_sync(run.refresh)
        order = _on_sub_node(order, run, settings.sub_node)
    obeyed: list[bool] = []
    async with trio.open_nursery() as nursery:
        for run in chosen:
            nursery.start_soon(_stop_one, run, order, screen, obeyed)
    return ExitStatus.SUCCESS if all(obeyed) else ExitStatus.JOB_FAILED


def _on_sub_node(order: StopJobOrder, run: RunRecord, name: str | int) -> StopJobOrder:
    """Give an order with the number of the sub-node that a name means.

    Raises:
        PegasusError: it means none, or several.
    """
    sub_nodes = [each.sub_node for each in run.state.sub_nodes.values()]
    number = number_meant(name, sub_nodes)
    if sub_nodes and number not in run.state.sub_nodes:
        has = numbers_text(sorted(run.state.sub_nodes))
        raise PegasusError(
            f"--sub-node {name}: run {run.name} has no such sub-node. Give one of these: {has}."
        )
    return replace(order, sub_node=number)


def _why_not(run: RunRecord, number: int) -> list[str]:
    """Say why a job of a run does not run: there is none, or it has ended."""
    jobs = run.state.jobs
    if number not in jobs:
        noun = "job" if len(jobs) == 1 else "jobs"
        has = f"it has taken {noun} {numbers_text(list(jobs))}" if jobs else "it has taken none yet"
        return [f"The run has no job {number}: {has}. `pegasus status` lists them."]
    outcomes = run.state.outcomes(jobs[number])
    ends = ", ".join(dict.fromkeys(on_one_line(str(each)) for each in outcomes if each))
    return [f"Job {number} has ended already ({ends})."] if ends and None not in outcomes else []


async def find_shown(queue_file: Path, screen: Screen) -> list[RunRecord]:
    """Find the runs of a queue, and show which cannot be read.

    Raises:
        PegasusError: there is neither such a file nor a run of it.
    """
    warnings: list[str] = []
    queue = QueueFile(queue_file)
    runs = await trio.to_thread.run_sync(find_runs, queue.real, warnings)
    if not runs and queue.state() is None:
        raise no_such_queue(queue.path)
    for warning in warnings:
        screen.say(warning)
    return runs


def choose(runs: Sequence[RunRecord], name: str | None, *, every: bool) -> list[RunRecord]:
    """Give the runs that are meant and still go on.

    Raises:
        PegasusError: there is none of that name, or it could be any of several.
    """
    if name is not None:
        run = choose_run(runs, name)
        return [run] if run.alive else []
    alive = [run for run in runs if run.alive]
    if len(alive) > 1:
        # A run that another one follows is stopped through that one.
        for run in alive:
            run.refresh()
        names_alive = {run.name for run in alive}
        alive = [run for run in alive if _follower(run) not in names_alive]
    if len(alive) > 1 and not every:
        names = ", ".join(f"{run.name} ({follower_words(run)})" for run in alive)
        raise PegasusError(
            f"{len(alive)} runs of this queue go on: {names}. Say which with --run NAME, or --all."
        )
    return alive


def _follower(run: RunRecord) -> str | None:
    """Give the name of the run that has taken a run over; None where there is none."""
    follower = run.state.follower
    return follower.by if follower is not None else None


def _left_of(runs: Sequence[RunRecord], name: str | None) -> list[RunRecord]:
    """Give the runs that are over, are meant, and have detached commands that may run."""
    meant = list(runs) if name is None else [choose_run(runs, name)]
    detached = [run for run in meant if run.began.detached]
    for run in detached:
        run.refresh()
    return [run for run in detached if any(each.may_run for each in left_in(run))]


# A run that no Pegasus follows.


def _stop_left(
    runs: Sequence[RunRecord], order: Order, settings: StopSettings, screen: Screen
) -> ExitStatus:
    """Store the stop of a detached command, or say what can be done about what is left."""
    which = "No run of this queue goes on" if settings.run is None else "That run is over"
    if not runs:
        screen.say(f"{which}: there is nothing to stop.")
        return ExitStatus.JOB_FAILED
    if not isinstance(order, StopJobOrder):
        screen.say(f"{which}, but detached commands do:", *map(how_to_stop_words, runs))
        return ExitStatus.JOB_FAILED
    fitting = [run for run in runs if _fitting(run, order)]
    if len(fitting) > 1:
        names = ", ".join(run.name for run in fitting)
        raise PegasusError(f"Several runs have left a job {order.number}: {names}. Say --run NAME.")
    if not fitting:
        where = "" if order.sub_node is None else f" on sub-node {order.sub_node}"
        screen.say(
            f"Job {order.number} has no detached command that may run{where}. `pegasus attach "
            "--list` lists them."
        )
        return ExitStatus.JOB_FAILED
    (run,) = fitting
    send_order(run, order)
    screen.say(stored_words(run, order.number))
    return ExitStatus.SUCCESS


def _fitting(run: RunRecord, order: StopJobOrder) -> list[LeftFolder]:
    return [
        each
        for each in left_in(run)
        if each.may_run
        and each.job.number == order.number
        and order.sub_node in {None, each.execution.sub_node.number}
    ]


# A run that goes on.


def send_order(run: RunRecord, order: Order) -> orders.SentOrder:
    """Send an order to a run.

    Raises:
        PegasusError: this user may not.
    """
    folder = orders.orders_of(run.folder.path)
    try:
        return orders.send(folder, order)
    except OSError as error:
        raise PegasusError(
            f"{error.filename or folder}: {error.strerror or error}. Only a user who may "
            "write into the record of a run can stop or pause it."
        ) from error


async def _stop_one(run: RunRecord, order: Order, screen: Screen, obeyed: list[bool]) -> None:
    """Send an order to a run, wait, and add whether it has obeyed or is over."""
    if isinstance(order, LeaveOrder) and not run.began.detached:
        screen.say(
            f"Run {run.name}: its commands are not detached, and would end with it. `pegasus stop` "
            "waits for them, `pegasus stop --now` ends them."
        )
        obeyed.append(False)
        return
    reply = await orders.wait_obeyed(
        send_order(run, order),
        is_alive=run.is_alive,
        on_wait=partial(screen.say, f"waiting for run {run.name} ({follower_words(run)})"),
    )
    screen.say(orders.describe_reply(order, reply, run.name, follower_words(run)))
    done = reply.done
    if isinstance(order, StopJobOrder) and isinstance(reply, orders.OrderAnswer) and not done:
        await trio.to_thread.run_sync(run.refresh)
        if words := _why_not(run, order.number):
            screen.say(*words)
    if run.began.detached and isinstance(reply, orders.RunOver):
        await trio.to_thread.run_sync(run.refresh)
        if not isinstance(order, LeaveOrder) and any(each.may_run for each in left_in(run)):
            screen.say(how_to_stop_words(run))
            done = False
    obeyed.append(done)
