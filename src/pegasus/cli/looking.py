"""The commands that only read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from pegasus import candidates
from pegasus.cli.app import app, run_in_trio
from pegasus.cli.help import LOOK, PREPARE
from pegasus.errors import PegasusError
from pegasus.options import (
    HOSTS,
    QUEUE,
    HostsPath,
    JobNumber,
    Limit,
    QueuePath,
    RunName,
    SshConfig,
    SubNodeName,
    WaitLimit,
)


@app.command(
    name="check",
    group=PREPARE,
    usage="Usage: pegasus check [OPTIONS]",
    help_epilogue="Example: `pegasus check --connect`",
)
def check(
    *,
    connect: bool = False,
    every: Annotated[bool, Parameter(name="--all")] = False,
    sub_node: Annotated[
        SubNodeName, Parameter(help="Render for this one: a number, a name, or NAME=VALUE.")
    ] = None,
    limit: Limit = None,
    hosts_file: HostsPath = HOSTS,
    queue_file: QueuePath = QUEUE,
    ssh_config: SshConfig = None,
) -> int:
    """List sub-nodes, jobs and every error; run nothing.

    Args:
        connect: Connect to each sub-node; report which of them answer.
        every: All sub-nodes and jobs instead of the first twenty.
    """
    from pegasus.cli.running import refuse_settings
    from pegasus.commands import check as checking

    refuse_settings()
    settings = checking.CheckSettings(
        hosts_file=hosts_file,
        queue_file=queue_file,
        ssh_config=ssh_config,
        every=every,
        sub_node=sub_node,
        limit=tuple(limit or ()),
        connect=connect,
    )
    return run_in_trio(partial(checking.check, settings))


@app.command(
    name="status",
    group=LOOK,
    usage="Usage: pegasus status [OPTIONS]",
    help_epilogue="Example: `pegasus status --watch`",
)
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
        json: For programs; the reference has the schema.
        watch: Refresh every second, until the run has ended.
    """
    from pegasus.commands import status as looking

    settings = looking.StatusSettings(
        queue_file=queue_file, run=run, runs=runs, json=json, watch=watch
    )
    return looking.status(settings)


@app.command(
    name="logs",
    group=LOOK,
    usage="Usage: pegasus logs [OPTIONS] [JOB]",
    help_epilogue="Example: `pegasus logs 3 -f`",
)
def logs(
    job: Annotated[JobNumber, Parameter(completer=candidates.recorded_jobs)] = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    stdout: bool = False,
    stderr: bool = False,
    sub_node: SubNodeName = None,
    run: RunName = None,
    queue_file: QueuePath = QUEUE,
) -> int:
    """Show what a job printed; without a number, list the jobs.

    Args:
        job: Its number in the run.
        follow: Continue until the job has ended.
        stdout: Only its standard output.
        stderr: Only its standard error.
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


@app.command(
    name="wait",
    group=LOOK,
    usage="Usage: pegasus wait [OPTIONS] [JOB]",
    help_epilogue="Example: `pegasus wait && pegasus results --csv`",
)
def wait(
    job: JobNumber = None,
    /,
    *,
    run: RunName = None,
    every: Annotated[bool, Parameter(name="--all")] = False,
    timeout: WaitLimit = None,
    queue_file: QueuePath = QUEUE,
) -> int:
    """Wait until a run or a job has ended; exit with its status.

    Args:
        job: Its number in the run.
        every: All runs of the queue that are in progress.
    """
    from pegasus.commands import wait as waiting

    settings = waiting.WaitSettings(
        queue_file=queue_file, job=job, run=run, every=every, limit=timeout
    )
    return waiting.wait(settings)


@app.command(
    name="results",
    group=LOOK,
    usage="Usage: pegasus results [OPTIONS] [RUN]",
    help_epilogue="Example: `pegasus results --csv > results.csv`",
)
def results(
    run: RunName = None,
    *,
    csv: bool = False,
    json: bool = False,
    queue_file: QueuePath = QUEUE,
) -> int:
    """List the jobs of a run: parameters, outcomes, times, files.

    Args:
        csv: For spreadsheets and data frames.
        json: For programs; the reference has the schema.
    """
    from pegasus.commands import results as listing

    if csv and json:
        raise PegasusError("--csv and --json exclude each other. Write one of them.")
    settings = listing.ResultsSettings(queue_file=queue_file, run=run, csv=csv, json=json)
    return listing.results(settings)


@app.command(
    name="report",
    group=LOOK,
    usage="Usage: pegasus report [OPTIONS] [RUN]",
    help_epilogue="Example: `pegasus report -o report.html`",
)
def report(
    run: RunName = None,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True, metavar="FILE")
    ] = None,
    queue_file: QueuePath = QUEUE,
) -> int:
    """Write a run as one HTML page.

    Args:
        output: Default: pegasus-report-RUN.html; -: standard output.
    """
    from pegasus.commands import report as reporting

    name = str(output or "")
    if name.startswith("-") and name != "-":  # probably the next option
        raise PegasusError(f"-o needs the name of a file. If {name!r} is meant, write ./{name}.")
    settings = reporting.ReportSettings(queue_file=queue_file, run=run, output=output)
    return reporting.report(settings)


@app.command(
    name="schema",
    group=PREPARE,
    usage="Usage: pegasus schema hosts|queue",
    help_epilogue="Example: `pegasus schema queue > queue.schema.json`",
)
def schema(file: Literal["hosts", "queue"], /) -> int:
    """Print the JSON Schema of a file, for editors.

    Args:
        file: hosts for hosts.yaml, queue for queue.yaml.
    """
    from pegasus.commands.schema import schema as print_schema

    return print_schema(file)
