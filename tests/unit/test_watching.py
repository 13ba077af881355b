"""The frames of ``pegasus status --watch``: what has room on a terminal of any size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from pegasus.model import Exited, Stream, SubNode
from pegasus.record.recording import Record
from pegasus.report.overview import Overview, OverviewReader
from pegasus.report.watching import drawn, frame
from tests.unit.records import end, queue_in, recording, run_some, settle, show, start

NODES = tuple(SubNode(number, f"node-{number}") for number in range(16))


async def some_work(record: Record) -> None:
    """Record jobs that failed, jobs that succeeded, and one that runs on each sub-node."""
    for number in range(1, 31):
        node = NODES[number % len(NODES)]
        end(record, start(record, number, node=node), Exited(number % 3 // 2))
    for number, node in enumerate(NODES, 31):
        given = start(record, number, node=node)
        await show(record, given, b"\repoch 1\repoch 2 of 9")
        await show(record, given, b"warning\n", Stream.STDERR)
    settle(record)


def seen(queue: Path) -> Overview:
    """Read the runs of a queue."""
    overview, _ = OverviewReader(queue, None, all_runs=False).read()
    return overview


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 50), (20, 5), (9, 2), (1, 1)])
async def test_a_frame_fits(size: tuple[int, int], tmp_path: Path) -> None:
    """No frame has more rows or columns than the terminal, and what matters is in it."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        await some_work(record)
        for colour in (False, True):
            lines = frame(seen(queue), *size, colour=colour)
            plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
            assert len(plain) <= size[1]
            assert all(cell_len(line) < max(2, size[0]) for line in plain)
            assert colour or plain == lines
        if size[1] < 10:
            return
        text = "\n".join(plain)
        assert "30 ended" in text
        assert "10 failed" in text
        assert re.search(r"remaining: about|~\d+ s left", text)
        assert "exit status:" in text
        assert "Failed" in text
        assert "job" in text
        assert "more" in text or size[1] > 40
        if size[0] >= 80:
            assert "epoch 2 of 9" in text or "warning" in text


async def test_two_runs_of_one_queue(tmp_path: Path) -> None:
    """Each run has its lines, and the waiting jobs are divided by the sub-nodes that they have."""
    queue = queue_in(tmp_path)
    queue.write_text("- command: x {{ i }}\n  i: [1, 2, 3, 4, 5, 6, 7, 8]\n")
    async with (
        recording(queue, "one", sub_nodes=NODES[:1]) as first,
        recording(queue, "two", sub_nodes=NODES[1:4]) as second,
    ):
        end(first, start(first, 1, node=NODES[0]))
        end(second, start(second, 1, node=NODES[1]))
        settle(first)
        settle(second)
        overview = seen(queue)
        lines = frame(overview, 80, 23, colour=False)
        few = frame(overview, 80, 7, colour=False)
    assert [run.name for run in overview.runs] == ["0001-one", "0002-two"]
    assert sum("1 ended, 0 failed, 0 running" in line for line in lines) == 2
    assert [overview.waiting_for(run) for run in overview.runs] == [2, 6]
    assert len(few) <= 7


async def test_the_end_of_runs_that_were_watched(tmp_path: Path) -> None:
    """When no run goes on any more, those that were watched are shown, not only the newest."""
    queue = queue_in(tmp_path)
    reader = OverviewReader(queue, None, all_runs=False)
    async with recording(queue, "one") as first:
        async with recording(queue, "two"):
            overview, _ = reader.read()
            assert [run.name for run in overview.running] == ["0001-one", "0002-two"]
        end(first, start(first, 1), Exited(1))
        settle(first)
        overview, _ = reader.read()
        assert [run.name for run in overview.runs] == ["0001-one"]
    await run_some(queue)
    overview, changed = reader.read(exact=True)
    assert changed
    assert [run.name for run in overview.runs] == ["0001-one", "0002-two"]
    assert [run.name for run in seen(queue).runs] != ["0001-one", "0002-two"]


async def test_a_fault_of_the_queue_is_shown(tmp_path: Path) -> None:
    """A fault in the queue file has a line, and hides no run."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        settle(record)
        queue.write_text("- [b]\n")
        lines = frame(seen(queue), 200, 24, colour=False)
    assert lines[1].startswith("0 ended, 0 failed, 1 running")
    assert any("queue.yaml:1:3" in line for line in lines)


async def test_without_a_run_that_goes_on(tmp_path: Path) -> None:
    """Where no run goes on, a frame has what `pegasus status` says, as far as it fits."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    lines = frame(seen(queue), 40, 6, colour=False)
    assert len(lines) == 6
    assert "1 succeeded, 1 failed." in lines


def test_a_frame_is_drawn_over_the_one_before() -> None:
    """The first frame scrolls up what is on the screen; each leaves no mode switched on."""
    assert drawn(["a", "b"]) == b"\x1b[?2026h\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J\x1b[?2026l"
    assert drawn(["a"], scrolled=3) == b"\x1b[?2026h\n\n\n\x1b[Ha\x1b[K\x1b[J\x1b[?2026l"
