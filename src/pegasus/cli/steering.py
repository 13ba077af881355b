"""The commands that write files, change a queue, or steer a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pegasus import candidates
from pegasus.cli.app import app, run_in_trio
from pegasus.cli.ending import say
from pegasus.cli.help import PREPARE, STEER
from pegasus.colour import ColorChoice
from pegasus.errors import ExitStatus, PegasusError
from pegasus.options import (
    HOSTS,
    QUEUE,
    Color,
    HostsPath,
    JobNumber,
    QueuePath,
    RunName,
    SubNodeName,
    Whole,
)

RunInProgress = Annotated[
    str | None,
    Parameter(
        name="--run",
        metavar="RUN",
        help="The run, if several are in progress.",
        completer=candidates.runs,
    ),
]
EveryRun = Annotated[bool, Parameter(name="--all", help="All runs of the queue.")]


@app.command(
    name="lock",
    alias="l",
    group=STEER,
    usage="Usage: pegasus lock [OPTIONS]",
    help_epilogue="Example: `pegasus l`",
)
def lock(
    *,
    queue_file: QueuePath = QUEUE,
    editor: Annotated[str | None, Parameter(metavar="EDITOR")] = None,
    color: Color = "auto",
) -> int:
    """Edit the queue file while nothing is taken from it.

    Args:
        editor: Default: $EDITOR, else vim. One with a window must wait: 'code --wait'.
    """
    from pegasus.commands.lock import LockSettings
    from pegasus.commands.lock import lock as edit

    settings = LockSettings(queue_file=queue_file, editor=editor, color=color)
    return run_in_trio(partial(edit, settings))


@app.command(
    name="add",
    group=STEER,
    usage="Usage: pegasus add [OPTIONS] COMMAND",
    help_epilogue="Example: `pegasus add 'python train.py --bs {{ bs }}' --param bs=8,16`",
)
def add(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    param: Annotated[list[str] | None, Parameter(metavar="NAME=VALUES")] = None,
    needs: Annotated[list[str] | None, Parameter(metavar="SLOTS=N")] = None,
    where: Annotated[list[str] | None, Parameter(metavar="NAME=VALUES")] = None,
    at_most: Whole | None = None,
    shell: Annotated[str | None, Parameter(metavar="SHELL")] = None,
    chdir: Annotated[str | None, Parameter(metavar="DIR")] = None,
    barrier: Annotated[str | None, Parameter(metavar="KIND")] = None,
    top: bool = False,
    hosts_file: HostsPath = HOSTS,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    r"""Add a command to the queue.

    Args:
        command: One command, in quotes; -: one for each line of standard input.
        param: A parameter: bs=8,16. Repeatable; \\, is a comma in a value.
        needs: Slots of each job: gpu=2. Repeatable.
        where: Only on such sub-nodes: model=a100,h100. Repeatable.
        at_most: At most this many of the jobs at a time.
        shell: Their shell, as in 'bash -lc'.
        chdir: Where they begin.
        barrier: Add a barrier instead: succeeded or ended.
        top: Before all waiting jobs instead of after them.
    """
    from pegasus.commands import add as adding
    from pegasus.launch_text import read_typed_launch

    others = command, param, needs, where, at_most, shell, chdir
    if barrier is not None and any(each not in (None, ()) for each in others):
        raise PegasusError(
            "--barrier stands without a command and its options: pegasus add --barrier succeeded"
        )
    settings = adding.AddSettings(
        queue_file=queue_file,
        hosts_file=hosts_file,
        command=command,
        params=tuple(param or ()),
        needs=tuple(needs or ()),
        where=tuple(where or ()),
        at_most=at_most,
        launch=read_typed_launch(shell, chdir),
        barrier=barrier,
        top=top,
        color=color,
    )
    return run_in_trio(partial(adding.add, settings))


@app.command(
    name="retry",
    group=STEER,
    usage="Usage: pegasus retry [OPTIONS] [JOB...]",
    help_epilogue="Example: `pegasus retry 3 5 --top`",
)
def retry(
    *jobs: Annotated[Whole, Parameter(completer=candidates.failed_jobs)],
    run: RunName = None,
    top: bool = False,
    hosts_file: HostsPath = HOSTS,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    """Put jobs that did not succeed back into the queue.

    Args:
        jobs: Their numbers in the run; default: all that did not succeed.
        top: Before all waiting jobs instead of after them.
    """
    from pegasus.commands import retry as retrying

    settings = retrying.RetrySettings(
        queue_file=queue_file, hosts_file=hosts_file, jobs=jobs, run=run, top=top, color=color
    )
    return run_in_trio(partial(retrying.retry, settings))


@app.command(
    name="stop",
    group=STEER,
    usage="Usage: pegasus stop [OPTIONS] [JOB]",
    help_epilogue="Example: `pegasus stop`, then `pegasus stop --now`",
)
def stop(
    job: Annotated[JobNumber, Parameter(completer=candidates.running_jobs)] = None,
    /,
    *,
    now: bool = False,
    leave: bool = False,
    sub_node: SubNodeName = None,
    run: Annotated[
        str | None,
        Parameter(
            metavar="RUN",
            help="The run, if several are in progress.",
            completer=candidates.runs,
        ),
    ] = None,
    every: Annotated[bool, Parameter(name="--all")] = False,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    """Drain the run: take nothing more. With a number, end that job.

    Args:
        job: The number of the job to end.
        now: Also end running commands: SIGTERM, SIGKILL after 10 s.
        leave: End Pegasus at once; detached commands go on.
        every: All runs of the queue.
    """
    from pegasus.commands import stop as stopping

    settings = stopping.StopSettings(
        queue_file=queue_file,
        job=job,
        sub_node=sub_node,
        now=now,
        leave=leave,
        run=run,
        every=every,
        color=color,
    )
    return run_in_trio(partial(stopping.stop, settings))


@app.command(
    name="pause",
    group=STEER,
    usage="Usage: pegasus pause [OPTIONS]",
    help_epilogue="Example: `pegasus pause`",
)
def pause(
    *,
    run: RunInProgress = None,
    every: EveryRun = False,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    """Take nothing until `pegasus resume`; running commands go on."""
    return _pause(run, queue_file, color, every=every, resume=False)


@app.command(
    name="resume",
    group=STEER,
    usage="Usage: pegasus resume [OPTIONS]",
    help_epilogue="Example: `pegasus resume`",
)
def resume(
    *,
    run: RunInProgress = None,
    every: EveryRun = False,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    """Let a paused run take jobs again."""
    return _pause(run, queue_file, color, every=every, resume=True)


def _pause(
    run: str | None, queue_file: Path, color: ColorChoice, *, every: bool, resume: bool
) -> int:
    from pegasus.commands import pause as pausing

    settings = pausing.PauseSettings(
        queue_file=queue_file, resume=resume, run=run, every=every, color=color
    )
    return run_in_trio(partial(pausing.pause, settings))


@app.command(
    name="init",
    group=PREPARE,
    usage="Usage: pegasus init [DIRECTORY]",
    help_epilogue="Example: `pegasus init try && cd try && pegasus q`",
)
def init(directory: Path = Path(), /) -> int:
    """Write starter files that run at once on localhost.

    Args:
        directory: The target; it is created if needed. No file is overwritten.
    """
    from pegasus.commands.init import init as write

    written = " and ".join(map(str, write(directory)))
    there = "" if directory == Path() else f"cd {directory} && "
    say(f"Wrote {written}. Now: {there}pegasus q")
    return ExitStatus.SUCCESS
