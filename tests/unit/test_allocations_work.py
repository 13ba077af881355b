"""Which jobs count as work for an allocation, and what is known of its nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.allocations import AllocationRequest, requests_of
from pegasus.allocations.request import facts_of
from pegasus.allocations.work import WaitingWork
from pegasus.demand import accepts, fits_on
from pegasus.dispatch import QueueDispatcher
from pegasus.model import Demand, Params, Pool, SlurmPlace, SubNode, Where
from pegasus.queue_file import QueueFile
from pegasus.record.values import sub_node_data, sub_node_of
from tests.unit.allocating import requested
from tests.unit.dispatching import Bench

GPUS = SubNode(
    0, "slurm", (), "slurm", (Pool("gpu", "fixed", ("0", "1")),), SlurmPlace("", (("nodes", "1"),))
)


def request(*rows: SubNode) -> AllocationRequest:
    """Give a request."""
    (found,) = requests_of(rows or [requested(("nodes", "1"))])
    return found


@pytest.mark.parametrize(
    ("text", "exists"),
    [
        ("", False),
        ("- echo\n", True),
        ("- command: echo\n  where: {hostname: [other]}\n- echo\n", True),
        ("- command: echo\n  where: {hostname: other}\n", False),
        ("- command: echo\n  where: {features: a100}\n", True),
        ("- barrier: succeeded\n- echo\n", False),
        ("- echo\n- barrier: succeeded\n", True),
        ("- command: echo\n  where: {hostname: other}\n- barrier: ended\n- echo\n", False),
        ("- {command: echo, needs: {gpu: 1}}\n", False),
        ("- nonsense: 1\n- echo\n", True),
        ("- nonsense: 1\n", False),
        ("- 'echo\n", False),
    ],
)
async def test_the_file(tmp_path: Path, text: str, *, exists: bool) -> None:
    """A job that fits counts, unless it stands below a barrier; an entry with a fault does not."""
    (path := tmp_path / "queue.yaml").write_text(text)
    assert await WaitingWork(QueueFile(path), list).exists_for(request()) is exists


async def test_no_file(tmp_path: Path) -> None:
    """Without a file there is no work."""
    assert not await WaitingWork(QueueFile(tmp_path / "queue.yaml"), list).exists_for(request())


async def test_a_pause(tmp_path: Path) -> None:
    """In a paused run no job is work: it could not start."""
    (path := tmp_path / "queue.yaml").write_text("- echo\n")
    paused = True
    work = WaitingWork(QueueFile(path), lambda: [Demand()], lambda: paused)
    assert not await work.exists_for(request())
    paused = False
    assert await work.exists_for(request())


async def test_changes(tmp_path: Path) -> None:
    """What is added counts at once, and so do changed slots of the entry."""
    path = tmp_path / "queue.yaml"
    path.write_text("")
    work = WaitingWork(QueueFile(path), list)
    assert not await work.exists()
    assert not await work.exists_for(request(GPUS))
    path.write_text("- {command: echo, needs: {gpu: 4}}\n")
    assert await work.exists()
    assert not await work.exists_for(request(GPUS))
    four = SubNode(
        0, "slurm", (), "slurm", (Pool("gpu", "fixed", ("0", "1", "2", "3")),), GPUS.slurm
    )
    assert await work.exists_for(request(four))
    assert not await work.exists_for(request(GPUS))


async def test_a_file_that_has_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has not changed is not read again."""
    path = tmp_path / "queue.yaml"
    path.write_text("- echo\n")
    work = WaitingWork(QueueFile(path), list)
    assert await work.exists_for(request())
    monkeypatch.setattr(QueueFile, "reader", None)
    assert await work.exists_for(request())


async def test_jobs_that_wait_for_another_try(tmp_path: Path) -> None:
    """A job that was taken and waits for a sub-node counts, where it fits."""
    path = tmp_path / "queue.yaml"
    path.write_text("")
    for demand, exists in ((Demand(), True), (Demand(where=(("hostname", ("x",)),)), False)):
        work = WaitingWork(QueueFile(path), lambda demand=demand: [demand])  # type: ignore[misc]
        assert await work.exists_for(request()) is exists


async def test_a_file_with_a_fault_may_have_jobs(tmp_path: Path) -> None:
    """A broadcast is not ended by a file that cannot be read: the run reports it."""
    path = tmp_path / "queue.yaml"
    path.write_text("- 'echo\n")
    assert await WaitingWork(QueueFile(path), list).exists()


NODE = requests_of([requested(("nodes", "1"))])[0].sub_nodes(
    "5", ["c1"], "gpu", {"c1": ("a100", "nvme")}
)[0]


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ((("features", ("nvme",)),), True),
        ((("features", ("v100", "a100")),), True),
        ((("features", ("v100",)),), False),
        ((("partition", ("gpu",)),), True),
        ((("partition", ("cpu",)),), False),
        ((("nodelist", ("c1", "c2")),), True),
        ((("nodelist", ("c2",)),), False),
        ((("hostname", ("c1",)),), True),
        ((("features", ("nvme",)), ("partition", ("cpu",))), False),
        ((("account", ("x",)),), False),
    ],
)
def test_facts(where: Where, *, accepted: bool) -> None:
    """A job may ask for features, of which one counts, for the partition and for the node."""
    assert accepts(where, NODE) is accepted


@pytest.mark.parametrize(
    ("params", "place", "accepted"),
    [
        ((("features", "none"),), NODE.slurm, False),
        ((("features", "a100"),), SlurmPlace("5"), True),
        ((), SlurmPlace("5"), True),
        ((), SlurmPlace("", (("nodes", "1"),)), True),
        ((), SlurmPlace("5", None, 0, facts_of("gpu", None)), True),
        ((), SlurmPlace("5", None, 0, facts_of("gpu", ())), False),
        ((), None, False),
    ],
)
def test_unknown_facts(params: Params, place: SlurmPlace | None, *, accepted: bool) -> None:
    """A parameter of the same name wins; what is not known is accepted, but only at Slurm."""
    node = SubNode(0, "c1", params, "slurm", (), place)
    assert accepts((("features", ("a100",)),), node) is accepted


def test_the_partition_of_a_request() -> None:
    """A job that asks for another partition is no work for a request that names one."""
    place = SlurmPlace("", (("partition", "gpu"),), 0, (("partition", ("gpu",)),))
    node = SubNode(0, "slurm", (), "slurm", (), place)
    assert fits_on(Demand(where=(("partition", ("gpu",)),)), node)
    assert not fits_on(Demand(where=(("partition", ("cpu",)),)), node)


@pytest.mark.parametrize("job", ["", "5"])
def test_the_record(job: str) -> None:
    """The record keeps the allocation of a sub-node, and a later reader finds it."""
    place = SlurmPlace(job) if job else None
    node = SubNode(3, "c1", (("half", "a"),), "slurm", (Pool("gpu", "fixed", ("0",)),), place)
    assert sub_node_of(sub_node_data(node)) == node


def test_the_record_of_a_request() -> None:
    """The record keeps the id of an allocation, and not how it was requested."""
    found = sub_node_of(sub_node_data(NODE))
    assert found.slurm == SlurmPlace("5")
    assert (found.hostname, found.transport) == ("c1", "slurm")


async def test_a_run_without_nodes(threaded_clock: object) -> None:
    """A run whose nodes are all requested waits for them, and runs its jobs when they come."""
    bench = Bench("printf a", "printf b", nodes=0)
    object.__setattr__(bench.run, "requested", lambda: (requested(("nodes", "1")),))
    change = bench.follow()
    await change.send([NODE])
    bench.dispatcher = QueueDispatcher(bench.run)
    await bench.dispatcher.run_all()
    assert [name for _, name, _ in bench.finals] == ["c1", "c1"]


async def test_a_run_without_nodes_and_jobs(threaded_clock: object) -> None:
    """A run without nodes ends where nothing is left to do: another run has done it."""
    bench = Bench(nodes=0)
    object.__setattr__(bench.run, "requested", lambda: (requested(("nodes", "1")),))
    bench.follow()
    await QueueDispatcher(bench.run).run_all()
    assert bench.finals == []
