"""The commands that write files, change a queue, or steer a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pegasus import candidates
from pegasus.cli.app import app, run_in_trio
from pegasus.cli.ending import say
from pegasus.errors import ExitStatus, PegasusError
from pegasus.options import QUEUE, Color, QueuePath, RunName, SubNodeNumber


@app.command(name="lock", alias="l")
def lock(*, queue_file: QueuePath = QUEUE, editor: str | None = None, color: Color = "auto") -> int:
    """Edit the queue file under its lock: nothing is taken until the editor is closed.

    Args:
        editor: Default: $EDITOR, else vim. An editor with a window must wait ('code --wait').
    """
    from pegasus.commands.lock import LockSettings
    from pegasus.commands.lock import lock as edit

    settings = LockSettings(queue_file=queue_file, editor=editor, color=color)
    return run_in_trio(partial(edit, settings))


@app.command(name="add")
def add(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    param: list[str] | None = None,
    needs: list[str] | None = None,
    where: list[str] | None = None,
    at_most: int | None = None,
    barrier: str | None = None,
    top: bool = False,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    r"""Add a command to the queue, under its lock.

    Args:
        command: One command, in quotes; - reads one for each line of standard input.
        param: A parameter and its values: bs=8,16. Repeatable; \\, is a comma within a value.
        needs: Slots that each job needs: gpu=2. Repeatable.
        where: Only on sub-nodes with this parameter: model=a100,h100. Repeatable.
        at_most: At most this many of the jobs run at a time.
        barrier: Add a barrier instead of a command: succeeded or ended.
        top: Add before all waiting jobs instead of after them.
    """
    from pegasus.commands import add as adding

    if barrier is not None and (command or param or needs or where or at_most is not None):
        raise PegasusError(
            "--barrier stands without a command and its options: pegasus add --barrier succeeded"
        )
    settings = adding.AddSettings(
        queue_file=queue_file,
        command=command,
        params=tuple(param or ()),
        needs=tuple(needs or ()),
        where=tuple(where or ()),
        at_most=at_most,
        barrier=barrier,
        top=top,
        color=color,
    )
    return run_in_trio(partial(adding.add, settings))


@app.command(name="retry")
def retry(
    *jobs: Annotated[int, Parameter(completer=candidates.failed_jobs)],
    run: RunName = None,
    top: bool = False,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    """Put jobs that did not succeed back into the queue, each once.

    Args:
        jobs: Numbers of jobs in the run; default: all that did not succeed.
        top: Add before all waiting jobs instead of after them.
    """
    from pegasus.commands import retry as retrying

    settings = retrying.RetrySettings(
        queue_file=queue_file, jobs=jobs, run=run, top=top, color=color
    )
    return run_in_trio(partial(retrying.retry, settings))


@app.command(name="stop")
def stop(
    job: Annotated[int | None, Parameter(completer=candidates.running_jobs)] = None,
    /,
    *,
    now: bool = False,
    leave: bool = False,
    sub_node: SubNodeNumber = None,
    run: Annotated[
        str | None,
        Parameter(help="The run, if several are in progress.", completer=candidates.runs),
    ] = None,
    every: Annotated[bool, Parameter(name="--all")] = False,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    """Drain the run of the queue: take nothing more. With a number, end that job only.

    Args:
        job: The number of the job to end.
        now: Also end running commands (SIGTERM, SIGKILL after 10 s).
        leave: End Pegasus at once; its detached commands go on.
        sub_node: End the job on this sub-node only.
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


@app.command(name="init")
def init(directory: Path = Path(), /) -> int:
    """Write a starter hosts.yaml and queue.yaml that run immediately on localhost.

    Args:
        directory: The target; it is created if it does not exist. No file is overwritten.
    """
    from pegasus.commands.init import init as write

    written = " and ".join(map(str, write(directory)))
    say(f"Wrote {written}. Now: cd {directory} && pegasus q")
    return ExitStatus.SUCCESS
