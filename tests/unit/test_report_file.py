"""Where `pegasus report` writes, and what it never replaces."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pegasus.commands.report import ReportSettings, report
from pegasus.errors import ExitStatus, PegasusError
from tests.unit.records import queue_in, record_of, run_some

Shown = pytest.CaptureFixture[bytes]


async def queue_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Record a run, and go to a folder of its own."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return queue


def mode_of(path: Path) -> int:
    """Give the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def files() -> list[str]:
    """List the current folder."""
    return [path.name for path in Path.cwd().iterdir()]


async def test_the_default_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Shown
) -> None:
    """The file has the name of the run, is in the current folder, and is for its owner only."""
    queue = await queue_of_a_run(tmp_path, monkeypatch)
    assert report(ReportSettings(queue_file=queue)) == ExitStatus.SUCCESS
    path = tmp_path / "here" / f"pegasus-report-{record_of(queue).name}.html"
    assert path.read_bytes().startswith(b"<!DOCTYPE html>")
    assert mode_of(path) == 0o600
    said = capfdbinary.readouterr().out.decode()
    assert said == f"{path.name}: written, {path.stat().st_size:,} bytes.\n"
    assert files() == [path.name]


async def test_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Shown
) -> None:
    """``-o -`` writes the page and nothing else to standard output, and makes no file."""
    queue = await queue_of_a_run(tmp_path, monkeypatch)
    report(ReportSettings(queue_file=queue, output=Path("-")))
    out = capfdbinary.readouterr().out
    assert out.startswith(b"<!DOCTYPE html>")
    assert out.endswith(b"</html>")
    assert files() == []


async def test_a_report_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is replaced by a newer one, also through a link; its mode stays."""
    queue = await queue_of_a_run(tmp_path, monkeypatch)
    path, link = tmp_path / "page.html", tmp_path / "link.html"
    report(ReportSettings(queue_file=queue, output=path))
    first = path.stat().st_ino
    path.chmod(0o644)
    link.symlink_to(path)
    report(ReportSettings(queue_file=queue, output=link))
    assert link.is_symlink()
    assert path.stat().st_ino != first
    assert mode_of(path) == 0o644


async def test_no_other_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no report stays as it is, and the message states the next step."""
    queue = await queue_of_a_run(tmp_path, monkeypatch)
    before = queue.read_bytes()
    with pytest.raises(PegasusError, match=r"not a report of Pegasus.*-o"):
        report(ReportSettings(queue_file=queue, output=queue))
    assert queue.read_bytes() == before
    queue.write_bytes(b"")  # as after each run
    with pytest.raises(PegasusError, match="not a report of Pegasus"):
        report(ReportSettings(queue_file=queue, output=queue))
    assert queue.read_bytes() == b""


@pytest.mark.parametrize("name", ["missing/page.html", ".", "nul\0.html", "a" * 300])
async def test_where_it_cannot_be_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is missing, or a name that cannot be, is an error with the next step."""
    queue = await queue_of_a_run(tmp_path, monkeypatch)
    with pytest.raises(PegasusError, match=r"cannot be written.*-o"):
        report(ReportSettings(queue_file=queue, output=Path(name)))
    assert files() == []


async def test_which_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Shown
) -> None:
    """A run is named by its number or a part of its name; the newest is the default."""
    queue = await queue_of_a_run(tmp_path, monkeypatch)
    await run_some(queue, "run-2")
    for name, found in (("1", b"0001-run-1"), ("run-2", b"0002-run-2"), (None, b"0002-run-2")):
        report(ReportSettings(queue_file=queue, run=name))
        assert found in capfdbinary.readouterr().out
    with pytest.raises(PegasusError, match="no run 'other'"):
        report(ReportSettings(queue_file=queue, run="other"))
