"""The options that several commands share, each defined and described once.

Rule 1: only names, types and help texts; the command defines the behaviour.
Rule 2: a help text is one line if it can be; the reference says the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter, Token, validators

from pegasus import candidates
from pegasus.duration import seconds
from pegasus.share import Share, share, share_above_zero, share_of_jobs

FILES = Group("Files and nodes", sort_key=5)
JOBS = Group("Jobs", sort_key=3)
SHOWN = Group("What is shown", sort_key=4)
MESSAGES = Group("Messages", sort_key=4)

_WHOLE = re.compile(r"-?[0-9]{1,9}")


def _seconds(_type: object, tokens: Sequence[Token]) -> float:
    """Convert a duration such as ``1h30m`` to seconds."""
    return seconds(tokens[0].value)


def _share(_type: object, tokens: Sequence[Token]) -> Share:
    """Convert a number of sub-nodes, or a percentage."""
    return share(tokens[0].value)


def _max_failures(_type: object, tokens: Sequence[Token]) -> Share:
    """Convert a number of jobs above zero, or a percentage."""
    return share_of_jobs(tokens[0].value)


def _batch(_type: object, tokens: Sequence[Token]) -> Share:
    """Convert the same, where zero has no meaning."""
    return share_above_zero(tokens[0].value)


def _whole(_type: object, tokens: Sequence[Token]) -> int:
    """Convert a whole number; cyclopts would round 1.5."""
    text = tokens[0].value
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _wholes(_type: object, tokens: Sequence[Token]) -> tuple[int, ...]:
    """Convert several of them."""
    return tuple(_whole(_type, [token]) for token in tokens)


Whole = Annotated[int, Parameter(converter=_whole, metavar="N")]
JobNumber = Annotated[int | None, Parameter(converter=_whole, metavar="JOB")]
JobNumbers = Annotated[tuple[int, ...], Parameter(converter=_wholes, metavar="JOB")]
SubNodeName = Annotated[
    str | None,
    Parameter(
        name="--sub-node",
        metavar="SUB-NODE",
        help="Only on this one: a number, a name, or NAME=VALUE.",
        completer=candidates.sub_nodes,
    ),
]
Time = Annotated[float | None, Parameter(converter=_seconds, metavar="TIME", group=JOBS)]

HostsPath = Annotated[
    Path,
    Parameter(
        name="--hosts-file", group=FILES, metavar="FILE", help="The nodes; default: hosts.yaml."
    ),
]
QueuePath = Annotated[
    Path,
    Parameter(
        name="--queue-file", group=FILES, metavar="FILE", help="The jobs; default: queue.yaml."
    ),
]
SshConfig = Annotated[
    Path | None,
    Parameter(
        name="--ssh-config",
        group=FILES,
        metavar="FILE",
        help="Instead of your configuration of ssh (ssh -F).",
    ),
]
Color = Annotated[
    Literal["auto", "always", "never"],
    Parameter(
        name="--color",
        group=SHOWN,
        metavar="WHEN",
        help="auto, always or never; auto: on a terminal without NO_COLOR.",
    ),
]
RunName = Annotated[
    str | None,
    Parameter(
        name="--run",
        metavar="RUN",
        help="Name, number or part of the name; default: the newest.",
        completer=candidates.runs,
    ),
]

Limit = Annotated[
    list[str] | None,
    Parameter(
        name="--limit",
        group=FILES,
        metavar="NODES",
        help="Only these: node-[1-4], rack=2, !node-3. Repeatable.",
        completer=candidates.limit_terms,
    ),
]
NoLive = Annotated[
    bool, Parameter(name="--no-live", group=SHOWN, help="Only the log, no live screen.")
]

Quiet = Annotated[
    bool,
    Parameter(
        name=["--quiet", "-q"],
        group=SHOWN,
        help="A line of numbers each minute and failures, no log.",
    ),
]

WaitLimit = Annotated[
    float | None,
    Parameter(
        name="--timeout",
        converter=_seconds,
        metavar="TIME",
        help="Wait no longer: 90, 30s, 5m, 2h, 1d; then status 124.",
    ),
]

PrintPeriod = Annotated[
    Whole,
    Parameter(
        name=["--print-period", "-p"],
        group=SHOWN,
        validator=validators.Number(gte=0),
        help="Show every N-th line of output; 0: none.",
    ),
]

GPU_BUSY = 500
"""MiB; an idle GPU with a running driver uses less."""

HOSTS, QUEUE = Path("hosts.yaml"), Path("queue.yaml")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """The options of the commands that run jobs."""

    hosts_file: HostsPath = HOSTS
    queue_file: QueuePath = QUEUE
    ssh_config: SshConfig = None
    limit: Limit = None
    print_period: PrintPeriod = 1
    color: Color = "auto"
    no_live: NoLive = False
    quiet: Quiet = False
    daemon: Annotated[bool, Parameter(name=["--daemon", "-d"])] = False
    """Wait for jobs until stopped, also for a missing queue file."""
    error_aborts: Annotated[bool, Parameter(name=["--error-aborts", "-e"])] = False
    """Take nothing more once a job has failed."""
    max_failures: Annotated[
        Share | None, Parameter(converter=_max_failures, accepts_keys=False, metavar="N|P%")
    ] = None
    """Take nothing more once this many jobs have failed."""
    ignore_errors: Annotated[bool, Parameter(name=["--ignore-errors", "-i"])] = False
    """Continue when a job fails: the default."""
    retries: Annotated[Whole, Parameter(validator=validators.Number(gte=0), group=JOBS)] = 0
    """Try a job that did not succeed N more times."""
    retry_on: Annotated[list[str] | None, Parameter(group=JOBS, metavar="CAUSE")] = None
    """Only after this: exit:137, signal:9, lost, timeout, or a regular expression that a printed
    line matches. Repeatable."""
    timeout: Time = None
    """End a command that runs longer: 90, 30s, 5m, 2h, 1d."""
    shell: Annotated[str | None, Parameter(group=JOBS, metavar="SHELL")] = None
    """The shell of commands, as in 'bash -lc'; default: sh -c."""
    chdir: Annotated[str | None, Parameter(group=JOBS, metavar="DIR")] = None
    """Where commands begin; default: the home directory."""
    detach: Annotated[bool, Parameter(group=JOBS)] = False
    """Let commands outlive their connection and Pegasus."""
    give_up: Time = None
    """With --detach: count a command as lost after this long without its node."""
    gpu_busy: Annotated[
        Whole, Parameter(validator=validators.Number(gte=0), group=JOBS, metavar="MIB")
    ] = GPU_BUSY
    """Do not use a GPU of which others use more memory; default: 500."""
    stall: Annotated[Time, Parameter(group=MESSAGES)] = None
    """Report a command that prints nothing for longer: 30m."""
    notify: Annotated[str | None, Parameter(group=MESSAGES, metavar="COMMAND")] = None
    """Run this here for each failure and at the end of the run."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The options of a broadcast only."""

    batch: Annotated[
        Share | None, Parameter(converter=_batch, accepts_keys=False, metavar="N|P%")
    ] = None
    """Run a step on at most this many sub-nodes at a time."""
    max_unreachable: Annotated[
        Share | None, Parameter(converter=_share, accepts_keys=False, metavar="N|P%")
    ] = None
    """Continue if at most this many cannot be reached."""
    resume: bool = False
    """Continue the newest broadcast that did not finish."""
    gather: Annotated[bool | Literal["diff"], Parameter(group=SHOWN, metavar="[=diff]")] = False
    """Show equal outputs of a step once; =diff: their differences."""
