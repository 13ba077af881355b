"""What the tests of allocations share: a Slurm in memory, and a run that uses its nodes."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from pegasus.allocations import (
    AllocationLimits,
    AllocationPorts,
    AllocationRequest,
    Allocations,
)
from pegasus.allocations.client import AllocationStatus, SlurmMissing, SlurmRefused, SlurmSilent
from pegasus.allocations.hooks import AllocationUse
from pegasus.allocations.work import WaitingWork
from pegasus.demand import fits_on
from pegasus.errors import PegasusError, sole_error
from pegasus.events import Event
from pegasus.model import Demand, Params, SlurmPlace, SubNode
from pegasus.queue_file import QueueFile
from tests.fake_queue import Listening


@dataclass
class FakeAllocation:
    """An allocation, as the controller knows it."""

    name: str
    nodes: tuple[str, ...]
    state: str = "PENDING"
    reason: str = "Priority"
    limit: float = 3600.0
    began: float = math.inf
    ended: float = math.inf
    looks: int = 0
    options: Sequence[str] = ()


@dataclass
class FakeSlurm:
    """A Slurm with one user.

    Attributes:
        starts_after: looks after which an allocation gets its nodes; None for only when told.
        silent: questions without an answer.
        loses_answers: whether a request is submitted, and its answer is lost.
        refusal: why a request is refused.
    """

    starts_after: int | None = 1
    nodes: tuple[str, ...] = ("c1", "c2")
    limit: float = 3600.0
    silent: set[str] = field(default_factory=set)
    loses_answers: bool = False
    refusal: str = ""
    is_missing: bool = False
    features_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    allocations: dict[str, FakeAllocation] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    cancels: bool = True
    script: bytes = b""

    async def _answer(self, question: str) -> None:
        await trio.lowlevel.checkpoint()
        self.asked.append((trio.current_time(), question))
        if self.is_missing:
            raise SlurmMissing("squeue cannot be started: No such file or directory.")
        if question in self.silent:
            raise SlurmSilent(f"{question} does not answer")

    def count(self, question: str) -> int:
        """Give how often something was asked."""
        return sum(each == question for _, each in self.asked)

    async def submit(self, argv: Sequence[str], script: bytes) -> str:
        await self._answer("submit")
        if self.refusal:
            raise SlurmRefused(self.refusal)
        self.script = script
        (name,) = (each.partition("=")[2] for each in argv if each.startswith("--job-name="))
        job = self.add(name)
        self.allocations[job].options = argv
        if self.loses_answers:
            raise SlurmSilent("Socket timed out on send/recv operation")
        return job

    def add(self, name: str, job: str = "") -> str:
        """Add an allocation that waits."""
        job = job or str(1 + max(map(int, self.allocations), default=0))
        self.allocations[job] = FakeAllocation(name, self.nodes, limit=self.limit)
        return job

    async def test(self, request: AllocationRequest) -> str:
        assert request.argv("x")
        await self._answer("test")
        if self.refusal:
            raise SlurmRefused(self.refusal)
        return "Job 9 to start at 2030-01-01T00:00:00 on nodes c1"

    async def named(self, name: str) -> list[AllocationStatus]:
        await self._answer("named")
        found = [job for job, each in self.allocations.items() if each.name == name]
        for job in found:
            each = self.allocations[job]
            each.looks += 1
            if self.starts_after is not None and each.looks > self.starts_after:
                self.start(job)
        return [status for job in found if (status := self._status(job)) is not None]

    async def look(self, job: str) -> AllocationStatus | None:
        await self._answer("look")
        return self._status(job) if job in self.allocations else None

    async def cancel(self, job: str) -> None:
        await self._answer("cancel")
        self.cancelled.append(job)
        if self.cancels:
            self.end(job, "CANCELLED")

    async def features(self, nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        await self._answer("features")
        return {node: self.features_of.get(node, ()) for node in nodes}

    def _status(self, job: str) -> AllocationStatus | None:
        each, now = self.allocations[job], trio.current_time()
        if each.state == "RUNNING" and now >= each.began + each.limit:
            self.end(job, "TIMEOUT")
        if now > each.ended + 300:  # MinJobAge
            return None
        has_nodes = each.state in {"RUNNING", "SUSPENDED"}
        left = each.began + each.limit - now if has_nodes else each.limit
        reason, nodes = ("", each.nodes) if has_nodes else (each.reason, ())
        return AllocationStatus(job, each.state, left, each.limit, "gpu", nodes, reason)

    def start(self, job: str) -> None:
        """Give an allocation that waits its nodes."""
        each = self.allocations[job]
        if each.state == "PENDING":
            each.state, each.began = "RUNNING", trio.current_time()

    def end(self, job: str, state: str) -> None:
        """End an allocation."""
        each = self.allocations[job]
        if each.ended == math.inf:
            each.state, each.ended = state, trio.current_time()

    def requeue(self, job: str) -> None:
        """Let an allocation wait again."""
        each = self.allocations[job]
        each.state, each.ended, each.looks, each.reason = "PENDING", math.inf, 0, "BeginTime"

    def refuse(self, words: str) -> None:
        """Refuse requests."""
        self.refusal = words

    def be_silent(self) -> None:
        """Give no answers."""
        self.silent |= {"submit", "test", "named", "look", "cancel", "features"}

    def lose_answers(self) -> None:
        """Submit requests, and lose the answers."""
        self.loses_answers = True

    @property
    def active(self) -> list[str]:
        """The allocations that are not over."""
        return [job for job, each in self.allocations.items() if each.ended == math.inf]


class FakeWork(WaitingWork):
    """Jobs that wait, as their demands."""

    def __init__(self, *demands: Demand) -> None:
        super().__init__(QueueFile(Path("nowhere")), list)
        self.demands = list(demands)

    async def exists(self) -> bool:
        await trio.lowlevel.checkpoint()
        return bool(self.demands)

    async def exists_for(self, request: AllocationRequest) -> bool:
        await trio.lowlevel.checkpoint()
        return any(fits_on(each, row) for each in self.demands for row in request.rows)


def requested(*options: tuple[str, str], copy: int = 0, params: Params = ()) -> SubNode:
    """Give a sub-node that stands for nodes which Pegasus requests."""
    return SubNode(0, "slurm", params, "slurm", (), SlurmPlace("", options, copy))


class FakeRun:
    """A run that uses the nodes of its allocations.

    Attributes:
        busy: the allocations on which commands run.
        sub_nodes: those that the dispatcher knows.
        updates: when it was told which hostnames.
        error: what has ended the run.
    """

    def __init__(
        self,
        folder: Path | None,
        slurm: FakeSlurm,
        *sub_nodes: SubNode,
        work: FakeWork | None = None,
        limits: AllocationLimits | None = None,
    ) -> None:
        self.slurm, self.given = slurm, sub_nodes
        self.work = FakeWork(Demand()) if work is None else work
        self.notes: list[str] = []
        self.events: list[Event] = []
        self.busy: set[str] = set()
        self.is_taking, self.is_killed = True, False
        self.follows = True
        self.sub_nodes: Sequence[SubNode] = ()
        self.updates: list[tuple[float, tuple[str, ...]]] = []
        self.error: PegasusError | None = None
        self.listening = Listening()
        self.change, self._hosts = trio.open_memory_channel[Sequence[SubNode]](10)
        ports = AllocationPorts(
            self.notes.append,
            self.events.append,
            lambda: self.is_taking,
            self._use_of,
            self.work,
            self.drain,
            is_killed=lambda: self.is_killed,
        )
        limits = limits or AllocationLimits()
        self.allocations = Allocations(sub_nodes, folder, slurm, ports, limits)

    def drain(self) -> None:
        """Take nothing more."""
        self.is_taking = False

    def _use_of(self, job: str) -> AllocationUse:
        if job in self.busy:
            return "busy"
        known = any(each.slurm is not None and each.slurm.job == job for each in self.sub_nodes)
        return "idle" if known else "left"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be in the run; leave it to end it."""
        send, receive = trio.open_memory_channel[Sequence[SubNode]](0)
        self.sub_nodes = self.allocations.sub_nodes
        try:
            with sole_error():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.allocations.run, self._hosts, send)
                    nursery.start_soon(self._follow, receive)
                    yield
                    nursery.cancel_scope.cancel()
        except PegasusError as error:
            self.error = error

    async def _follow(self, updates: trio.MemoryReceiveChannel[Sequence[SubNode]]) -> None:
        async for sub_nodes in updates:
            self.sub_nodes = sub_nodes
            self.updates.append((trio.current_time(), tuple(each.hostname for each in sub_nodes)))

    @property
    def hostnames(self) -> tuple[str, ...]:
        """Those that the dispatcher knows."""
        return tuple(each.hostname for each in self.sub_nodes)

    def said(self, words: str) -> int:
        """Give how many notes contain some words."""
        return sum(words in each for each in self.notes)


async def until(condition: Callable[[], object], limit: float = 2000.0) -> float:
    """Wait for a condition on a clock that jumps; give the seconds that this took."""
    began = trio.current_time()
    for _ in itertools.count():
        if condition():
            return trio.current_time() - began
        assert trio.current_time() - began < limit, "it does not come"
        await trio.sleep(0.1 if trio.current_time() - began < 10 else 0.5)
    raise AssertionError


def renumbered(*sub_nodes: SubNode) -> tuple[SubNode, ...]:
    """Give sub-nodes with the numbers that a hosts file gives them."""
    return tuple(replace(each, number=number) for number, each in enumerate(sub_nodes))
