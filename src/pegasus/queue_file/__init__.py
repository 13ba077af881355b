"""queue.yaml, consumed.yaml and their lock.

Rule 1: no job is lost and no job is taken twice, even if Pegasus is killed at any moment.
Rule 2: this package knows files and jobs; it does not know sub-nodes, sessions or records.
Rule 3: other packages use what is exported here. ``job_source`` and ``count_following`` load Trio,
and are imported by their names: commands that only read must start fast.
"""

from __future__ import annotations

from pegasus.queue_file.counting import WaitingJobs, count_queue
from pegasus.queue_file.editing import Snapshot, TextCheck, check_text, restore, snapshot
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.queue_file.ledger import RetryLedger, jobs_back
from pegasus.queue_file.note import Receipt
from pegasus.queue_file.picking import JobFill, TakeResult
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
from pegasus.rendered import LONGEST_COMMAND

__all__ = [
    "LONGEST_COMMAND",
    "STANDARD_INPUT",
    "JobFill",
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
    "canonical",
    "check_text",
    "count_queue",
    "jobs_back",
    "read_command",
    "read_commands",
    "read_params",
    "restore",
    "snapshot",
    "sole_command",
]
