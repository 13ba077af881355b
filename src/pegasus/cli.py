"""The command line: arguments become settings, and a result becomes an exit status.

Rule 1: this module defines the spelling of commands and options, and nothing else.
Rule 2: a command imports what it needs when it runs, so that ``pegasus --help`` is fast.
Rule 3: an error that a user can correct is one message; any other exception is reported as a bug.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from pegasus import __version__
from pegasus.errors import ExitStatus, PegasusError, leaves_of
from pegasus.options import (
    HOSTS,
    QUEUE,
    Color,
    Common,
    HostsPath,
    PrintPeriod,
    QueuePath,
    RunName,
    SshConfig,
)

app = App(
    name="pegasus",
    help="Run a list of jobs (queue.yaml) on a list of nodes (hosts.yaml) over SSH.",
    version=__version__,
    version_flags=["--version", "-V"],
    default_parameter=Parameter(negative=""),
    help_on_error=False,
)


@app.command(name="queue", alias="q")
def queue(*, common: Common | None = None) -> int:
    """Run each job once, on the next free sub-node."""
    return _run(common or Common(), broadcast=False)


@app.command(name="broadcast", alias="b")
def broadcast(*, common: Common | None = None) -> int:
    """Run each job on every sub-node; the next job starts when all have finished this one."""
    return _run(common or Common(), broadcast=True)


@app.command(name="lock", alias="l")
def lock(*, queue_file: QueuePath = QUEUE, editor: str | None = None, color: Color = "auto") -> int:
    """Edit the queue file under its lock: nothing is taken until the editor is closed.

    Args:
        editor: Default: $EDITOR, else vim. An editor with a window must wait ('code --wait').
    """
    from pegasus.commands.lock import LockSettings
    from pegasus.commands.lock import lock as edit

    settings = LockSettings(queue_file=queue_file, editor=editor, color=color)
    return _in_trio(partial(edit, settings))


@app.command(name="add")
def add(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    param: list[str] | None = None,
    top: bool = False,
    queue_file: QueuePath = QUEUE,
    color: Color = "auto",
) -> int:
    r"""Add a command to the queue, under its lock.

    Args:
        command: One command, in quotes; - reads one for each line of standard input.
        param: A parameter and its values: bs=8,16. Repeatable; \\, is a comma within a value.
        top: Add before all waiting jobs instead of after them.
    """
    from pegasus.commands import add as adding

    params = tuple(param or ())
    settings = adding.AddSettings(
        queue_file=queue_file, command=command, params=params, top=top, color=color
    )
    return _in_trio(partial(adding.add, settings))


@app.command(name="check")
def check(
    *,
    connect: bool = False,
    every: Annotated[bool, Parameter(name="--all")] = False,
    sub_node: int = 0,
    hosts_file: HostsPath = HOSTS,
    queue_file: QueuePath = QUEUE,
    ssh_config: SshConfig = None,
) -> int:
    """List the sub-nodes and jobs that the files expand to, and every error; run nothing.

    Args:
        connect: Connect to each sub-node, and report which of them answer.
        every: List all sub-nodes and jobs instead of the first twenty.
        sub_node: Render the commands for this sub-node, by its number.
    """
    from pegasus.commands import check as checking

    settings = checking.CheckSettings(
        hosts_file=hosts_file,
        queue_file=queue_file,
        ssh_config=ssh_config,
        every=every,
        sub_node=sub_node,
        connect=connect,
    )
    return _in_trio(partial(checking.check, settings))


@app.command(name="status")
def status(
    *,
    run: RunName = None,
    runs: bool = False,
    json: bool = False,
    watch: bool = False,
    queue_file: QueuePath = QUEUE,
) -> int:
    """Show what runs where, what waits, and the outcomes.

    Args:
        runs: List all runs, with their sizes.
        json: Output for programs; the reference has the schema.
        watch: Refresh every second, until Ctrl-C.
    """
    from pegasus.commands import status as looking

    settings = looking.StatusSettings(
        queue_file=queue_file, run=run, runs=runs, json=json, watch=watch
    )
    return looking.status(settings)


@app.command(name="logs")
def logs(
    job: int | None = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    stdout: bool = False,
    stderr: bool = False,
    sub_node: int | None = None,
    run: RunName = None,
    queue_file: QueuePath = QUEUE,
) -> int:
    """Show what a job printed, byte for byte; without a number, list the jobs.

    Args:
        job: The number of the job in its run.
        follow: Continue until the job has ended.
        stdout: Show only its standard output.
        stderr: Show only its standard error.
        sub_node: Show only its output on this sub-node, by its number.
    """
    from pegasus.commands import logs as showing

    settings = showing.LogsSettings(
        queue_file=queue_file,
        job=job,
        run=run,
        sub_node=sub_node,
        follow=follow,
        stdout=stdout,
        stderr=stderr,
    )
    return showing.logs(settings)


@app.command(name="retry")
def retry(
    *jobs: int,
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
    return _in_trio(partial(retrying.retry, settings))


@app.command(name="stop")
def stop(
    job: int | None = None,
    /,
    *,
    now: bool = False,
    leave: bool = False,
    sub_node: int | None = None,
    run: Annotated[str | None, Parameter(help="The run, if several are in progress.")] = None,
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
    return _in_trio(partial(stopping.stop, settings))


@app.command(name="attach")
def attach(
    *jobs: int,
    listing: Annotated[bool, Parameter(name="--list")] = False,
    json: bool = False,
    forget: bool = False,
    run: Annotated[str | None, Parameter(help="Only what this run has left.")] = None,
    queue_file: QueuePath = QUEUE,
    ssh_config: SshConfig = None,
    print_period: PrintPeriod = 1,
    color: Color = "auto",
) -> int:
    """Follow the detached commands that earlier runs have left; take nothing.

    Args:
        jobs: With --forget, the numbers of the jobs; default: all whose commands have ended.
        listing: List what is left and where, without connecting to any node.
        json: With --list: output for programs.
        forget: Remove the folders of commands that have ended from their nodes.
    """
    from pegasus.commands import attach as attaching

    settings = attaching.AttachSettings(
        queue_file=queue_file,
        ssh_config=ssh_config,
        print_period=print_period,
        color=color,
        run=run,
        jobs=jobs,
        listing=listing,
        json=json,
        forget=forget,
    )
    return _in_trio(partial(attaching.attach, settings))


@app.command(name="init")
def init(directory: Path = Path(), /) -> int:
    """Write a starter hosts.yaml and queue.yaml that run immediately on localhost.

    Args:
        directory: The target; it is created if it does not exist. No file is overwritten.
    """
    from pegasus.commands.init import init as write

    status = write(directory)
    _say(
        f"Wrote {directory / 'hosts.yaml'} and {directory / 'queue.yaml'}. "
        f"Now: cd {directory} && pegasus q"
    )
    return status


def _run(common: Common, *, broadcast: bool) -> int:
    from pegasus.commands.run import RunSettings, run

    if common.error_aborts and common.ignore_errors:
        raise PegasusError(
            "--error-aborts and --ignore-errors exclude each other. Give one of them: with "
            "--error-aborts (-e) nothing is taken after a failure, with --ignore-errors (-i), "
            "the default, the run goes on."
        )
    if common.give_up is not None and not common.detach:
        raise PegasusError(
            "--give-up says how long to wait for the node of a detached command. Add --detach, or "
            "leave out --give-up."
        )
    settings = RunSettings(
        hosts_file=common.hosts_file,
        queue_file=common.queue_file,
        ssh_config=common.ssh_config,
        print_period=common.print_period,
        color=common.color,
        daemon=common.daemon,
        error_aborts=common.error_aborts,
        broadcast=broadcast,
        retries=common.retries,
        timeout=math.inf if common.timeout is None else common.timeout,
        detach=common.detach,
        give_up=math.inf if common.give_up is None else common.give_up,
    )
    return _in_trio(partial(run, settings))


def _in_trio(command: Callable[[], Awaitable[int]]) -> int:
    import trio

    return trio.run(command)


def main() -> None:
    """Run ``pegasus`` with the arguments of the command line, and exit with its status."""
    from pegasus.standard_streams import open_standard_streams

    open_standard_streams()
    sys.exit(run_safely(_run_app))


def _run_app() -> int:
    first = sys.argv[1] if sys.argv[1:] else ""
    if first.startswith("-") and first not in {"--help", "-h", "--version", "-V", "--"}:
        raise PegasusError(
            f'"{first}" is not a command. Write the command first and its options after it: '
            "pegasus COMMAND [OPTIONS]."
        )
    return int(app(result_action="return_int_as_exit_code_else_zero"))


def run_safely(command: Callable[[], int]) -> int:
    """Run a command, and return the exit status for its result or its exception."""
    try:
        return command()
    # The outermost handler: no Trio code is above it that would need the Cancelled exception.
    except BaseException as error:  # noqa: BLE001, ASYNC103
        return _status_of(error)  # noqa: ASYNC104 -- see above


def _status_of(error: BaseException) -> int:
    leaves = list(leaves_of(error))
    for leaf in leaves:
        if isinstance(leaf, SystemExit):
            return leaf.code if isinstance(leaf.code, int) else ExitStatus.USAGE
    if all(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return ExitStatus.INTERRUPTED
    if all(isinstance(leaf, PegasusError) for leaf in leaves):
        for leaf in leaves:
            _say(str(leaf))
        return ExitStatus.USAGE
    _report_bug(error)
    return ExitStatus.BUG


def _say(text: str) -> None:
    """Print a message on one line; control characters in text from other sources become visible."""
    from pegasus.standard_streams import write_error
    from pegasus.terminal_text import visible

    write_error(f"[Pegasus] {visible(text)}\n")


def _report_bug(error: BaseException) -> None:
    import platform
    import traceback

    from pegasus.standard_streams import write_error

    report = "".join(traceback.format_exception(error))
    write_error(
        "[Pegasus] This is a bug in Pegasus. Please paste this report into an issue:\n"
        f"pegasus {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command line: {sys.argv[1:]!r}\n{report}"
    )
