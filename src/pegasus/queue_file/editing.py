"""The queue file while a person edits it: its content, its faults, and how to restore it.

Rule 1: the lock of the queue is held from the first snapshot to the last restore.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pegasus import grid
from pegasus.errors import FileFault, PegasusError, TemplateFault
from pegasus.queue_file import content, disk_errors
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.queue_file.queue import LockedQueue
from pegasus.template import parse


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The queue file at one time.

    Attributes:
        data: its bytes; None where there was no file.
        mode: its permissions.
    """

    data: bytes | None
    mode: int = 0


@dataclass(frozen=True, slots=True)
class TextCheck:
    """The content of a queue file: the number of its jobs, and all faults."""

    jobs: int = 0
    faults: tuple[FileFault, ...] = ()


def snapshot(path: Path, real: Path) -> Snapshot:
    """Read a queue file, which need not exist.

    Args:
        path: as the user gave it.
        real: the file.

    Raises:
        PegasusError: it cannot be read.
    """
    try:
        mode = stat.S_IMODE(real.stat().st_mode)
        return Snapshot(content.read(str(path), real)[0], mode)
    except FileNotFoundError:
        return Snapshot(None)
    except OSError as error:
        raise PegasusError(f"{path}: {error.strerror}. Look after its folder.") from error


def check_text(path: str, data: bytes) -> TextCheck:
    """Find all faults of a queue file that do not depend on the sub-nodes."""
    reader = QueueReader(path, data)
    jobs = 0
    faults: list[FileFault] = []
    for written in reader:
        if isinstance(written, FileFault):
            faults.append(written)
        elif isinstance(written, Written):
            jobs += grid.count(written.entry)
            faults += _template_faults(reader, written)
    return TextCheck(jobs, tuple(faults))


def _template_faults(reader: QueueReader, written: Written) -> Iterator[FileFault]:
    """Give the faults of the templates of an entry."""
    for command in written.commands:
        try:
            parse(command.text)
        except TemplateFault as fault:
            yield reader.fault_at(command, fault)


def restore(path: Path, real: Path, before: Snapshot) -> None:
    """Make a queue file what it was, in one step.

    Raises:
        PegasusError: it could not be written, and stays as it is.
    """
    try:
        if before.data is None:
            real.unlink(missing_ok=True)
            return
        done = LockedQueue(str(path), real).overwrite(before.data)
        if done and stat.S_IMODE(real.stat().st_mode) != before.mode:
            real.chmod(before.mode)  # it was replaced or removed, so the mode was lost
    except OSError as error:
        raise PegasusError(
            f"{path} cannot be restored: {error.strerror or error}. It stays as it is. "
            f"{disk_errors.next_step(error, 'Look after the disk')}."
        ) from error
    if not done:
        raise PegasusError(
            f"{path} was not restored: another program is writing it. Look at what it wrote."
        )
