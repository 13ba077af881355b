"""What the end of a run says to do next, which takes a look at other files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import trio

from pegasus.commands.frame import FINAL_SCREEN_WAIT
from pegasus.errors import PegasusError
from pegasus.queue_file import QueueFile
from pegasus.record import is_hidden, number_of
from pegasus.record.recording import Record
from pegasus.report.summary import retry_words, waiting_words


async def words_on_waiting(queue: QueueFile) -> list[str]:
    """Say how many jobs are left in the queue; nothing where that is not known in time."""
    with trio.move_on_after(FINAL_SCREEN_WAIT), suppress(PegasusError, OSError):
        waiting = await trio.to_thread.run_sync(queue.count, abandon_on_cancel=True)
        return [waiting_words(waiting, queue.path)] if waiting else []
    return []


async def retry_hint(queue_file: Path, queue: QueueFile, record: Record) -> str:
    """Name the command that puts what did not succeed back.

    Args:
        queue_file: its path as the user gave it.
        queue: the same.
        record: of the run that is over.
    """
    hidden = await trio.to_thread.run_sync(is_hidden, queue.real, record.name)
    return retry_words(queue_file, number_of(record.name) if hidden else None)
