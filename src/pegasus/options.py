"""The options that several commands share: each is spelled and described once.

Rule 1: only names, types and help texts; what an option means is the command's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter, Token, validators

from pegasus.duration import seconds

FILES = Group("Files")
SHOWN = Group("What is shown")


def _seconds(_type: object, tokens: Sequence[Token]) -> float:
    """Read a length of time, as people write it, in seconds."""
    return seconds(tokens[0].value)


HostsFile = Annotated[Path, Parameter(name="--hosts-file", group=FILES, help="The nodes.")]
QueueFile = Annotated[Path, Parameter(name="--queue-file", group=FILES, help="The jobs.")]
SshConfig = Annotated[
    Path | None,
    Parameter(
        name="--ssh-config",
        group=FILES,
        help="Read this ssh configuration instead of yours and the system's (ssh's -F).",
    ),
]
Color = Annotated[
    Literal["auto", "always", "never"],
    Parameter(
        name="--color",
        group=SHOWN,
        help="Colour the names of the sub-nodes: auto does on a terminal, unless NO_COLOR is set.",
    ),
]
RunName = Annotated[
    str | None,
    Parameter(
        name="--run", help="A run: its name or number, or a part of the name; else the newest."
    ),
]

HOSTS, QUEUE = Path("hosts.yaml"), Path("queue.yaml")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    """What the commands that run jobs have in common."""

    hosts_file: HostsFile = HOSTS
    queue_file: QueueFile = QUEUE
    ssh_config: SshConfig = None
    print_period: Annotated[
        int,
        Parameter(name=["--print-period", "-p"], group=SHOWN, validator=validators.Number(gte=0)),
    ] = 1
    """Show each N-th line that a job prints; 0 shows none."""
    color: Color = "auto"
    daemon: Annotated[bool, Parameter(name=["--daemon", "-d"])] = False
    """Wait for jobs until stopped, also for the queue file to appear."""
    error_aborts: Annotated[bool, Parameter(name=["--error-aborts", "-e"])] = False
    """Take nothing more once a job has failed on any sub-node."""
    ignore_errors: Annotated[bool, Parameter(name=["--ignore-errors", "-i"])] = False
    """Go on when a job fails. This is the default; the option is there for old scripts."""
    retries: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0
    """Try a job that failed, timed out or was lost so often again, elsewhere where possible."""
    timeout: Annotated[float | None, Parameter(converter=_seconds)] = None
    """End a command that runs longer: 90, 30s, 5m, 2h, 1d."""
