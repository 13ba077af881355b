"""``pegasus attach``: follow detached commands of earlier runs to their ends, and take nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus.colour import ColorChoice
from pegasus.commands.frame import in_frame
from pegasus.commands.run import BY_CLIENTS
from pegasus.commands.stages import Stages
from pegasus.commands.taking_over import (
    TakenRun,
    follow_orders,
    result_of_run,
    say_summary,
    show_panels,
    status_of,
    take_over_left,
    words_on_taken,
)
from pegasus.dispatch import AttachDispatcher, NoQueue, Run
from pegasus.errors import ExitStatus, sole_error
from pegasus.event_bus import Fanout
from pegasus.events import Noted
from pegasus.queue_file import QueueFile
from pegasus.queue_file.job_source import fill
from pegasus.record import RunRecord
from pegasus.screen import Screen
from pegasus.shared_slots import SharedSlots
from pegasus.transport import open_ssh, session_opener


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSettings:
    """What the command line says; see ``pegasus attach --help``.

    Attributes:
        run: a run's name, number or a part of its name; None for all that have left commands.
    """

    queue_file: Path
    ssh_config: Path | None = None
    print_period: int = 1
    color: ColorChoice = "auto"
    live: bool = True
    run: str | None = None


async def follow_left(settings: FollowSettings) -> ExitStatus:
    """Follow what earlier runs have left.

    Returns:
        SUCCESS where each command exited with 0, or nothing was left; else JOB_FAILED, or
        INTERRUPTED.
    """
    return await in_frame(
        partial(_follow, settings),
        color=settings.color,
        print_period=settings.print_period,
        live=settings.live,
    )


async def _follow(settings: FollowSettings, screen: Screen, stages: Stages) -> ExitStatus:
    def is_meant(run: RunRecord) -> bool:
        wanted = settings.run
        return wanted is None or wanted in run.name or wanted == str(run.began.number)

    stages.may_leave = True
    queue = QueueFile(settings.queue_file).real
    async with take_over_left(queue, "", screen, is_meant) as taken:
        if not taken:
            screen.say(
                "There is no detached command to follow. `pegasus attach --list` shows what is "
                "left, and who follows it."
            )
            return ExitStatus.SUCCESS
        show_panels(None, taken, screen, stages)
        await _dispatch(settings, taken, screen, stages)
        for run in taken:
            run.end(result_of_run(None, stages))
            say_summary(screen, words_on_taken(run))
    return ExitStatus.INTERRUPTED if stages.interrupted else status_of(taken)


async def _dispatch(
    settings: FollowSettings, taken: list[TakenRun], screen: Screen, stages: Stages
) -> None:
    listener = Fanout(screen)

    def note(words: str) -> None:
        listener.tell(Noted(words))

    by_clients = BY_CLIENTS in os.environ
    with stages.ending.working, sole_error():
        async with (
            open_ssh(settings.ssh_config, by_clients=by_clients, on_note=note) as ssh,
            trio.open_nursery() as nursery,
        ):
            dispatcher = AttachDispatcher(
                Run(
                    name="",
                    sub_nodes=(),
                    open_session=session_opener(ssh),
                    queue=NoQueue(),
                    fill=fill,
                    listener=listener,
                    ending=stages.ending,
                    inherited=[each for run in taken for each in run.inherited()],
                    strays=[each for run in taken for each in run.strays()],
                    shared=SharedSlots(QueueFile(settings.queue_file).real, ""),
                )
            )
            follow_orders(taken, dispatcher, stages, nursery)
            await dispatcher.run_all()
            nursery.cancel_scope.cancel(reason="nothing is left")
