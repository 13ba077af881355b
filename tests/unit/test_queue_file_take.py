"""Promises of taking: every job once and in order, and no other byte of the file touched."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus import grid
from pegasus.model import Job
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, TakeResult
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.yaml_text import events
from tests.examples import examples
from tests.unit.queue_texts import QueueText, jobs_of, queue_texts
from tests.unit.taking import unfilled

QUICK = settings(max_examples=examples(60), deadline=None)


def take(path: Path, n: int = 1) -> TakeResult:
    """Take some jobs, without filling them in."""
    return LockedQueue(str(path), path).take(FirstJobs([unfilled] * n))


def comments_of(data: bytes) -> list[bytes]:
    """Find the numbers of all comments."""
    return sorted(re.findall(rb"# c\d+:", data))


def read_jobs(data: bytes) -> list[Job]:
    """Read the jobs of a file, with what they demand."""
    found = list(QueueReader("q.yaml", data))
    entries = [each.entry for each in found if isinstance(each, Written)]
    assert len(entries) == len(found)
    return [job for entry in entries for job in grid.jobs(entry)]


def drain(file: QueueText, sizes: list[int]) -> None:
    """Take until the file is empty, and look at it after each take."""
    with tempfile.TemporaryDirectory() as folder:
        queue = Path(folder, "q.yaml")
        queue.write_bytes(file.data)
        left = jobs_of(file.data)
        jobs = read_jobs(file.data)
        assert comments_of(file.data) == sorted(set(comments_of(file.data)))
        for i in range(len(left) + 1):
            taken = take(queue, sizes[i % len(sizes)])
            assert taken.fault is None
            now = [(each.job.command, each.job.params) for each in taken.jobs]
            assert now == left[: len(now)]
            assert [each.job for each in taken.jobs] == jobs[: len(now)]
            left, jobs = left[len(now) :], jobs[len(now) :]
            assert_is_the_rest(file, queue.read_bytes(), left)
            assert taken.empty == (not left)
            if taken.empty:
                return


def assert_is_the_rest(file: QueueText, data: bytes, left: Sequence[object]) -> None:
    """Look for every promise about what is left of a file."""
    assert jobs_of(data) == left
    yaml.safe_load(data.decode("utf-8-sig").replace("\x07", ""))
    assert comments_of(data) == comments_of(file.data)
    untouched = next(
        (i for i in range(len(file.chunks)) if len(jobs_of_chunks(file, i)) <= len(left)),
        len(file.chunks),
    )
    assert data.endswith(file.bytes_from(untouched))
    assert data.startswith(b"\xef\xbb\xbf") == file.bom


def jobs_of_chunks(file: QueueText, index: int) -> list[object]:
    """Give the jobs of a file's entries from one of them on."""
    opening = "[\n" if file.head.endswith("[ \n") else ""
    return list(jobs_of(file.bytes_from(index, opening or "\n")))


@QUICK
@given(queue_texts(), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_every_job_once_and_in_order_and_no_other_byte_touched(
    file: QueueText, sizes: list[int]
) -> None:
    """Whatever a queue file looks like, taking gives its jobs in order, and keeps the rest."""
    drain(file, sizes)


def test_the_same_without_libyaml() -> None:
    """PyYAML without libyaml gives the same jobs and the same files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "LOADER", yaml.BaseLoader)
        settings(max_examples=examples(20), deadline=None)(
            given(queue_texts(), st.lists(st.integers(1, 5), min_size=1, max_size=3))(drain)
        )()
