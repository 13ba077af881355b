"""The options that several commands share, each defined and described once.

Rule 1: only names, types and help texts; the command defines the behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter, Token, validators

from pegasus import candidates
from pegasus.duration import seconds
from pegasus.share import Share, share, share_above_zero

FILES = Group("Files")
SHOWN = Group("What is shown")


def _seconds(_type: object, tokens: Sequence[Token]) -> float:
    """Convert a duration such as ``1h30m`` to seconds."""
    return seconds(tokens[0].value)


def _share(_type: object, tokens: Sequence[Token]) -> Share:
    """Convert a number of sub-nodes, or a percentage."""
    return share(tokens[0].value)


def _batch(_type: object, tokens: Sequence[Token]) -> Share:
    """Convert the same, where zero has no meaning."""
    return share_above_zero(tokens[0].value)


HostsPath = Annotated[
    Path, Parameter(name="--hosts-file", group=FILES, help="The file that lists the nodes.")
]
QueuePath = Annotated[
    Path, Parameter(name="--queue-file", group=FILES, help="The file that lists the jobs.")
]
SshConfig = Annotated[
    Path | None,
    Parameter(
        name="--ssh-config",
        group=FILES,
        help="The ssh configuration to read instead of yours and the system's (ssh's -F).",
    ),
]
Color = Annotated[
    Literal["auto", "always", "never"],
    Parameter(
        name="--color",
        group=SHOWN,
        help="Colour the names of the sub-nodes: auto means on a terminal, unless NO_COLOR is set.",
    ),
]
RunName = Annotated[
    str | None,
    Parameter(
        name="--run",
        help="A run: its name, number or a part of the name; default: the newest.",
        completer=candidates.runs,
    ),
]

Limit = Annotated[
    list[str] | None,
    Parameter(
        name="--limit",
        group=FILES,
        negative="",
        completer=candidates.limit_terms,
        help="Only these sub-nodes: node-[1-4], rack=2, !node-3 without them. Repeatable.",
    ),
]
SubNodeNumber = Annotated[int | None, Parameter(name="--sub-node", completer=candidates.sub_nodes)]
NoLive = Annotated[
    bool,
    Parameter(
        name="--no-live", group=SHOWN, negative="", help="Show only the log, no live screen."
    ),
]

PrintPeriod = Annotated[
    int,
    Parameter(
        name=["--print-period", "-p"],
        group=SHOWN,
        validator=validators.Number(gte=0),
        help="Show every N-th line that a job prints; 0 shows none.",
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
    daemon: Annotated[bool, Parameter(name=["--daemon", "-d"])] = False
    """Wait for jobs until stopped, also for a missing queue file."""
    error_aborts: Annotated[bool, Parameter(name=["--error-aborts", "-e"])] = False
    """Take nothing more once a job has failed on any sub-node."""
    ignore_errors: Annotated[bool, Parameter(name=["--ignore-errors", "-i"])] = False
    """Continue when a job fails. This is the default; the option exists for old scripts."""
    retries: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0
    """Run a failed, timed-out or lost job up to N more times, if possible on another sub-node."""
    timeout: Annotated[float | None, Parameter(converter=_seconds)] = None
    """End a command that runs longer: 90, 30s, 5m, 2h, 1d."""
    detach: bool = False
    """Let each command outlive its connection and Pegasus; `pegasus attach` follows it again."""
    give_up: Annotated[float | None, Parameter(converter=_seconds)] = None
    """With --detach: count a command as lost once its node has been away for this long."""
    retry_on: Annotated[list[str] | None, Parameter(negative="")] = None
    """With --retries: only jobs that ended this way: exit:137, exit:1,2, signal:9, lost, timeout;
    anything else is a regular expression, and a job is tried again if it printed a line that
    matches. re:lost searches for such a word. Repeatable."""
    gpu_busy: Annotated[int, Parameter(validator=validators.Number(gte=0))] = GPU_BUSY
    """MiB: a GPU of which others use more memory than this is not used for now."""
    stall: Annotated[float | None, Parameter(converter=_seconds)] = None
    """Report a command that has printed nothing for this long: 30m."""
    notify: str | None = None
    """Run this command here for each job that failed permanently, for each silence that --stall
    reports, and at the end of the run. It gets the event as JSON on its standard input."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The options of a broadcast only."""

    gather: Annotated[bool | Literal["diff"], Parameter(negative="", group=SHOWN)] = False
    """Show equal outputs of a step once, with their nodes; --gather=diff shows differences."""
    batch: Annotated[Share | None, Parameter(converter=_batch, accepts_keys=False)] = None
    """Run a step on at most this many sub-nodes at a time: 4 or 25%."""
    max_unreachable: Annotated[Share | None, Parameter(converter=_share, accepts_keys=False)] = None
    """Continue if at most this many sub-nodes cannot be reached: 2 or 10%."""
    resume: bool = False
    """Continue the newest broadcast that did not finish; no step is repeated where it is done."""
