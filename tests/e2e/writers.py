"""Programs that write to a queue file while jobs are taken from it, each in another manner.

Run as ``python writers.py MANNER FILE SECONDS``: it writes about ten entries a second. A job prints
``job-N tail-N``; an incomplete entry prints less than that, or something else.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PACE = 0.1
LITTLE = 256
"""Bytes of a buffer so small that many pieces end within an entry."""


def entry(n: int) -> str:
    """Return an entry of one line, of a block, or of two lines whose first one alone would run."""
    kinds = [
        f"- echo 'job-{n} tail-{n}'\n",
        f"- |\n  printf 'job-{n} '\n  echo 'tail-{n}'\n",
        f"- command: echo job-{{{{ x }}}} tail-{n}\n  x: [{n}]\n",
        f"- command:\n  - echo 'job-{n} tail-{n}'\n  unused: [only]\n",
    ]
    return kinds[n % len(kinds)]


def entries(seconds: float) -> Iterator[str]:
    """Yield entries at a steady rate."""
    for n in range(int(seconds / PACE)):
        time.sleep(PACE)
        yield entry(n)


def append_lines(path: str, seconds: float) -> None:
    """Append line by line to a file that stays open, as a shell's loop does."""
    with Path(path).open("ab", buffering=0) as file:
        for text in entries(seconds):
            for line in text.splitlines(keepends=True):
                file.write(line.encode())
                time.sleep(PACE / 20)


def append_parts(path: str, seconds: float) -> None:
    """Append parts of lines, as a program without a buffer does."""
    with Path(path).open("ab", buffering=0) as file:
        for text in entries(seconds):
            for at in range(0, len(text), 7):
                file.write(text[at : at + 7].encode())
                time.sleep(PACE / 100)


def append_buffered(path: str, seconds: float) -> None:
    """Append full buffers: pieces that end anywhere."""
    with Path(path).open("ab", buffering=0) as raw, io.BufferedWriter(raw, LITTLE) as file:
        for text in entries(seconds):
            for byte in text.encode():
                file.write(bytes([byte]))


def write_buffered(path: str, seconds: float) -> None:
    """Write to a file that was emptied, from its beginning."""
    with Path(path).open("wb", buffering=0) as raw, io.BufferedWriter(raw, LITTLE) as file:
        for text in entries(seconds):
            for byte in text.encode():
                file.write(bytes([byte]))


def append_each(path: str, seconds: float) -> None:
    """Open, append and close, for each entry."""
    for text in entries(seconds):
        with Path(path).open("ab", buffering=0) as file:
            file.write(text.encode())


def save_in_place(path: str, seconds: float) -> None:
    """Empty the file and write a new one into it in pieces, as some editors do."""
    _pieces(path, seconds, os.O_TRUNC)


def copy_over(path: str, seconds: float) -> None:
    """Overwrite the file from its beginning, and truncate it at the end."""
    _pieces(path, seconds, 0)


def _pieces(path: str, seconds: float, flags: int) -> None:
    data = "".join(entry(n) for n in range(int(seconds / PACE))).encode()
    size = max(len(data) * 20 // int(seconds * 1000), 1)
    fd = os.open(path, os.O_WRONLY | flags)
    for at in range(0, len(data), size):
        os.write(fd, data[at : at + size])
        time.sleep(0.02)
    os.ftruncate(fd, len(data))
    os.close(fd)


MANNERS: dict[str, Callable[[str, float], None]] = {
    "lines": append_lines,
    "parts": append_parts,
    "buffered": append_buffered,
    "emptied": write_buffered,
    "each": append_each,
    "in-place": save_in_place,
    "over": copy_over,
}

if __name__ == "__main__":
    manner, name, length = sys.argv[1:]
    MANNERS[manner](name, float(length))
