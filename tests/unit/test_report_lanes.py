"""The lanes of a report: where bars are, how busy a lane was, and what the axis shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pegasus.events import Connected, Ended, Event, RunEnded, Started, Taken
from pegasus.model import Exited, Job, Outcome, SubNode
from pegasus.record import RunRecord
from pegasus.record.folder import RunFolder
from pegasus.report import lanes as lanes_module
from pegasus.report.lanes import LaneBar, LaneBundle, timeline_of
from tests.unit.slots import ASKED, EIGHT, FIXED, begins, ends, held, holds
from tests.unit.states import began, given_to

NOON = 1_790_000_000.0 - 1_790_000_000.0 % 86400 + 43200
"""Noon of a day, UTC."""


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the time zone of the tests be UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def run_of(tmp_path: Path, *events: tuple[float, Event]) -> RunRecord:
    """Make a run of events; their times are seconds after noon."""
    run = RunRecord(RunFolder(tmp_path), began(), NOON)
    for at, event in events:
        run.state.apply(event, NOON + at)
    return run


def job(
    number: int, node: int, begin: float, end: float, outcome: Outcome | None = None
) -> list[tuple[float, Event]]:
    """Give the events of a job."""
    given = given_to(number, node)
    ended = Ended(given, outcome or Exited(0), end - begin)
    taken = Taken(number, Job(f"job {number}"))
    return [(begin, taken), (begin, Started(given)), (end, ended)]


def test_bars_and_shares(tmp_path: Path) -> None:
    """A bar begins and ends when its command did; a lane's share is the time in bars."""
    parts = [
        *job(1, 0, 0, 60),
        *job(2, 1, 0, 90),
        *job(3, 0, 75, 100),
        (100.0, RunEnded(0, "done")),
    ]
    timeline = timeline_of(run_of(tmp_path, *parts), NOON + 500)
    first, second, third = timeline.lanes
    assert [(bar.start - NOON, bar.end - NOON) for bar in first.bars] == [(0, 60), (75, 100)]
    assert timeline.span == 100.0
    assert [timeline.share(lane) for lane in (first, second, third)] == [0.85, 0.9, 0.0]
    assert timeline.utilisation == pytest.approx(0.875)  # the third was never connected


def test_commands_without_a_slot_have_as_few_lanes_as_they_need(tmp_path: Path) -> None:
    """Where several of them ran at once, each has a lane; the next one has a lane that is free."""
    run = RunRecord(RunFolder(tmp_path), replace(began(), sub_nodes=(FIXED,)), NOON)
    for number, begin, end in ((1, 0, 50), (2, 10, 20), (3, 20, 30), (4, 55, 60)):
        given = holds(number, FIXED, held("gpu"))
        for at, event in zip((begin, begin, end), (*begins(given), ends(given)), strict=True):
            run.state.apply(event, NOON + at)
    lanes = timeline_of(run, NOON + 500).lanes[8:]
    name = "node-2 (model=a100) without gpu"
    assert [lane.name for lane in lanes] == [name, f"{name}, 2"]
    assert [[bar.job.number for bar in lane.bars] for lane in lanes] == [[1], [2, 3, 4]]


def test_sub_nodes_of_one_machine_share_lanes(tmp_path: Path) -> None:
    """A slot has one lane, whichever sub-node a command has it from; unknown slots have none."""
    twins = [SubNode(number, "node-1", (("x", str(number)),), pools=(EIGHT,)) for number in (0, 1)]
    nodes = (*twins, replace(ASKED, number=2, hostname="node-3"))
    run = RunRecord(RunFolder(tmp_path), replace(began(), sub_nodes=nodes), NOON)
    for given in (holds(1, twins[0], held("gpu", 0)), holds(2, twins[1], held("gpu", 0, 9))):
        for event in (*begins(given), ends(given)):
            run.state.apply(event, NOON)
    lanes = {lane.name: len(lane.bars) for lane in timeline_of(run, NOON + 50).lanes}
    used = {"node-1 gpu 0": 2, "node-1 gpu 9": 1}
    assert lanes == {f"node-1 gpu {number}": 0 for number in range(8)} | used | {"node-3": 0}


def test_a_lane_that_was_connected_counts(tmp_path: Path) -> None:
    """A sub-node that was connected and got nothing to do lowers the utilisation."""
    run = run_of(tmp_path, (0.0, Connected(began().sub_nodes[2])), *job(1, 0, 0, 60))
    assert timeline_of(run, NOON + 60).utilisation == pytest.approx(0.5)


def test_an_interrupted_run_ends_where_it_was_last_seen(tmp_path: Path) -> None:
    """After a kill, an open bar reaches as far as the last line of the journal."""
    given = given_to(1)
    run = run_of(tmp_path, (0.0, Taken(1, given.job)), (1.0, Started(given)), *job(2, 1, 2, 50))
    (bar,) = timeline_of(run, NOON + 500).lanes[0].bars
    assert (bar.is_open, bar.word, bar.end - NOON) == (True, "lost", 50.0)


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """Where the clock jumped, no bar has a negative length, and the axis has all bars."""
    run = run_of(tmp_path, *job(1, 0, 10, 5), *job(2, 1, -20, -10))
    timeline = timeline_of(run, NOON)
    assert (timeline.begin - NOON, timeline.span >= 30.0) == (-20.0, True)
    assert all(bar.end >= bar.start for lane in timeline.lanes for bar in lane.bars)


@pytest.mark.parametrize(
    ("seconds", "times", "days"),
    [
        (0, ["12:00:00", "12:00:01"], ["Sep 21"]),
        (60, ["12:00:00", "12:00:10", "12:00:20"], ["Sep 21"]),
        (3 * 3600, ["12:00", "12:30", "13:00"], ["Sep 21"]),
        (20 * 3600, ["12:00", "15:00", "18:00"], ["Sep 21", "Sep 22"]),
        (5 * 86400, ["", "", ""], ["Sep 22", "Sep 23", "Sep 24", "Sep 25", "Sep 26"]),
        (900 * 86400, ["", "", ""], []),
    ],
)
def test_labels_are_round_times(
    seconds: int, times: list[str], days: list[str], tmp_path: Path
) -> None:
    """The axis has up to nine labels, at round times of the day; a new day has its date."""
    timeline = timeline_of(run_of(tmp_path, *job(1, 0, 0, seconds)), NOON)
    labels = timeline.labels()
    assert len(labels) <= lanes_module.MOST_LABELS + 1
    assert [label.time for label in labels][: len(times)] == times
    assert [label.day for label in labels if label.day][: len(days)] == days
    assert all(timeline.begin <= label.at <= timeline.end for label in labels)


def test_days_of_another_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a change of the clocks too, the label of a day is at its midnight."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    until = 50 * 86400  # from September 21 into November; the clocks change on October 25
    labels = timeline_of(run_of(tmp_path, *job(1, 0, 0, until)), NOON).labels()
    assert time.localtime(labels[0].at).tm_isdst != time.localtime(labels[-1].at).tm_isdst
    for label in labels:
        local = time.localtime(label.at)
        assert (local.tm_hour, local.tm_min) == (0, 0)
        assert label.day == time.strftime("%b %d", local)


def test_very_many_bars_are_drawn_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many commands, short neighbours are one mark that counts them; nothing is left out.

    What runs, and what is long, keeps a bar of its own. A failure shows in the mark.
    """
    monkeypatch.setattr(lanes_module, "MOST_BARS", 200)
    failed = {7: Exited(1)}
    parts = [
        each
        for number in range(1, 501)
        for each in job(number, 0, number, number + 0.9, failed.get(number))
    ]
    run = run_of(tmp_path, *parts, *job(501, 1, 0, 400))
    timeline = timeline_of(run, NOON + 600)
    marks = [timeline.parts_of(lane) for lane in timeline.lanes]
    bundles = [mark for mark in marks[0] if isinstance(mark, LaneBundle)]
    assert len(marks[0]) <= 200 // 3 + 1
    singles = [mark for mark in marks[0] if isinstance(mark, LaneBar)]
    assert sum(len(mark.bars) for mark in bundles) + len(singles) == 500
    assert [mark.word for mark in bundles].count("failed") == 1
    assert bundles[0].word == "failed"
    assert bundles[0].counts["failed"] == 1
    assert [type(mark) for mark in marks[1]] == [LaneBar]
