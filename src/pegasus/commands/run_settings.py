"""What the command line says about a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pegasus.events import RunMode
from pegasus.gather import GatherKind
from pegasus.hosts_file import HostsChoice, SubNodeLimit
from pegasus.launch import NO_LAUNCH, Launch
from pegasus.retry_causes import RetryCauses
from pegasus.share import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What the command line says about a run; see ``pegasus queue --help``."""

    hosts_file: Path
    queue_file: Path
    ssh_config: Path | None = None
    print_period: int = 1
    color: Literal["auto", "always", "never"] = "auto"
    daemon: bool = False
    max_failures: Share | None = None
    broadcast: bool = False
    retries: int = 0
    timeout: float = math.inf
    detach: bool = False
    give_up: float = math.inf
    limit: tuple[str, ...] = ()
    launch: Launch = NO_LAUNCH
    live: bool = True
    quiet: bool = False
    retry_on: RetryCauses | None = None
    gpu_busy: int = 500
    stall: float = math.inf
    notify: str | None = None
    gather: GatherKind = False
    batch: Share | None = None
    max_unreachable: Share | None = None
    resume: bool = False
    hosts_seen: tuple[int, ...] = ()
    """The state in which the hosts file was read."""
    notes: tuple[str, ...] = ()
    """What settings say, and what ``--limit`` names and the hosts file does not have."""
    resumes: tuple[str, ...] = ()
    """The runs of the broadcast that is continued, the newest last."""

    @property
    def mode(self) -> RunMode:
        """Whether each job runs once, or on every sub-node."""
        return "broadcast" if self.broadcast else "queue"

    @property
    def choice(self) -> HostsChoice:
        """What the command line says about the sub-nodes of the hosts file."""
        return HostsChoice(SubNodeLimit(self.limit), self.launch)
