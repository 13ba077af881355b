"""Promises for files that nobody would write: a sentence at most, and no byte lost."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus import grid
from pegasus.errors import FileFault
from pegasus.model import Job
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile
from tests.examples import examples
from tests.unit.queue_texts import queue_texts
from tests.unit.taking import unfilled

QUICK = settings(max_examples=examples(100), deadline=None)

PIECES = [
    "- ",
    "\n",
    "  ",
    "a",
    "command: ",
    "x: ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "# c\n",
    "'",
    '"',
    "|\n",
    "&a ",
    "*a",
    "! ",
    "---\n",
    "...\n",
    "\t",
    "\r\n",
    "\r",
    "? ",
    ": ",
    "\x85",
    "\ufeff",
    "\udcff",
    "\x00",
    "%YAML 1.1\n",
    "`",
    "-\n",
    "|+\n",
    ">-\n",
    "\u2028",
]

PATCHWORK = st.lists(st.sampled_from(PIECES), max_size=25).map(
    lambda pieces: "".join(pieces).encode("utf-8", "surrogateescape")
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid file with a piece put in, or cut out, somewhere."""
    data = draw(queue_texts()).data
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 5)))
    new = draw(st.sampled_from(PIECES)).encode("utf-8", "surrogateescape")
    return data[:start] + new + data[end:]


def good_jobs(queue: Path) -> list[Job]:
    """The jobs before the first fault."""
    good = itertools.takewhile(
        lambda one: not isinstance(one, FileFault), QueueFile(queue).entries()
    )
    return [job for entry in good if not isinstance(entry, FileFault) for job in grid.jobs(entry)]


@QUICK
@given(st.one_of(damaged(), damaged(), PATCHWORK, st.binary(max_size=40)), st.integers(1, 4))
def test_whatever_the_bytes_are_the_good_jobs_at_the_head_are_taken(data: bytes, n: int) -> None:
    """From a broken file exactly the jobs before the fault are taken, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        queue = Path(folder, "q.yaml")
        queue.write_bytes(data)
        jobs = good_jobs(queue)
        taken = LockedQueue("q.yaml", queue).take(FirstJobs([unfilled] * n))
        assert [each.job for each in taken.jobs] == jobs[:n]
        if not taken.jobs:
            assert queue.read_bytes() == data
        if len(jobs) > n:
            again = LockedQueue("q.yaml", queue).take(FirstJobs([unfilled]))
            assert [each.job for each in again.jobs] == jobs[n : n + 1]
