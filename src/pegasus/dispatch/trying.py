"""What a node answers about its slots before any run: for ``pegasus check --connect``."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from pegasus import probes
from pegasus.dispatch.asking import Asker, open_asker
from pegasus.dispatch.ports import Session
from pegasus.dispatch.prober import PROBE_LIMIT
from pegasus.errors import NodeUnreachable, sole_error
from pegasus.model import Lost, NotStarted, Pool, SubNode
from pegasus.probes import ProbeAnswer

SLOTS_NAMED = 3
"""Slots that a line names which are not free: each of them may have a line of its own to say."""


@dataclass(frozen=True, slots=True)
class TriedPool:
    """What a node answered when it was asked for the slots of a pool.

    Attributes:
        pool: the pool.
        answer: what the node said. Slots that a run of Pegasus holds are in use, as others are.
    """

    pool: Pool
    answer: ProbeAnswer

    @property
    def is_valid(self) -> bool:
        """Whether a run can use slots there, now or later.

        A probe of the user prints what is free at the moment, and may print more later.
        """
        return not self.answer.words and bool(self.answer.seen or self.pool.kind == "probe")

    def __str__(self) -> str:
        if self.answer.words:
            return f"no {self.pool.name} counts as free: {self.answer.words}"
        seen = self.answer.seen
        used = [f"{each.slot.id} ({each.used_by})" for each in seen if each.used_by]
        words = f"{self.pool.name}: {len(seen):,} slot{'s' * (len(seen) != 1)}"
        if self.pool.kind == "probe":
            return f"{words} free"
        if not used:
            return words
        more = f" and {len(used) - SLOTS_NAMED:,} more" if len(used) > SLOTS_NAMED else ""
        return f"{words}, {len(used):,} not free: {', '.join(used[:SLOTS_NAMED])}{more}"


async def try_pools(session: Session, sub_node: SubNode) -> list[TriedPool]:
    """Ask a node once for the slots of each pool for which a run would ask it, all at once.

    Args:
        session: an open one to the node.
        sub_node: the node's entry.

    Raises:
        NodeUnreachable: the connection broke.
    """
    asked = [pool for pool in sub_node.pools if probes.is_probed(pool)]
    tried: dict[str, TriedPool] = {}

    async def ask(asker: Asker, pool: Pool) -> None:
        answer = await asker.ask(probes.command_of(pool), PROBE_LIMIT)
        if isinstance(answer.outcome, Lost | NotStarted):
            raise NodeUnreachable(answer.outcome.words)
        read = probes.read_answer(pool, answer.outcome, answer.stdout, answer.stderr)
        tried[pool.name] = TriedPool(pool, read)

    if asked:
        with sole_error():
            async with open_asker(session, sub_node) as asker, trio.open_nursery() as nursery:
                for pool in asked:
                    nursery.start_soon(ask, asker, pool)
    return [tried[pool.name] for pool in asked]
