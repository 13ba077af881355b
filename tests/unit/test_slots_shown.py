"""What readers of a run show of slots: who holds them, who uses the rest, and what waits."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from pegasus.commands.logs import LogsSettings, logs
from pegasus.events import Probed, RunDraining, RunEnded, RunPaused, RunResumed
from pegasus.model import Exited
from pegasus.notifier.notification import NotifyingRun, of_end, of_failure
from pegasus.record.recording import Record
from pegasus.report import slot_tables
from pegasus.report.results import csv_text, json_lines
from pegasus.report.results_table import table_lines
from pegasus.report.summary import last_words
from tests.unit.pages import Page, page_in
from tests.unit.records import only_run, queue_in, recording, settle
from tests.unit.slots import ASKED, FIXED, OTHERS, begins, ends, held, holds, record_slots, run_with
from tests.unit.states import began
from tests.unit.test_status import json_of, text_of
from tests.written import check_written

NODES = (ASKED, FIXED)


def lines_below(text: str, title: str) -> list[str]:
    """Give the lines of a part of what is said."""
    lines = text.splitlines()
    begin = lines.index(title) + 1
    return lines[begin : lines.index("", begin)]


async def test_status_shows_who_holds_and_who_uses_slots(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Commands have their slots, pools their numbers, and what waits has its place and words."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        record_slots(record)
        said = text_of(capfd, queue)
    titles, *commands = lines_below(said, "Running")
    assert titles.split() == ["job", "on", "slots", "for", "command"]
    assert [each.split()[1:-4] for each in commands] == [
        ["node-1", "gpu", "0,1;", "cpu", "0-7"],
        ["node-2", "(model=a100)", "gpu", "0-3"],
        ["node-2", "(model=a100)"],
    ]
    used = "1 used by others (5: 1,234 MiB in use by others)"
    assert lines_below(said, "Slots") == [
        f"node-1               gpu  2 of 8 held, 5 free, {used}",
        "node-1               cpu  8 of 16 held, 8 free",
        "node-2 (model=a100)  gpu  4 of 8 held, 4 free",
    ]
    assert lines_below(said, "Waiting") == [
        "queue.yaml:3:1  torchrun {{ gpu }}",
        "    needs 8 slots of gpu; node-2 is kept",
        "queue.yaml:9:1  barrier: succeeded",
        "    4 jobs above it run",
    ]
    assert lines_below(said, "Failed")[1].split()[:5] == [
        *["1", "node-2", "(model=a100)", "gpu", "2,3"]
    ]


@pytest.mark.parametrize("event", [RunPaused(), RunDraining()])
async def test_reasons_of_a_run_that_takes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], event: RunPaused | RunDraining
) -> None:
    """While a run is paused or drained, jobs wait for that alone: no other reason is shown."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        record_slots(record)
        record.tell(event)
        said = text_of(capfd, queue)
        record.tell(RunResumed())
    assert "\nWaiting\n" not in said


async def test_status_shows_slots_that_other_runs_hold(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A slot that a run on the same queue holds is used by others, and not free, in both forms."""
    queue = queue_in(tmp_path)
    async with (
        recording(queue, sub_nodes=[FIXED]) as one,
        recording(queue, sub_nodes=[FIXED]) as two,
    ):
        for record, number, slot in ((one, 1, 2), (two, 1, 5)):
            mine = holds(number, FIXED, held("gpu", slot))
            for event in begins(mine):
                record.tell(event)
            settle(record)
        said = text_of(capfd, queue)
        assert said.count("1 of 8 held, 6 free, 1 used by others (") == 2
        runs = json_of(capfd, queue)["runs"]
        for run, other, theirs in ((runs[0], runs[1], "5"), (runs[1], runs[0], "2")):
            (pool,) = run["sub_nodes"][0]["pools"]
            assert (pool["held"], pool["used_by_others"], pool["free"]) == (1, 1, 6)
            used = {each["id"]: each["used_by"] for each in pool["slots"] if each["used_by"]}
            assert used == {theirs: f"job 1 of run {other['run']}"}
        two.tell(ends(holds(1, FIXED, held("gpu", 5))))
        settle(two)
        assert "1 of 8 held, 7 free\n" in text_of(capfd, queue)


async def test_status_says_why_no_slot_is_free(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that was not asked, or does not answer, is said to be one; long lists are cut."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        assert "node-1               gpu  it was not asked yet" in text_of(capfd, queue)
        record.tell(Probed(ASKED, "gpu", (), "no answer\nin 10 s"))
        settle(record)
        assert "gpu  no answer; in 10 s" in text_of(capfd, queue)
        record_slots(record)
        record.tell(Probed(ASKED, "gpu", (), "no answer"))
        settle(record)
        assert "2 of 8 held, none counts as free: no answer" in text_of(capfd, queue)
        monkeypatch.setattr(slot_tables, "LISTED_POOLS", 1)
        monkeypatch.setattr(slot_tables, "LISTED_WAITING", 1)
        said = text_of(capfd, queue)
    assert "and 2 more; `pegasus status --json` lists all" in said
    assert "and 1 more\n" in said


async def test_status_for_programs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Pools, executions and the run have what the schema says of slots."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        before = json_of(capfd, queue)["runs"][0]
        record_slots(record)
        run = json_of(capfd, queue)["runs"][0]
    assert before.keys() & {"waiting_for", "barriers_passed"} == set()
    assert before["sub_nodes"][0]["pools"][0]["size"] is None
    gpus, cpus = run["sub_nodes"][0]["pools"]
    counts = ("size", "held", "used_by_others", "free")
    assert [gpus[each] for each in counts] == [8, 2, 1, 5]
    assert [cpus[each] for each in counts] == [16, 8, 0, 8]
    assert gpus["slots"][1] == {"id": "1", "device": "GPU-0001", "job": 2, "used_by": ""}
    assert gpus["slots"][5] == {"id": "5", "device": "GPU-0005", "job": None, "used_by": OTHERS}
    assert gpus["asked_at"] > 0
    assert cpus["asked_at"] is None
    assert run["barriers_passed"] == 1
    assert [each["position"] for each in run["waiting_for"]] == ["queue.yaml:3:1", "queue.yaml:9:1"]
    (execution,) = run["jobs"][0]["executions"]
    slots = [{"id": "2"}, {"id": "3"}]
    assert execution["slots"] == [{"pool": "gpu", "kind": "fixed", "slots": slots}]
    assert "waiting_for" not in json_of(capfd, queue)["runs"][0]  # the run is over


async def test_results(tmp_path: Path) -> None:
    """Each form has the slots of a job's last try."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        record_slots(record)
    found = json.loads("".join(json_lines(only_run(queue))))
    check_written(found, "report/results")
    first, second, _, _ = found
    assert [slot["id"] for slot in first["slots"][0]["slots"]] == ["2", "3"]
    assert [each["pool"] for each in second["slots"]] == ["gpu", "cpu"]
    table = list(csv.DictReader(io.StringIO(csv_text(only_run(queue)), newline="")))
    assert [row["slots.gpu"] for row in table] == ["2,3", "0,1", "0,1,2,3", ""]
    assert [row["slots.cpu"] for row in table] == ["", "0,1,2,3,4,5,6,7", "", ""]
    title, *lines = table_lines(only_run(queue), None)
    assert title.split()[:4] == ["job", "command", "on", "slots"]
    assert "gpu 0,1; cpu 0-7  lost" in lines[1]


async def test_logs_list(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The list of jobs has a column of slots."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        record_slots(record)
    logs(LogsSettings(queue_file=queue))
    _, title, first, second, _, last = capfd.readouterr().out.splitlines()
    assert title.index("outcome") == first.index("exit status") == second.index("lost")
    assert "  gpu 2,3  " in first
    assert last.index("lost") == title.index("outcome")


async def test_the_summary(tmp_path: Path) -> None:
    """It names the slots of what failed, and how busy the slots were."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        record_slots(record)
        end_all(record)
    lines = last_words(only_run(queue).state, None, 100.0)
    assert "  job 1 on node-2 (model=a100) (gpu 2,3): exit status: 3, after 10 s: train 1" in lines
    assert lines[-1] == (
        "The slots were busy 5% of 1 min 40 s: node-1 gpu 2%, node-2 (model=a100) gpu 8%."
    )


def end_all(record: Record) -> None:
    """Tell of the end of what runs, and of the run."""
    gpus = holds(2, ASKED, held("gpu", 0, 1), held("cpu", 0))
    for each in (gpus, holds(3, FIXED, held("gpu", 0)), holds(4, FIXED, held("gpu"))):
        record.tell(ends(each))
    record.tell(RunEnded(1, "done"))


async def test_the_report_has_a_lane_for_each_slot(tmp_path: Path) -> None:
    """A command is in each lane of its slots; one without any has a lane beside them."""
    queue = queue_in(tmp_path)
    async with recording(queue, sub_nodes=NODES) as record:
        record_slots(record)
        end_all(record)
    page = page_in(queue)
    lanes = [each.attributes["aria-label"] for each in page.all("ul")[2:]]
    asked = [f"node-1 gpu {number}" for number in range(8)]
    fixed = [f"node-2 (model=a100) gpu {number}" for number in range(8)]
    assert lanes == [*asked, *fixed, "node-2 (model=a100) without gpu"]
    jobs = [bar.attributes["aria-label"].split(":")[0] for bar in page.bars]
    wide = [f"Job {job}" for job in (2, 2, 3, 3)]
    assert jobs == [*wide, "Job 1", "Job 3", "Job 1", "Job 3", "Job 4"]
    assert "on node-2 (model=a100), gpu 2,3" in whole(page)
    assert "Utilisation of the slots" in whole(page)
    assert "Sub-nodes and slots" in whole(page)


def whole(page: Page) -> str:
    """Give all text of a page."""
    return page.all("body")[0].text


def test_notifications() -> None:
    """A job that failed has its slots, in its sentence too, and so has the list at the end."""
    failed = holds(1, FIXED, held("gpu", 2, 3))
    end = ends(failed, Exited(3))
    run = NotifyingRun(began(), None)
    about = of_failure(run, end, 5.0)
    assert about.text == "Job 1 on node-2 (model=a100) (gpu 2,3): exit status: 3, after 10 s"
    slots = [{"pool": "gpu", "kind": "fixed", "slots": [{"id": "2"}, {"id": "3"}]}]
    state = run_with(NODES, *begins(failed), end)
    last = of_end(run, RunEnded(1, "done"), state, "", 9.0)
    for data, notification in ((about.data, about), (last.data["failures"][0], last)):
        assert data["slots"] == slots
        check_written(json.loads(notification.json(0)), "notifier/event")
