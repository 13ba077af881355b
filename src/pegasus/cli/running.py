"""The commands that run jobs, or follow them."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pegasus import candidates
from pegasus.cli.app import app, run_in_trio
from pegasus.cli.help import RUN
from pegasus.cli.settings import SETTINGS
from pegasus.errors import PegasusError
from pegasus.options import (
    QUEUE,
    Color,
    Common,
    Fleet,
    NoLive,
    PrintPeriod,
    QueuePath,
    SshConfig,
    Whole,
)
from pegasus.share import Share
from pegasus.standard_streams import write_message

if TYPE_CHECKING:
    from pegasus.commands.run_settings import RunSettings


@app.command(
    name="queue",
    alias="q",
    group=RUN,
    sort_key=1,
    usage="Usage: pegasus queue [OPTIONS]",
    help_epilogue="Example: `pegasus q --retries 2 --timeout 12h`",
)
def queue(*, common: Common | None = None) -> int:
    """Run each job once, on the next free sub-node."""
    return _run(common or Common(), None)


@app.command(
    name="broadcast",
    alias="b",
    group=RUN,
    sort_key=2,
    usage="Usage: pegasus broadcast [OPTIONS]",
    help_epilogue="Example: `pegasus b --gather --limit 'rack=[1-3]'`",
)
def broadcast(*, common: Common | None = None, fleet: Fleet | None = None) -> int:
    """Run each job on every sub-node, one job after the other."""
    return _run(common or Common(), fleet or Fleet())


@app.command(
    name="attach",
    group=RUN,
    sort_key=3,
    usage="Usage: pegasus attach [OPTIONS]\n       pegasus attach --forget [JOB...]",
    help_epilogue="Example: `pegasus attach --list`",
)
def attach(
    *jobs: Annotated[Whole, Parameter(completer=candidates.left_jobs)],
    listing: Annotated[bool, Parameter(name="--list")] = False,
    json: bool = False,
    forget: bool = False,
    run: Annotated[
        str | None,
        Parameter(metavar="RUN", help="Only what this run has left.", completer=candidates.runs),
    ] = None,
    queue_file: QueuePath = QUEUE,
    ssh_config: SshConfig = None,
    print_period: PrintPeriod = 1,
    color: Color = "auto",
    no_live: NoLive = False,
) -> int:
    """Follow detached commands that earlier runs have left.

    Args:
        jobs: With --forget: their numbers; default: all that have ended.
        listing: List what is left, without connecting to any node.
        json: With --list: output for programs.
        forget: Remove the folders of ended commands from their nodes.
    """
    from pegasus.commands import attach as attaching

    settings = attaching.AttachSettings(
        queue_file=queue_file,
        ssh_config=ssh_config,
        print_period=print_period,
        color=color,
        live=not no_live,
        run=run,
        jobs=jobs,
        listing=listing,
        json=json,
        forget=forget,
    )
    return run_in_trio(partial(attaching.attach, settings))


def _run(common: Common, fleet: Fleet | None) -> int:
    """Run jobs."""
    from pegasus.commands.run import run

    return run_in_trio(partial(run, _run_settings(common, fleet)))


def _run_settings(common: Common, fleet: Fleet | None) -> RunSettings:
    """Read options.

    Args:
        common: those of both modes.
        fleet: those of a broadcast; None in queue mode.

    Raises:
        PegasusError: an option, or two of them together, are refused.
    """
    from pegasus.commands.run_settings import RunSettings
    from pegasus.launch_text import read_typed_launch
    from pegasus.retry_causes import read_causes

    _refuse_contradictions(common, fleet)
    return RunSettings(
        hosts_file=common.hosts_file,
        queue_file=common.queue_file,
        ssh_config=common.ssh_config,
        print_period=common.print_period,
        color=common.color,
        daemon=common.daemon,
        max_failures=Share(1) if common.error_aborts else common.max_failures,
        broadcast=fleet is not None,
        retries=common.retries,
        timeout=math.inf if common.timeout is None else common.timeout,
        launch=read_typed_launch(common.shell, common.chdir),
        detach=common.detach,
        give_up=math.inf if common.give_up is None else common.give_up,
        limit=tuple(common.limit or ()),
        live=not common.no_live and not common.quiet,
        quiet=common.quiet,
        retry_on=read_causes(common.retry_on) if common.retry_on else None,
        gpu_busy=common.gpu_busy,
        stall=math.inf if common.stall is None else common.stall,
        notify=common.notify,
        gather=fleet.gather if fleet else False,
        batch=fleet.batch if fleet else None,
        max_unreachable=fleet.max_unreachable if fleet else None,
        resume=fleet.resume if fleet else False,
        notes=SETTINGS.noted,
    )


def refuse_settings() -> None:
    """Refuse settings with which a run without further options would end at once.

    Where only one of the two commands would refuse them, that is said, and nothing is refused.

    Raises:
        PegasusError: neither command would run.
    """
    modes, refused = ("queue", "broadcast"), dict[str, PegasusError]()
    for name in modes:
        _, bound, _ = app.parse_args([name])
        common: Common = bound.arguments.get("common") or Common()
        fleet: Fleet = bound.arguments.get("fleet") or Fleet()
        try:
            _run_settings(common, fleet if name == "broadcast" else None)
        except PegasusError as error:
            told = SETTINGS.words_after(str(error), named_only=True)
            refused[name] = PegasusError(" ".join([str(error), *told]))
        SETTINGS.words_after("")  # they are not the cause of what follows
    if len(refused) == len(modes):
        raise refused[modes[0]]
    for name, fault in refused.items():
        write_message(f"`pegasus {name}` would be refused: {fault}")


def _refuse_contradictions(common: Common, fleet: Fleet | None) -> None:
    """Refuse options that contradict each other, or mean nothing without another one.

    Raises:
        PegasusError: there are such options.
    """
    if common.error_aborts and common.ignore_errors:
        raise PegasusError(
            "--error-aborts and --ignore-errors exclude each other. Give one of them: with "
            "--error-aborts (-e) nothing is taken after a failure, with --ignore-errors (-i), "
            "the default, the run goes on."
        )
    if common.error_aborts and common.max_failures is not None:
        raise PegasusError("--error-aborts (-e) means --max-failures 1. Give one of them.")
    if common.quiet and fleet is not None and fleet.gather:
        raise PegasusError(
            "--quiet (-q) shows no output, and --gather shows whole outputs. Give one of them."
        )
    if common.give_up is not None and not common.detach:
        raise PegasusError(
            "--give-up says how long to wait for the node of a detached command. Add --detach, or "
            "leave out --give-up."
        )
    if fleet is not None and fleet.gather and common.print_period != 1:
        raise PegasusError(
            "--gather shows whole outputs, and --print-period (-p) leaves lines out. Give one of "
            "them."
        )
    if common.retry_on and not common.retries:
        raise PegasusError(
            "--retry-on says after which failures a job is tried again. Add --retries N, or leave "
            "out --retry-on."
        )
    if common.notify is not None and not common.notify.strip():
        raise PegasusError(
            "--notify: the command is empty, so there would be no message. Write one (is a "
            "variable of your shell empty?), or leave out --notify."
        )
