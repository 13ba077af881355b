"""What the record promises when Pegasus is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pegasus.model import Exited, Stream
from pegasus.run_state.jobs import INTERRUPTED, INTERRUPTED_BEFORE_START
from tests.unit.records import only_run, queue_in

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
