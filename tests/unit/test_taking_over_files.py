"""Taking over a run whose files a power cut or a user has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pegasus.events import Ended, Progressed, Released
from pegasus.model import Exited, Stream
from pegasus.record import folder as folders
from tests.unit.left_runs import extents, finish, kill, start, taken_over
from tests.unit.records import NODES, only_run, queue_in, recording, show, start_on

OUT, ERR = Stream.STDOUT, Stream.STDERR


@pytest.mark.parametrize("restarted", [True, False])
async def test_what_a_power_cut_may_have_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restarted: bool,  # noqa: FBT001
) -> None:
    """After a restart of its machine only what was synced counts; the node has the rest."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        job = start(record, 1)
        await show(record, job, b"abc")
        record.tell(Progressed(job, {OUT: 3}))
        await record.persist()
        await show(record, job, b"defg")
    journal = kill(queue)
    (line,) = [each for each in journal.read_bytes().splitlines() if b'"progressed"' in each]
    assert b'"stdout":3' in line
    if restarted:
        monkeypatch.setattr(folders, "boot_of_host", lambda: "another")
    async with taken_over(queue) as continued:
        assert extents(continued) == [{OUT: 3 if restarted else 7, ERR: 0}]
    async with taken_over(queue) as continued:  # this time the same machine goes on
        assert extents(continued) == [{OUT: 3 if restarted else 7, ERR: 0}]


@pytest.mark.parametrize("cut", [True, False])
async def test_an_end_whose_output_a_power_cut_lost(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: bool,  # noqa: FBT001
) -> None:
    """An end that reached the disk before its output does not count: it is followed once more."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        job = start(record, 1)
        await show(record, job, b"abcdef")
        record.tell(Ended(job, Exited(4), 1.0))
    kill(queue)
    monkeypatch.setattr(folders, "boot_of_host", lambda: "another")
    path = only_run(queue).output(1, 0, OUT)
    if cut:
        os.truncate(path, 2)
    async with taken_over(queue) as continued:
        (left,) = continued.commands
        assert left.has_ended is not cut
        if cut:
            assert left.extent == {OUT: 2, ERR: 0}
            await show(continued.record, left.assignment, b"cdef")
            finish(continued.record, left.assignment, {OUT: 6}, Exited(4))
    assert path.read_bytes() == b"abcdef"
    run = only_run(queue)
    assert run.state.counts() == {"failed": 1}
    assert len(run.state.jobs[1].executions) == 1
    assert run.state.recorded_bytes == 6


@pytest.mark.parametrize("what", ["longer", "shorter", "missing", "folder", "link", "no output"])
async def test_files_that_were_changed(tmp_path: Path, what: str) -> None:
    """Whatever became of an output meanwhile, its command is followed from what is there."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        first = start(record, 1, "first")
        await show(record, first, b"abcde")
        record.tell(Ended(first, Exited(1), 1.0, again=True))
        record.tell(Released(first))
        second = start_on(record, 1, first.job, NODES[0], "second")
        await show(record, second, b"xyz")
        record.tell(Progressed(second, {OUT: 3}))
        await record.persist()
    kill(queue)
    path = only_run(queue).output(1, 0, OUT)
    size = 3
    match what:
        case "longer":
            path.write_bytes(b"abcdexyz123")
            size = 6
        case "shorter":
            os.truncate(path, 4)
            size = 0
        case "missing":
            path.unlink()
            size = 0
        case "folder":
            path.unlink()
            path.mkdir()
            size = 0
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
            size = 0
        case "no output":
            path.unlink()
            path.parent.rmdir()
            size = 0
    for _ in range(2):
        async with taken_over(queue) as continued:
            assert extents(continued) == [{OUT: size, ERR: 0}]
    if what in {"shorter", "missing"}:
        async with taken_over(queue) as continued:
            await show(continued.record, second, b"xyz")
        async with taken_over(queue) as continued:
            assert extents(continued) == [{OUT: 3, ERR: 0}]
    if what == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b"abcdexyz"
