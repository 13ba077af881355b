"""What is left of slots and shells while a round goes on.

Rule 1: during a round everything only becomes less. So what did not fit once, does not fit later in
the same round, and needs no second look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pegasus.model import HeldSlots, Pool, Slot, SlotsHeld
from pegasus.placement.state import NodeState, PoolState


class Stock:
    """The slots of a pool.

    Attributes:
        state: the pool when the round began.
        left: the free slots that no job of this round took.
        unverified: the slots that need a probe first.
        held: how many are held.
        kept: how many are kept for jobs that wait.
        others: pools of the same machine that contain some of the same slots.
    """

    __slots__ = ("held", "kept", "left", "others", "state", "unverified")

    def __init__(self, state: PoolState) -> None:
        self.state = state
        self.left: Sequence[Slot] = state.free
        self.unverified: Sequence[Slot] = state.unverified
        self.held = state.held
        self.kept = 0
        self.others: list[Stock] = []

    @property
    def now(self) -> int:
        """How many may be taken now; less than 0 where more are kept than are free."""
        return len(self.left) - self.kept

    @property
    def soon(self) -> int:
        """How many may be taken now if probes say that they are free."""
        return len(self.left) + len(self.unverified) - self.kept

    @property
    def later(self) -> int:
        """How many may be taken when all commands that hold slots have ended."""
        return self.soon + self.held

    @property
    def usable(self) -> int:
        """How many there are, but for those that cannot be used now."""
        return self.later + self.kept

    @property
    def size(self) -> int:
        """How many there are."""
        return self.usable + self.state.unusable

    @property
    def is_large(self) -> bool:
        """Whether its size is not known: only its node, or only the user's own probe, knows it."""
        return not self.state.size_known or self.state.kind == "probe"

    def take(self, count: int) -> tuple[Slot, ...]:
        """Take the first free slots."""
        taken = tuple(self.left[:count])
        self.left = self.left[count:]
        self.held += count
        for other in self.others:
            other._lose(taken)  # noqa: SLF001 -- another one of this class
        return taken

    def keep(self, count: int) -> None:
        """Keep slots for a job that waits."""
        for each in (self, *self.others):
            each.kept += count

    def _lose(self, taken: Iterable[Slot]) -> None:
        keys = {slot.key for slot in taken}
        before = len(self.left) + len(self.unverified)
        self.left = [slot for slot in self.left if slot.key not in keys]
        self.unverified = [slot for slot in self.unverified if slot.key not in keys]
        self.held += before - len(self.left) - len(self.unverified)


@dataclass(slots=True)
class Site:
    """A sub-node.

    Attributes:
        state: the sub-node when the round began.
        stocks: its pools.
        lanes: how many shells are ready, and not kept for a job that waits.
        slotless: how many more jobs without slots it takes.
        wanted: how many more shells are needed.
    """

    state: NodeState
    stocks: dict[str, Stock]
    lanes: int
    slotless: int
    wanted: int = field(default=0)

    @property
    def number(self) -> int:
        """The number of the sub-node."""
        return self.state.sub_node.number

    @property
    def has_lane(self) -> bool:
        """Whether a shell is ready, or will be as soon as one is wanted."""
        return self.lanes > 0 or self.state.may_grow

    @property
    def has_free_slots(self) -> bool:
        """Whether it has a slot, or without pools a shell, that is kept for no job."""
        if not self.stocks:
            return self.lanes > 0
        return self.has_lane and any(stock.soon > 0 for stock in self.stocks.values())

    def is_open(self, asked: Iterable[tuple[int, str]]) -> bool:
        """Tell whether some job may start there, now or as soon as its slots are probed.

        Args:
            asked: the pools of which is known that a job waits for an answer: the number of the
                sub-node, and the name of the pool.
        """
        if self.has_free_slots:
            return True
        if (
            self.stocks
            and self.slotless > 0
            and (self.lanes > 0 or (self.state.may_grow and not self.wanted))
        ):
            return True
        return any(
            (stock.state.unusable or not stock.state.size_known)
            and (self.number, name) not in asked
            for name, stock in self.stocks.items()
        )

    def start(self, needs: Iterable[tuple[Stock, int]]) -> SlotsHeld:
        """Take a shell and slots for a job; return the slots."""
        self.lanes -= 1
        taken = {stock.state.name: stock.take(count) for stock, count in needs}
        if not self.stocks:
            return ()
        if not taken:
            self.slotless -= 1
        return tuple(
            HeldSlots(pool.name, taken.get(pool.name, ()), pool.kind)
            for pool in self.state.sub_node.pools
        )

    def want_lanes(self, count: int) -> None:
        """Keep ready shells for jobs that wait; the missing ones are wanted."""
        kept = min(count, max(self.lanes, 0))
        self.lanes -= kept
        if self.state.may_grow:
            self.wanted += count - kept


def sites_of(nodes: Sequence[NodeState]) -> list[Site]:
    """Make the sites of a round; pools that are one object are one stock."""
    stocks: dict[int, Stock] = {}
    sites = []
    for node in nodes:
        own = {}
        for name, pool in node.pools.items():
            if (stock := stocks.get(id(pool))) is None:
                stock = stocks[id(pool)] = Stock(pool)
            own[name] = stock
        sites.append(Site(node, own, node.lanes, node.slotless))
    if len({node.place for node in nodes if node.place}) < len(nodes):
        _join(sites)
    return sites


def _join(sites: Iterable[Site]) -> None:
    """Let stocks of one machine know each other where they have slots in common."""
    by_place: dict[tuple[str, str], list[tuple[Pool, Stock]]] = {}
    for site in sites:
        if not site.state.place:
            continue
        for pool in site.state.sub_node.pools:
            stock = site.stocks.get(pool.name)
            found = by_place.setdefault((site.state.place, pool.name), [])
            if stock is None or any(stock is each for _, each in found):
                continue
            for other, its in found:
                if not pool.ids or not other.ids or not set(pool.ids).isdisjoint(other.ids):
                    stock.others.append(its)
                    its.others.append(stock)
            found.append((pool, stock))
