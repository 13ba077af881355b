"""Receipts: whoever keeps a record is told of each take exactly once, also across a crash."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pegasus.model import TakenJob
from pegasus.picker import FirstJobs
from pegasus.queue_file import QueueFile, Receipt, consumed, note
from tests.unit.dying import crash
from tests.unit.taking import unfilled


async def take(folder: Path, count: int = 2) -> None:
    """Take jobs, with a receipt of a line for each."""

    def receipt(jobs: Sequence[TakenJob]) -> Receipt:
        lines = b"".join(b"taken %b\n" % each.job.command.encode() for each in jobs)
        return Receipt(folder / "journal", lines)

    async with QueueFile(folder / "queue.yaml").locked(print) as locked:
        locked.take(FirstJobs([unfilled] * count), receipt)


def take_in_child(folder: Path) -> None:
    """Take two jobs without Trio, as a fork has to."""
    queue = folder / "queue.yaml"
    lines = b"taken echo 1\ntaken echo 2\n"
    record = "- command:\n  - echo 1\n- command:\n  - echo 2\n"
    receipt = Receipt(folder / "journal", lines)
    consumed.take(queue, b"- echo 3\n", record, unchanged=lambda: True, receipt=receipt)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a queue of three and a journal that has begun."""
    (tmp_path / "queue.yaml").write_text("- echo 1\n- echo 2\n- echo 3\n")
    (tmp_path / "journal").write_text("begun\n")
    return tmp_path


async def test_a_take_leaves_its_receipt(folder: Path) -> None:
    """When a take returns, its receipt has been handed over."""
    await take(folder)
    assert (folder / "journal").read_text() == "begun\ntaken echo 1\ntaken echo 2\n"


def test_a_receipt_beside_other_lines(folder: Path) -> None:
    """Lines that the record writes at the same moment and those of receipts stand each on one."""
    receipts, written = 400, threading.Event()

    def write_lines() -> None:
        fd = os.open(folder / "journal", os.O_WRONLY | os.O_APPEND)
        while not written.is_set():
            os.write(fd, b"x" * 5000 + b"\n")  # more than a page: half of it can be seen
            written.wait(0.0002)
        os.close(fd)

    writer = threading.Thread(target=write_lines)
    writer.start()
    for number in range(receipts):
        note.hand_over(Receipt(folder / "journal", b"taken %d\n" % number))
    written.set()
    writer.join()
    lines = (folder / "journal").read_bytes().split(b"\n")
    assert lines.count(b"") == 1  # behind the last
    assert sum(line.startswith(b"taken ") for line in lines) == receipts


async def test_nothing_taken_no_receipt(folder: Path) -> None:
    """Where nothing is taken nobody is told of it."""
    (folder / "queue.yaml").write_text("[]\n")
    await take(folder)
    assert (folder / "journal").read_text() == "begun\n"


async def test_a_journal_that_is_gone(folder: Path) -> None:
    """A take happens also when nobody is there any more to be told."""
    (folder / "journal").unlink()
    await take(folder)
    assert not (folder / "journal").exists()
    assert (folder / "queue.yaml").read_text() == "- echo 3\n"


@pytest.mark.parametrize("bytes_written", [None, 0, 5, 13, 20, 26])
async def test_a_crash_before_the_receipt(
    folder: Path, bytes_written: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash right after a take, or in its receipt, delays that and doubles nothing."""

    def hand_over(receipt: Receipt | None) -> None:
        assert receipt is not None
        if bytes_written is not None:
            with receipt.path.open("ab") as file:
                file.write(receipt.lines[:bytes_written])
        os._exit(9)

    with monkeypatch.context() as patch:
        patch.setattr(consumed, "hand_over", hand_over)
        crash(lambda: take_in_child(folder))
    assert (folder / "queue.yaml").read_text() == "- echo 3\n"
    await take(folder, 1)
    lines = (folder / "journal").read_text().splitlines()
    whole = [line for line in lines if line in {"begun", *(f"taken echo {n}" for n in (1, 2, 3))}]
    assert whole == ["begun", "taken echo 1", "taken echo 2", "taken echo 3"]
    assert (folder / "consumed.yaml").read_text().count("echo") == 3


async def test_a_crash_before_the_take(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A take that did not happen leaves no receipt, and its jobs are taken anew."""

    def die(*_: object) -> None:
        os._exit(9)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        crash(lambda: take_in_child(folder))
    await take(folder, 3)
    assert (folder / "journal").read_text().count("taken echo 1") == 1
    assert (folder / "consumed.yaml").read_text().count("echo 1") == 1


async def test_retrying_asks_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the lock can bring an interrupted take to its end without taking."""

    def die(*_: object) -> None:
        os._exit(9)

    with monkeypatch.context() as patch:
        patch.setattr(consumed, "hand_over", die)
        crash(lambda: take_in_child(folder))
    async with QueueFile(folder / "queue.yaml").locked(print) as locked:
        locked.recover()
        locked.recover()
    assert (folder / "journal").read_text() == "begun\ntaken echo 1\ntaken echo 2\n"


async def test_a_torn_line_stays_alone(folder: Path) -> None:
    """A receipt begins on a line of its own, whatever a full disk left at the end."""
    with (folder / "journal").open("a") as file:
        file.write('{"torn')
    await take(folder, 1)
    assert (folder / "journal").read_text() == 'begun\n{"torn\ntaken echo 1\n'
