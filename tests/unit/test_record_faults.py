"""What the record promises when its disk is full."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pegasus.events import Noted, RunEnded
from pegasus.model import Exited, Stream
from tests.unit.records import NODES, end, only_run, queue_in, recording, settle, show, start


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
