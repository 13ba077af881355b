"""What ``broadcast --resume`` continues: the newest broadcast in the records, and what is left."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from pegasus.errors import PegasusError
from pegasus.events import Ended, Event, Missing, RunEnded, Started, Taken, TakenOver
from pegasus.model import Assignment, Exited, Job, Lost, Outcome, StepOrigin, SubNode
from pegasus.queue_file import QueueFile, RetryLedger
from pegasus.record.recording import open_record
from pegasus.rendered import as_recorded
from pegasus.resuming import (
    broadcast_to_resume,
    notes_on_unfinished,
    resume_command,
    steps_left,
    steps_to_resume,
    words_on_rest,
)
from pegasus.run_state import RunState
from tests.unit.records import fail
from tests.unit.states import began

SUCCESS = Exited(0)
A, B, C = (SubNode(number, f"node-{name}") for number, name in enumerate("abc"))


def job(number: int) -> Job:
    """Give the job that is step number so and so."""
    return Job(f"step {number}")


def ended(number: int, sub_node: SubNode, outcome: Outcome = SUCCESS, step: int = 0) -> list[Event]:
    """Give the start and the end of a job on a sub-node."""
    template = job(step or number)
    assignment = Assignment(number, template, sub_node, as_recorded(template.command))
    return [Started(assignment), Ended(assignment, outcome, 1.0)]


def run_of(*events: Event, sub_nodes: Sequence[SubNode] = (A, B)) -> RunState:
    """Give the state of a run that was killed after these events."""
    state = RunState()
    state.apply(replace(began("broadcast"), sub_nodes=tuple(sub_nodes)), 0.0)
    for event in events:
        state.apply(event, 0.0)
    state.interrupted = True
    return state


def left(
    *runs: RunState, sub_nodes: Sequence[SubNode] = (A, B)
) -> list[tuple[str, int, list[str]]]:
    """Give what is left: the run and the number of each step, and the sub-nodes."""
    named = {f"run-{number}": state for number, state in enumerate(runs, start=1)}
    return [
        (each.origin.run, each.origin.job, [str(node) for node in each.needed])
        for each in steps_left(named, sub_nodes)
    ]


def test_only_success_is_done() -> None:
    """A step that failed, was lost, ran when Pegasus was killed, or never began is left."""
    state = run_of(
        Taken(1, job(1)),
        *ended(1, A),
        *ended(1, B),
        Taken(2, job(2)),
        *ended(2, A, Exited(3)),
        *ended(2, B, Lost("gone")),
        Taken(3, job(3)),
        *ended(3, A)[:1],
    )
    assert left(state) == [("run-1", 2, ["node-a", "node-b"]), ("run-1", 3, ["node-a", "node-b"])]


def test_a_later_try_counts() -> None:
    """A step that succeeded at a later try is done."""
    assert left(run_of(Taken(1, job(1)), *ended(1, A, Exited(1)), *ended(1, A), *ended(1, B))) == []


def test_a_changed_hosts_file() -> None:
    """A new sub-node has done nothing, a removed one is not needed, and numbers do not matter."""
    state = run_of(Taken(1, job(1)), *ended(1, A), *ended(1, B, Exited(1)))
    moved = [replace(A, number=2), replace(C, number=0)]
    assert left(state, sub_nodes=moved) == [("run-1", 1, ["node-c"])]
    with_params = [replace(A, params=(("gpu", "0"),))]
    assert left(state, sub_nodes=with_params) == [("run-1", 1, ["node-a (gpu=0)"])]


def test_twins() -> None:
    """Of sub-nodes that are alike the first stays the first, the second the second."""
    twins = [A, replace(A, number=1)]
    state = run_of(Taken(1, job(1)), *ended(1, twins[1]), sub_nodes=twins)
    (step,) = steps_left({"run-1": state}, [B, replace(A, number=5), replace(A, number=6)])
    assert [node.number for node in step.needed] == [B.number, 5]


def test_several_runs_are_one_broadcast() -> None:
    """Steps keep their order and identity over any number of runs."""
    first = run_of(Taken(1, job(1)), *ended(1, A), Taken(2, job(2)), *ended(2, A))
    origin = StepOrigin("run-1", 1)
    second = run_of(Taken(1, job(1), origin), *ended(1, B), Taken(2, job(3)), *ended(2, A, step=3))
    assert left(first, second) == [("run-1", 2, ["node-b"]), ("run-2", 2, ["node-b"])]


def test_a_detached_command_may_still_run() -> None:
    """A detached command without an end is neither done nor to be started again."""
    assignment = Assignment(1, job(1), A, as_recorded("step 1"), key="key-1")
    state = run_of(Taken(1, job(1)), Started(assignment), *ended(1, B))
    (step,) = steps_left({"run-1": state}, [A, B])
    assert (list(step.needed), list(step.open)) == ([A], [A])


# The records.


async def recorded(
    queue: Path, name: str, *events: Event, resumes: str = "", sub_nodes: Sequence[SubNode] = (A, B)
) -> str:
    """Record a broadcast; return the name of its run."""
    async with open_record(
        queue,
        name,
        mode="broadcast",
        hosts_file="hosts.yaml",
        sub_nodes=sub_nodes,
        on_trouble=fail,
        resumes=resumes,
    ) as record:
        for event in events:
            record.tell(event)
        return record.name


@pytest.fixture
def queue(tmp_path: Path) -> QueueFile:
    """A queue in which one job waits."""
    path = tmp_path / "queue.yaml"
    path.write_text("- echo x\n")
    return QueueFile(path)


def test_the_command_to_continue() -> None:
    """It names what decides where the steps run, so that it can be copied: files, and --limit."""
    usual = Path("hosts.yaml"), Path("queue.yaml"), None
    assert resume_command(*usual, ()) == "pegasus broadcast --resume"
    files = Path("my hosts.yaml"), Path("q.yaml"), Path("ssh_config")
    assert resume_command(*files, ("rack=2", "!node-[1-3]")) == (
        "pegasus broadcast --resume '--hosts-file=my hosts.yaml' --queue-file=q.yaml "
        "--ssh-config=ssh_config --limit=rack=2 '--limit=!node-[1-3]'"
    )


DRAINED, DONE = RunEnded(130, "drained"), RunEnded(0, "done")
STEP_LEFT = [Taken(1, job(1)), *ended(1, A)]


async def test_a_broadcast_that_did_not_finish(queue: QueueFile) -> None:
    """What is left of it is given to the run that continues it, and said at its end."""
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED)
    assert await broadcast_to_resume(queue, fail) == (name,)
    (step,) = await steps_to_resume(queue, "own", name, [A, B], fail)
    assert (step.origin, step.needed) == (StepOrigin(name, 1), frozenset([B.number]))
    (note,) = await notes_on_unfinished(queue, "own", "command")
    assert f"run {name}, did not finish" in note
    rest, command = await words_on_rest(queue, name, [A, B], "command")
    assert "1 step not done on node-b (1 of 2 sub-nodes), 1 job waits in" in rest
    assert command == "To continue it: command"


@pytest.mark.parametrize("end", [DONE, RunEnded(1, "done")])
async def test_a_broadcast_that_has_finished(queue: QueueFile, end: RunEnded) -> None:
    """One that has run all jobs has finished, also with failures that did not end it."""
    name = await recorded(queue.real, "one", *STEP_LEFT, *ended(1, B, Exited(1)), end)
    with pytest.raises(PegasusError, match="has finished: there is nothing to continue"):
        await broadcast_to_resume(queue, fail)
    assert await notes_on_unfinished(queue, "own", "command") == []
    assert await words_on_rest(queue, name, [A, B], "command") == []


async def test_a_broadcast_that_was_ended_in_its_last_step(queue: QueueFile) -> None:
    """Where no step is left there is nothing to continue, and no message says so."""
    await trio.Path(queue.real).write_text("[]\n")
    name = await recorded(queue.real, "one", *STEP_LEFT, *ended(1, B), DRAINED)
    assert await words_on_rest(queue, name, [A, B], "command") == []
    assert await notes_on_unfinished(queue, "own", "command") == []


async def test_a_step_that_is_back_in_the_queue(queue: QueueFile) -> None:
    """A step that ``retry`` put back waits in the queue, and is not counted as left as well."""
    name = await recorded(
        queue.real, "one", Taken(1, job(1)), *ended(1, A), Taken(2, job(2)), *ended(2, A), DRAINED
    )
    async with queue.locked(fail) as locked:
        folder = queue.real.parent / ".pegasus" / name
        await trio.to_thread.run_sync(RetryLedger(locked, folder).put_back, {1: job(1)})
    rest, _ = await words_on_rest(queue, name, [A, B], "command")
    assert "1 step not done on node-b (1 of 2 sub-nodes), 2 jobs wait in" in rest
    (step,) = await steps_to_resume(queue, "own", name, [A, B], fail)
    assert step.origin == StepOrigin(name, 2)


async def test_missing_sub_nodes(queue: QueueFile) -> None:
    """A broadcast that went on without some sub-nodes has not finished."""
    name = await recorded(queue.real, "one", *STEP_LEFT, Missing(B, "gone"), RunEnded(1, "done"))
    assert await broadcast_to_resume(queue, fail) == (name,)


async def test_runs_that_took_nothing_do_not_count(queue: QueueFile) -> None:
    """A broadcast that failed before it took anything hides no earlier one."""
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED)
    await recorded(queue.real, "two", RunEnded(2, "failed"))
    assert await broadcast_to_resume(queue, fail) == (name,)
    third = await recorded(queue.real, "three", RunEnded(2, "failed"), resumes=name)
    assert await broadcast_to_resume(queue, fail) == (name, third)


async def test_an_end_of_another_pegasus(queue: QueueFile) -> None:
    """That detached commands were followed to their ends does not finish a broadcast."""
    over = TakenOver(1, "there", "")
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED, over, DONE)
    assert await broadcast_to_resume(queue, fail) == (name,)


async def test_another_run_was_faster(queue: QueueFile) -> None:
    """Of two processes that continue the same broadcast, one does not."""
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED)
    second = await recorded(queue.real, "two", *STEP_LEFT, DRAINED, resumes=name)
    with pytest.raises(PegasusError, match=f"Run {second} has continued the broadcast meanwhile"):
        await steps_to_resume(queue, "own", name, [A, B], fail)
    async with open_record(
        queue.real,
        "three",
        mode="broadcast",
        hosts_file="hosts.yaml",
        sub_nodes=[A],
        on_trouble=fail,
        resumes=second,
    ):
        with pytest.raises(PegasusError, match=r"goes on, process \d+ on .*pegasus stop"):
            await steps_to_resume(queue, "own", second, [A, B], fail)


async def test_a_record_is_missing(queue: QueueFile) -> None:
    """Without the record of a run in between nobody knows what is done: an error says so."""
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED)
    await recorded(queue.real, "two", *STEP_LEFT, DRAINED, resumes=name)
    await trio.to_thread.run_sync(shutil.rmtree, queue.real.parent / ".pegasus" / name)
    with pytest.raises(PegasusError, match=f"The record of run {name} is missing"):
        await broadcast_to_resume(queue, fail)
    assert await notes_on_unfinished(queue, "own", "command") == []


async def test_a_command_that_nobody_follows(queue: QueueFile) -> None:
    """A detached command that could not be taken over is not started a second time."""
    assignment = Assignment(1, job(1), A, as_recorded("step 1"), key="key-1")
    name = await recorded(queue.real, "one", Taken(1, job(1)), Started(assignment), DRAINED)
    with pytest.raises(PegasusError, match=r"may still run on node-a.*pegasus attach"):
        await steps_to_resume(queue, "own", name, [A, B], fail)
    # A sub-node without which the broadcast goes on does not hold back the others.
    (step,) = await steps_to_resume(queue, "own", name, [A, B], fail, missing=[A.number])
    assert B.number in step.needed


async def test_a_newer_record_cannot_be_read(queue: QueueFile) -> None:
    """A newer run that cannot be read may have continued the broadcast: nothing runs twice."""
    old = await recorded(queue.real, "zero", *STEP_LEFT, DRAINED)
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED)
    second = await recorded(queue.real, "two", *STEP_LEFT, DRAINED, resumes=name)
    journals = queue.real.parent / ".pegasus"
    (journals / old / "journal.jsonl").write_text("damaged\n")  # an older one does not matter
    assert await broadcast_to_resume(queue, fail) == (name, second)
    (journals / second / "journal.jsonl").write_text("damaged\n")
    with pytest.raises(PegasusError, match=rf"{second}.*is newer than run {name}"):
        await broadcast_to_resume(queue, fail)


async def test_sub_nodes_that_are_new(queue: QueueFile) -> None:
    """A note names them, since a forgotten --limit has the same effect."""
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED)
    said: list[str] = []
    (step,) = await steps_to_resume(queue, "own", name, [A, B, replace(C, number=2)], said.append)
    assert step.needed == frozenset((1, 2))
    assert said == ["Not in the broadcast before: node-c. All its steps run there."]


async def test_a_record_with_damaged_lines(queue: QueueFile) -> None:
    """A note says that lines are lacking, from which it is known what is done."""
    name = await recorded(queue.real, "one", *STEP_LEFT, DRAINED)
    journal = queue.real.parent / ".pegasus" / name / "journal.jsonl"
    journal.write_text(journal.read_text() + "damaged\n")
    said: list[str] = []
    assert len(await steps_to_resume(queue, "own", name, [A, B], said.append)) == 1
    (words,) = said
    assert words.startswith(f"Run {name}: 1 line of the journal cannot be read. A step")
