"""``pegasus stop``: tell a run, from any terminal, to take no more, to end, or to end one job.

A run is told by a file in its record, since a signal reaches neither another machine nor another
user's container; so whoever can read the record of a run can also stop it.
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
from pegasus.orders import Abort, Drain, Given, Order, StopJob
from pegasus.queue_file import QueueFile
from pegasus.record import RunRecord, choose_run, find_runs
from pegasus.record.folder import is_held
from pegasus.screen import Screen

SAY_AFTER = 1.0
"""Seconds after which whoever waits says so."""

ANSWER_LIMIT = 15.0
"""Seconds to wait for an answer: a run looks for orders five times a second, and says that it is
draining once all it took has begun, which may take five seconds on a node that hardly answers."""

POLL = 0.05
"""Seconds between two looks for the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSettings:
    """What the command line says about what is stopped; see ``pegasus stop --help``.

    Attributes:
        job: the number of the one job that is ended; None for the whole run.
        sub_node: where the job is ended, by number; None for wherever it runs.
        now: whether what runs is ended.
        run: the run's name or a part of it; None for the one that goes on.
        every: whether all runs of the queue are meant.
    """

    queue_file: Path
    job: int | None = None
    sub_node: int | None = None
    now: bool = False
    run: str | None = None
    every: bool = False
    color: ColorChoice = "auto"


async def stop(settings: StopSettings) -> ExitStatus:
    """Tell the run of a queue to stop, and wait until it has obeyed.

    Returns:
        SUCCESS, where it has, or is at its end; JOB_FAILED, where it has not, or nothing goes on.

    Raises:
        PegasusError: the command line contradicts itself, or does not say which run is meant.
    """
    order = order_of(settings)
    return await in_foreground(partial(_stop, settings, order), settings.color)


def order_of(settings: StopSettings) -> Order:
    """Put what the command line says into an order.

    Raises:
        PegasusError: it contradicts itself.
    """
    if settings.every and settings.run is not None:
        raise PegasusError("--all means every run, and --run one. Leave out either.")
    if settings.job is None:
        if settings.sub_node is not None:
            raise PegasusError("--sub-node says where a job is ended. Give the job's number, too.")
        return Abort() if settings.now else Drain()
    if settings.every:
        raise PegasusError("Each run has numbers of its own for its jobs. Say which with --run.")
    return StopJob(settings.job, settings.sub_node)


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
    obeyed = [False] * len(chosen)

    async def tell(index: int, run: RunRecord) -> None:
        obeyed[index] = await _tell(run, order, screen)

    async with trio.open_nursery() as nursery:
        for index, run in enumerate(chosen):
            nursery.start_soon(tell, index, run)
    return ExitStatus.SUCCESS if all(obeyed) else ExitStatus.JOB_FAILED


def choose(runs: Sequence[RunRecord], name: str | None, *, every: bool) -> list[RunRecord]:
    """Give the runs that are meant, as far as they go on.

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


async def _tell(run: RunRecord, order: Order, screen: Screen) -> bool:
    """Give an order to a run, and wait until it has obeyed or is over."""
    folder = orders.orders_of(run.folder.path)
    try:
        given = orders.give(folder, order)
    except OSError as error:
        raise PegasusError(
            f"{error.filename or folder}: {error.strerror or error}. Only whoever may write into "
            "the record of a run can stop it."
        ) from error
    try:
        with trio.move_on_after(ANSWER_LIMIT):
            return await _wait_obeyed(run, order, given, screen)
        screen.say(_no_answer(run, withdrawn=given.withdraw()))
        return False
    finally:
        given.withdraw()


async def _wait_obeyed(run: RunRecord, order: Order, given: Given, screen: Screen) -> bool:
    say_at = trio.current_time() + SAY_AFTER
    while True:
        alive = is_held(run.folder, run.began)  # first this: what it says last, it says before
        answer = given.take_answer()
        if answer is not None:
            screen.say(f"Run {run.name}: {answer.words or _default(order, done=answer.done)}")
            return answer.done
        if not alive:
            screen.say(f"Run {run.name} is over.")
            return True
        if trio.current_time() >= say_at:
            say_at += ANSWER_LIMIT
            screen.say(f"waiting for run {run.name} ({_where(run)})")
        await trio.sleep(POLL)


def _default(order: Order, *, done: bool) -> str:
    """Say for a run what it did."""
    match order:
        case Drain():
            words = "nothing more is taken; what runs goes on to its end."
        case Abort():
            words = "what runs is being ended (SIGTERM, SIGKILL after 10 s)."
        case StopJob(number):
            words = f"job {number} is being ended (SIGTERM, SIGKILL after 10 s)."
            return words if done else f"job {number} does not run."
    return words if done else "it can't do that."


def _no_answer(run: RunRecord, *, withdrawn: bool) -> str:
    does = (
        "does not answer, and will not find the order any more. Look whether it is stopped or hangs"
        if withdrawn
        else "has seen the order, but has not done it yet. `pegasus status` shows what it does"
    )
    return f"Run {run.name} ({_where(run)}) {does}."


def _where(run: RunRecord) -> str:
    return f"process {run.began.pid} on {run.began.host}"
