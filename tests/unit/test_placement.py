"""The choice of jobs and slots: single rules. ``test_placement_simulation`` has whole runs."""

from __future__ import annotations

import pytest

from pegasus.demand import Nowhere
from pegasus.model import AtMost, Demand, HeldSlots, Job, Pool, PoolKind, Slot, SubNode
from pegasus.placement import NodeState, Placed, PoolState, Round, Waits


def pool(
    free: int, held: int = 0, *, kind: PoolKind = "fixed", unverified: int = 0, unusable: int = 0
) -> PoolState:
    """Make the slots of a pool; free ones come first."""
    slots = [Slot(str(number)) for number in range(free + unverified)]
    return PoolState("gpu", kind, slots[:free], slots[free:], held, unusable, size_known=True)


def node(number: int, *pools: PoolState, lanes: int = 9, place: str = "") -> NodeState:
    """Make a sub-node with pools, or a plain one."""
    described = tuple(
        Pool(each.name, each.kind, tuple(map(str, range(_size(each))))) for each in pools
    )
    sub_node = SubNode(number, f"node-{number}", pools=described)
    return NodeState(
        sub_node,
        lanes,
        may_grow=bool(pools),
        pools={each.name: each for each in pools},
        place=place,
    )


def _size(state: PoolState) -> int:
    return len(state.free) + len(state.unverified) + state.held + state.unusable


def needing(count: int, name: str = "gpu") -> Job:
    """Make a job that needs slots."""
    return Job("x", demand=Demand(needs=((name, count),)))


def placed(answer: Placed | Waits | Nowhere) -> tuple[int, list[str]]:
    """Give the number of the sub-node, and the texts of the slots."""
    assert isinstance(answer, Placed), answer
    return answer.sub_node.number, [each.text for each in answer.slots]


def words(answer: Placed | Waits | Nowhere) -> str:
    """Give what a job waits for."""
    assert isinstance(answer, Waits), answer
    return answer.words


def test_the_first_sub_node_that_fits_gets_the_job() -> None:
    """A job takes the first slots of the first sub-node on which it fits."""
    choice = Round([node(0, pool(1, 7)), node(1, pool(8))])
    assert placed(choice.place(needing(2))) == (1, ["0,1"])
    assert placed(choice.place(Job("x"))) == (0, ["0"])
    assert placed(choice.place(needing(3))) == (1, ["2,3,4"])


def test_without_pools_a_job_takes_a_shell() -> None:
    """A plain sub-node takes one job, without slots, and one that needs slots never."""
    choice = Round([node(0, lanes=1), node(1, lanes=1)])
    assert placed(choice.place(Job("x"))) == (0, [])
    assert isinstance(choice.place(needing(1)), Nowhere)
    assert not choice.is_full
    assert placed(choice.place(Job("y"))) == (1, [])
    assert choice.is_full
    assert words(choice.place(Job("z"))) == "each sub-node that can run it is busy"


def test_a_waiting_job_keeps_a_sub_node() -> None:
    """The sub-node with the fewest missing slots is kept; the jobs below get the others."""
    choice = Round([node(0, pool(2, 6)), node(1, pool(3, 5))])
    assert words(choice.place(needing(4))) == (
        "needs 4 slots of gpu; node-1 is kept for it: 3 of 4 are free"
    )
    assert [placed(choice.place(Job("x"))) for _ in range(2)] == [(0, ["0"]), (0, ["1"])]
    assert choice.is_full
    assert isinstance(choice.place(Job("x")), Waits)


def test_the_same_sub_node_is_kept_in_the_next_round() -> None:
    """What was kept is kept, even if another sub-node has more free slots by then."""
    first = Round([node(0, pool(2, 6)), node(1, pool(3, 5))])
    first.place(needing(8))
    later = Round([node(0, pool(7, 1)), node(1, pool(3, 5))], first.hints)
    assert later.place(needing(8)) == Waits(
        "needs 8 slots of gpu; node-1 is kept for it: 3 of 8 are free", 1, "kept"
    )
    assert placed(later.place(needing(7)))[0] == 0
    used = Round([node(0, pool(2, 6)), node(1, pool(8))], later.hints)
    assert placed(used.place(needing(8)))[0] == 1
    assert not used.hints


def test_a_claim_ends_where_others_use_the_slots() -> None:
    """A sub-node whose slots others use is not kept: nobody knows when they become free."""
    first = Round([node(0, pool(2, 6)), node(1, pool(3, 5))])
    first.place(needing(8))
    later = Round([node(0, pool(2, 6)), node(1, pool(3, 4, unusable=1))], first.hints)
    assert later.place(needing(8)) == Waits(
        "needs 8 slots of gpu; node-0 is kept for it: 2 of 8 are free", 0, "kept"
    )


def test_the_jobs_of_an_entry_wait_alike() -> None:
    """As many sub-nodes are kept as jobs of the entry are left."""
    nodes = [node(number, pool(3, 5)) for number in range(3)]
    choice = Round(nodes)
    choice.place(needing(8), copies=2)
    assert placed(choice.place(Job("x")))[0] == 2
    assert choice.hints == {needing(8).demand: (0, 1)}


def test_slots_are_probed_where_a_job_could_start() -> None:
    """Only the sub-node that is kept is probed, and only if all slots it needs may be free."""
    choice = Round(
        [
            node(0, pool(0, 8, kind="nvidia")),
            node(1, pool(0, 6, kind="nvidia", unverified=2)),
            node(2, pool(0, 1, kind="nvidia", unverified=7)),
        ]
    )
    assert words(choice.place(needing(8))).startswith("needs 8 slots of gpu; node-2 is kept")
    assert not choice.probes
    assert words(choice.place(needing(2))) == "node-1 is being asked for its gpu slots"
    assert choice.probes == {(1, "gpu")}
    assert choice.is_full


def test_a_probe_that_fails() -> None:
    """The reason of a probe that fails is what a job waits for, and the node is asked again."""
    state = PoolState("gpu", "nvidia", size_known=False, unusable=1, why="there is no nvidia-smi")
    choice = Round([node(0, state)])
    expected = "node-0 has no gpu that counts as free: there is no nvidia-smi"
    assert words(choice.place(needing(1))) == expected
    assert choice.probes == {(0, "gpu")}


def test_at_most() -> None:
    """No more jobs of a group start than it says; others go on, and nothing is kept for it."""
    job = Job("x", demand=Demand(at_most=AtMost(2, "g")))
    choice = Round([node(0, pool(8))], at_most={"g": 1})
    assert placed(choice.place(job)) == (0, ["0"])
    assert words(choice.place(job, copies=5)) == "at most 2 of these jobs run at a time"
    assert placed(choice.place(needing(7))) == (0, ["1,2,3,4,5,6,7"])


def test_nowhere() -> None:
    """A job that no sub-node can ever run is told from one whose sub-nodes are away."""
    large = SubNode(1, "node-1", pools=(Pool("gpu", ids=tuple("01234567")),))
    assert isinstance(Round([node(0, pool(4))]).place(needing(8)), Nowhere)
    waits = Round([node(0, pool(4))], absent=[large]).place(needing(8))
    assert words(waits) == "no sub-node with 8 slots of gpu is connected"
    found = NodeState(
        SubNode(0, "node-0", pools=(Pool("gpu", "nvidia"),)), pools={"gpu": pool(4, kind="nvidia")}
    )
    answer = Round([found]).place(needing(8))
    assert isinstance(answer, Nowhere)
    assert answer.what == "this needs 8 slots of gpu, and no sub-node has more than 4 (node-0)"


@pytest.mark.parametrize("held", [0, 5])
def test_one_that_tried_it_is_avoided(held: int) -> None:
    """A job goes to a sub-node that has not tried it, or waits for it, if one can run it."""
    nodes = [node(0, pool(8)), node(1, pool(8 - held, held))]
    answer = Round(nodes).place(needing(4), tried=[0])
    assert isinstance(answer, Waits if held else Placed)
    assert placed(Round(nodes).place(needing(4), tried=[0, 1]))[0] == 0
    nodes = [node(0, pool(8)), node(1, pool(0, unusable=8))]
    assert placed(Round(nodes).place(needing(4), tried=[0]))[0] == 0


def test_all_pools_are_named() -> None:
    """What a command holds has one element for each pool of its sub-node, in their order."""
    cpu = PoolState("cpu", "nproc", [Slot(str(n)) for n in range(4)])
    choice = Round([node(0, pool(2), cpu)])
    assert choice.place(Job("x", demand=Demand(needs=(("cpu", 2),)))) == Placed(
        choice._sites[0].state.sub_node,
        (HeldSlots("gpu", ()), HeldSlots("cpu", (Slot("0"), Slot("1")), "nproc")),
    )
