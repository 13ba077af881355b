"""The jobs that were taken from above a barrier: one line for each, beside the records.

All queues of a folder share the file. The take writes a line before it changes the queue file, and
the passing of a barrier removes the lines of its queue. So a line may name a job that was never
taken.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from pegasus import durable
from pegasus.holds import JobOfRun
from pegasus.queue_file import above_file, line_above
from pegasus.record import records_of, refuse_strangers


def read_above(queue: Path) -> list[JobOfRun] | None:
    """Give the jobs that were taken from above a barrier; None where a take notes nothing.

    A line that is torn names a job that was not taken: its take had not come to the queue file.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        refuse_strangers(queue)
        if not records_of(queue).is_dir():
            return None
    except OSError:
        return None
    try:
        _, content = durable.read_own(above_file(queue))
    except FileNotFoundError:
        return []
    found: dict[JobOfRun, None] = {}
    for line in content.split(b"\n"):
        try:
            data = json.loads(line)
            run, job, name = data["run"], data["job"], data.get("queue", queue.name)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        if type(run) is str and type(job) is int and name == queue.name:
            found[run, job] = None
    return list(found)


def add_above(queue: Path, jobs: Collection[JobOfRun]) -> None:
    """Add jobs that were taken before the barrier was written, and still run.

    Raises:
        OSError: the file cannot be written.
    """
    lines = b"".join(line_above(queue, run, job) for run, job in jobs)
    fd = durable.open_private(above_file(queue))
    with open(fd, "rb+", buffering=0):  # noqa: PTH123 -- a file descriptor
        durable.append_lines(fd, lines)
