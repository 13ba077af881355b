"""``pegasus results``: a row for each job of a run, for people, spreadsheets and programs."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pegasus.errors import ExitStatus
from pegasus.record import RunRecord
from pegasus.report.results import csv_text, json_lines
from pegasus.report.run_meant import run_meant
from pegasus.standard_streams import STDOUT, write


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsSettings:
    """What the command line asks; see ``pegasus results --help``.

    Attributes:
        queue_file: its path.
        run: a run's name, number or a part of the name; None for the newest.
        csv: as comma-separated values.
        json: as a JSON list.
    """

    queue_file: Path
    run: str | None = None
    csv: bool = False
    json: bool = False


def results(settings: ResultsSettings) -> ExitStatus:
    """Print the results of a run.

    Returns:
        Success, whatever the outcomes of jobs: those are in the exit status of the run.

    Raises:
        PegasusError: there is no such run, or it can't be read.
    """
    gc.disable()  # a journal is read into objects that all stay
    run = run_meant(settings.queue_file, settings.run)
    with suppress(BrokenPipeError):  # the user has seen enough
        text = "".join(_lines(settings, run))
        write(STDOUT, text.encode("utf-8", "backslashreplace"))
    return ExitStatus.SUCCESS


def _lines(settings: ResultsSettings, run: RunRecord) -> Iterable[str]:
    if settings.json:
        return json_lines(run)
    if settings.csv:
        return [csv_text(run)]
    from pegasus.report.results_table import table_lines  # noqa: PLC0415 -- programs do without

    width = os.get_terminal_size(STDOUT).columns if os.isatty(STDOUT) else 0
    return (f"{line}\n" for line in table_lines(run, width or None))
