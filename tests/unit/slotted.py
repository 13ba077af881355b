"""What the tests of dispatch with slots share: a run on fakes whose nodes have slots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pegasus.events import Ended, Returned, Started
from pegasus.model import (
    AtMost,
    Command,
    Demand,
    Job,
    Pool,
    SlotsHeld,
    SubNode,
)
from tests.unit.dispatching import Bench


def gpus(count: int) -> tuple[Pool, ...]:
    """Give the pools of a node with GPUs that the hosts file counts."""
    return (Pool("gpu", "fixed", tuple(map(str, range(count)))),)


def job(
    command: str,
    needs: dict[str, int] | None = None,
    at_most: int = 0,
    **where: str,
) -> Job:
    """Give a job with a demand."""
    return Job(
        command,
        demand=Demand(
            None if needs is None else tuple(needs.items()),
            tuple((name, (value,)) for name, value in where.items()),
            AtMost(at_most) if at_most else None,
        ),
    )


class SlotBench(Bench):
    """A run on fakes; each node is described by its pools.

    Args:
        nodes: the sub-nodes.
        jobs: what is in the queue.
        retries: how often a job is tried again.
        fill: renders a job for a sub-node; None where each job can be rendered for all.
    """

    def __init__(
        self,
        nodes: Sequence[SubNode],
        jobs: Sequence[Job],
        retries: int = 0,
        fill: Callable[[Job, SubNode], Command] | None = None,
    ) -> None:
        super().__init__(retries=retries, fill=fill)
        object.__setattr__(self.run, "sub_nodes", list(nodes))
        self.queue.jobs.extend(jobs)
        self.slots_seen: dict[str, list[SlotsHeld]] = {}

    def fill(self, job: Job, sub_node: SubNode, slots: SlotsHeld = (), /) -> Command:
        self.slots_seen.setdefault(job.command, []).append(slots)
        return super().fill(job, sub_node, slots)

    @property
    def story(self) -> list[Started | Ended | Returned]:
        """The starts and ends, in their order."""
        told = [event for _, event in self.listening.told]
        return [each for each in told if isinstance(each, Started | Ended | Returned)]

    def refuse_double(self) -> int:
        """Check that no slot was ever held twice; give the most commands that ran at once."""
        held: set[tuple[str, str, str]] = set()
        running = most = 0
        for event in self.story:
            assignment = event.assignment
            node = assignment.sub_node.hostname
            keys = {(node, each.pool, s.key) for each in assignment.slots for s in each.slots}
            if isinstance(event, Started):
                assert not keys & held, f"{keys & held} is held twice"
                held |= keys
                running += 1
                most = max(most, running)
            elif keys <= held or not keys:
                held -= keys
                running -= 1
        return most


def node(number: int, pools: tuple[Pool, ...] = (), **params: str) -> SubNode:
    """Give a sub-node."""
    return SubNode(number, f"n{number}", tuple(params.items()), "ssh", pools)
