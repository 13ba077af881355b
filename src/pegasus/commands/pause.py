"""``pegasus pause`` and ``pegasus resume``: let a run take nothing for a while.

The order is a file in the record of the run, as that of ``pegasus stop``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus.colour import ColorChoice
from pegasus.commands.foreground import in_foreground
from pegasus.commands.stop import choose, find_shown, send_order
from pegasus.errors import ExitStatus, PegasusError
from pegasus.orders import PauseOrder, ResumeOrder, RunOver, describe_reply, wait_obeyed
from pegasus.record import RunRecord
from pegasus.report.left import follower_words
from pegasus.screen import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSettings:
    """The command line; see ``pegasus pause --help``.

    Attributes:
        resume: whether the run shall go on, instead of being paused.
        run: the run's name or a part of it; None for the run in progress.
        every: whether all runs of the queue are meant.
    """

    queue_file: Path
    resume: bool = False
    run: str | None = None
    every: bool = False
    color: ColorChoice = "auto"


async def pause(settings: PauseSettings) -> ExitStatus:
    """Pause or resume the run of a queue, and wait until it has obeyed.

    Returns:
        SUCCESS where each run has obeyed, or was paused or not before; JOB_FAILED where one has
        not, or none is in progress.

    Raises:
        PegasusError: the command line contradicts itself, or does not say which run is meant.
    """
    if settings.every and settings.run is not None:
        raise PegasusError("--all means every run, and --run one. Leave out either.")
    return await in_foreground(partial(_pause, settings), settings.color)


async def _pause(settings: PauseSettings, screen: Screen) -> ExitStatus:
    order = ResumeOrder() if settings.resume else PauseOrder()
    runs = await find_shown(settings.queue_file, screen)
    chosen = await trio.to_thread.run_sync(
        partial(choose, runs, settings.run, every=settings.every)
    )
    if not chosen:
        which = "No run of this queue goes on" if settings.run is None else "That run is over"
        screen.say(f"{which}: there is nothing to {'resume' if settings.resume else 'pause'}.")
        return ExitStatus.JOB_FAILED
    obeyed: list[bool] = []
    async with trio.open_nursery() as nursery:
        for run in chosen:
            nursery.start_soon(_pause_one, run, order, screen, obeyed)
    return ExitStatus.SUCCESS if all(obeyed) else ExitStatus.JOB_FAILED


async def _pause_one(
    run: RunRecord, order: PauseOrder | ResumeOrder, screen: Screen, obeyed: list[bool]
) -> None:
    """Send an order to a run, wait, and add whether it has obeyed."""
    where = follower_words(run)
    reply = await wait_obeyed(
        send_order(run, order),
        is_alive=run.is_alive,
        on_wait=partial(screen.say, f"waiting for run {run.name} ({where})"),
    )
    screen.say(describe_reply(order, reply, run.name, where))
    obeyed.append(reply.done and not isinstance(reply, RunOver))
