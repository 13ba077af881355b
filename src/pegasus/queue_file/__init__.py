"""queue.yaml, consumed.yaml and their lock.

Rule 1: no job is lost and no job is taken twice, even if Pegasus is killed at any moment.
Rule 2: this package knows files and jobs; it does not know sub-nodes, sessions or records.
Rule 3: other packages use what is exported here. ``job_source`` and ``count_following`` load Trio,
and are imported by their names: commands that only read must start fast.
"""

from __future__ import annotations

from pegasus.queue_file.above import above_file, line_above
from pegasus.queue_file.counting import WaitingJobs, count_queue, fault_below
from pegasus.queue_file.demands import WRITE_A_BARRIER, doubtful_params
from pegasus.queue_file.editing import Snapshot, TextCheck, check_text, restore, snapshot
from pegasus.queue_file.entries import QueueReader, Written, WrittenBarrier
from pegasus.queue_file.ledger import RetryLedger, jobs_back
from pegasus.queue_file.note import Receipt
from pegasus.queue_file.picking import TakeResult
from pegasus.queue_file.queue import LockedQueue, QueueFile
from pegasus.queue_file.rendering import canonical
from pegasus.queue_file.typed import (
    STANDARD_INPUT,
    ParamLists,
    read_command,
    read_commands,
    read_params,
    sole_command,
)
from pegasus.queue_file.typed_demands import (
    read_typed_barrier,
    read_typed_demand,
    typed_entries,
)
from pegasus.rendered import LONGEST_COMMAND

__all__ = [
    "LONGEST_COMMAND",
    "STANDARD_INPUT",
    "WRITE_A_BARRIER",
    "LockedQueue",
    "ParamLists",
    "QueueFile",
    "QueueReader",
    "Receipt",
    "RetryLedger",
    "Snapshot",
    "TakeResult",
    "TextCheck",
    "WaitingJobs",
    "Written",
    "WrittenBarrier",
    "above_file",
    "canonical",
    "check_text",
    "count_queue",
    "doubtful_params",
    "fault_below",
    "jobs_back",
    "line_above",
    "read_command",
    "read_commands",
    "read_params",
    "read_typed_barrier",
    "read_typed_demand",
    "restore",
    "snapshot",
    "sole_command",
    "typed_entries",
]
