"""The record: what happened in a run, on disk, under ``.pegasus/`` beside the queue file.

Rule 1: a run has one folder: a journal of whole lines, the output of each job, and a lock that is
held while the run goes on. Nothing in it is changed or removed afterwards, but who takes over
detached commands continues it.
Rule 2: a disk that is full, slow or gone costs the run nothing but the record: a listener neither
fails nor waits because of it, except that detached commands wait for their record. What is missing
is reported once, and marked in the journal.
Rule 3: readers use whole lines, in their order, and skip what they do not know.
Rule 4: other users cannot read it.

The parts: ``encoding`` and ``decoding`` (events <-> lines), ``values``, ``slot_values`` and
``fields`` (what lines consist of), ``folder`` (paths, modes, the lock), ``disk`` and ``writer`` (a
thread that writes), ``detached_disk``, ``detached_lines`` and ``syncing`` (what detached commands
need beside that), ``recording`` (the listener), ``reading`` (a journal -> the state of a run),
``finding`` (which runs there are) and ``taking_over`` (who continues a record). This module exports
what readers need. Who writes a record imports ``recording`` or ``taking_over`` by its name, because
readers do without Trio.
"""

from __future__ import annotations

from pegasus.record.finding import (
    UnreadableRecords,
    choose_run,
    current_runs,
    find_run,
    find_runs,
    find_runs_and_skipped,
    is_hidden,
    newest_with_jobs,
    read_runs,
    refreshed,
)
from pegasus.record.folder import (
    OutputName,
    RunFolder,
    number_of,
    output_stem,
    records_of,
    refuse_strangers,
)
from pegasus.record.growing_output import GrowingOutput
from pegasus.record.reading import Liveness, RunRecord
from pegasus.record.slot_values import slot_data, slots_data
from pegasus.record.values import origin_data, outcome_data, sub_node_data

__all__ = [
    "GrowingOutput",
    "Liveness",
    "OutputName",
    "RunFolder",
    "RunRecord",
    "UnreadableRecords",
    "choose_run",
    "current_runs",
    "find_run",
    "find_runs",
    "find_runs_and_skipped",
    "is_hidden",
    "newest_with_jobs",
    "number_of",
    "origin_data",
    "outcome_data",
    "output_stem",
    "read_runs",
    "records_of",
    "refreshed",
    "refuse_strangers",
    "slot_data",
    "slots_data",
    "sub_node_data",
]
