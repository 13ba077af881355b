"""What ``pegasus logs`` promises: what jobs printed, byte for byte, also while they print it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from pegasus.commands.logs import LogsSettings, logs
from pegasus.errors import ExitStatus, PegasusError
from pegasus.events import Ended
from pegasus.model import Exited, Stream
from pegasus.report import outputs
from tests.unit.logs import Capture, follow, logged, wait_for
from tests.unit.records import (
    LIMIT,
    NODES,
    end,
    only_run,
    queue_in,
    recording,
    run_some,
    show,
    start,
    start_on,
    take,
)

FOLLOW = """
import sys
from pathlib import Path
from pegasus.commands.logs import LogsSettings, logs
from pegasus.report import outputs
sys.exit(logs(LogsSettings(queue_file=Path(sys.argv[1]), job=1, follow="follow" in sys.argv)))
"""


async def test_byte_for_byte(tmp_path: Path, capfdbinary: Capture) -> None:
    """A job's standard output comes on standard output, its standard error on standard error."""
    queue = queue_in(tmp_path)
    everything = bytes(range(256)) * 9000
    async with recording(queue) as record:
        job = start(record, 5)
        await show(record, job, everything)
        await show(record, job, b"\xffoops", Stream.STDERR)
        end(record, job)
    assert logged(capfdbinary, queue, job=5) == (everything, b"\xffoops")
    assert logged(capfdbinary, queue, job=5, stdout=True) == (everything, b"")
    assert logged(capfdbinary, queue, job=5, stderr=True) == (b"", b"\xffoops")
    assert logged(capfdbinary, queue, job=5, stdout=True, stderr=True)[1] == b"\xffoops"


async def test_nothing_printed(tmp_path: Path, capfdbinary: Capture) -> None:
    """A job that printed nothing has a log of nothing."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        end(record, start(record, 1))
        take(record, 2)
        assert logged(capfdbinary, queue, job=1) == (b"", b"")
        assert logged(capfdbinary, queue, job=2) == (b"", b"")


async def test_which_run(tmp_path: Path, capfdbinary: Capture) -> None:
    """It is a job of the newest run, or of the one that is named."""
    queue = queue_in(tmp_path)
    await run_some(queue, "first")
    async with recording(queue, "second") as record:
        job = start(record, 1)
        await show(record, job, b"of the second\n")
        end(record, job)
    assert logged(capfdbinary, queue, job=1)[0] == b"of the second\n"
    assert logged(capfdbinary, queue, job=1, run="first")[0] == b"epoch 1\n"


async def test_the_list(tmp_path: Path, capfdbinary: Capture) -> None:
    """Without a number the jobs are listed: how much they printed, their ends, and what ran."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    rows = [line.split() for line in logged(capfdbinary, queue)[0].decode().splitlines()]
    assert rows[2] == ["1", "8", "0", "exit", "status:", "0", "train", "1"]
    assert rows[3][:3] == ["2", "0", "13"]


async def test_mistakes(tmp_path: Path) -> None:
    """A mistake is answered by what there is."""
    queue = queue_in(tmp_path)
    with pytest.raises(PegasusError, match="is recorded beside it"):
        logs(LogsSettings(queue_file=queue))
    await run_some(queue)
    with pytest.raises(PegasusError, match="no job 9 in run 0001-run-1; there are jobs 1 to 2"):
        logs(LogsSettings(queue_file=queue, job=9))
    with pytest.raises(PegasusError, match=r"sub-node 7; it ran on number 0"):
        logs(LogsSettings(queue_file=queue, job=1, sub_node=7))
    with pytest.raises(PegasusError, match="Which job"):
        logs(LogsSettings(queue_file=queue, follow=True))


async def test_broadcast(tmp_path: Path, capfdbinary: Capture) -> None:
    """In a broadcast all sub-nodes' output comes, one after the other, each under its name."""
    queue = queue_in(tmp_path)
    async with recording(queue, broadcast=True) as record:
        job = take(record, 1)
        for node in reversed(NODES):
            given = start_on(record, 1, job, node)
            await show(record, given, b"on %d\n" % node.number)
            end(record, given)
    out, err = logged(capfdbinary, queue, job=1)
    assert out == b"on 0\non 1\non 2\n"
    assert err.splitlines()[1] == b"==> 1: node-1 (container=gpu1) (exit status: 0) <=="
    assert logged(capfdbinary, queue, job=1, sub_node=2) == (b"on 2\n", b"")


async def test_missing_bytes_are_said(tmp_path: Path, capfdbinary: Capture) -> None:
    """Where the disk took no more, that is said."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    journal = only_run(queue).folder.journal
    gap = b'{"event":"gap","at":1,"job":1,"sub_node":0,"stream":"stdout","bytes":9,"words":""}\n'
    with journal.open("ab") as file:
        file.write(gap)
    assert b"9 bytes of this stdout are missing" in logged(capfdbinary, queue, job=1)[1]


# Following.


async def test_follow(tmp_path: Path, capfdbinary: Capture) -> None:
    """Output is shown as it comes, until the job has ended."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record, trio.open_nursery() as nursery:
        job = start(record, 1)
        nursery.start_soon(follow, queue)
        await show(record, job, b"50 %\r")
        await wait_for(b"50 %\r")
        record.tell(Ended(job, Exited(1), 1.0, again=True))
        job = start_on(record, 1, job.job, NODES[1])
        await show(record, job, b"100 %")
        await wait_for(b"100 %")
        await show(record, job, b"end")
        end(record, job)
        await wait_for(b"end")


async def test_follow_a_job_whose_run_dies(tmp_path: Path, capfdbinary: Capture) -> None:
    """Following ends with the run, when the run does not say how the job did."""
    queue = queue_in(tmp_path)
    async with trio.open_nursery() as nursery, recording(queue) as record:
        job = start(record, 1)
        await show(record, job, b"begin\n")
        nursery.start_soon(partial(follow, queue, job=1))
        await wait_for(b"begin\n")
        await show(record, job, b"end\n")
    assert capfdbinary.readouterr()[0] == b"begin\nend\n"


async def test_followed_lines_do_not_mix(tmp_path: Path, capfdbinary: Capture) -> None:
    """Of several sub-nodes that are followed, none breaks into another's line."""
    queue = queue_in(tmp_path)
    command_hold, outputs.LINE_END_WAIT = outputs.LINE_END_WAIT, LIMIT
    try:
        async with recording(queue, broadcast=True) as record, trio.open_nursery() as nursery:
            job = take(record, 1)
            first, second = (start_on(record, 1, job, node) for node in NODES[:2])
            nursery.start_soon(partial(follow, queue, job=1))
            await show(record, first, b"aa")
            await wait_for(b"aa")
            await show(record, second, b"bb\n")
            await show(record, first, b"aa\n")
            out, err = await wait_for(b"bb\n")
            end(record, first)
            end(record, second)
    finally:
        outputs.LINE_END_WAIT = command_hold
    assert out == b"aaaa\nbb\n"
    assert b"==> 0: node-1" in err
    assert b"==> 1: node-1" in err


async def test_who_never_ends_a_line(
    tmp_path: Path, capfdbinary: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that does not end holds the others back for a moment only."""
    monkeypatch.setattr(outputs, "LINE_END_WAIT", 0.01)
    queue = queue_in(tmp_path)
    async with recording(queue) as record, trio.open_nursery() as nursery:
        job = start(record, 1)
        nursery.start_soon(follow, queue)
        await show(record, job, b"continue? ")
        await wait_for(b"continue? ")
        await show(record, job, b"warning\n", Stream.STDERR)
        await wait_for(b"warning\n")
        end(record, job)


def open_logs(queue: Path, *words: str, stdout: int) -> subprocess.Popen[bytes]:
    """Start ``pegasus logs 1``."""
    command = [sys.executable, "-c", FOLLOW, str(queue), *words]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE)


async def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C ends following quietly."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        job = start(record, 1)
        await show(record, job, b"begin\n")
        with open_logs(queue, "follow", stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            assert child.stdout.readline() == b"begin\n"
            child.send_signal(signal.SIGINT)
            assert child.wait(LIMIT) == ExitStatus.INTERRUPTED
            assert child.stderr.read() == b""


async def test_reader_goes_away(tmp_path: Path) -> None:
    """A reader that has seen enough ends it quietly."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        job = start(record, 1)
        await show(record, job, bytes(1_000_000))
        end(record, job)
    read, write = os.pipe()
    os.close(read)
    with open_logs(queue, stdout=write) as child:
        os.close(write)
        assert child.wait(LIMIT) == 0
        assert child.stderr is not None
        assert child.stderr.read() == b""
