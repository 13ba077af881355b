"""``pegasus report``: a run as one HTML page."""

from __future__ import annotations

import gc
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pegasus.errors import ExitStatus
from pegasus.report.page import page_of
from pegasus.report.page_file import write_page
from pegasus.report.run_meant import run_meant
from pegasus.standard_streams import STDOUT, write

_STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """What the command line asks; see ``pegasus report --help``.

    Attributes:
        queue_file: its path.
        run: a run's name, number or a part of the name; None for the newest.
        output: the file to write; ``-`` for standard output; None for a name of the run.
    """

    queue_file: Path
    run: str | None = None
    output: Path | None = None


def report(settings: ReportSettings) -> ExitStatus:
    """Write the report of a run.

    Returns:
        Success, whatever the outcomes of jobs: those are in the exit status of the run.

    Raises:
        PegasusError: there is no such run, it can't be read, or the page can't be written.
    """
    gc.disable()  # a journal is read into objects that all stay
    run = run_meant(settings.queue_file, settings.run)
    page = page_of(run, time.time()).encode("utf-8", "backslashreplace")
    with suppress(BrokenPipeError):
        if settings.output == _STANDARD_OUTPUT:
            write(STDOUT, page)
        else:
            path = settings.output or Path(f"pegasus-report-{run.name}.html")
            write(STDOUT, write_page(path, page).encode("utf-8", "backslashreplace") + b"\n")
    return ExitStatus.SUCCESS
