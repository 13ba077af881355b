"""The jobs that were taken from above a barrier: they decide whether it opens.

They are in a file of the folder ``.pegasus`` beside the queue, one JSON object on each line, which
``shared_slots`` reads::

    {"run": "0007-...", "job": 12, "queue": "queue.yaml"}

Rule 1: a line is written before its job is taken, so a line alone does not mean that it was taken.
Rule 2: the file belongs to all queues of its folder, as consumed.yaml does: it is changed only
under the lock of consumed.yaml.
Rule 3: there is no such file where no queue has a barrier.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pegasus import durable
from pegasus.ownership import is_strangers, owner_of
from pegasus.yaml_text import BREAKS

_FOLDER, _NAME, _UNFINISHED = ".pegasus", "above-barrier", ".above-barrier-new"

_COMMENT = rb"#[^\r\n]*[\r\n]"
_COLON = rb"(?:\s|%b)*:" % _COMMENT
_BARRIER = re.compile(
    rb"barrier[\"']?" + _COLON + rb"(?:[\s'|>+0-9-]|%b)*" % _COMMENT + rb"\"?"
    # A text in double quotes may have its letters as escapes, in a value or in a key.
    rb"(?:succeeded|ended|(?<=\")[^\"]{0,99}\\)"
    rb"|\"[^\"\r\n]{0,99}\\[xuU][^\"\r\n]{0,99}\"" + _COLON
)
_LETTER_ESCAPES = (rb"\x", rb"\u", rb"\U")
_OTHER_BREAK = re.compile("|".join(BREAKS.replace("\n", "")).encode())


def has_barrier(data: bytes) -> bool:
    """Tell whether the text of a queue looks as if it has a barrier; comments do not count.

    Every text that is read as a barrier looks so, and some others do.
    """
    if b"barrier" not in data and not any(each in data for each in _LETTER_ESCAPES):
        return False
    return any(not _is_comment(data, found.start()) for found in _BARRIER.finditer(data))


def _is_comment(data: bytes, at: int) -> bool:
    """Tell whether the line of a place begins as a comment."""
    line = _OTHER_BREAK.split(data[data.rfind(b"\n", 0, at) + 1 : at])[-1]
    return line.lstrip(b" \t").startswith(b"#")


def above_file(queue: Path) -> Path:
    """Give the path of the file, which need not exist."""
    return queue.parent / _FOLDER / _NAME


def line_above(queue: Path, run: str, number: int) -> bytes:
    """Give the line that notes a job of a run."""
    return json.dumps({"run": run, "job": number, "queue": queue.name}).encode() + b"\n"


def note_jobs(queue: Path, run: str, numbers: Sequence[int]) -> None:
    """Note that a run is about to take some jobs from above a barrier.

    Where nothing is recorded, nobody can tell what became of them, and nothing is noted.

    Args:
        queue: the real path of the queue file.
        run: the name of the run.
        numbers: of the jobs.

    Raises:
        OSError: it could not be noted.
    """
    path = _path_of(queue)
    if path is None:
        return
    fd = durable.open_private(path)
    try:
        durable.append_lines(fd, b"".join(line_above(queue, run, each) for each in numbers))
    finally:
        os.close(fd)


def forget_jobs(queue: Path) -> None:
    """Forget all jobs of a queue: it has no barrier, or its first barrier is being passed.

    Raises:
        OSError: they are still there.
    """
    path = above_file(queue)
    if not os.path.lexists(path) or _path_of(queue) is None:
        return
    path.with_name(_UNFINISHED).unlink(missing_ok=True)
    others = [
        line for line in path.read_bytes().splitlines(keepends=True) if _is_of_other(line, queue)
    ]
    if b"".join(others).strip():
        durable.write_private(path, b"".join(others), _UNFINISHED)
    else:
        path.unlink()


def _path_of(queue: Path) -> Path | None:
    """Give the path of the file; None where there is no folder, or it belongs to a stranger."""
    path = above_file(queue)
    try:
        if is_strangers(path.parent, owner_of(queue).st_uid) or not path.parent.is_dir():
            return None
    except FileNotFoundError:
        return None
    return path


def _is_of_other(line: bytes, queue: Path) -> bool:
    """Tell whether a line is of another queue in the same folder."""
    try:
        return bool(json.loads(line).get("queue", queue.name) != queue.name)
    except (ValueError, AttributeError, RecursionError):
        return False  # torn
