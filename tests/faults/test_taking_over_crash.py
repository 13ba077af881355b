"""A take-over that a crash cuts off at any line: one output and one end remain."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio

from pegasus.events import Ended, Progressed, Released
from pegasus.model import Assignment, Exited, Stream
from pegasus.record import folder as folders
from pegasus.record.recording import Record
from pegasus.record.taking_over import find_left, take_over
from tests.unit.left_runs import kill, left_run, start
from tests.unit.records import fail, only_run, queue_in, recording, show

OUT = Stream.STDOUT

WATCHED = str(Path("pegasus", "record"))
"""What the lines are in at which a process dies."""


def die_after_lines(lines: int, run: Callable[[], object]) -> None:
    """Run something in a process of its own that is killed at a line of the record's code."""
    child = os.fork()
    if child == 0:
        left = iter(range(lines))

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            if WATCHED not in frame.f_code.co_filename:
                return None
            if event == "line" and next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        threading.settrace(trace)
        sys.settrace(trace)
        status = 1
        try:
            run()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in {0, -signal.SIGKILL}


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Each follower may die at any line: in the end there is one output and one end.

    A child process takes over, and dies at a line of the code that was drawn by chance. Sometimes
    its machine seems to have restarted. The last one follows the command to its end.
    """
    content = bytes(range(256)) * 4
    chance = random.Random(seed)
    queue = queue_in(tmp_path)

    async def begin() -> None:
        async with recording(queue, detached=True) as record:
            start(record, 1)

    trio.run(begin)
    kill(queue)

    async def follow(record: Record, job: Assignment, sizes: dict[Stream, int]) -> None:
        """Print as a node does that has everything."""
        while sizes[OUT] < len(content):
            block = content[sizes[OUT] : sizes[OUT] + 100]
            await show(record, job, block)
            sizes[OUT] += len(block)
            record.tell(Progressed(job, dict(sizes)))
            await record.persist(job)
        record.tell(Ended(job, Exited(5), 1.0, printed=sizes))
        await record.persist(job)

    async def follow_on() -> None:
        async with take_over(left_run(queue), "", fail) as continued:
            assert continued is not None
            (left,) = continued.commands
            if not left.has_ended:
                await follow(continued.record, left.assignment, dict(left.extent))
            continued.record.tell(Released(left.assignment))

    for _ in range(6):
        if not find_left(queue, []):
            break
        boot = chance.choice("aab")
        monkeypatch.setattr(folders, "boot_of_host", partial(str, boot))
        die_after_lines(chance.randrange(2500), lambda: trio.run(follow_on))
    if find_left(queue, []):
        trio.run(follow_on)
    run = only_run(queue)
    assert run.state.counts() == {"failed": 1}
    assert len(run.state.jobs[1].executions) == 1
    assert run.output(1, 0, OUT).read_bytes() == content
