"""What can happen with slots, and with what waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pegasus.model import Barrier, Slot, SubNode


@dataclass(frozen=True, slots=True)
class SlotSeen:
    """What a probe says about a slot.

    Attributes:
        slot: the slot.
        used_by: who uses it, although no command of Pegasus holds it; empty where it is free.
    """

    slot: Slot
    used_by: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """A node was asked for the slots of a pool.

    Attributes:
        pool: the name of the pool.
        seen: its slots; empty where ``words`` say why they are not known.
        words: why no slot counts as free; empty where the answer is valid.
        output: what the probe printed, shortened.
    """

    sub_node: SubNode
    pool: str
    seen: tuple[SlotSeen, ...]
    words: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """A job at the head of the queue, or a barrier, and what it waits for.

    Attributes:
        position: its position in the queue file, ``queue.yaml:3:1``; empty for a job that was taken
            and is to be tried again.
        text: the command, or ``barrier: succeeded``.
        words: what it waits for.
    """

    position: str
    text: str
    words: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """What jobs at the head of the queue wait for, has changed; the first of them.

    Attributes:
        waiting: all that is waited for now; empty where nothing is.
    """

    waiting: tuple[WaitingFor, ...]


@dataclass(frozen=True, slots=True)
class BarrierPassed:
    """A barrier has opened, and was removed from the queue file."""

    barrier: Barrier


AllocationState: TypeAlias = Literal["waiting", "running", "draining", "over"]
"""What a Slurm allocation that Pegasus has requested does: it waits for its nodes, gives jobs to
them, gives them no more jobs, or is over."""


@dataclass(frozen=True, slots=True)
class AllocationChanged:
    """The state of a Slurm allocation that Pegasus has requested has changed.

    Attributes:
        job: its id at Slurm.
        request: the options with which it was requested.
        state: what it does.
        words: why it waits, or how it ended, in Slurm's words; may be empty.
    """

    job: str
    request: str
    state: AllocationState
    words: str = ""
