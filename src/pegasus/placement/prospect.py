"""A demand, and the sub-nodes on which its jobs may run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from pegasus.demand import Nowhere, accepts, needs_on
from pegasus.model import Demand
from pegasus.placement.answers import Waits
from pegasus.placement.stock import Site, Stock


@dataclass(slots=True)
class Option:
    """A sub-node on which a job may run.

    Attributes:
        site: the sub-node.
        needs: what the job takes there, without pools of which it takes none.
        may_ask: whether the node may have more slots for it than is known.
    """

    site: Site
    needs: tuple[tuple[Stock, int], ...]
    may_ask: bool = False

    def __post_init__(self) -> None:
        for stock, _ in self.needs:
            if stock.state.unusable or not stock.state.size_known:
                self.may_ask = True

    @property
    def number(self) -> int:
        """The number of the sub-node."""
        return self.site.number

    @property
    def counts(self) -> list[tuple[str, int]]:
        """The names of the pools, and how many slots of them the job takes."""
        return [(stock.state.name, count) for stock, count in self.needs]

    def fits_now(self) -> bool:
        """Tell whether the job can start."""
        site = self.site
        if site.lanes <= 0:
            return False
        for stock, count in self.needs:
            if len(stock.left) - stock.kept < count:
                return False
        return bool(self.needs) or not site.stocks or site.slotless > 0

    def may_start(self, asked: Collection[tuple[int, str]]) -> bool:
        """Tell whether the job can start soon, or a node is still to be asked for it.

        Args:
            asked: the pools of which is known that a job waits for an answer.
        """
        if not self.needs:
            return self.fits_soon()
        for stock, count in self.needs:
            if len(stock.left) + len(stock.unverified) - stock.kept < count:
                break
        else:
            return self.site.has_lane
        return self.may_ask and any(
            (self.number, each.state.name) not in asked for each in (*self.unknown, *self.unusable)
        )

    def fits_soon(self) -> bool:
        """Tell whether the job can start as soon as its slots are probed and a shell is ready."""
        if not self.needs:
            site = self.site
            grows = bool(site.stocks) and site.state.may_grow and not site.wanted
            return (site.lanes > 0 or grows) and (not site.stocks or site.slotless > 0)
        return self.site.has_lane and all(stock.soon >= count for stock, count in self.needs)

    def fits_alone(self) -> bool:
        """Tell the same, if no slot were kept for other jobs."""
        return all(stock.usable >= count for stock, count in self.needs)

    def fits_ever(self) -> bool:
        """Tell whether the sub-node is large enough, as far as is known."""
        return all(stock.is_large or stock.size >= count for stock, count in self.needs)

    @property
    def unusable(self) -> list[Stock]:
        """The pools whose unusable slots alone are missing for the job; empty if more is."""
        if any(stock.soon + stock.state.unusable < count for stock, count in self.needs):
            return []
        return [stock for stock, count in self.needs if stock.soon < count]

    @property
    def unknown(self) -> list[Stock]:
        """The pools that have never answered, and without which the job does not fit."""
        return [
            stock
            for stock, count in self.needs
            if not stock.state.size_known and stock.soon < count
        ]

    @property
    def unprobed(self) -> list[Stock]:
        """The pools that must be probed before the job can start."""
        return [stock for stock, count in self.needs if stock.now < count <= stock.soon]

    def may_be_kept(self, hinted: Collection[int]) -> bool:
        """Tell whether it is of use to keep what is free there for the job.

        It is if the job can start there when all commands that run have ended, and something that
        it needs is free now.

        Args:
            hinted: the sub-nodes that were kept before: kept on, if only to keep no other one.
        """
        for stock, count in self.needs:
            if len(stock.left) + len(stock.unverified) + stock.held - stock.kept < count:
                return False
        if hinted and self.needs and self.number in hinted and self.site.has_lane:
            return True
        for stock, _ in self.needs:
            if len(stock.left) + len(stock.unverified) - stock.kept > 0:
                return True
        return False

    def missing(self) -> int:
        """Count the slots that the job has to wait for."""
        return sum(max(0, count - max(0, stock.soon)) for stock, count in self.needs)

    def keep(self, most: int) -> int:
        """Keep slots and a shell for up to this many jobs, at least one; return for how many."""
        times = min(max(0, stock.soon) // count for stock, count in self.needs)
        times = max(1, min(most, times))
        for stock, count in self.needs:
            stock.keep(count * times)
        self.site.want_lanes(times)
        return times


@dataclass(slots=True)
class Prospect:
    """A demand in a round.

    Attributes:
        demand: what the jobs demand.
        rest: the sub-nodes that were not looked at yet.
        hinted: the sub-nodes that were kept in the last round, and are not used up in this one.
        kept: the sub-nodes that are kept in this round.
        met: whether a job of this demand was there in this round.
        verdict: the answer to further jobs, once nothing more can be found for them.
    """

    demand: Demand
    rest: Iterator[Site]
    hinted: list[int]
    kept: list[int] = field(default_factory=list)
    met: bool = False
    verdict: Waits | Nowhere | None = None
    _found: list[Option] = field(default_factory=list)
    _start: int = 0
    _possible: bool | None = None

    def first(self) -> Option | None:
        """Give the first sub-node on which a job can start."""
        for index in range(self._start, len(self._found)):
            if self._found[index].fits_now():
                self._start = index
                return self._found[index]
        self._start = len(self._found)
        for option in self._more():
            if option.fits_now():
                return option
            self._start += 1
        return None

    def options(self) -> Sequence[Option]:
        """Give all sub-nodes on which a job may run."""
        for _ in self._more():
            pass
        return self._found

    def is_possible(self) -> bool:
        """Tell whether a sub-node that is connected is large enough."""
        if self._possible is None:
            self._possible = any(option.fits_ever() for option in self.options())
        return self._possible

    def may_start(self, asked: Collection[tuple[int, str]]) -> bool:
        """Tell whether a job may start in this round, or has something to ask for.

        Args:
            asked: the pools of which is known that a job waits for an answer.
        """
        if self.verdict is not None:
            return False
        if self.first() is not None:
            return True
        return any(option.may_start(asked) for option in self.options())

    def use_hint(self, number: int) -> None:
        """A job got this sub-node: it is no hint for the next one."""
        if number in self.hinted:
            self.hinted.remove(number)

    def _more(self) -> Iterator[Option]:
        """Find further sub-nodes on which a job may run."""
        for site in self.rest:
            if (needs := self._needs(site)) is not None:
                option = Option(site, needs)
                self._found.append(option)
                yield option

    def _needs(self, site: Site) -> tuple[tuple[Stock, int], ...] | None:
        """Find what a job takes on a sub-node; None where it lacks a pool or is not accepted."""
        demand, sub_node = self.demand, site.state.sub_node
        if demand.where and not accepts(demand.where, sub_node):
            return None
        if demand.needs is None:
            return ((site.stocks[sub_node.pools[0].name], 1),) if sub_node.pools else ()
        needs = []
        for name, count in demand.needs:
            if count:
                stock = site.stocks.get(name)
                if stock is None:
                    return None
                if not stock.state.size_known and needs_on(demand, sub_node) is None:
                    return None
                needs.append((stock, count))
        return tuple(needs)
