"""One round of the choice: jobs come from the top of the queue, and each is placed or waits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from pegasus.demand import Nowhere, fits_on, group_of, nowhere
from pegasus.model import Demand, Job, SubNode
from pegasus.placement import words
from pegasus.placement.answers import Hints, Placed, Waits
from pegasus.placement.prospect import Option, Prospect
from pegasus.placement.state import NodeState
from pegasus.placement.stock import sites_of

WAITS_LISTED = 100
"""Jobs that wait, and are listed with words: more than anybody reads."""


class Round:
    """Places jobs on what is free at one moment.

    Jobs must come in the order in which they are served: first those that were taken before and
    wait for another try, then those of the queue file, from its head.

    Args:
        nodes: the sub-nodes that are connected and stay in the run, in the order in which they are
            used. They are not changed.
        hints: what the last round has kept, its ``hints``.
        at_most: how many jobs run now, of each group of ``at_most``.
        absent: the other sub-nodes of the hosts file.
        known: all demands that the rest of the queue file may contain, if that is known: the
            ``seen`` of a round that reached its end, while nobody else has changed it since. With
            them a round is full as soon as none of them can start.

    Attributes:
        probes: what must be probed because a job could start there: the number of a sub-node, and
            the name of a pool.
        rechecks: likewise, what others use or what could not be probed, if a job waits for it.
        waits: the jobs that wait, in the order in which they came; the first ones.
    """

    def __init__(
        self,
        nodes: Sequence[NodeState],
        hints: Hints | None = None,
        at_most: Mapping[str, int] | None = None,
        absent: Sequence[SubNode] = (),
        known: Collection[Demand] | None = None,
    ) -> None:
        self.probes: set[tuple[int, str]] = set()
        self.rechecks: set[tuple[int, str]] = set()
        self.waits: list[tuple[Job, Waits]] = []
        self._sites = sites_of(nodes)
        self._hints = hints or {}
        self._running = dict(at_most or {})
        self._absent = absent
        self._known = known
        self._prospects: dict[Demand, Prospect] = {}
        self._shut = 0  # the sites before are not open

    # What came of it.

    @property
    def is_full(self) -> bool:
        """Whether no further job can start, or has something to ask for, in this round."""
        asked = self.probes | self.rechecks
        if self._known is not None:
            prospects = [self._prospect(each) for each in self._known]
            if any(each.may_start(asked) for each in prospects):
                return False
            # Where no job that is left can run anywhere, the caller must come to see that.
            return any(each.is_possible() for each in prospects)
        while self._shut < len(self._sites):
            if self._sites[self._shut].is_open(asked):
                return False
            self._shut += 1
        return True

    @property
    def has_free_slots(self) -> bool:
        """Whether a slot, or a sub-node without pools, is free and not kept for a job."""
        return any(site.has_free_slots for site in self._sites)

    @property
    def hints(self) -> dict[Demand, tuple[int, ...]]:
        """What is kept for whom, for the next round."""
        found = dict(self._hints)
        for demand, prospect in self._prospects.items():
            found[demand] = (*prospect.kept, *prospect.hinted)
        return {demand: numbers for demand, numbers in found.items() if numbers}

    @property
    def seen(self) -> frozenset[Demand]:
        """The demands of the jobs that came."""
        return frozenset(each.demand for each in self._prospects.values() if each.met)

    @property
    def lanes_wanted(self) -> dict[int, int]:
        """How many more shells could be used, by the numbers of the sub-nodes."""
        return {site.number: site.wanted for site in self._sites if site.wanted}

    # The choice.

    def place(
        self,
        job: Job,
        copies: int = 1,
        tried: Collection[int] = (),
        without: Collection[int] = (),
    ) -> Placed | Waits | Nowhere:
        """Place a job, or keep something for it.

        Args:
            job: the job.
            copies: how many jobs of its entry are left, with this one. If it waits, all of them do.
            tried: the numbers of the sub-nodes that have tried it. It gets another one if one of
                the others can run it.
            without: the numbers of the sub-nodes for which it cannot be rendered.

        Returns:
            Where it starts; or what it waits for; or why no sub-node can ever run it.
        """
        prospect = self._prospect(job.demand)
        prospect.met = True
        options = self._among(prospect, tried, without) if tried or without else None
        group = group_of(job)
        more = self._may_run(job, group, copies)
        if more > 0:
            option = prospect.first() if options is None else _first(options)
            if option is not None:
                self._count(group, 1)
                prospect.use_hint(option.number)
                return Placed(option.site.state.sub_node, option.site.start(option.needs))
        answer = self._impossible(job, prospect)
        if answer is None and more <= 0 and job.demand.at_most is not None:
            answer = words.at_most(job.demand.at_most)
        elif answer is None:
            answer = self._wait(prospect, options, more, group)
        if isinstance(answer, Waits) and len(self.waits) < WAITS_LISTED:
            self.waits.append((job, answer))
        return answer

    def _prospect(self, demand: Demand) -> Prospect:
        if (found := self._prospects.get(demand)) is None:
            hinted = list(self._hints.get(demand, ()))
            found = self._prospects[demand] = Prospect(demand, iter(self._sites), hinted)
        return found

    def _may_run(self, job: Job, group: str, copies: int) -> int:
        """Return how many of some jobs of one entry ``at_most`` lets start now."""
        if job.demand.at_most is None:
            return copies
        return min(copies, job.demand.at_most.running - self._running.get(group, 0))

    def _count(self, group: str, jobs: int) -> None:
        """Count jobs that start, or for which something is kept: they come before others."""
        if group:
            self._running[group] = self._running.get(group, 0) + jobs

    def _among(
        self, prospect: Prospect, tried: Collection[int], without: Collection[int]
    ) -> Sequence[Option]:
        """Give the sub-nodes for a job, without those that tried it if others can run it."""
        options = [each for each in prospect.options() if each.number not in without]
        untried = [each for each in options if each.number not in tried]
        return untried if any(each.fits_alone() for each in untried) else options

    def _impossible(self, job: Job, prospect: Prospect) -> Waits | Nowhere | None:
        """Find out why no sub-node that is connected can run a job, whatever ends; else None."""
        if prospect.is_possible():
            return None
        if prospect.verdict is None:
            demand = prospect.demand
            if not self._sites or any(fits_on(demand, each) for each in self._absent):
                prospect.verdict = words.absent(demand)
            else:
                present = [site.state.sub_node for site in self._sites]
                prospect.verdict = nowhere(job, [*present, *self._absent]) or words.too_few(
                    demand, prospect.options()
                )
        return prospect.verdict

    def _wait(
        self, prospect: Prospect, options: Sequence[Option] | None, copies: int, group: str
    ) -> Waits | Nowhere:
        """Keep sub-nodes for some jobs of one entry, which do not fit now."""
        if options is None and prospect.verdict is not None:
            return prospect.verdict
        found = prospect.options() if options is None else options
        blocked = self._ask(found, copies)
        answer: Waits | None = None
        left = copies
        while left > 0 and (best := _best(found, prospect.hinted)):
            for option in best:
                if left > 0 and option.may_be_kept(prospect.hinted):
                    answer = answer or words.kept(option)
                    left -= self._keep(prospect, option, left)
        self._count(group, copies - left)
        blocked = blocked or (words.busy(found) if found else words.unrendered())
        if left > 0 and options is None:
            prospect.verdict = blocked
        return answer or blocked

    def _keep(self, prospect: Prospect, option: Option, copies: int) -> int:
        """Keep a sub-node for as many jobs as may start there soon, at least one."""
        if option.site.lanes > 0 and option.fits_soon():
            self.probes.update((option.number, each.state.name) for each in option.unprobed)
        times = option.keep(copies)
        for _ in range(times):
            prospect.kept.append(option.number)
            prospect.use_hint(option.number)
        return times

    def _ask(self, options: Iterable[Option], copies: int) -> Waits | None:
        """Note what must be asked so that a job can start; say so, if anything."""
        found: list[Waits] = []
        for option in options:
            if option.needs and not option.may_ask:
                continue
            if unknown := option.unknown:
                self.probes.update((option.number, each.state.name) for each in unknown)
                found.insert(0, words.asked(option, unknown))
            elif unusable := option.unusable:
                self.rechecks.update((option.number, each.state.name) for each in unusable)
                found.append(words.unusable(option, unusable[0]))
            elif not option.needs and option.fits_soon() and option.site.lanes <= 0:
                option.site.want_lanes(min(copies, option.site.slotless))
                found.append(words.opening(option))
        return found[0] if found else None


def _first(options: Iterable[Option]) -> Option | None:
    return next((option for option in options if option.fits_now()), None)


def _best(options: Iterable[Option], hinted: Collection[int]) -> list[Option]:
    """Sort the sub-nodes that may be kept: first one that was kept before, then the soonest.

    One on which no shell is ready, and none can be opened, comes last.
    """
    return sorted(
        (option for option in options if option.may_be_kept(hinted)),
        key=lambda each: (each.number not in hinted, not each.site.has_lane, each.missing()),
    )
