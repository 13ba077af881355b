"""How a detached command is run: what dispatch asks of a shell on a sub-node.

Rule 1: a detached command is one that outlives its connection and Pegasus; only its node ends it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import trio

from pegasus.events import OutputSizes


@dataclass(frozen=True, slots=True)
class Detachment:
    """How a detached command is run or followed.

    Attributes:
        stop: once set, the command is ended: SIGTERM, and SIGKILL after ten seconds, on the node.
        limit: its time limit in seconds, which the node enforces; infinite where there is none.
        extent: None to start the command. To follow one that an earlier shell started: how many
            bytes of each stream are recorded already.
    """

    stop: trio.Event
    limit: float = math.inf
    extent: OutputSizes | None = None
