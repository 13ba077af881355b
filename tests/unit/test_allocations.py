"""When an allocation of Slurm is requested, used and given back."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import trio

from pegasus.allocations import AllocationLimits
from pegasus.allocations.timing import FIRST_LOOK, IDLE_LOOK, LAST_LOOK, UNUSED_LIMIT, WORK_AGE
from pegasus.events import Unreachable
from pegasus.model import Demand, SubNode
from tests.unit.allocating import FakeRun, FakeSlurm, FakeWork, requested, until

NODES = requested(("nodes", "2"))
SSH = SubNode(1, "gateway")


async def test_a_job_gets_its_nodes(tmp_path: Path, autojump_clock: object) -> None:
    """A job that waits gets an allocation, which is told, and cancelled at the end of the run."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames == ("c1", "c2"))
        assert run.sub_nodes[0].slurm is not None
        assert run.sub_nodes[0].slurm.job == "1"
    assert run.notes == [
        "Slurm allocation 1 is requested: --nodes=2",
        "Slurm allocation 1 (--nodes=2) waits: Priority.",
        "Slurm allocation 1 has begun: c[1-2], for 1 h 0 min.",
    ]
    assert slurm.cancelled == ["1"]


async def test_without_work_nothing_is_requested(tmp_path: Path, autojump_clock: object) -> None:
    """Slurm is asked for nothing while no job waits that may run there; also not by polling."""
    other = Demand(where=(("hostname", ("gateway",)),))
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, SSH, work=FakeWork(other))
    async with run.running():
        await trio.sleep(600)
        assert [each for _, each in slurm.asked] == ["named"]  # of an earlier run
        run.work.demands.append(Demand())
        assert WORK_AGE <= await until(lambda: slurm.active) < WORK_AGE + LAST_LOOK


async def test_work_that_others_take(tmp_path: Path, autojump_clock: object) -> None:
    """A job that other sub-nodes take at once is no reason for a request."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, SSH)
    async with run.running():
        await trio.sleep(FIRST_LOOK / 2)
        run.work.demands.clear()
        await trio.sleep(100)
    assert slurm.count("submit") == 0


async def test_reasons_are_told_once(tmp_path: Path, autojump_clock: object) -> None:
    """Each reason of Slurm is told once, however often it comes back; and Slurm is not hurried."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(starts_after=None), NODES)
    async with run.running():
        await until(lambda: slurm.active)
        for reason in ("Priority", "Resources", "Priority", "Resources"):
            slurm.allocations["1"].reason = reason
            await trio.sleep(100)
        times = [when for when, each in slurm.asked if each == "named"]
        assert max(b - a for a, b in pairwise(times)) <= LAST_LOOK
        assert len(times) < 400 / LAST_LOOK + 10
    assert [each for each in run.notes if "waits" in each] == [
        "Slurm allocation 1 (--nodes=2) waits: Priority.",
        "Slurm allocation 1 (--nodes=2) waits: Resources.",
    ]


async def test_given_back_when_unused(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation without work is given back after a while, and the next job gets another."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        run.work.demands.clear()
        passed = await until(lambda: slurm.cancelled)
        assert UNUSED_LIMIT <= passed <= UNUSED_LIMIT + LAST_LOOK + 2 * IDLE_LOOK
        assert run.hostnames == ()
        run.work.demands.append(Demand())
        await until(lambda: run.hostnames)
        assert slurm.active == ["2"]
    assert run.said("1 is given back: nothing waits for it.") == 1


async def test_kept_while_busy(tmp_path: Path, autojump_clock: object) -> None:
    """A command keeps its allocation, and after it the idle time begins anew."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        run.work.demands.clear()
        await trio.sleep(UNUSED_LIMIT / 2)
        run.busy.add("1")
        await trio.sleep(1000)
        assert run.hostnames
        run.busy.clear()
        assert await until(lambda: slurm.cancelled) >= UNUSED_LIMIT - LAST_LOOK


async def test_a_waiting_allocation_without_work(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that still waits is cancelled when nothing waits for it any more."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(starts_after=None), NODES)
    async with run.running():
        await until(lambda: slurm.active)
        run.work.demands.clear()
        assert await until(lambda: slurm.cancelled) >= UNUSED_LIMIT
    assert run.said("1 is cancelled: nothing waits for it.") == 1


async def test_nodes_on_which_no_job_may_run(tmp_path: Path, autojump_clock: object) -> None:
    """Nodes that Slurm has chosen and no job wants are given back; the next try comes later."""
    wants = Demand(where=(("features", ("a100",)),))
    slurm = FakeSlurm(features_of={"c1": ("v100",), "c2": ()})
    run = FakeRun(tmp_path, slurm, NODES, work=FakeWork(wants))
    async with run.running():
        await until(lambda: slurm.cancelled)
        first = trio.current_time()
        await until(lambda: len(slurm.cancelled) == 2)
        second = trio.current_time()
        await until(lambda: len(slurm.cancelled) == 3)
        assert trio.current_time() - second > second - first > 2 * UNUSED_LIMIT
        slurm.features_of["c1"] = ("v100", "a100")
        await until(lambda: run.hostnames)
        await trio.sleep(1000)
        assert run.hostnames
    assert run.said("no job that waits may run on the nodes that Slurm has chosen") == 3


async def test_unknown_features(tmp_path: Path, autojump_clock: object) -> None:
    """Where Slurm does not describe the nodes, a job that asks for a feature may run there."""
    slurm = FakeSlurm(silent={"features"})
    wants = Demand(where=(("features", ("a100",)),))
    run = FakeRun(tmp_path, slurm, NODES, work=FakeWork(wants))
    async with run.running():
        await until(lambda: run.hostnames)
        await trio.sleep(10 * UNUSED_LIMIT)
        assert run.hostnames


async def test_drained_before_its_limit(tmp_path: Path, autojump_clock: object) -> None:
    """Before the time limit the nodes get no more jobs, and are given back after their commands."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(limit=600), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        run.busy.add("1")
        await until(lambda: not run.hostnames)
        left = slurm.allocations["1"].began + 600 - trio.current_time()
        assert 55 < left <= 60
        asked = slurm.count("named")
        await trio.sleep(30)
        assert slurm.count("named") - asked < 30 / FIRST_LOOK / 2
        assert not slurm.cancelled  # a command runs
        run.busy.clear()
        await until(lambda: slurm.cancelled == ["1"])
        await until(lambda: run.hostnames)
        assert slurm.active == ["2"]
    assert run.said("Slurm allocation 1 ends in") == 1


async def test_drained_in_time_for_a_timeout(tmp_path: Path, autojump_clock: object) -> None:
    """With --timeout no job starts that could not end in time."""
    limits = AllocationLimits(timeout=200.0)
    run = FakeRun(tmp_path, slurm := FakeSlurm(limit=600), NODES, limits=limits)
    async with run.running():
        await until(lambda: run.hostnames)
        await until(lambda: not run.hostnames)
        left = slurm.allocations["1"].began + 600 - trio.current_time()
        assert 215 < left <= 220


async def test_drained_while_slurm_is_silent(tmp_path: Path, autojump_clock: object) -> None:
    """The time limit counts also while the controller is down; it is said once."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(limit=600), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        slurm.silent.add("named")
        await until(lambda: not run.hostnames)
        assert 55 < slurm.allocations["1"].began + 600 - trio.current_time() <= 61
        slurm.silent.clear()
        await until(lambda: slurm.cancelled)
    assert run.said("no answer: named does not answer") == 1


async def test_too_short_for_the_timeout(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that is too short for any job is given back, and the reason is the error."""
    limits = AllocationLimits(timeout=3600.0)
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, limits=limits)
    async with run.running():
        await trio.sleep(1000)
    assert str(run.error).startswith("Slurm allocation 1 lasts 1 h 0 min: too short for a job")
    assert slurm.cancelled[0] == "1"
    assert slurm.count("submit") == 1
    assert run.updates == []


async def test_too_short_beside_another_one(tmp_path: Path, autojump_clock: object) -> None:
    """An entry without hope does not end a run that has nodes of another entry."""
    limits = AllocationLimits(timeout=3600.0)
    slurm = FakeSlurm(limit=90000.0)
    run = FakeRun(tmp_path, slurm, NODES, requested(("nodes", "1")), limits=limits)
    async with run.running():
        await until(lambda: len(slurm.allocations) == 2)
        for each in slurm.allocations.values():
            each.limit = 60.0 if "--nodes=1" in each.options else 90000.0
        await until(lambda: run.said("too short"))
        await trio.sleep(1000)
        assert run.hostnames == ("c1", "c2")
        assert run.allocations.requested() == ()  # one is refused, the other is there
    assert run.error is None
    assert run.said("too short") == 1


@pytest.mark.parametrize(("seconds", "told"), [(20, " (CANCELLED)"), (200, "")])
async def test_a_slow_end(
    tmp_path: Path, seconds: float, told: str, autojump_clock: object
) -> None:
    """Nodes leave as soon as an allocation is being ended; its final state is waited for."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        slurm.end("1", "COMPLETING")
        await until(lambda: not run.hostnames)
        await trio.sleep(seconds)
        slurm.allocations["1"].state = "CANCELLED"
        await until(lambda: run.hostnames)
    assert run.said(f"Slurm allocation 1 has ended{told}.") == 1
    assert run.said("COMPLETING") == 0


async def test_requeued_while_it_ends(tmp_path: Path, autojump_clock: object) -> None:
    """What Slurm ends in order to requeue it has not ended: it is waited for again."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        slurm.end("1", "COMPLETING")
        await until(lambda: not run.hostnames)
        slurm.requeue("1")
        await until(lambda: run.hostnames)
    assert run.said("has ended") == 0
    assert slurm.count("submit") == 1


@pytest.mark.parametrize("state", ["TIMEOUT", "PREEMPTED", "NODE_FAIL", "CANCELLED"])
async def test_an_end(tmp_path: Path, state: str, autojump_clock: object) -> None:
    """An end is told in Slurm's word, its nodes leave, and there is another request."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        await trio.sleep(100)
        slurm.end("1", state)
        await until(lambda: not run.hostnames)
        await until(lambda: run.hostnames)
    assert run.said(f"Slurm allocation 1 has ended ({state}).") == 1
    assert slurm.cancelled == ["2"]


async def test_early_ends(tmp_path: Path, autojump_clock: object) -> None:
    """After an early end there is a pause before the next request, which gets longer."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    pauses = []
    async with run.running():
        for job in map(str, range(1, 9)):
            await until(lambda: run.hostnames)
            slurm.end(job, "NODE_FAIL")
            ended = trio.current_time()
            await until(lambda: slurm.active)
            pauses.append(trio.current_time() - ended)
    assert all(after >= before - 2 for before, after in pairwise(pauses))
    assert pauses[0] >= 30
    assert 900 <= pauses[-1] < 900 + 2 * LAST_LOOK
    assert run.said("(NODE_FAIL). Another one is requested in 30 s at the earliest.") == 1


async def test_an_end_that_slurm_has_forgotten(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that is in Slurm's list no more has ended."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        await trio.sleep(100)
        del slurm.allocations["1"]
        await until(lambda: run.said("Slurm allocation 1 has ended."))
        await until(lambda: run.hostnames)


async def test_a_requeued_allocation(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that waits again has no nodes, and gets jobs when it has some, also others."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        slurm.requeue("1")
        slurm.allocations["1"].nodes = ("c7",)
        await until(lambda: not run.hostnames)
        await until(lambda: run.hostnames == ("c7",))
        slurm.allocations["1"].nodes = ("c8", "c9")  # between two looks
        await until(lambda: run.hostnames == ("c8", "c9"))
    assert slurm.cancelled == ["1"]
    assert slurm.count("submit") == 1


async def test_a_suspended_allocation(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that Slurm suspends gets no jobs, and keeps its commands and its place."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        run.busy.add("1")
        slurm.allocations["1"].state = "SUSPENDED"
        await until(lambda: not run.hostnames)
        run.drain()
        await trio.sleep(100)
        assert not slurm.cancelled
        run.is_taking = True
        slurm.allocations["1"].state = "RUNNING"
        await until(lambda: run.hostnames)
        run.busy.clear()
    assert run.said("1 (--nodes=2) is suspended.") == 1


async def test_draining_the_run(tmp_path: Path, autojump_clock: object) -> None:
    """Once the run takes nothing more, what waits is cancelled, and commands run to their end."""
    slurm = FakeSlurm()
    run = FakeRun(tmp_path, slurm, NODES, requested(("nodes", "1")))
    async with run.running():
        await until(lambda: run.hostnames == ("c1", "c2") * 2)
        slurm.requeue("2")
        slurm.starts_after = None
        run.busy.add("1")
        await until(lambda: len(run.hostnames) == 2)
        run.drain()
        await until(lambda: slurm.cancelled == ["2"])
        await trio.sleep(100)
        assert slurm.active == ["1"]
        run.busy.clear()
        await until(lambda: not slurm.active)
        await trio.sleep(1000)
    assert slurm.count("submit") == 2


async def test_many_unreachable_nodes(tmp_path: Path, autojump_clock: object) -> None:
    """Nodes that cannot be reached are a reason to ask Slurm, and not more than once a second."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        await trio.sleep(200)
        asked, began = slurm.count("named"), trio.current_time()
        for _ in range(50):
            for node in run.sub_nodes:
                run.allocations.tell(Unreachable(node, "no answer", 1.0))
            await trio.sleep(0.1)
        assert 2 <= slurm.count("named") - asked <= (trio.current_time() - began) / FIRST_LOOK + 1
