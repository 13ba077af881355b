"""What the panel of a run shows, on a terminal of any size."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given as with_any
from hypothesis import settings
from rich.cells import cell_len

from pegasus.events import (
    Cut,
    Ended,
    Event,
    RunEnded,
    RunMode,
    Stalled,
    Started,
    StopStored,
    SubNodeAdded,
    Taken,
    Unreachable,
)
from pegasus.model import Exited, Job, SubNode
from pegasus.panel import LivePanel
from pegasus.run_state import RunState
from tests.examples import examples
from tests.unit.panels import NAMES, ended, given, nodes_of, panel, run_on, running

SGR = re.compile(r"\x1b\[[0-9;]*m")

TWO = nodes_of(2)


def test_the_first_lines() -> None:
    """They say what ended, failed, runs and waits, the elapsed and the remaining time."""
    state = run_on(TWO, *ended(1, TWO[0]), *ended(2, TWO[1], 3), *running(3, TWO[0]))
    counts, bar, *_ = panel(state, waiting=5, now=130.0)
    assert counts == (
        "2 ended, 1 failed, 1 running, 5 waiting  for 2 min 10 s  remaining: about 50 s"
    )
    assert re.fullmatch(r"\[=+> +\]  25 %", bar)


def test_no_number_before_there_is_a_basis() -> None:
    """While the remaining time is not known, the panel says so, and why."""
    state = run_on(TWO, *running(1, TWO[0]))
    assert "remaining: not known yet (no job has ended yet)" in panel(state, 120)[0]
    assert "remaining: not known yet (no job has ended yet)" in panel(state, 80)[1]
    state = run_on(TWO, *ended(1, TWO[0]), *running(2, TWO[0]))
    counts, bar, *_ = panel(state, 140, waiting=None)
    assert "counting the queue" in counts
    assert "not known yet (the queue is not counted yet)" in counts
    assert "%" not in bar


def test_a_row_for_each_busy_sub_node() -> None:
    """It has the sub-node, the job, how long it runs, and the last line that it printed."""
    state = run_on(TWO, *running(1, TWO[0]), *running(2, TWO[1]))
    rows = panel(state, now=75.0)[2:]
    assert rows == [
        "node (gpu=0) job 1     1:13  line of 1",
        "node (gpu=1) job 2     1:11  line of 2",
    ]


def test_rows_keep_their_places() -> None:
    """While jobs wait, a sub-node keeps its row between two of its jobs."""
    nodes = nodes_of(3)
    jobs = [event for number, node in enumerate(nodes, 1) for event in running(number, node)]
    state = run_on(nodes, *jobs)
    before = panel(state)[2:]
    state.apply(Ended(given(2, nodes[1]), Exited(0), 1.0), 20.0)
    after = panel(state)[2:]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1].split() == ["node", "(gpu=1)", "free"]
    assert len(panel(state, waiting=0)[2:]) == 2


def test_more_busy_sub_nodes_than_rows() -> None:
    """The commands that run longest are shown, in the order of the sub-nodes, and their number."""
    nodes = nodes_of(64)
    events = [each for number in range(64) for each in running(number + 1, nodes[63 - number])]
    state = run_on(nodes, *events)
    rows = panel(state, height=8)[2:]
    assert [row.split()[1] for row in rows[:-1]] == [f"(gpu={each})" for each in range(59, 64)]
    assert rows[-1] == "... and 59 more"
    assert len(panel(state, height=3)) == 3


def test_sub_nodes_that_cannot_be_reached() -> None:
    """They have a row with ssh's own words; of many, the first and their number."""
    nodes = nodes_of(20)
    away: list[Event] = [Unreachable(node, "no\nroute", None) for node in nodes[3:6]]
    state = run_on(nodes, *running(1, nodes[0]), *away)
    rows = panel(state, height=6)[2:]
    assert rows[0] == "node (gpu=3) and 2 more cannot be reached: no; route"
    assert rows[1].startswith("node (gpu=0) job 1")
    assert "cannot be reached: no; route" in panel(state, height=30)[5]


def test_sub_nodes_that_connect() -> None:
    """Sub-nodes that are not connected yet are counted."""
    late = SubNode(7, "late")
    state = run_on(TWO, *running(1, TWO[0]), SubNodeAdded(late))
    lines = panel(state, 120)
    assert "1 connecting" in lines[0]
    assert lines[-1].split() == ["late", "connecting"]


def test_jobs_that_wait_for_another_try() -> None:
    """They are counted apart from those that wait in the queue."""
    state = run_on(TWO, *ended(1, TWO[0], 1, again=True), *running(2, TWO[1]))
    assert panel(state, 120)[0].startswith("0 ended, 0 failed, 1 running, 3 waiting, 1 retry")


def test_detached_commands_whose_connection_is_broken() -> None:
    """Their rows come first, and say so instead of the last line."""
    nodes = nodes_of(9)
    events = [each for number in range(9) for each in running(number + 1, nodes[number])]
    cut = given(9, nodes[8])
    state = run_on(nodes, *events, Cut(cut, "reset\nby peer"), StopStored(cut))
    rows = panel(state, height=4)[2:]
    assert "a stop is stored; connection broken: reset; by peer" in rows[0]


def test_a_command_that_prints_nothing() -> None:
    """A command whose silence was reported shows for how long, and its last line."""
    state = run_on(TWO, *running(1, TWO[0]), Stalled(given(1, TWO[0]), 90.0))
    assert "nothing printed for" in panel(state)[2]


def test_the_end_of_a_run() -> None:
    """While a run ends, its stage has a line, and no more jobs are expected to run."""
    state = run_on(TWO, *ended(1, TWO[0]), *running(2, TWO[0]))
    lines = panel(state, waiting=1000, stage="draining: Ctrl-C again ends what runs", now=8.0)
    assert lines[1] == "draining: Ctrl-C again ends what runs"
    assert "remaining: about 5 s" in lines[0]
    assert len(lines) == 4
    state.apply(RunEnded(0, "drained"), 20.0)
    assert "remaining" not in panel(state)[0]


def test_a_run_that_waits_for_jobs() -> None:
    """With --daemon, a run without any job says that it waits."""
    assert "waits for jobs" in panel(run_on(TWO, *ended(1, TWO[0])), waiting=0)[0]
    assert "waits for jobs" in panel(run_on(TWO), waiting=0)[0]


def test_a_broadcast() -> None:
    """It shows the step, and how many sub-nodes have ended it."""
    nodes = nodes_of(4)
    first: list[Event] = [Taken(1, Job("x")), *(Started(given(1, node)) for node in nodes)]
    ends: list[Event] = [Ended(given(1, node), Exited(0), 5.0) for node in nodes]
    second: list[Event] = [Taken(2, Job("x")), *(Started(given(2, node)) for node in nodes)]
    failed = Ended(given(2, nodes[3]), Exited(1), 1.0)
    state = run_on(nodes, *first, *ends, *second, failed, mode="broadcast")
    lines = panel(state, 120, waiting=2)
    assert lines[0].startswith("step 2 of 4: 1 of 4 ended, 1 failed, 3 running  for")
    assert lines[1].endswith("31 %")
    assert lines[-1].split() == ["node", "(gpu=3)", "has", "ended", "this", "step"]
    assert "step 2/4" in panel(state, 40, waiting=2)[0]


@pytest.mark.parametrize("colour", [False, True])
def test_colours_carry_no_meaning_of_their_own(*, colour: bool) -> None:
    """Without colours there are the same words; with them, failures are red."""
    state = run_on(TWO, *ended(1, TWO[0], 1), *running(2, TWO[0]))
    lines = panel(state, colour=colour)
    assert [SGR.sub("", line) for line in lines] == panel(state)
    assert ("\x1b[1;31m1 failed\x1b[0m" in lines[0]) is colour
    assert any("\x1b" in line for line in lines) is colour


@pytest.mark.parametrize(("width", "height"), [(40, 3), (30, 3), (24, 2), (15, 1)])
def test_a_narrow_terminal(width: int, height: int) -> None:
    """What matters least is left out: words first, then the bar, and failures never."""
    nodes = nodes_of(8)
    events = [each for number in range(8) for each in running(number + 100, nodes[number])]
    for number in range(1, 90):
        events = [*ended(number, nodes[number % 8], int(number % 10 == 0)), *events]
    lines = panel(run_on(nodes, *events), width, height, waiting=1200)
    assert "8 failed" in lines[0]
    assert len(lines) == height
    if width >= 30:
        assert "left" in lines[1]
        assert "% " in lines[1]
    if width >= 40:
        assert "(gpu=0)" in lines[2]


MODES: list[RunMode] = ["queue", "broadcast"]


@st.composite
def states(draw: st.DrawFn) -> RunState:
    """Give a run in any state, on sub-nodes with unusual names."""
    nodes = nodes_of(draw(st.integers(1, 12)), NAMES)
    mode = draw(st.sampled_from(MODES))
    events: list[Event] = []
    for number in range(1, draw(st.integers(0, 20)) + 1):
        node = nodes[number % len(nodes)]
        possible = [running(number, node), ended(number, node), ended(number, node, 1, again=True)]
        events += draw(st.sampled_from(possible))
        if draw(st.booleans()):
            events.append(Unreachable(draw(st.sampled_from(nodes)), "\x1b[2J日本\n", None))
        if draw(st.booleans()):
            events.append(Cut(given(number, node), "\r\udc80日本語"))
    return run_on(nodes, *events, mode=mode)


@settings(max_examples=examples(150), deadline=None)
@with_any(
    states(),
    st.tuples(st.integers(0, 210), st.integers(0, 40)),
    st.sampled_from([None, 0, 7, 12345678]),
    st.one_of(st.binary(max_size=60), st.text("日e\u0301\x1b🦄", max_size=40).map(str.encode)),
    st.sampled_from(["", "draining \x1b[2J 日本語"]),
)
def test_it_fits_any_area(
    state: RunState, size: tuple[int, int], waiting: int | None, tail: bytes, stage: str
) -> None:
    """No line is too wide, there are never too many, and they control colours only."""
    width, height = size
    for colour in (False, True):
        lines = panel(
            state,
            width,
            height,
            waiting=waiting,
            tail_of=lambda _: tail,
            stage=stage,
            colour=colour,
        )
        assert len(lines) <= height
        for line in lines:
            plain = SGR.sub("", line)
            assert cell_len(plain) < width
            assert not [each for each in plain if ord(each) < 32 or 127 <= ord(each) < 160]
            line.encode()
            assert colour or plain == line


def test_the_estimate_runs_down_between_two_estimates() -> None:
    """The live panel makes an estimate every two seconds, and counts down in between."""
    times = [100.0]
    state = run_on(TWO, *ended(1, TWO[0]), *running(2, TWO[0]))
    live = LivePanel(state, lambda: 40, lambda _: b"", clock=lambda: times[0])
    first = live(100, 4, False)
    times[0] = 101.0
    assert live(100, 4, False)[0] != first[0]
    times[0] = 50.0  # the clock was set back
    assert "remaining: about" in live(100, 4, False)[0]


def test_a_reason_is_never_older_than_the_numbers_beside_it() -> None:
    """Once the queue is counted, the panel does not say that it is not."""
    counts: list[int | None] = [None]
    state = run_on(TWO, *ended(1, TWO[0]), *running(2, TWO[0]))
    live = LivePanel(state, lambda: counts[0], lambda _: b"", clock=lambda: 100.0)
    assert "not counted yet" in "\n".join(live(120, 4, False))
    counts[0] = 40
    lines = "\n".join(live(120, 4, False))
    assert "40 waiting" in lines
    assert "not counted yet" not in lines
    assert "remaining: about" in lines
