"""The commands that only read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pegasus import candidates
from pegasus.cli.app import app, run_in_trio
from pegasus.errors import PegasusError
from pegasus.options import (
    HOSTS,
    QUEUE,
    HostsPath,
    Limit,
    QueuePath,
    RunName,
    SshConfig,
    SubNodeNumber,
)


@app.command(name="check")
def check(
    *,
    connect: bool = False,
    every: Annotated[bool, Parameter(name="--all")] = False,
    sub_node: SubNodeNumber = None,
    limit: Limit = None,
    hosts_file: HostsPath = HOSTS,
    queue_file: QueuePath = QUEUE,
    ssh_config: SshConfig = None,
) -> int:
    """List the sub-nodes and jobs that the files expand to, and every error; run nothing.

    Args:
        connect: Connect to each sub-node, and report which of them answer.
        every: List all sub-nodes and jobs instead of the first twenty.
        sub_node: Render the commands for this sub-node, by its number; default: the first.
    """
    from pegasus.commands import check as checking

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
        watch: Refresh every second, until the run has ended or Ctrl-C.
    """
    from pegasus.commands import status as looking

    settings = looking.StatusSettings(
        queue_file=queue_file, run=run, runs=runs, json=json, watch=watch
    )
    return looking.status(settings)


@app.command(name="logs")
def logs(
    job: Annotated[int | None, Parameter(completer=candidates.recorded_jobs)] = None,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    stdout: bool = False,
    stderr: bool = False,
    sub_node: SubNodeNumber = None,
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


@app.command(name="results")
def results(
    run: RunName = None,
    *,
    csv: bool = False,
    json: bool = False,
    queue_file: QueuePath = QUEUE,
) -> int:
    """List each job of a run: parameters, sub-node, outcome, times, and the files of its output.

    Args:
        csv: Comma-separated values, for spreadsheets and data frames.
        json: A JSON list, for programs; the reference has the schema.
    """
    from pegasus.commands import results as listing

    if csv and json:
        raise PegasusError("--csv and --json exclude each other. Write one of them.")
    settings = listing.ResultsSettings(queue_file=queue_file, run=run, csv=csv, json=json)
    return listing.results(settings)


@app.command(name="report")
def report(
    run: RunName = None,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)
    ] = None,
    queue_file: QueuePath = QUEUE,
) -> int:
    """Write a run as one HTML page: its timeline, its failures, and how busy the sub-nodes were.

    Args:
        output: The file to write, - for standard output; default: pegasus-report-RUN.html.
    """
    from pegasus.commands import report as reporting

    name = str(output or "")
    if name.startswith("-") and name != "-":  # probably the next option
        raise PegasusError(f"-o needs the name of a file. If {name!r} is meant, write ./{name}.")
    settings = reporting.ReportSettings(queue_file=queue_file, run=run, output=output)
    return reporting.report(settings)
