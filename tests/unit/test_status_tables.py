"""How `pegasus status` lays out runs: each row fits the terminal, however narrow it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from pegasus.events import Ended, Progressed, Started, Unreachable
from pegasus.model import Lost, Stream
from pegasus.record import read_runs
from pegasus.record.encoding import line_of
from pegasus.report.overview import OverviewReader
from pegasus.report.status_json import report_text
from pegasus.report.tables import about, written
from tests.unit.records import NODES, end, only_run, queue_in, recording, run_some, settle, start

REASON = "Connection to node-1 port 22 refused, " + "and so on, " * 20


def lines_of(queue: Path, width: int, *, all_runs: bool = False) -> list[str]:
    """Lay out the runs of a queue in so many columns."""
    overview, _ = OverviewReader(queue, None, all_runs=all_runs).read()
    return written(about(overview, None, width), width, colour=False).decode().splitlines()


async def a_run(queue: Path) -> None:
    """Record a run with long names, long outcomes and a node that is unreachable."""
    async with recording(queue) as record:
        given = start(record, 1)
        record.tell(Ended(given, Lost("the connection was reset by its peer"), 1.0))
        start(record, 2, node=NODES[1])
        record.tell(Unreachable(NODES[1], REASON, 1.0))
        settle(record)
        for width in (30, 40, 65, 80, 200):
            lines = lines_of(queue, width)
            rows = [line for line in lines if str(queue.parent) not in line]
            assert max(map(cell_len, rows)) <= width, (width, rows)
            text = "".join(line.replace(" ", "") for line in lines)
            assert "canno" in text
            assert sum(REASON[:8] in line for line in lines) <= 1
            if width >= 40:
                outcome = "".join(line[:width] for line in lines).replace(" ", "")
                assert "lost:" in outcome


async def test_rows_fit_the_terminal(tmp_path: Path) -> None:
    """Names and outcomes are folded as far as the width requires; a reason takes one row."""
    await a_run(queue_in(tmp_path))


@pytest.mark.parametrize("width", [30, 50, 64, 70, 120])
async def test_each_run_takes_few_rows(width: int, tmp_path: Path) -> None:
    """In the list of runs, outcomes are cut where there is no room to fold them."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    lines = lines_of(queue, width, all_runs=True)
    assert len(lines) <= 4
    assert max(map(cell_len, lines)) <= max(width, 58)


async def test_a_running_command_reports_its_output_so_far(tmp_path: Path) -> None:
    """The size of an output is null until the end; what is known before is told apart."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        given = start(record, 1)
        record.tell(Progressed(given, {Stream.STDOUT: 5}))
        settle(record)
        overview, _ = OverviewReader(queue, None, all_runs=False).read()
        (execution,) = json.loads(report_text(overview))["runs"][0]["jobs"][0]["executions"]
        assert (execution["stdout"]["bytes"], execution["stdout"]["so_far"]) == (None, 5)
        end(record, given)
    overview, _ = OverviewReader(queue, None, all_runs=False).read()
    (execution,) = json.loads(report_text(overview))["runs"][0]["jobs"][0]["executions"]
    assert execution["stdout"].keys() == {"file", "bytes", "missing"}


async def test_the_last_line_of_a_newer_version_counts_as_seen(tmp_path: Path) -> None:
    """A run that was killed was last seen at its last line, also where that line is unknown."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        settle(record)
    run = only_run(queue)
    lines = run.folder.journal.read_bytes().splitlines(keepends=True)
    started = Started(run.state.jobs[1].final[0].assignment)
    newer = line_of(started, 2e9).replace(b'"started"', b'"renamed"')
    run.folder.journal.write_bytes(b"".join(lines[:-1]) + newer)
    (again,) = read_runs(queue)
    assert (again.unknown, again.state.last_at) == (1, 2e9)
