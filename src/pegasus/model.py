"""The value types of Pegasus, which all other modules use.

Rule 1: only frozen data; no behaviour except text for messages.
Rule 2: every text is the user's own, exactly as typed; nothing here converts it.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass, field
from typing import Literal, NewType, TypeAlias

from pegasus.launch import NO_LAUNCH, Launch

Params: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of parameters, in the order written."""


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a file; lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


TransportKind: TypeAlias = Literal["ssh", "local", "slurm"]
"""How a sub-node is reached: over SSH, as a process of this machine, or by a step of a Slurm
allocation."""


@dataclass(frozen=True, slots=True)
class SlurmPlace:
    """Where a sub-node is that belongs to a Slurm allocation.

    Attributes:
        job: the id of the allocation; empty where Pegasus has still to request it.
        request: names and values of the options of ``sbatch`` with which Pegasus requests it; None
            for the allocation in which Pegasus runs.
        copy: its number among the entries with the same request, from 0.
        facts: what Slurm says about the node: the values of ``features`` and ``partition``. A name
            that is missing is not known yet.
    """

    job: str = ""
    request: Params | None = None
    copy: int = 0
    facts: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def is_requested(self) -> bool:
        """Whether the sub-node stands for nodes that Pegasus has still to request."""
        return self.request is not None and not self.job


PoolKind: TypeAlias = Literal["fixed", "nproc", "nvidia", "amd", "probe"]
"""Where the slots of a pool come from: the hosts file names them, or the node is asked: for its
processors, its GPUs, or with the user's own command."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The slots of one kind on a node, as its entry in ``hosts.yaml`` describes them.

    Attributes:
        name: as in ``slots: {gpu: ...}``.
        kind: where its slots come from.
        ids: of the slots. Of a pool of GPUs that are found: only these; empty for all.
        command: of the kind ``probe``: what prints one slot on each line.
    """

    name: str
    kind: PoolKind = "fixed"
    ids: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class SubNode:
    """One place on a node where one command runs at a time; with pools, one for each slot.

    Attributes:
        number: its number in ``hosts.yaml``, from 0; it distinguishes identical sub-nodes.
        hostname: the SSH destination, in the form that ssh accepts.
        params: its parameters, without ``hostname``.
        transport: how it is reached. Its entry in ``hosts.yaml`` decides that.
        pools: its slots, in the order written; empty where one command runs at a time.
        slurm: its allocation; None where it belongs to none.
        launch: how commands are started there, unless their entry says it.
    """

    number: int
    hostname: str
    params: Params = ()
    transport: TransportKind = "ssh"
    pools: tuple[Pool, ...] = ()
    slurm: SlurmPlace | None = None
    launch: Launch = NO_LAUNCH

    def __str__(self) -> str:
        """Return the name for messages: ``node-1 (container=gpu0)``."""
        if not self.params:
            return self.hostname
        return f"{self.hostname} ({', '.join(f'{name}={value}' for name, value in self.params)})"


Needs: TypeAlias = tuple[tuple[str, int], ...]
"""Names of pools, and how many of their slots a job takes; in the order written."""

Where: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""Names of parameters of a sub-node, or ``hostname``, and the values that are accepted."""


@dataclass(frozen=True, slots=True)
class AtMost:
    """How many jobs of an entry may run at a time.

    Attributes:
        running: that many; at least 1.
        of: which jobs count together, where the entry does not say it by itself; may be empty.
    """

    running: int
    of: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an entry says about where, when and how its jobs run.

    Attributes:
        needs: the slots that each job takes; None for one slot of the first pool.
        where: on which sub-nodes; empty for all.
        at_most: how many of its jobs run at a time; None for any number.
        launch: how its commands are started, as far as the entry says it.
    """

    needs: Needs | None = None
    where: Where = ()
    at_most: AtMost | None = None
    launch: Launch = NO_LAUNCH


NO_DEMAND = Demand()
"""Of an entry without ``needs``, ``where``, ``at_most`` and ``run``."""


@dataclass(frozen=True, slots=True)
class Job:
    """One command template with one value for each parameter: the unit that is taken and run.

    Attributes:
        command: the template.
        params: the values, in the order of the entry.
        position: where its entry begins in the queue file, if it was read from one. It does not
            count when two jobs are compared.
        demand: where, when and how it runs.
    """

    command: str
    params: Params = ()
    position: Position | None = field(default=None, compare=False)
    demand: Demand = NO_DEMAND


BarrierKind: TypeAlias = Literal["succeeded", "ended"]
"""What everything above a barrier must have done before the barrier opens."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """An entry of ``queue.yaml`` below which nothing is taken yet.

    Attributes:
        kind: when it opens.
        position: where it begins in its file. It does not count when two are compared.
    """

    kind: BarrierKind
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a pool.

    Attributes:
        id: as the hosts file or the probe names it: ``3``.
        device: what identifies it beyond that, for a GPU its UUID; may be empty.
    """

    id: str
    device: str = ""

    @property
    def key(self) -> str:
        """What identifies it on its node: a GPU may get another number when one disappears."""
        return self.device or self.id


@dataclass(frozen=True, slots=True)
class HeldSlots:
    """The slots of one pool that a command holds.

    Attributes:
        pool: the name of the pool.
        slots: in the order of the pool; empty where it takes none.
        kind: of the pool.
    """

    pool: str
    slots: tuple[Slot, ...]
    kind: PoolKind = "fixed"

    @property
    def text(self) -> str:
        """The slots as a command sees them: ``2,3``."""
        return ",".join(slot.id for slot in self.slots)


SlotsHeld: TypeAlias = tuple[HeldSlots, ...]
"""What a command holds: one element for each pool of its sub-node, in their order."""


@dataclass(frozen=True, slots=True)
class StepOrigin:
    """Identifies a step of a broadcast by the run that took it, and its number in that run."""

    run: str
    job: int


Command = NewType("Command", str)
"""The text of a job for one sub-node: rendered and checked. Only ``rendered`` makes one."""


@dataclass(frozen=True, slots=True)
class TakenJob:
    """A job that one take removed from the queue file.

    Attributes:
        number: its number in the run, from 1.
        job: the job, as it was in the file.
        commands: the job rendered, one command for each sub-node that was asked for.
    """

    number: int
    job: Job
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of ``queue.yaml``: commands x parameters, the last varying fastest.

    Attributes:
        commands: at least one command template.
        params: each parameter's name and its values, at least one, in the order written.
        position: the position where the entry begins in its file.
        demand: where and when its jobs may run.
    """

    commands: tuple[str, ...]
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    position: Position | None = None
    demand: Demand = NO_DEMAND


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job that was assigned to a sub-node.

    Attributes:
        number: the job's number in the run, from 1; in a broadcast all sub-nodes share it.
        job: the job as it was taken.
        sub_node: the sub-node that runs it.
        command: the job's text, rendered for this sub-node.
        key: where the command is detached, the name of its folder on the node; None otherwise.
        slots: the slots that it holds; empty on a sub-node without pools.
    """

    number: int
    job: Job
    sub_node: SubNode
    command: Command
    key: str | None = None
    slots: SlotsHeld = ()


class Stream(enum.Enum):
    """One of the two output streams of a command."""

    STDOUT = "stdout"
    STDERR = "stderr"

    __hash__ = object.__hash__  # a member is one object; Enum's own hash is slow, and asked often


@dataclass(frozen=True, slots=True)
class Exited:
    """The command ended by itself with an exit status, 0 to 255."""

    status: int

    def __str__(self) -> str:
        return f"exit status: {self.status}"


@dataclass(frozen=True, slots=True)
class Killed:
    """A signal that Pegasus did not send ended the command.

    Attributes:
        signal: its number.
        words: who sent it, where that is known; may be empty.
    """

    signal: int
    words: str = ""

    def __str__(self) -> str:
        try:
            name = f" ({signal.Signals(self.signal).name})"
        except ValueError:
            name = ""
        return f"killed by signal {self.signal}{name}" + (f": {self.words}" if self.words else "")


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Pegasus ended the command because a user requested it."""

    def __str__(self) -> str:
        return "cancelled"


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Pegasus ended the command because it ran longer than the limit, in seconds."""

    limit: float

    def __str__(self) -> str:
        return f"timed out after {self.limit:g} s"


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection broke while the command ran: whether and how it ended is unknown."""

    words: str

    def __str__(self) -> str:
        return f"lost: {self.words}"


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The command certainly never started.

    Attributes:
        words: why.
        is_final: whether its node has refused it for a reason that stays: there is no directory
            for it, for example. Otherwise it may be started elsewhere, or later.
    """

    words: str
    is_final: bool = False

    def __str__(self) -> str:
        return f"not started: {self.words}"


Outcome: TypeAlias = Exited | Killed | Cancelled | TimedOut | Lost | NotStarted
"""The result of one job on one sub-node."""


@dataclass(frozen=True, slots=True)
class Apart:
    """The connection to a detached command broke; what became of it is to be found on its node.

    Attributes:
        words: why the connection broke.
    """

    words: str


def succeeded(outcome: Outcome) -> bool:
    """Tell whether the outcome is exit status 0."""
    return isinstance(outcome, Exited) and outcome.status == 0
