"""The file of a report: complete, for its owner only, and never in the place of another file.

Rule 1: only a report is replaced.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pegasus import durable
from pegasus.errors import PegasusError
from pegasus.report.page import GENERATOR
from pegasus.terminal_text import visible

_HEAD = 500
"""Bytes at the beginning of a page that identify it."""


def write_page(path: Path, page: bytes) -> str:
    """Write a report, and say so.

    A new file is for its owner only, as the record is; one that is replaced keeps its mode. A
    symbolic link is followed.

    Raises:
        PegasusError: it cannot be written, or there is a file that is no report.
    """
    shown = visible(str(path))
    try:
        real = path.resolve()
        mode = _mode_of_report(real, shown)
        if mode is not None and not stat.S_ISREG(mode):  # a pipe, or /dev/stderr
            real.write_bytes(page)
        else:
            durable.write_private(real, page, f".{real.name}.{os.getpid()}")
            if mode is not None:
                real.chmod(stat.S_IMODE(mode))
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PegasusError(
            f"{shown}: the report cannot be written: {words}. Name another file with -o."
        ) from error
    return f"{shown}: written, {len(page):,} bytes."


def _mode_of_report(path: Path, shown: str) -> int | None:
    """Give type and mode of the file that is replaced; None where there is none."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if GENERATOR.encode() not in head:
            raise PegasusError(
                f"{shown}: this file is not a report of Pegasus, so it is not replaced. Name "
                "another file with -o, or remove this one."
            )
    return mode
