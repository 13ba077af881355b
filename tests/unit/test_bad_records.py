"""Records that are damaged: nothing in them makes a command fail, and what can be read is shown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import HealthCheck, given, settings

from pegasus.commands.logs import LogsSettings, logs
from pegasus.commands.retry import RetrySettings, retry
from pegasus.commands.status import StatusSettings, status
from pegasus.commands.stop import StopSettings, stop
from pegasus.errors import PegasusError
from pegasus.events import (
    Ended,
    LinesMissing,
    Noted,
    OutputMissing,
    Returned,
    SubNodeAdded,
    Unreachable,
)
from pegasus.model import (
    Cancelled,
    Exited,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    SubNode,
    TimedOut,
)
from pegasus.orders import LONGEST_ORDER, DrainOrder, OrderAnswer, orders_of, send
from pegasus.queue_file.ledger import LEDGER
from pegasus.record.encoding import line_of
from tests.examples import examples
from tests.unit.records import NODES, end, only_run, queue_in, recording, show, start
from tests.unit.test_status import json_of
from tests.written import check_written

DEEP = "[" * 10_000 + "]" * 10_000
NASTY: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**400,
    1e308,
    -1e308,
    float("inf"),
    float("nan"),
    "",
    "\0",
    "a\nb\x1b[2J",
    "\ud800",
    "../../x",
    [],
    [1],
    {},
    {"kind": []},
]
WORST: list[Any] = [None, float("inf"), "x", [], {}]
ANY_JSON = st.sampled_from(NASTY) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


async def run_everything(queue: Path) -> None:
    """Record a run with each kind of line, which has died."""
    async with recording(queue) as record:
        record.tell(Unreachable(NODES[1], "Connection refused", 4.0))
        late = SubNode(7, "late", (("x", "1"),))
        record.tell(SubNodeAdded(late))
        record.tell(Unreachable(late, "No route to host", None))
        record.tell(Noted("a note"))
        outcomes: list[Outcome] = [
            Exited(0),
            Exited(3),
            Killed(9),
            Cancelled(),
            TimedOut(5.0),
            Lost("gone"),
        ]
        for number, outcome in enumerate([*outcomes, NotStarted("no node")], start=1):
            given_ = start(record, number)
            await show(record, given_, b"out\n")
            await show(record, given_, b"err\n", Stream.STDERR)
            end(record, given_, outcome)
        again = start(record, 8)
        record.tell(Ended(again, Exited(1), 1.0, again=True))
        record.tell(Returned(start(record, 9), "the shell was gone"))
        start(record, 10, node=NODES[2])
    path = only_run(queue).folder.journal
    at = 1795302900.0
    gaps = [
        line_of(LinesMissing(3), at),
        line_of(OutputMissing(1, 0, Stream.STDOUT, 4, 9, "No space"), at),
    ]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], *gaps, lines[-1]]))


def places_in(value: Any) -> Iterator[tuple[Any, ...]]:
    """Give the path to each field of a JSON value, however deep."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield (key,)
        if isinstance(inner, dict | list):
            yield from ((key, *rest) for rest in places_in(inner))


def replaced(line: bytes, place: tuple[Any, ...], value: Any) -> bytes:
    """Give a line with another value in a field."""
    data = json.loads(line)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return json.dumps(data).encode() + b"\n"


def ask_everything(queue: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """Ask each command that reads records; a PegasusError is an answer. Give what was said."""
    said = []
    commands = [
        partial(status, StatusSettings(queue_file=queue)),
        partial(status, StatusSettings(queue_file=queue, runs=True)),
        partial(logs, LogsSettings(queue_file=queue)),
        *(partial(logs, LogsSettings(queue_file=queue, job=job)) for job in range(11)),
        partial(trio.run, retry, RetrySettings(queue_file=queue)),
        partial(trio.run, stop, StopSettings(queue_file=queue)),
    ]
    for command in commands:
        try:
            command()
        except PegasusError as error:
            said.append(str(error))
    said.append(capfd.readouterr().err)
    for runs in (False, True):
        status(StatusSettings(queue_file=queue, json=True, runs=runs))
        check_written(json.loads(capfd.readouterr().out), "record/status")
    return "\n".join(said)


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Path, list[bytes]]:
    """Give a queue, the journal of its run, and the journal's lines."""
    queue = queue_in(tmp_path)
    trio.run(run_everything, queue)
    path = only_run(queue).folder.journal
    return queue, path, path.read_bytes().splitlines(keepends=True)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=examples(50),
    deadline=None,
)
@given(st.data())
def test_any_value_in_any_field(
    recorded: tuple[Path, Path, list[bytes]], capfd: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Whatever stands in a field, each command answers, and JSON is as its schema says."""
    queue, path, lines = recorded
    changed = list(lines)
    for index in data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=3)):
        place = data.draw(st.sampled_from(list(places_in(json.loads(lines[index])))))
        changed[index] = replaced(lines[index], place, data.draw(ANY_JSON))
    path.write_bytes(b"".join(changed))
    (path.parent / LEDGER).unlink(missing_ok=True)
    queue_in(queue.parent)
    ask_everything(queue, capfd)


def test_each_field_of_each_line(
    recorded: tuple[Path, Path, list[bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    """The same for the worst values, in each field; all other lines are still read."""
    queue, path, lines = recorded
    kinds = {(json.loads(line)["event"], len(line)): index for index, line in enumerate(lines)}
    worst = itertools.cycle(WORST)
    for index in kinds.values():
        for place in places_in(json.loads(lines[index])):
            value = next(worst)
            changed = [*lines[:index], replaced(lines[index], place, value), *lines[index + 1 :]]
            path.write_bytes(b"".join(changed))
            status(StatusSettings(queue_file=queue, json=True))
            report = json.loads(capfd.readouterr().out)
            check_written(report, "record/status")
            if index:
                assert len(report["runs"][0]["jobs"]) >= 9, (place, value)


@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        f'{{"event":"taken","at":1,"job":{DEEP}}}',
        f'{{"event":{DEEP},"at":1}}',
        '{"event":"taken","at":1e999,"job":3,"command":"x","params":{}}',
        '{"event":"taken","at":null,"job":3,"command":"x","params":{}}',
        '{"event":"taken","at":1' + "0" * 5000 + "}",
        '{"event":"ended","at":NaN}',
        "\0" * 100,
        "\ufeff{}",
    ],
    ids=range(9),
)
def test_broken_lines(
    line: str, recorded: tuple[Path, Path, list[bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    """A broken line is counted and passed over, wherever it is; as the first it hides its run."""
    queue, path, lines = recorded
    path.write_bytes(b"".join([*lines, line.encode() + b"\n"]))
    assert "1 line of the journal cannot be read" in json_of(capfd, queue)["runs"][0]["warnings"]
    ask_everything(queue, capfd)
    path.write_bytes(b"".join([line.encode() + b"\n", *lines]))
    assert (
        "its first line is damaged. This run is skipped. Move its folder away."
        in ask_everything(queue, capfd)
    )
    (warning,) = json_of(capfd, queue)["warnings"]
    assert warning.startswith(f"{path}: its first line is damaged")


def test_a_broken_line_changes_nothing(
    recorded: tuple[Path, Path, list[bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    """An end that lacks one field has not happened."""
    queue, path, lines = recorded
    before = json_of(capfd, queue)["runs"][0]["jobs"]
    end_of_first = next(line for line in lines if b'"ended"' in line)
    for place in places_in(json.loads(end_of_first)):
        if place not in {("event",), ("sub_node",), ("outcome", "kind"), ("job",)}:
            path.write_bytes(b"".join([*lines, replaced(end_of_first, place, "x")]))
            assert json_of(capfd, queue)["runs"][0]["jobs"] == before, place


@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        '{"jobs":[1e999],"new":".queue.yaml.pegasus-retry-0-NAME"}',
        '{"jobs":null,"new":1}',
        '{"undone":[]}',
        '{"undone":{}}',
        "1",
        "[]",
        '{"jobs":[2],"new":"a\\u0000b"}',
        '{"jobs":[2],"new":"../precious"}',
        '{"jobs":[2],"new":"precious"}',
        '{"jobs":[2],"new":"PRECIOUS"}',
    ],
)
def test_a_broken_ledger(
    line: str, recorded: tuple[Path, Path, list[bytes]], tmp_path: Path
) -> None:
    """What was put back is read past broken lines; no file but a retry's own is ever removed."""
    queue, path, _ = recorded
    precious = tmp_path / "precious"
    precious.write_text("x")
    line = line.replace("PRECIOUS", str(precious)).replace("NAME", path.parent.name)
    (path.parent / LEDGER).write_text(line + "\n")
    trio.run(retry, RetrySettings(queue_file=queue, jobs=(2,)))
    assert "train {{ x }}" in queue.read_text()
    assert precious.exists()


@pytest.mark.parametrize("words", [DEEP[: LONGEST_ORDER // 2], "1e999", "{}", '{"done":1}', "\0"])
def test_a_broken_answer(words: str, tmp_path: Path) -> None:
    """An answer that makes no sense is said to be one."""
    given_ = send(orders_of(tmp_path), DrainOrder())
    given_.path.with_suffix(".answer").write_text(words)
    assert given_.take_answer() == OrderAnswer(False, "The run's answer makes no sense.")
