"""The hosts file changes during a run with allocations; broadcasts; the allocation around a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pegasus.allocations import AllocationLimits
from pegasus.allocations.own import LONGEST_LOOK
from pegasus.allocations.timing import FIRST_LOOK, LAST_LOOK
from pegasus.demand import accepts
from pegasus.events import SubNodeAdded, Unreachable
from pegasus.model import Pool, SlurmPlace, SubNode
from tests.fake_queue import Listening
from tests.unit.allocating import FakeRun, FakeSlurm, FakeWork, renumbered, requested, until

NODES = requested(("nodes", "2"))
SSH = SubNode(1, "gateway")
OWN = SubNode(0, "c5", (), "slurm", (), SlurmPlace("7"))
BROADCAST = AllocationLimits(is_broadcast=True)


async def test_a_removed_entry(tmp_path: Path, autojump_clock: object) -> None:
    """The nodes of a removed entry get no more jobs, and are given back after their commands."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, SSH)
    async with run.running():
        await until(lambda: len(run.hostnames) == 3)
        run.busy.add("1")
        await run.change.send([SSH])
        await until(lambda: run.hostnames == ("gateway",))
        await trio.sleep(1000)
        assert slurm.active == ["1"]
        run.busy.clear()
        await until(lambda: not slurm.active)
        await trio.sleep(1000)
    assert slurm.count("submit") == 1


async def test_a_removed_entry_that_waits(tmp_path: Path, autojump_clock: object) -> None:
    """A request of a removed entry is cancelled."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(starts_after=None), NODES, SSH)
    async with run.running():
        await until(lambda: slurm.active)
        await run.change.send([SSH])
        await until(lambda: not slurm.active)


async def test_an_entry_that_comes_back(tmp_path: Path, autojump_clock: object) -> None:
    """An entry that comes back while its commands run keeps its allocation."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, SSH)
    async with run.running():
        await until(lambda: len(run.hostnames) == 3)
        run.busy.add("1")
        await run.change.send([SSH])
        await until(lambda: run.hostnames == ("gateway",))
        await run.change.send([NODES, SSH])
        assert await until(lambda: len(run.hostnames) == 3) <= LAST_LOOK
        assert slurm.active == ["1"]
        run.busy.clear()
    assert slurm.count("submit") == 1


async def test_an_entry_that_comes_back_late(tmp_path: Path, autojump_clock: object) -> None:
    """An entry that comes back while its allocation is cancelled gets another one."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, SSH)
    async with run.running():
        await until(lambda: len(run.hostnames) == 3)
        for _ in range(20):
            await run.change.send([SSH])
            await trio.sleep(0.7)
            await run.change.send([NODES, SSH])
            await trio.sleep(0.7)
        await until(lambda: len(run.hostnames) == 3)
        assert len(slurm.active) == 1


async def test_an_entry_that_comes_back_during_the_end(
    tmp_path: Path, autojump_clock: object
) -> None:
    """Also an entry that comes back while its task ends is requested again."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(loses_answers=True, starts_after=None), NODES, SSH)
    async with run.running():
        await until(lambda: slurm.count("submit"))
        slurm.silent.add("named")
        await run.change.send([SSH])  # its task looks for the request for some seconds
        await trio.sleep(3)
        await run.change.send([NODES, SSH])
        await trio.sleep(30)
        slurm.silent.clear()
        slurm.starts_after = 1
        await until(lambda: len(run.hostnames) == 3)


async def test_changed_parameters(tmp_path: Path, autojump_clock: object) -> None:
    """Other parameters and slots of an entry change its sub-nodes, and keep the allocation."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        halves = [requested(("nodes", "2"), params=(("half", each),)) for each in "ab"]
        await run.change.send(halves)
        await until(lambda: run.hostnames == ("c1", "c1", "c2", "c2"))
        pools = SubNode(0, "slurm", (), "slurm", (Pool("gpu"),), NODES.slurm)
        await run.change.send([pools])
        await until(lambda: [each.pools for each in run.sub_nodes] == [(Pool("gpu"),)] * 2)
        assert slurm.active == ["1"]
    assert slurm.count("submit") == 1


async def test_two_entries_that_are_alike(tmp_path: Path, autojump_clock: object) -> None:
    """Two entries with the same options have an allocation each."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, requested(("nodes", "2"), copy=1))
    async with run.running():
        await until(lambda: run.hostnames == ("c1", "c2", "c1", "c2"))
        assert len({each.name for each in slurm.allocations.values()}) == 2
        await run.change.send([NODES])
        await until(lambda: slurm.cancelled in (["1"], ["2"]))
        await until(lambda: run.hostnames == ("c1", "c2"))


async def test_other_nodes_change(tmp_path: Path, autojump_clock: object) -> None:
    """Changes of other entries reach the run at once, and leave the allocation alone."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        await run.change.send([NODES, SSH])
        await until(lambda: run.hostnames == ("gateway", "c1", "c2"))
    assert slurm.count("submit") == 1


async def test_hope_after_a_change(tmp_path: Path, autojump_clock: object) -> None:
    """An entry without hope is tried again when it was removed; and the last node is missed."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(is_missing=True), NODES, SSH)
    async with run.running():
        await until(lambda: run.said("needs the programs"))
        await run.change.send([SSH])
        await trio.sleep(1)
        slurm.is_missing = False
        await run.change.send([NODES, SSH])
        await until(lambda: len(run.hostnames) == 3)
    assert run.error is None
    run = FakeRun(tmp_path, FakeSlurm(is_missing=True), NODES, SSH)
    async with run.running():
        await until(lambda: run.said("needs the programs"))
        await run.change.send([NODES])
        await trio.sleep(100)
    assert "needs the programs of Slurm" in str(run.error)


async def test_a_broadcast(tmp_path: Path, autojump_clock: object) -> None:
    """A broadcast begins when each request has its nodes, each with a number of its own."""
    slurm = FakeSlurm(starts_after=None)
    there = renumbered(SSH, NODES, requested(("nodes", "1")))
    run = FakeRun(tmp_path, slurm, *there, limits=BROADCAST)
    listening = Listening()
    found: list[SubNode] = []
    async with run.running(), trio.open_nursery() as nursery:

        async def wait() -> None:
            found.extend(await run.allocations.wait_all(listening, may_be_empty=False))

        nursery.start_soon(wait)
        await until(lambda: len(slurm.active) == 2)
        slurm.start("2")
        await trio.sleep(1000)
        assert not found
        slurm.start("1")
        await until(lambda: found)
        assert [each.number for each in found] == [0, 1, 2, 3, 4]
        assert [each.sub_node for _, each in listening.told if isinstance(each, SubNodeAdded)] == (
            found[1:]
        )
        await trio.sleep(100)
        assert run.is_taking


async def test_a_broadcast_of_nothing(tmp_path: Path, autojump_clock: object) -> None:
    """A broadcast of an empty queue requests nothing."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, work=FakeWork(), limits=BROADCAST)
    async with run.running():
        assert await run.allocations.wait_all(Listening(), may_be_empty=False) == ()
        await trio.sleep(100)
    assert slurm.count("submit") == 0


async def test_a_broadcast_that_is_drained(tmp_path: Path, autojump_clock: object) -> None:
    """A broadcast that a user ends while it waits for nodes has none, and gives all back."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(starts_after=None), NODES, limits=BROADCAST)
    async with run.running():
        with trio.move_on_after(10):
            await run.allocations.wait_all(Listening(), may_be_empty=True)
        run.drain()
        assert await run.allocations.wait_all(Listening(), may_be_empty=True) == ()
    assert not slurm.active


async def test_a_broadcast_that_loses_its_nodes(tmp_path: Path, autojump_clock: object) -> None:
    """A broadcast cannot go on without one of its allocations."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES, limits=BROADCAST)
    async with run.running():
        await run.allocations.wait_all(Listening(), may_be_empty=False)
        slurm.end("1", "PREEMPTED")
        await trio.sleep(1000)
    assert str(run.error) == (
        "Slurm allocation 1 has ended (PREEMPTED): the broadcast cannot go on. "
        "`pegasus broadcast --resume` continues it."
    )


async def test_a_broadcast_at_the_limit(tmp_path: Path, autojump_clock: object) -> None:
    """Before the time limit of one of its allocations a broadcast is drained."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(limit=600), NODES, limits=BROADCAST)
    async with run.running():
        await run.allocations.wait_all(Listening(), may_be_empty=False)
        run.busy.add("1")
        await until(lambda: not run.is_taking)
        assert slurm.active == ["1"]
        run.busy.clear()
    assert run.error is None
    assert run.said("its nodes get no more jobs") == 1


async def test_a_broadcast_without_hope(tmp_path: Path, autojump_clock: object) -> None:
    """A broadcast needs all nodes: one request without hope is its end."""
    run = FakeRun(tmp_path, FakeSlurm(is_missing=True), NODES, SSH, limits=BROADCAST)
    async with run.running():
        await run.allocations.wait_all(Listening(), may_be_empty=False)
    assert "needs the programs of Slurm" in str(run.error)


def around(slurm: FakeSlurm) -> None:
    """Let the run be in an allocation of one node."""
    slurm.nodes, slurm.limit = ("c5",), 600
    slurm.features_of = {"c5": ("a100",)}
    slurm.start(slurm.add("mine", job="7"))


async def test_what_is_known_of_its_own_nodes(tmp_path: Path, autojump_clock: object) -> None:
    """The features and the partition of the nodes around Pegasus are known."""
    around(slurm := FakeSlurm())
    run = FakeRun(tmp_path, slurm, OWN)
    await run.allocations.describe()
    (node,) = run.allocations.sub_nodes
    assert accepts((("features", ("a100",)), ("partition", ("gpu",))), node)
    assert not accepts((("features", ("v100",)),), node)


@pytest.mark.parametrize("silent", ["look", "features"])
async def test_nothing_is_known_of_them(
    tmp_path: Path, silent: str, autojump_clock: object
) -> None:
    """Where Slurm does not answer, each feature is accepted."""
    around(slurm := FakeSlurm(silent={silent}))
    run = FakeRun(tmp_path, slurm, OWN)
    await run.allocations.describe()
    assert accepts((("features", ("v100",)),), run.allocations.sub_nodes[0])


async def test_its_own_end(tmp_path: Path, autojump_clock: object) -> None:
    """Before the limit of the allocation around it a run is drained, also if Slurm is silent."""
    around(slurm := FakeSlurm())
    run = FakeRun(tmp_path, slurm, OWN)
    await run.allocations.describe()
    async with run.running():
        slurm.silent.add("look")
        await until(lambda: not run.is_taking)
        assert 58 < 600 - trio.current_time() <= 60
        assert await until(lambda: run.hostnames == ()) <= LONGEST_LOOK
    assert run.said("Slurm allocation 7 ends in 1 min") == 1
    assert not slurm.cancelled


async def test_its_own_end_beside_other_nodes(tmp_path: Path, autojump_clock: object) -> None:
    """With other nodes the run goes on without those whose allocation ends."""
    around(slurm := FakeSlurm())
    run = FakeRun(tmp_path, slurm, OWN, SSH)
    async with run.running():
        await until(lambda: run.hostnames == ("gateway",))
        assert run.is_taking


async def test_its_own_allocation_is_gone(tmp_path: Path, autojump_clock: object) -> None:
    """Where Pegasus outlives the allocation around it, as with salloc, its nodes leave."""
    around(slurm := FakeSlurm())
    run = FakeRun(tmp_path, slurm, OWN, SSH)
    async with run.running():
        await trio.sleep(100)
        slurm.end("7", "CANCELLED")
        assert await until(lambda: run.hostnames == ("gateway",)) <= LONGEST_LOOK
    assert run.said("Slurm allocation 7 has ended (CANCELLED)") == 1


@pytest.mark.parametrize(
    ("state", "words"), [("TIMEOUT", "has ended (TIMEOUT):"), ("COMPLETING", "has ended:")]
)
async def test_a_node_of_its_own_allocation_is_gone(
    tmp_path: Path, state: str, words: str, autojump_clock: object
) -> None:
    """A node that cannot be reached is a reason to ask Slurm about the allocation."""
    around(slurm := FakeSlurm())
    run = FakeRun(tmp_path, slurm, OWN, SSH)
    async with run.running():
        await trio.sleep(100)
        slurm.end("7", state)
        run.allocations.tell(Unreachable(run.allocations.sub_nodes[0], "no answer", 1.0))
        assert await until(lambda: run.hostnames == ("gateway",)) <= 2 * FIRST_LOOK
    assert run.said(f"Slurm allocation 7 {words}") == 1


async def test_its_own_allocation_is_not_known(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that this Slurm has never known is used: it may be of another cluster."""
    run = FakeRun(tmp_path, FakeSlurm(), OWN)
    await run.allocations.describe()
    async with run.running():
        await trio.sleep(1000)
        assert run.hostnames == ("c5",)
        assert run.is_taking


async def test_its_own_allocation_is_added(tmp_path: Path, autojump_clock: object) -> None:
    """Nodes of the allocation around Pegasus that are added during the run leave in time, too."""
    around(slurm := FakeSlurm())
    run = FakeRun(tmp_path, slurm, SSH)
    async with run.running():
        await run.change.send([SSH, OWN])
        await until(lambda: run.hostnames == ("gateway", "c5"))
        await until(lambda: run.hostnames == ("gateway",))
        assert 600 - trio.current_time() > 55


async def test_no_record(autojump_clock: object) -> None:
    """Without a record an allocation could not be found again: none is requested."""
    run = FakeRun(None, slurm := FakeSlurm(), NODES)
    async with run.running():
        await trio.sleep(10)
    assert "needs a record" in str(run.error)
    assert not slurm.asked
