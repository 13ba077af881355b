"""What readers of a run show of the Slurm allocations that it has requested."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.events import AllocationChanged, Event, RunEnded, SubNodeAdded, Unreachable
from pegasus.model import SlurmPlace, SubNode
from tests.unit.panels import panel
from tests.unit.records import queue_in, recording, settle
from tests.unit.slots import run_with
from tests.unit.test_status import json_of, text_of

REQUEST = "--nodes=2 --time=1:00:00"
WAITING = AllocationChanged("12", REQUEST, "waiting", "Priority")
RUNNING = AllocationChanged("12", REQUEST, "running")
DRAINING = AllocationChanged("12", REQUEST, "draining")
OVER = AllocationChanged("12", REQUEST, "over", "TIMEOUT")
NODE = SubNode(0, "c1", (), "slurm", (), SlurmPlace("12"))
OTHER = SubNode(1, "c1", (), "slurm", (), SlurmPlace("13"))


async def test_status(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Status says what an allocation does while the run goes on, and why it waits."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=[]) as record:
        for event, words in (
            (WAITING, f"Slurm allocation 12 ({REQUEST}) waits: Priority."),
            (RUNNING, f"Slurm allocation 12 ({REQUEST}) runs."),
            (DRAINING, f"Slurm allocation 12 ({REQUEST}) gets no more jobs."),
        ):
            record.tell(event)
            settle(record)
            assert words in text_of(capfd, queue).splitlines()
        record.tell(OVER)
        settle(record)
        assert "Slurm allocation" not in text_of(capfd, queue)


async def test_status_for_programs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Allocations have the form of the schema; a node says to which one it belongs."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=[]) as record:
        for event in (WAITING, SubNodeAdded(NODE)):
            record.tell(event)
        settle(record)
        (run,) = json_of(capfd, queue)["runs"]
        assert run["allocations"] == [
            {"job": "12", "request": REQUEST, "state": "waiting", "words": "Priority"}
        ]
        (node,) = run["sub_nodes"]
        assert (node["allocation"], "left" in node) == ("12", False)
        record.tell(OVER)
        settle(record)
        (run,) = json_of(capfd, queue)["runs"]
        assert "allocations" not in run
        assert run["sub_nodes"][0]["left"] is True
        record.tell(WAITING)
        record.tell(RunEnded(0, "done"))
    assert "allocations" not in json_of(capfd, queue)["runs"][0]


def test_nodes_of_an_allocation_that_is_over() -> None:
    """They do not count any more, also where they were lost; those of the next one do."""
    lost = Unreachable(NODE, "gone", None)
    events: list[Event] = [RUNNING, SubNodeAdded(NODE), SubNodeAdded(OTHER), lost, OVER]
    state = run_with([], *events)
    assert [each.sub_node for each in state.present] == [OTHER]
    assert state.places == 1
    assert not any("gone" in line for line in panel(state))


def test_the_panel_says_what_an_allocation_waits_for() -> None:
    """The line is there while the allocation waits."""
    state = run_with([], WAITING)
    assert "waits: Slurm allocation 12: Priority" in panel(state)
    state.apply(RUNNING, 9.0)
    assert not any("Slurm" in line for line in panel(state))
