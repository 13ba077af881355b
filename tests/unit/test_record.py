"""The record of a run: everything is recorded, readable, and by its owner only."""

import json
import os
import stat
from pathlib import Path
from typing import get_args

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from pegasus.events import (
    BarrierPassed,
    Connected,
    Event,
    Noted,
    Prepared,
    RunDraining,
    RunPaused,
    RunResumed,
    Stalled,
    Taken,
    Unreachable,
)
from pegasus.model import (
    Assignment,
    AtMost,
    Barrier,
    Cancelled,
    Command,
    Demand,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    TimedOut,
)
from pegasus.record import decoding, slot_values, values, writer
from pegasus.record.encoding import line_of
from pegasus.screen.messages import ToldEvent
from tests.examples import examples
from tests.unit.records import (
    NODES,
    end,
    only_run,
    open_files,
    queue_in,
    recording,
    run_some,
    settle,
    show,
    start,
    start_on,
    take,
    waiting,
)

ANY_TEXT = st.text(st.characters(categories=None))
OUTCOMES: list[Outcome] = [
    Exited(0),
    Exited(255),
    Killed(9),
    Cancelled(),
    TimedOut(7200.0),
    Lost("broken pipe"),
    NotStarted("no such file"),
]


def lines_of(queue: Path) -> list[dict[str, object]]:
    """Read a journal as anybody would."""
    path = only_run(queue).folder.journal
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# What is written.


async def test_everything_is_told_in_order(tmp_path: Path) -> None:
    """The journal is one JSON object a line: what happened, when, on which sub-node."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    lines = lines_of(queue)
    assert [line["event"] for line in lines] == [
        "run_started",
        *["connected"] * 3,
        *["taken", "started", "ended"] * 2,
        "run_ended",
    ]
    assert lines[4] | {"at": 0} == {
        "event": "taken",
        "at": 0,
        "job": 1,
        "command": "train {{ x }}",
        "params": {"x": "1"},
    }
    assert lines[9] | {"at": 0} == {
        "event": "ended",
        "at": 0,
        "job": 2,
        "sub_node": 2,
        "outcome": {"kind": "exited", "status": 3},
        "seconds": 1.5,
        "again": False,
        "stdout": 0,
        "stderr": 13,
    }
    assert lines[-1] | {"at": 0} == {
        "event": "run_ended",
        "at": 0,
        "exit_status": 1,
        "how": "done",
    }
    times = [line["at"] for line in lines]
    assert times == sorted(times)  # type: ignore[type-var]


async def test_only_the_owner_sees_it(tmp_path: Path) -> None:
    """Other users can look into none of it, and git leaves it alone."""
    queue = queue_in(tmp_path)
    before = os.umask(0)
    try:
        await run_some(queue)
    finally:
        os.umask(before)
    for path in [tmp_path / ".pegasus", *(tmp_path / ".pegasus").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert (tmp_path / ".pegasus/.gitignore").read_text() == "*\n"


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_every_outcome_comes_back(tmp_path: Path, outcome: Outcome) -> None:
    """An outcome is read as it was written, with all that belongs to it."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        end(record, start(record, 1), outcome)
    run = only_run(queue)
    assert run.state.outcomes(run.state.jobs[1]) == [outcome]


@given(texts=st.lists(ANY_TEXT, min_size=4, max_size=4))
def test_every_text_comes_back(texts: list[str]) -> None:
    """Newlines, quotes, emoji, halves of surrogate pairs: each text is read as it was written."""
    command, name, value, words = texts
    taken = line_of(Taken(1, Job(command, ((name, value),))), 1.0)
    noted = line_of(Noted(words), 1.0)
    assert taken.count(b"\n") == noted.count(b"\n") == 1
    data = decoding.data_of(taken)
    assert Job(data["command"], values.params_of(data)) == Job(command, ((name, value),))
    assert decoding.data_of(noted)["text"] == words


NAMES = st.sampled_from(["gpu", "cpu", "g-1", "\udc80\n"])


@settings(max_examples=examples(30), deadline=None)
@given(
    st.none() | st.dictionaries(NAMES, st.integers(0, 8), max_size=2),
    st.dictionaries(NAMES, st.lists(ANY_TEXT, max_size=2), max_size=2),
    st.none() | st.builds(AtMost, st.integers(1, 9), NAMES),
)
def test_every_demand_comes_back(
    needs: dict[str, int] | None, where: dict[str, list[str]], at_most: AtMost | None
) -> None:
    """What a job needs, where it may run and how many at a time, in the order written."""
    accepted = tuple((name, tuple(values)) for name, values in where.items())
    demand = Demand(None if needs is None else tuple(needs.items()), accepted, at_most)
    data = decoding.data_of(line_of(Taken(1, Job("x", demand=demand)), 1.0))
    assert slot_values.demand_of(data) == demand


async def test_params_keep_their_order(tmp_path: Path) -> None:
    """A job is read as the identical job, so that it can be put back."""
    queue = queue_in(tmp_path)
    job = Job("x", (("zeta", "1e-4"), ("alpha", "010"), ("müll", "\udc80\n")))
    async with recording(queue) as record:
        record.tell(Taken(1, job))
    assert only_run(queue).state.jobs[1].job == job


# What jobs print.


async def test_output_byte_for_byte(tmp_path: Path) -> None:
    """What a job prints is kept as it is, its standard output and its standard error apart."""
    queue = queue_in(tmp_path)
    everything = bytes(range(256)) * 1000
    async with recording(queue) as record:
        job = start(record, 7)
        for begin in range(0, len(everything), 999):
            await show(record, job, everything[begin : begin + 999])
        await show(record, job, b"no newline", Stream.STDERR)
        end(record, job)
    run = only_run(queue)
    output = run.folder.output
    assert (output / "7.stdout").read_bytes() == everything
    assert (output / "7.stderr").read_bytes() == b"no newline"
    assert run.printed(run.state.jobs[7], Stream.STDOUT) == len(everything)


async def test_much_output(tmp_path: Path) -> None:
    """A hundred megabytes are kept like a hundred bytes, in bounded memory."""
    queue = queue_in(tmp_path)
    block = os.urandom(65536)
    async with recording(queue) as record:
        job = start(record, 1)
        for _ in range(1600):
            await show(record, job, block)
            assert waiting(record) <= writer.RECORD_ROOM + len(block)
        end(record, job)
    path = only_run(queue).folder.output / "1.stdout"
    assert path.stat().st_size == 1600 * len(block)
    with path.open("rb") as file:
        assert all(file.read(len(block)) == block for _ in range(1600))


async def test_a_folder_on_a_node_is_known(tmp_path: Path) -> None:
    """The name of a folder is in the journal before its node can be asked for it."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        for number in range(50):
            record.tell(Prepared(NODES[0], f"key-{number}"))
            assert lines_of(queue)[-1]["key"] == f"key-{number}"


TOLD = [
    *(RunDraining(), RunPaused(), RunResumed(), Connected(NODES[0])),
    *(Unreachable(NODES[0], "refused", 1.0), BarrierPassed(Barrier("ended"))),
    Stalled(Assignment(1, Job("train 1"), NODES[0], Command("train 1")), 60.0),
]


def test_told_events() -> None:
    """TOLD has one of each event about which the screen has a message.

    A note waits for no disk: it may be about a disk that hangs.
    """
    assert {type(event) for event in TOLD} == {RunDraining, *get_args(ToldEvent)} - {Noted}


@pytest.mark.parametrize("event", TOLD, ids=lambda event: type(event).__name__)
async def test_what_people_are_told_of_is_known(tmp_path: Path, event: Event) -> None:
    """``pegasus status`` shows a drain, or a node that is gone, as soon as the screen shows it."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        settle(record)
        before = len(lines_of(queue))
        for number in range(1, 50):
            record.tell(event)
            assert len(lines_of(queue)) == before + number


async def test_no_file_for_nothing(tmp_path: Path) -> None:
    """A job that prints nothing leaves no file, and one that has ended no open file."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        before = open_files()
        for number in range(1, 50):
            job = start(record, number)
            if number > 1:
                await show(record, job, b"x")
            end(record, job)
        settle(record)
        assert open_files() == before
    assert not (only_run(queue).folder.output / "1.stdout").exists()


async def test_broadcast_output_by_sub_node(tmp_path: Path) -> None:
    """In a broadcast each sub-node's output is kept apart."""
    queue = queue_in(tmp_path)
    async with recording(queue, broadcast=True) as record:
        job = take(record, 1)
        for node in NODES:
            given_ = start_on(record, 1, job, node)
            await show(record, given_, f"{node}\n".encode())
            end(record, given_, Exited(node.number))
    run = only_run(queue)
    names = sorted(path.name for path in run.folder.output.iterdir())
    assert names == ["1-0.stdout", "1-1.stdout", "1-2.stdout"]
    assert run.state.outcomes(run.state.jobs[1]) == [Exited(0), Exited(1), Exited(2)]
