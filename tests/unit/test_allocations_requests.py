"""Nothing is requested twice, whatever Slurm answers; and what happens where it refuses."""

from __future__ import annotations

from pathlib import Path

import trio

from pegasus.allocations.ending import CANCEL_LIMIT, SHORT_LIMIT
from pegasus.allocations.entry_lock import EntryLock
from pegasus.allocations.reports import MOST_REMEMBERED, AllocationReports
from pegasus.allocations.request import requests_of
from pegasus.allocations.timing import CANCEL_AGAIN
from pegasus.allocations.trial import try_request
from pegasus.model import SubNode
from tests.unit.allocating import FakeRun, FakeSlurm, FakeWork, requested, until

NODES = requested(("nodes", "2"))
SSH = SubNode(1, "gateway")


def name_of(folder: Path, node: SubNode = NODES) -> str:
    """Give the name at Slurm of an entry's allocation."""
    (request,) = requests_of([node])
    lock = EntryLock(folder / request.lock_name(""))
    assert lock.acquire_nowait()
    lock.release()
    return lock.name


async def test_an_answer_that_is_lost(tmp_path: Path, autojump_clock: object) -> None:
    """A request that times out after it was submitted is found, and there is no second one."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(loses_answers=True), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        await trio.sleep(1000)
        assert slurm.active == ["1"]
    assert slurm.count("submit") == 1
    assert not slurm.active
    assert run.said("no answer to the request") == 1


async def test_a_request_that_is_lost(tmp_path: Path, autojump_clock: object) -> None:
    """A request that has not reached Slurm is repeated, with pauses."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(silent={"submit"}), NODES)
    async with run.running():
        await trio.sleep(200)
        assert 3 <= slurm.count("submit") <= 7
        slurm.silent.clear()
        await until(lambda: run.hostnames)
    assert run.said("no answer to the request") == 1


async def test_a_silent_slurm(tmp_path: Path, autojump_clock: object) -> None:
    """While it is not known whether Slurm has a request, there is no other one."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(loses_answers=True), NODES)
    async with run.running():
        await until(lambda: slurm.active)
        slurm.silent.add("named")
        await trio.sleep(1000)
        slurm.silent.clear()
        await until(lambda: run.hostnames)
    assert slurm.count("submit") == 1


async def test_the_allocation_of_a_killed_run(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that a killed run has left is used; one that waits keeps its place."""
    slurm = FakeSlurm()
    slurm.start(slurm.add(name_of(tmp_path)))
    waiting = requested(("nodes", "1"))
    slurm.add(name_of(tmp_path, waiting))
    run = FakeRun(tmp_path, slurm, NODES, waiting)
    async with run.running():
        await until(lambda: len(run.hostnames) == 4)
    assert run.said("Slurm allocation 1 was requested before: it is used.") == 1
    assert slurm.count("submit") == 0
    assert not slurm.active


async def test_one_at_its_end(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation of a killed run that is about to end is given back, and gets no jobs."""
    slurm = FakeSlurm()
    slurm.start(slurm.add(name_of(tmp_path)))
    await trio.sleep(3500)
    run = FakeRun(tmp_path, slurm, NODES)
    async with run.running():
        await until(lambda: slurm.active == ["2"])
        assert not run.updates
        await until(lambda: run.hostnames)


async def test_the_parameters_of_this_run(tmp_path: Path, autojump_clock: object) -> None:
    """The allocation of a killed run gets the sub-nodes that the entry has now."""
    slurm = FakeSlurm(nodes=("c1",))
    slurm.start(slurm.add(name_of(tmp_path)))
    halves = [requested(("nodes", "2"), params=(("half", each),)) for each in "ab"]
    run = FakeRun(tmp_path, slurm, *halves)
    async with run.running():
        await until(lambda: run.hostnames == ("c1", "c1"))
        assert [each.params for each in run.sub_nodes] == [each.params for each in halves]


async def test_an_unused_allocation_of_a_killed_run(tmp_path: Path, autojump_clock: object) -> None:
    """What a killed run has left is given back also where there is no work."""
    slurm = FakeSlurm()
    slurm.start(slurm.add(name_of(tmp_path)))
    run = FakeRun(tmp_path, slurm, NODES, work=FakeWork())
    async with run.running():
        await until(lambda: not slurm.active)


async def test_a_second_run(tmp_path: Path, autojump_clock: object) -> None:
    """A second run on a queue leaves the allocation to the first one, and says so once."""
    slurm = FakeSlurm()
    first, second = FakeRun(tmp_path, slurm, NODES), FakeRun(tmp_path, slurm, NODES)
    async with first.running():
        await until(lambda: first.hostnames)
        async with second.running():
            await trio.sleep(1000)
            assert slurm.count("submit") == 1
            assert not second.hostnames
        assert slurm.active == ["1"]
        (words,) = second.notes
        assert words.startswith("Slurm (--nodes=2): another run on this queue has the allocation")


async def test_a_run_after_another(tmp_path: Path, autojump_clock: object) -> None:
    """When the first run ends, the second one requests an allocation of its own."""
    slurm = FakeSlurm()
    first, second = FakeRun(tmp_path, slurm, NODES), FakeRun(tmp_path, slurm, NODES)
    async with trio.open_nursery() as nursery:

        async def be_first() -> None:
            async with first.running():
                await trio.sleep(100)

        nursery.start_soon(be_first)
        await until(lambda: first.hostnames)
        async with second.running():
            await until(lambda: second.hostnames)
            assert slurm.cancelled == ["1"]
            assert slurm.active == ["2"]


async def test_two_allocations_of_one_name(tmp_path: Path, autojump_clock: object) -> None:
    """Of two allocations the one that waits is cancelled; one with commands never is."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        name = slurm.allocations["1"].name
        slurm.add(name)
        await until(lambda: slurm.cancelled == ["2"])
        run.busy.add("1")
        slurm.starts_after = None
        slurm.add(name, job="0")
        slurm.start("0")
        await until(lambda: slurm.cancelled == ["2", "0"])
        await trio.sleep(100)
        assert slurm.active == ["1"]
        run.busy.clear()
    assert run.said("0 is a second one: it is cancelled") == 1


async def test_a_second_one_that_stays(tmp_path: Path, autojump_clock: object) -> None:
    """What cannot be cancelled is told once, and not at every look."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        slurm.silent.add("cancel")
        slurm.add(slurm.allocations["1"].name)
        await trio.sleep(1000)
        assert run.said("2 is a second one") == run.said("2 cannot be cancelled now") == 1
        slurm.silent.clear()


async def test_a_cancellation_that_is_lost(tmp_path: Path, autojump_clock: object) -> None:
    """An allocation that goes on after it was cancelled is cancelled again, after a while."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(cancels=False), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        run.work.demands.clear()
        await until(lambda: slurm.cancelled)
        await trio.sleep(3 * CANCEL_AGAIN)
        assert 2 <= len(slurm.cancelled) <= 4
        slurm.cancels = True
        await until(lambda: not slurm.active)


async def test_a_refusal(tmp_path: Path, autojump_clock: object) -> None:
    """Without other nodes a refusal is the end of the run, in Slurm's words, and at once."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(refusal="Invalid partition name specified"), NODES)
    async with run.running():
        await trio.sleep(1000)
    assert str(run.error).startswith(
        "Slurm refuses the allocation: Invalid partition name specified. `pegasus check"
    )
    assert slurm.count("submit") == 1
    assert slurm.asked[-1][0] <= 1


async def test_a_refusal_beside_other_nodes(tmp_path: Path, autojump_clock: object) -> None:
    """With other nodes a refused request is repeated after pauses, and told once."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(refusal="a limit"), NODES, SSH)
    async with run.running():
        await trio.sleep(1000)
        assert 4 <= slurm.count("submit") <= 6
        slurm.refusal = ""
        await until(lambda: run.hostnames == ("gateway", "c1", "c2"))
    assert run.said("refuses the allocation: a limit. It is requested again later.") == 1


async def test_a_refusal_after_success(tmp_path: Path, autojump_clock: object) -> None:
    """Where Slurm has accepted a request before, a refusal passes, and does not end the run."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        await trio.sleep(100)
        slurm.refusal = "a reservation for maintenance"
        slurm.end("1", "NODE_FAIL")
        await trio.sleep(1000)
        slurm.refusal = ""
        await until(lambda: run.hostnames)
    assert run.error is None


async def test_no_slurm(tmp_path: Path, autojump_clock: object) -> None:
    """Without the programs of Slurm the message says which, and where they are needed."""
    run = FakeRun(tmp_path, FakeSlurm(is_missing=True), NODES)
    async with run.running():
        await trio.sleep(100)
    assert "squeue cannot be started" in str(run.error)
    assert "needs the programs of Slurm on the machine on which Pegasus runs" in str(run.error)


async def test_no_slurm_beside_other_nodes(tmp_path: Path, autojump_clock: object) -> None:
    """With other nodes the run goes on, and is told why it has not all of them."""
    run = FakeRun(tmp_path, FakeSlurm(is_missing=True), SSH, NODES)
    async with run.running():
        assert run.allocations.requested() == (NODES,)
        await trio.sleep(100)
        assert run.allocations.requested() == ()
        assert run.hostnames == ("gateway",)
    assert run.error is None
    assert run.said("needs the programs of Slurm") == 1


async def test_cancelled_at_the_end(tmp_path: Path, autojump_clock: object) -> None:
    """At the end commands that are being ended come first, for a limited time."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        run.busy.add("1")
        ended = trio.current_time()
    assert slurm.cancelled == ["1"]
    assert trio.current_time() - ended == 15


async def test_silent_at_the_end(tmp_path: Path, autojump_clock: object) -> None:
    """Where Slurm does not answer at the end, the user is told what to do, in limited time."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        slurm.silent |= {"named", "cancel"}
        ended = trio.current_time()
    assert trio.current_time() - ended == CANCEL_LIMIT
    (words,) = [each for each in run.notes if "not accepted" in each]
    assert words.startswith("Slurm has not accepted that its allocation 1 is cancelled.")
    assert f"`scancel --name={slurm.allocations['1'].name}`" in words


async def test_silent_at_the_end_of_a_run_that_was_killed(
    tmp_path: Path, autojump_clock: object
) -> None:
    """Such a run waits for no command, and not long for Slurm; the message is the same."""
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await until(lambda: run.hostnames)
        run.busy.add("1")
        run.is_killed = True
        slurm.silent |= {"named", "cancel"}
        ended = trio.current_time()
    assert trio.current_time() - ended == SHORT_LIMIT
    assert run.said("not accepted") == 1


async def test_silent_from_the_beginning(tmp_path: Path, autojump_clock: object) -> None:
    """A run that has requested nothing ends soon, and blames nobody."""
    run = FakeRun(tmp_path, FakeSlurm(silent={"named"}), NODES)
    async with run.running():
        await trio.sleep(100)
        ended = trio.current_time()
    assert trio.current_time() - ended == SHORT_LIMIT
    assert not run.said("not accepted")


async def test_an_end_during_the_request(tmp_path: Path, autojump_clock: object) -> None:
    """A run that ends while a request is on its way waits for it, and cancels it."""
    slurm = FakeSlurm(starts_after=None)
    submit = slurm.submit
    sent = trio.Event()

    async def submit_slowly(argv: list[str], script: bytes) -> str:
        sent.set()
        await trio.sleep(5)
        return await submit(argv, script)

    slurm.submit = submit_slowly  # type: ignore[method-assign, assignment]
    run = FakeRun(tmp_path, slurm, NODES)
    async with run.running():
        await sent.wait()
    assert slurm.cancelled == ["1"]


def test_what_changes_for_weeks(tmp_path: Path) -> None:
    """What is said again and again is told once, and reasons that change take no memory."""
    run = FakeRun(tmp_path, FakeSlurm(), NODES)
    reports = AllocationReports("", run.allocations)
    for number in range(10 * MOST_REMEMBERED):
        reports.say_once("always")
        reports.say_once(f"reason {number}")
    assert run.said("always") == 1
    reports.say_once("reason 0")
    assert run.notes.count("reason 0") == 2


async def test_a_trial(tmp_path: Path, autojump_clock: object) -> None:
    """A trial submits nothing, and gives Slurm's words, or why there are none."""
    (request,) = requests_of([NODES])
    slurm = FakeSlurm()
    assert await try_request(request, slurm) == (
        True,
        "Job 9 to start at 2030-01-01T00:00:00 on nodes c1",
    )
    slurm.refusal = "Invalid account"
    assert await try_request(request, slurm) == (False, "Invalid account")
    slurm.is_missing = True
    assert "cannot be started" in (await try_request(request, slurm))[1]
    assert not slurm.allocations


async def test_a_lock_that_cannot_be_used(tmp_path: Path, autojump_clock: object) -> None:
    """Where the lock cannot be opened nothing is requested, and the error names the file."""
    (request,) = requests_of([NODES])
    (tmp_path / request.lock_name("")).mkdir()
    run = FakeRun(tmp_path, slurm := FakeSlurm(), NODES)
    async with run.running():
        await trio.sleep(100)
    assert f"{request.lock_name('')}: this file cannot be used" in str(run.error)
    assert not slurm.asked
