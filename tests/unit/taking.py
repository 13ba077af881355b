"""What the tests of takes share: a fill that leaves a job as it is."""

from __future__ import annotations

from pegasus.model import Command, Job
from pegasus.rendered import as_recorded


def unfilled(job: Job) -> tuple[Command, ...]:
    """Give the template itself as the only command."""
    return (as_recorded(job.command),)
