"""The files of the holds: one for each run, small, complete, and for their owner only.

Rule 1: a file is replaced by a rename, so that a reader never sees half of one.
Rule 2: a file that was read is read again only when it has changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pegasus import durable
from pegasus.holds import Hold

SUFFIX = ".json"

_BEING_WRITTEN = ".unfinished"

_LARGEST_HOLDS = 1 << 24
"""Bytes that are read of a file; four thousand holds have half a million."""

HoldState: TypeAlias = tuple[int, int, int]
"""What changes when a file is replaced: which file it is, its size, and when it was written."""


@dataclass(frozen=True, slots=True)
class RunHolds:
    """What one run holds.

    Attributes:
        queue: the name of its queue file.
        is_detached: whether its commands do not end with it.
        holds: all of them.
    """

    queue: str
    is_detached: bool
    holds: tuple[Hold, ...] = ()

    def without(self, holds: Iterable[Hold]) -> RunHolds:
        """Give the rest without some of the holds."""
        removed = frozenset(holds)
        rest = tuple(each for each in self.holds if each not in removed)
        return RunHolds(self.queue, self.is_detached, rest)


class HoldWriter:
    """Writes what runs hold; it encodes each hold once."""

    def __init__(self) -> None:
        self._texts: dict[Hold, str] = {}

    def encode(self, run: RunHolds) -> bytes:
        """Give the content of the file of a run."""
        known, texts = self._texts, {}
        for hold in run.holds:
            texts[hold] = known.get(hold) or json.dumps(_data_of(hold))
        self._texts = texts
        head = json.dumps({"version": 1, "queue": run.queue, "detached": run.is_detached})
        return f'{head[:-1]}, "holds": [{", ".join(texts.values())}]}}\n'.encode()


def _data_of(hold: Hold) -> dict[str, object]:
    data: dict[str, object] = {"place": hold.place, "pool": hold.pool, "slot": hold.slot}
    data["job"] = hold.job
    return {**data, "on": hold.on} if hold.on else data


def replace(path: Path, content: bytes, *, synced: bool) -> None:
    """Write a file anew.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    unfinished = f".{path.name}{_BEING_WRITTEN}"
    try:
        durable.write_private(path, content, unfinished, synced=synced)
    except FileExistsError:  # its writer was killed
        path.with_name(unfinished).unlink()
        durable.write_private(path, content, unfinished, synced=synced)


def remove(path: Path) -> None:
    """Remove a file, and what its writer has not finished.

    Raises:
        OSError: it cannot be removed.
    """
    for each in (path, path.with_name(f".{path.name}{_BEING_WRITTEN}")):
        with contextlib.suppress(FileNotFoundError):
            each.unlink()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[int, HoldState]]:
    """Open a file, and give its state.

    It is opened, and not only looked at: on a file server only that shows the newest one.

    Raises:
        OSError: it cannot be read, or is missing.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "this is not a regular file", str(path))
        yield fd, (found.st_ino, found.st_size, found.st_mtime_ns)
    finally:
        os.close(fd)


def read(fd: int, run: str) -> RunHolds:
    """Read a file.

    An empty file holds nothing: it is what a power failure may leave of one that was not synced.

    Args:
        fd: the file, open.
        run: the name of its run.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    content = os.pread(fd, _LARGEST_HOLDS, 0)
    if not content.strip(b"\0"):
        return RunHolds("", is_detached=False)
    try:
        return _decode(json.loads(content), run)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it is damaged") from error


def _decode(data: dict[str, Any], run: str) -> RunHolds:
    holds = tuple(
        Hold(
            _text(each["place"]),
            _text(each["pool"]),
            _text(each["slot"]),
            run,
            _number(each["job"]),
            _text(each.get("on", "")),
        )
        for each in data["holds"]
    )
    return RunHolds(_text(data["queue"]), bool(data["detached"]), holds)


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("this is not a text")
    return value


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("this is no number of a job")
    return value
