"""What `pegasus attach --list` and `--forget` promise of folders that are left on nodes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from pegasus.commands import attach as attaching
from pegasus.commands.attach import AttachSettings, attach
from pegasus.errors import ExitStatus, NodeUnreachable, PegasusError
from pegasus.events import Ended, RunEnded
from pegasus.model import Exited, Lost, SubNode
from pegasus.orders import StopJobOrder, orders_of, send
from pegasus.record import read_runs
from tests.unit.detached import detach, kill, recording_detached
from tests.unit.records import LIMIT, NODES, queue_in, record_of

Capture = pytest.CaptureFixture[str]


async def asked(queue: Path, **options: Any) -> ExitStatus:
    """Run the command."""
    with trio.fail_after(LIMIT):
        return await attach(AttachSettings(queue_file=queue, color="never", **options))


async def left(queue: Path, name: str = "run-1") -> None:
    """Leave a command that runs, one whose end is recorded, and one that was given up."""
    async with recording_detached(queue, name) as record:
        detach(record, 1, "key-1")
        ended = detach(record, 2, "key-2", node=NODES[2])
        record.tell(Ended(ended, Exited(0), 1.0))
        given_up = detach(record, 3, "key-3", node=NODES[1])
        record.tell(Ended(given_up, Lost("its node was away for 2 h"), 1.0))
    kill(queue, name)


def keys_left(queue: Path) -> list[str | None]:
    """Give the folders that are left, by the newest reading of the journals."""
    return [each.assignment.key for run in read_runs(queue) for _, each in run.state.left()]


# The list.


async def test_the_list(tmp_path: Path, capfd: Capture) -> None:
    """Offline, it says for each folder: run, job, sub-node, state, since when, path, command."""
    queue = queue_in(tmp_path)
    await left(queue)
    send(orders_of(record_of(queue)), StopJobOrder(1))
    assert await asked(queue, listing=True) is ExitStatus.SUCCESS
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "job", "on", "state", "since", "folder", "command"]
    assert "runs, not followed, stop stored" in lines[1]
    assert "/var/tmp/pegasus-*/key-1" in lines[1]
    assert lines[1].startswith("0001-run-1  1    node-1 (container=gpu0)")
    assert lines[1].endswith("train 1")
    assert "ended, not collected" in lines[2]
    assert "given up" in lines[3]
    assert "`pegasus attach` follows what runs." in lines[4]
    assert "`pegasus attach --forget` removes" in lines[5]


async def test_the_list_for_programs(tmp_path: Path, capfd: Capture) -> None:
    """The same as JSON, on one line."""
    queue = queue_in(tmp_path)
    await left(queue)
    assert await asked(queue, listing=True, json=True) is ExitStatus.SUCCESS
    report = json.loads(capfd.readouterr().out)
    assert (report["version"], report["warnings"]) == (1, [])
    states = [(each["job"], each["state"], each["key"]) for each in report["left"]]
    assert states == [(1, "runs", "key-1"), (2, "ended", "key-2"), (3, "given_up", "key-3")]
    assert {each["followed"] for each in report["left"]} == {False}
    assert report["left"][1]["sub_node"]["hostname"] == "node-2"


async def test_a_run_in_progress_is_listed(tmp_path: Path, capfd: Capture) -> None:
    """What another Pegasus follows is listed too, and is not said to be without one."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        detach(record, 1, "key-1")
        await asked(queue, listing=True)
    out = capfd.readouterr().out
    assert "runs " in out
    assert "not followed" not in out


async def test_nothing_is_left(tmp_path: Path, capfd: Capture) -> None:
    """Where nothing is left, that is said, and forgetting a job fails."""
    queue = queue_in(tmp_path)
    assert await asked(queue, listing=True) is ExitStatus.SUCCESS
    assert capfd.readouterr().out == "Nothing is left on any node.\n"
    assert await asked(queue, forget=True) is ExitStatus.SUCCESS
    assert await asked(queue, forget=True, jobs=(1,)) is ExitStatus.JOB_FAILED


@pytest.mark.parametrize(
    "options",
    [
        {"json": True},
        {"jobs": (1,)},
        {"listing": True, "jobs": (1,)},
        {"listing": True, "forget": True},
    ],
    ids=str,
)
async def test_contradictions(options: dict[str, Any], tmp_path: Path) -> None:
    """A command line that contradicts itself is refused."""
    with pytest.raises(PegasusError):
        await asked(queue_in(tmp_path), **options)


# Forgetting.


@dataclass
class Nodes:
    """Nodes with folders; ``running`` are the keys of commands that run, ``away`` hostnames."""

    running: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open_session(self, sub_node: SubNode) -> AsyncIterator[_Session]:
        await trio.lowlevel.checkpoint()
        if sub_node.hostname in self.away:
            raise NodeUnreachable("No route to host")
        yield _Session(self)


@dataclass
class _Session:
    nodes: Nodes
    place: str = "node:22"

    @asynccontextmanager
    async def open_shell(self, *, on_key: Callable[[str], None]) -> AsyncIterator[_Shell]:
        await trio.lowlevel.checkpoint()
        on_key("prepared")
        yield _Shell(self.nodes)


@dataclass
class _Shell:
    nodes: Nodes
    is_dismissed: bool = True

    async def release(self, key: str) -> bool:
        await trio.lowlevel.checkpoint()
        if key in self.nodes.running:
            return False
        self.nodes.removed.append(key)
        return True


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """Give nodes that are reached without SSH."""
    given = Nodes()
    monkeypatch.setattr(attaching, "session_opener", lambda _: given.open_session)
    return given


async def test_what_has_ended_is_forgotten(tmp_path: Path, nodes: Nodes, capfd: Capture) -> None:
    """Folders of commands that ended or were given up are removed; what may run stays."""
    queue = queue_in(tmp_path)
    await left(queue)
    assert await asked(queue, forget=True) is ExitStatus.SUCCESS
    assert sorted(nodes.removed) == ["key-2", "key-3"]
    assert keys_left(queue) == ["key-1"]
    err = capfd.readouterr().err
    assert err == "[Pegasus] Run 0001-run-1: 2 folders were forgotten, 0 kept.\n"
    (run,) = read_runs(queue)
    assert not run.state.folders.strays
    assert run.state.counts() == {"detached": 1, "succeeded": 1, "lost": 1}


async def test_what_still_runs_is_not_touched(tmp_path: Path, nodes: Nodes, capfd: Capture) -> None:
    """A command that was given up and runs after all keeps its folder; the next step is said."""
    queue = queue_in(tmp_path)
    await left(queue)
    nodes.running.add("key-3")
    assert await asked(queue, forget=True) is ExitStatus.JOB_FAILED
    assert keys_left(queue) == ["key-1", "key-3"]
    err = capfd.readouterr().err
    assert "it still runs. Stop it first: `pegasus stop 3 --run 0001-run-1`" in err


async def test_a_job_that_was_named_and_has_no_end(
    tmp_path: Path, nodes: Nodes, capfd: Capture
) -> None:
    """A command without an end on a node that answers is followed or ended, not forgotten."""
    queue = queue_in(tmp_path)
    await left(queue)
    assert await asked(queue, forget=True, jobs=(1, 9)) is ExitStatus.JOB_FAILED
    assert nodes.removed == []
    err = capfd.readouterr().err
    assert "its end is not recorded. `pegasus attach` follows it to its end" in err
    assert "Job 9 has left nothing on any node." in err


async def test_a_node_that_is_away(tmp_path: Path, nodes: Nodes, capfd: Capture) -> None:
    """Its folders stay, unless the job is named: then it is lost, and the folder is named."""
    queue = queue_in(tmp_path)
    await left(queue)
    nodes.away.add("node-1")
    assert await asked(queue, forget=True) is ExitStatus.JOB_FAILED
    assert keys_left(queue) == ["key-1", "key-3"]
    assert "No route to host. Its folder stays" in capfd.readouterr().err
    assert await asked(queue, forget=True, jobs=(1, 3)) is ExitStatus.SUCCESS
    assert keys_left(queue) == []
    assert "the command may still run" in capfd.readouterr().err
    (run,) = read_runs(queue)
    (outcome,) = run.state.outcomes(run.state.jobs[1])
    assert outcome == Lost(
        "forgotten; its folder /var/tmp/pegasus-*/key-1 on node-1 (container=gpu0) may be left"
    )


async def test_what_another_pegasus_follows(tmp_path: Path, nodes: Nodes, capfd: Capture) -> None:
    """The folders of a run in progress are its own business."""
    queue = queue_in(tmp_path)
    async with recording_detached(queue) as record:
        ended = detach(record, 1, "key-1")
        record.tell(Ended(ended, Exited(0), 1.0))
        detach(record, 2, "key-2")
        assert await asked(queue, forget=True) is ExitStatus.JOB_FAILED
        record.tell(RunEnded(0, "done"))
    assert nodes.removed == []
    assert "follows its commands. Nothing is forgotten." in capfd.readouterr().err


async def test_which_run_is_not_guessed(tmp_path: Path, nodes: Nodes) -> None:
    """Numbers belong to one run: with several, --run says which."""
    queue = queue_in(tmp_path)
    await left(queue)
    await left(queue, "run-2")
    with pytest.raises(PegasusError, match="Several runs have left commands"):
        await asked(queue, forget=True, jobs=(2,))
    assert await asked(queue, forget=True, jobs=(2,), run="run-2") is ExitStatus.SUCCESS
    assert nodes.removed == ["key-2"]
