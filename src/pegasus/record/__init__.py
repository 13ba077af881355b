"""The record: what happened in a run, on disk, under ``.pegasus/`` beside the queue file.

Rule 1: one folder a run: a journal of whole lines, the bytes that each job printed, and a lock
that says whether the run goes on. Nothing in it is ever changed afterwards, nor removed.
Rule 2: a disk that is full, slow or gone costs the run nothing but the record: telling neither
fails nor waits for it, and what is missing is said once and marked.
Rule 3: readers believe whole lines, in their order; what they do not know they pass over.
Rule 4: other users see none of it.

The parts: ``journal`` (events <-> lines), ``folder`` (paths, modes, the lock), ``disk`` and
``writer`` (a thread that writes), ``recording`` (the listener), ``reading`` (what a journal
comes to), ``finding`` (which runs there are) and ``report`` (that, as JSON). Here stands what
readers need; who writes imports ``recording`` by its name, since readers can do without Trio.
"""

from __future__ import annotations

from pegasus.record.finding import (
    UnreadableRecords,
    choose_run,
    current_runs,
    find_runs,
    read_runs,
)
from pegasus.record.folder import OutputName, RunFolder
from pegasus.record.journal import How, Mode
from pegasus.record.reading import Execution, JobRecord, RunEnd, RunRecord, SubNodeRecord
from pegasus.record.report import REPORT_VERSION, report_of, run_report

__all__ = [
    "REPORT_VERSION",
    "Execution",
    "How",
    "JobRecord",
    "Mode",
    "OutputName",
    "RunEnd",
    "RunFolder",
    "RunRecord",
    "SubNodeRecord",
    "UnreadableRecords",
    "choose_run",
    "current_runs",
    "find_runs",
    "read_runs",
    "report_of",
    "run_report",
]
