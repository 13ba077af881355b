"""What `pegasus status` shows of detached commands, and that it shows nothing of it elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.events import Cut, Ended, Released, RunEnded, StopStored, TakenOver
from pegasus.model import Exited, Lost
from pegasus.orders import StopJobOrder, orders_of, send
from tests.unit.detached import append, detach, kill, recording_detached
from tests.unit.records import NODES, queue_in, record_of, run_some, settle
from tests.unit.test_status import json_of, text_of

Capture = pytest.CaptureFixture[str]


def joined(text: str) -> str:
    """Give a text without the line breaks of its layout."""
    return " ".join(text.split())


async def test_commands_that_outlive_pegasus(tmp_path: Path, capfd: Capture) -> None:
    """After Pegasus was killed, its detached commands go on: they are not lost."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1")
        ended = detach(record, 2, "key-2", node=NODES[2])
        record.tell(Ended(ended, Exited(0), 1.0))
        record.tell(Released(ended))
    kill(queue)
    said = text_of(capfd, queue)
    assert "1 detached, 1 succeeded." in said
    assert "Detached\n" in said
    assert "runs, not followed" in joined(said)
    assert "1 command still runs on its node. `pegasus attach` follows it" in joined(said)
    assert "lost" not in said
    (run,) = json_of(capfd, queue)["runs"]
    assert (run["state"], run["detached"], run["taken_over_by"]) == ("died", True, None)
    assert run["counts"] == {"detached": 1, "succeeded": 1}
    assert [job["state"] for job in run["jobs"]] == ["detached", "ended"]
    executions = [job["executions"][0]["detached"] for job in run["jobs"]]
    assert [(each["key"], each["released"]) for each in executions] == [
        ("key-1", False),
        ("key-2", True),
    ]


async def test_a_connection_that_broke(tmp_path: Path, capfd: Capture) -> None:
    """It says since when a command cannot be reached, why, and that its stop is stored."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        given = detach(record, 1, "key-1", node=NODES[2])
        record.tell(Cut(given, "Broken pipe\r\n"))
        record.tell(StopStored(given))
        settle(record)
        said = joined(text_of(capfd, queue))
        (run,) = json_of(capfd, queue)["runs"]
    assert "1 running." in said
    assert "job 1 on node-2: runs, its connection broke 0" in said
    assert "s ago: Broken pipe, stop stored" in said
    detached = run["jobs"][0]["executions"][0]["detached"]
    assert (detached["cut"], detached["stop_stored"]) == ("Broken pipe\r\n", True)


async def test_a_stop_that_waits_for_the_next_pegasus(tmp_path: Path, capfd: Capture) -> None:
    """A stop that was ordered while nobody follows the command is shown."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1")
        record.tell(RunEnded(None, "left"))
    send(orders_of(record_of(queue)), StopJobOrder(1))
    said = joined(text_of(capfd, queue))
    assert "left after" in said
    assert "stored" in said.split("Detached")[1].split("1 command")[0]
    assert "It is ended as soon as Pegasus reaches the node" in said


@pytest.mark.parametrize(
    ("by", "words"),
    [("0002-run-2", " of run 0002-run-2"), ("", " (`pegasus attach`)")],
)
async def test_who_took_over(by: str, words: str, tmp_path: Path, capfd: Capture) -> None:
    """A run that another Pegasus follows says which one."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1")
        record.tell(TakenOver(77, "far-away", by))
        settle(record)
        said = joined(text_of(capfd, queue))
        (run,) = json_of(capfd, queue)["runs"]
    assert f"taken over by process 77 on far-away{words}" in said
    assert "1 running." in said
    assert run["state"] == "running"
    assert run["taken_over_by"] == {"pid": 77, "host": "far-away", "run": by or None}


async def test_a_follower_that_was_killed(tmp_path: Path, capfd: Capture) -> None:
    """Where the follower is dead as well, the command counts as detached once more."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1")
    append(queue, TakenOver(77, "far-away", ""))
    (run,) = json_of(capfd, queue)["runs"]
    assert (run["state"], run["counts"]) == ("died", {"detached": 1})
    assert "was killed; last seen" in joined(text_of(capfd, queue))


async def test_folders_that_are_left(tmp_path: Path, capfd: Capture) -> None:
    """A command that was given up failed, and its folder is left on its node."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        given = detach(record, 1, "key-1")
        record.tell(Ended(given, Lost("its node was away for 2 h"), 1.0))
    said = joined(text_of(capfd, queue))
    assert "1 lost." in said
    assert "The folder of 1 command that has ended is left on its node" in said


async def test_watched_rows_are_limited(tmp_path: Path) -> None:
    """A watched screen shows so many rows, and says how many there are."""
    from pegasus.report.overview import OverviewReader
    from pegasus.report.tables import about, written

    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        for number in range(1, 31):
            detach(record, number, f"key-{number}")
    overview, _ = OverviewReader(queue, None, all_runs=False).read()
    said = written(about(overview, 10, 80), 80, colour=False).decode()
    assert "and 20 before" in said
    assert said.count("train ") == 10
    assert "30 commands still run on their nodes" in said


async def test_other_runs_stay_as_they_are(tmp_path: Path, capfd: Capture) -> None:
    """A run without detached commands has no word and no field of them."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    assert "detach" not in text_of(capfd, queue)
    (run,) = json_of(capfd, queue)["runs"]
    assert not {"detached", "taken_over_by"} & run.keys()
    assert "detached" not in run["jobs"][0]["executions"][0]
