"""A run that takes and lets go slots as fast as it can, until it is killed.

``python -m tests.faults.slot_taker QUEUE RUN``. What it holds is in the log beside the queue, whose
lines are written under the lock of the queue: ``begin SLOT RUN JOB`` and ``end SLOT RUN JOB``.
"""

from __future__ import annotations

import fcntl
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pegasus.holds import Hold
from pegasus.shared_slots import SharedSlots
from tests.unit.shared import RecordedRun, hold

SLOTS = range(4)
MOST_HELD = 2


@contextmanager
def locked(queue: Path) -> Iterator[None]:
    """Hold a lock in place of that of the queue."""
    with queue.with_name("lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def note(queue: Path, what: str, held: Hold) -> None:
    """Append a line to the log."""
    with queue.with_name("log").open("a") as log:
        log.write(f"{what} {held.slot} {held.run} {held.job}\n")


def take_slots(queue: Path, run: str) -> None:
    """Take slots and let them go."""
    RecordedRun(queue, run)
    shared = SharedSlots(queue, run)
    mine: list[Hold] = []
    for job in itertools.count(1):
        with locked(queue):
            taken = {each.slot for each in (*shared.others(), *mine)}
            free = [slot for slot in SLOTS if str(slot) not in taken]
            if free and len(mine) < MOST_HELD:
                mine.append(hold(free[0], run, job))
                shared.write(mine)  # before it begins
                note(queue, "begin", mine[-1])
            elif mine:
                note(queue, "end", mine[0])
                shared.write(mine[1:])
                del mine[0]
        if shared.problems:
            raise AssertionError(shared.problems)


if __name__ == "__main__":
    take_slots(Path(sys.argv[1]), sys.argv[2])
