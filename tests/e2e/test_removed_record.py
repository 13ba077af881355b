"""`.pegasus/` is removed or moved during a run: that is reported, and the run continues."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.runner import Pegasus

REMOVED = "this record was removed during the run"
WAITING = "until test -e {folder}/go; do sleep 0.05; done; "


@pytest.mark.parametrize("how", ["removed", "moved", "only the run", "made again"])
@pytest.mark.parametrize("mode", ["q", "b"])
def test_a_record_that_is_removed(pegasus: Pegasus, how: str, mode: str) -> None:
    """It is reported once, no missing log is named, and every job runs to its end."""
    wait = WAITING.format(folder=pegasus.folder)
    queue = f"- echo began; {wait}echo late >&2; exit 3\n- echo second; exit 4\n- exit 5\n"
    running = pegasus.start(mode, hosts="- localhost\n", queue=queue)
    running.wait_for("] began", on="stdout")
    records = pegasus.folder / ".pegasus"
    (run,) = records.glob("*-*")
    match how:
        case "moved":
            records.rename(pegasus.folder / "moved")
        case "only the run":
            shutil.rmtree(run)
        case _:
            shutil.rmtree(records)
    if how == "made again":
        assert pegasus.start_bare("add", "exit 6", pegasus.files()[1]).wait().status == 0
        (run / "output").mkdir(parents=True)
        (run / "journal.jsonl").touch()
    (pegasus.folder / "go").touch()
    done = running.wait()
    assert done.status == 1
    assert done.stderr.count(REMOVED) == 1
    assert f"[Pegasus] {run}: {REMOVED}" in done.stderr
    count = 4 if how == "made again" else 3
    assert f"{count} commands: {count} failed." in done.stderr
    assert "output/" not in done.stderr
    assert "To put what did not succeed back" not in done.stderr
    assert "late" in done.stderr


def test_an_idle_end(pegasus: Pegasus) -> None:
    """It is reported also if nothing is taken or printed any more."""
    wait = WAITING.format(folder=pegasus.folder)
    running = pegasus.start("q", hosts="- localhost\n", queue=f"- echo began; {wait}exit 3\n")
    running.wait_for("] began", on="stdout")
    shutil.rmtree(pegasus.folder / ".pegasus")
    (pegasus.folder / "go").touch()
    done = running.wait()
    assert done.status == 1
    assert done.stderr.count(REMOVED) == 1
    assert "output/" not in done.stderr


def test_outputs_that_are_removed(pegasus: Pegasus) -> None:
    """Without the outputs no log is named; failed jobs can still be put back."""
    wait = WAITING.format(folder=pegasus.folder)
    running = pegasus.start("q", hosts="- localhost\n", queue=f"- echo began; {wait}exit 3\n")
    running.wait_for("] began", on="stdout")
    (outputs,) = pegasus.folder.glob(".pegasus/*/output")
    shutil.rmtree(outputs)
    (pegasus.folder / "go").touch()
    done = running.wait()
    assert "output/" not in done.stderr
    assert "To put what did not succeed back" in done.stderr
    assert REMOVED not in done.stderr
    retried = pegasus.start_bare("retry", pegasus.files()[1]).wait()
    assert "Put 1 job of run" in retried.stderr
