"""What the tests of shared slots and barriers share: runs that live or were killed, and holds."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pegasus.events import Event, RunBegan
from pegasus.holds import Hold
from pegasus.model import SubNode
from pegasus.record import RunFolder, records_of
from pegasus.record.encoding import FORMAT, line_of
from pegasus.shared_slots.hold_files import HoldWriter, RunHolds, replace

NODE = SubNode(0, "node-1")
PLACE = "node-1:22"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class RecordedRun:
    """The record of a run that a test tells what happens; it lives until it is killed."""

    def __init__(
        self, queue: Path, name: str, *, detached: bool = False, resumes: str = ""
    ) -> None:
        records = records_of(queue)
        records.mkdir(mode=0o700, exist_ok=True)
        self.name = name
        self.folder = RunFolder(records / name)
        self.folder.path.mkdir(mode=0o700)
        self._lock: int | None = None
        self.follow()
        began = RunBegan(
            name,
            int(name[:4]),
            "queue",
            str(queue),
            "hosts.yaml",
            (NODE,),
            os.getpid(),
            "here",
            locked=True,
            format=FORMAT,
            pegasus="0",
            detached=detached,
            resumes=resumes,
        )
        self.tell(began)

    def tell(self, *events: Event) -> None:
        """Append events to the journal."""
        with self.folder.journal.open("ab") as journal:
            for event in events:
                journal.write(line_of(event, 1.0))

    def follow(self) -> None:
        """Hold the lock of the record, as a run does, or who takes over its commands."""
        self._lock = os.open(self.folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def kill(self) -> None:
        """Let go of the lock, as a process does that is killed."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@contextmanager
def recorded(
    queue: Path, *names: str, detached: bool = False, resumes: str = ""
) -> Iterator[list[RecordedRun]]:
    """Record runs that live; at the end of the block none does."""
    runs = [RecordedRun(queue, name, detached=detached, resumes=resumes) for name in names]
    try:
        yield runs
    finally:
        for run in runs:
            run.kill()


def hold(slot: int | str, run: str, job: int = 1, place: str = PLACE, pool: str = "gpu") -> Hold:
    """Give a hold of a slot of a pool."""
    return Hold(place, pool, str(slot), run, job)


def put_holds(
    queue: Path, run: str, holds: Sequence[Hold], *, detached: bool = False, name: str = ""
) -> Path:
    """Write the file of a run as that run would; give its path."""
    folder = records_of(queue) / "slots"
    folder.mkdir(mode=0o700, exist_ok=True)
    content = RunHolds(name or queue.name, detached, tuple(holds))
    replace(folder / f"{run}.json", HoldWriter().encode(content), synced=False)
    return folder / f"{run}.json"
