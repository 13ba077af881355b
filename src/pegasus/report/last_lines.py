r"""The last lines that a command printed, as text that is safe to show anywhere.

Rule 1: the cost of a command does not depend on how much it printed.
Rule 2: no control character, no mark of the direction of writing and no half of a surrogate pair
passes; bytes that are not UTF-8 are shown as ``\xff``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pegasus import terminal_text
from pegasus.last_line import last_line
from pegasus.model import Stream
from pegasus.record import RunRecord
from pegasus.run_state import Execution, JobState

BYTES_PER_CHARACTER = 4
"""Bytes that are read for a character: the longest in UTF-8."""


def shown_text(text: str) -> str:
    """Put a text on one line, without anything that is invisible or that UTF-8 cannot express."""
    return terminal_text.visible(text).encode("utf-8", "backslashreplace").decode()


def cut_text(text: str, most: int) -> str:
    """Do the same with the beginning of a text, of so many characters."""
    return shown_text(text if len(text) <= most else text[:most] + "…")


def last_lines(data: bytes, lines: int, characters: int, *, is_cut: bool = False) -> list[str]:
    r"""Give the last lines of an output; empty ones are left out.

    Of a line that was overwritten by ``\r`` (a progress bar) only its last state is given.

    Args:
        data: the end of the output.
        lines: how many lines at most.
        characters: how many characters in all; of longer lines the end is left out.
        is_cut: whether the first line may lack its beginning.
    """
    found: list[str] = []
    room = characters
    for number, piece in reversed(list(enumerate(data.split(b"\n")))):
        text = _text_of(piece, characters)
        if not text:
            continue
        if is_cut and number == 0:
            text = f"…{text}"
        if len(found) == lines or (found and len(text) > room):
            break
        found.append(text if len(text) <= room else f"{text[:room]}…")
        room -= len(text)
    return found[::-1]


def _text_of(line: bytes, characters: int) -> str:
    """Give a line as a screen shows it at last, with its indentation."""
    text = last_line(line, characters)
    end = len(line) - len(line.lstrip())
    return (
        line[:end].decode().expandtabs() + text if text and not line[:end].strip(b" \t") else text
    )


def tail_of(
    run: RunRecord, job: JobState, execution: Execution, lines: int, characters: int
) -> dict[Stream, list[str]]:
    """Give the last lines of each stream of a try; a stream without any is left out."""
    found: dict[Stream, list[str]] = {}
    most = characters * BYTES_PER_CHARACTER
    for stream in Stream:
        if execution.outcome is not None and not execution.printed.get(stream):
            continue
        data = run.last_bytes(job, execution, stream, most)
        if texts := last_lines(data, lines, characters, is_cut=len(data) == most):
            found[stream] = texts
    return found


def joined(tail: dict[Stream, list[str]], *, failed: bool) -> Sequence[str]:
    """Choose the lines that say most: standard error of what failed, else standard output."""
    order = (Stream.STDERR, Stream.STDOUT) if failed else (Stream.STDOUT, Stream.STDERR)
    return next((tail[stream] for stream in order if stream in tail), ())
