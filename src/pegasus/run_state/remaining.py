"""The remaining time of a run.

Rule 1: where there is no basis for a figure, the reason is given instead.
"""

from __future__ import annotations

from pegasus.estimate import Remaining, Workload, estimate
from pegasus.model import SubNode
from pegasus.run_state.known import KnownRun
from pegasus.run_state.slots import Machine, PoolUse, machine_of


def remaining_of(
    state: KnownRun, now: float, waiting: int | None, *, takes_no_more: bool = False
) -> Remaining:
    """Estimate the remaining time of a run.

    Args:
        state: of the run.
        now: seconds since the epoch.
        waiting: how many jobs are in the queue file; None where that is unknown.
        takes_no_more: whether nothing more will be taken, so that only what was taken counts.
    """
    if state.is_over:
        return Remaining(None, "the run is over")
    if takes_no_more:
        waiting = 0
    elif state.is_paused:
        return Remaining(None, "the run is paused")
    elif state.waiting_for and not any(state.running()):  # for a node that is away, for others
        return Remaining(None, "nothing can start now")
    load = _steps_of(state, now, waiting) if state.pace.is_broadcast else _load(state, now, waiting)
    if isinstance(load, str):
        return Remaining(None, load)
    return Remaining(estimate(load))


def _load(state: KnownRun, now: float, waiting: int | None) -> Workload | str:
    """Give the schedule of a run in queue mode, or why there can be no estimate."""
    running = [
        (max(0.0, now - each.started_at), each.sub_node.number)
        for _, each in state.running()
        if each.started_at is not None
    ]
    taken = len(state.open_jobs) - len(running)  # they wait for a sub-node or for another try
    if not running and not taken and not waiting:
        return "nothing waits" if waiting == 0 else "the queue is not counted yet"
    if not state.pace.durations:
        return "no job has ended yet"
    if waiting is None:
        return "the queue is not counted yet"
    busy = [number for _, number in running]
    working = [
        each.sub_node
        for each in state.present
        if each.connection == "connected" or each.sub_node.number in busy
    ]
    if not working:
        return "no sub-node is connected"
    workers = _workers_of(state, working, busy)
    if not workers:
        return "no slot is free"
    pace = state.pace
    again = pace.again / pace.ends if pace.ends else 0.0
    waiting = max(0, waiting + taken)
    return Workload(list(pace.durations), running, waiting, workers, again, pace.gap)


def _workers_of(state: KnownRun, working: list[SubNode], busy: list[int]) -> list[int]:
    """Give the number of a sub-node for each command that can run at once."""
    workers = [each.number for each in working if not each.pools]
    shared: dict[Machine, list[int]] = {}
    for each in working:
        if each.pools:
            shared.setdefault(machine_of(each), []).append(each.number)
    uses = state.pool_uses()
    for machine, numbers in shared.items():
        pools = [each for each in uses if machine_of(each.sub_nodes[0]) == machine]
        running = [number for number in busy if number in numbers]
        free = _capacity(state, pools, len(running)) - len(running)
        workers += running + [numbers[place % len(numbers)] for place in range(max(0, free))]
    return workers


def _capacity(state: KnownRun, pools: list[PoolUse], running: int) -> int:
    """Give how many commands of the usual width fit on a machine, by the pool that is scarcest."""
    fitting = []
    for each in pools:
        width = state.pace.mean_width(each.pool.name)
        usable = len(each.held) + len(each.free)
        if width > 0.0:
            fitting.append(int(usable / width))
    return min(fitting, default=running)


def _steps_of(state: KnownRun, now: float, waiting: int | None) -> Workload | str:
    """Give a broadcast as the schedule of one worker whose jobs are the steps."""
    steps = [(seconds, 0) for seconds in state.pace.steps]
    current = next(reversed(state.jobs.values()), None)
    running = [] if current is None or not current.is_open else [(now - current.taken_at, 0)]
    if not running and not waiting:
        return "nothing waits" if waiting == 0 else "the queue is not counted yet"
    if not steps:
        return "no step has ended yet"
    if waiting is None:
        return "the queue is not counted yet"
    return Workload(steps, [(max(0.0, since), 0) for since, _ in running], waiting, [0])
