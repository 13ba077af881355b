"""What the record promises when Pegasus is killed, or its disk is full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pegasus.events import Noted, RunEnded
from pegasus.model import Exited, Stream
from pegasus.run_state.jobs import INTERRUPTED, INTERRUPTED_BEFORE_START
from tests.unit.records import NODES, end, only_run, queue_in, recording, settle, show, start

WRITER = """
import itertools, os, sys
from pathlib import Path
import trio
from tests.unit.records import NODES, end, recording, show, start
from pegasus.model import Exited

async def main():
    async with recording(Path(sys.argv[1])) as record:
        running = []
        for number in itertools.count(1):
            os.write(1, b"starting %d\\n" % number)
            job = start(record, number, node=NODES[number % 3])
            await show(record, job, b"output of %d\\n" % number)
            running.append(job)
            if len(running) == 3:
                job = running.pop(0)
                os.write(1, b"ending %d\\n" % job.number)
                end(record, job, Exited(job.number % 256))
                os.write(1, b"ended %d\\n" % job.number)

trio.run(main)
"""


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 5, 8, 13, 14, 15, 16, 17, 50, 100, 301, 1000])
def test_killed_at_any_moment(tmp_path: Path, moment: int) -> None:
    """After a kill -9 the journal is whole, and tells what was running from what had ended.

    Whatever Pegasus knew to have ended is there with its outcome and all its output; nothing is
    said to have ended that had not; the rest is lost.
    """
    queue = queue_in(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(queue)], stdout=subprocess.PIPE, cwd=Path.cwd()
    ) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(moment + 1)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read().splitlines(keepends=True)
    said = {word: set[int]() for word in ("starting", "ending", "ended")}
    for line in told:
        word, digits = line.decode().split()
        said[word].add(int(digits))

    run = only_run(queue)
    assert run.liveness == "died"
    assert run.damaged == 0
    state = run.state
    ended = {
        number
        for number, job in run.state.jobs.items()
        if Exited(number % 256) in state.outcomes(job)
    }
    assert said["ended"] <= ended <= said["ending"]
    assert run.state.jobs.keys() <= said["starting"]
    for number in run.state.jobs.keys() - ended:
        (outcome,) = state.outcomes(state.jobs[number])
        assert outcome in [
            INTERRUPTED,
            INTERRUPTED_BEFORE_START,
        ]
    for number in ended:
        path = run.output(number, 0, Stream.STDOUT)
        assert path.read_bytes() == b"output of %d\n" % number


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of 256 KiB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nobody but root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    """A full disk is said once; the run goes on, and so does the record when there is room."""
    queue = queue_in(small_disk)
    said: list[str] = []
    async with recording(queue, on_trouble=said.append) as record:
        job = start(record, 1)
        await show(record, job, b"begin\n")
        settle(record)
        filler = small_disk / "filler"
        fill(filler)
        for number in range(2, 200):
            end(record, start(record, number, node=NODES[1]))
        await show(record, job, bytes(10_000))
        settle(record)
        filler.unlink()
        await show(record, job, b"end\n")
        end(record, job, Exited(1))
    assert len(said) == 1
    assert "No space left on device" in said[0]
    run = only_run(queue)
    assert run.state.counts() == {"succeeded": 198, "failed": 1}
    execution = run.state.jobs[1].executions[0]
    output = run.output(1, 0, Stream.STDOUT).read_bytes()
    missing = execution.missing[Stream.STDOUT]
    assert missing > 0
    assert output == b"begin\n" + bytes(10_000 - missing) + b"end\n"
    assert execution.printed[Stream.STDOUT] == len(output) + missing


def fill(path: Path) -> None:
    """Write until there is no room, not even for a byte."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with suppress(OSError):
        while os.write(fd, bytes(4096)):
            pass
    os.close(fd)


class StingyDisk:
    """Stands in for the system's writing: gives room for so many bytes, and then none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 1 << 30
        self._write, self._writev = os.write, os.writev
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "writev", self.writev)

    def write(self, fd: int, data: bytes) -> int:
        if data and not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = self._write(fd, data[: self.room])
        self.room -= count
        return count

    def writev(self, fd: int, blocks: list[bytes]) -> int:
        return self.write(fd, b"".join(blocks))


@pytest.mark.parametrize("room", [0, 1, 10, 100, 150, 500])
async def test_a_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """A line that the disk cuts short is written again, whole and on a line of its own."""
    queue = queue_in(tmp_path)
    said: list[str] = []
    stingy = StingyDisk(monkeypatch)
    async with recording(queue, on_trouble=said.append) as record:
        settle(record)
        stingy.room = room
        for number in range(1, 20):
            record.tell(Noted(f"note {number}"))
        job = start(record, 20)
        await show(record, job, b"0123456789" * 100)
        end(record, job)
        stingy.room = 1 << 30
        end(record, start(record, 21))
    run = only_run(queue)
    assert len(said) == 1
    assert run.damaged <= 1
    assert run.state.counts() == {"succeeded": 2}
    assert b"".join(b"note %d\n" % number for number in range(1, 20)) == b"".join(
        line.partition(b'"text":"')[2].removesuffix(b'"}') + b"\n"
        for line in run.folder.journal.read_bytes().splitlines()
        if line.startswith(b'{"event":"noted"') and line.endswith(b"}")
    )
    missing = run.state.jobs[20].executions[0].missing[Stream.STDOUT]
    path = run.output(20, 0, Stream.STDOUT)
    recorded = path.stat().st_size if path.exists() else 0
    assert recorded + missing == 1000


async def test_many_jobs_print_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stays full until the end costs the record, and nothing else."""
    queue = queue_in(tmp_path)
    said: list[str] = []
    stingy = StingyDisk(monkeypatch)
    async with recording(queue, on_trouble=said.append) as record:
        end(record, start(record, 1))
        stingy.room = 50
        for number in range(2, 100):
            job = start(record, number)
            await show(record, job, bytes(100_000))
            end(record, job)
        record.tell(RunEnded(0, "done"))
    assert len(said) == 1
    run = only_run(queue)
    assert run.liveness == "died"
    assert run.state.outcomes(run.state.jobs[1]) == [Exited(0)]
