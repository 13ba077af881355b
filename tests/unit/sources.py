"""A queue file, a journal and a listener around one source of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pegasus.events import Event, Printed, Taken
from pegasus.picker import FirstJobs
from pegasus.queue_file import QueueFile
from pegasus.queue_file.job_source import JobSource
from tests.unit.taking import unfilled


class Journal:
    """A journal of lines in a file; ``told`` are the events that it had to write itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[Event] = []
        self.keeps_lines = True
        self.name = "0001-run"

    def receipt(self, events: Sequence[Taken]) -> tuple[Path, bytes] | None:
        """Give a line for each job."""
        lines = b"".join(b"%d %b\n" % (each.number, each.job.command.encode()) for each in events)
        return (self.path, lines) if self.keeps_lines else None

    def tell(self, event: Event) -> None:
        """Remember an event."""
        self.told.append(event)


class Audience:
    """A listener that remembers the events."""

    def __init__(self) -> None:
        self.told: list[Event] = []

    def tell(self, event: Event) -> None:
        """Remember an event."""
        self.told.append(event)

    async def show(self, printed: Printed) -> None:
        """Ignore output."""


class Bench:
    """A queue file, a journal and a listener around one source."""

    def __init__(self, folder: Path, text: str | None, *, may_be_missing: bool = False) -> None:
        self.path = folder / "queue.yaml"
        if text is not None:
            self.path.write_text(text)
        self.journal = Journal(folder / "journal")
        self.journal.path.touch()
        self.audience = Audience()
        file = QueueFile(self.path)
        self.source = JobSource(file, self.journal, self.audience, may_be_missing=may_be_missing)

    async def take(self, count: int) -> list[tuple[int, str]]:
        """Take jobs; give their numbers and commands."""
        result = await self.source.take(FirstJobs([unfilled] * count))
        return [(each.number, each.commands[0]) for each in result.jobs]

    @property
    def reported(self) -> list[tuple[int, str]]:
        """The jobs that the listener knows."""
        return [
            (each.number, each.job.command)
            for each in self.audience.told
            if isinstance(each, Taken)
        ]
