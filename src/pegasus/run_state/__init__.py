"""Events -> the state of a run: the one object that all readers of a run use.

The summary, ``status``, ``logs``, ``retry`` and the reports read it. A live run applies the events
as they happen; a reader of the journal applies the same events from its lines.

Rule 1: pure: no clock, no file, no text for the screen.
Rule 2: an event costs the same however many jobs there were, and so do counts, running commands
and the latest ends.
Rule 3: an event that does not fit (a start of an unknown job) changes nothing but what it says.
"""

from __future__ import annotations

from pegasus.run_state.allocations import allocation_words
from pegasus.run_state.jobs import (
    OUTCOME_WORDS,
    STATUS_WORDS,
    End,
    Execution,
    JobState,
    Result,
    StatusWord,
    SubNodeState,
    word_for,
)
from pegasus.run_state.known import KnownRun
from pegasus.run_state.remaining import remaining_of
from pegasus.run_state.slots import PoolUse, SlotUse, slots_counted
from pegasus.run_state.state import RunState

__all__ = [
    "OUTCOME_WORDS",
    "STATUS_WORDS",
    "End",
    "Execution",
    "JobState",
    "KnownRun",
    "PoolUse",
    "Result",
    "RunState",
    "SlotUse",
    "StatusWord",
    "SubNodeState",
    "allocation_words",
    "remaining_of",
    "slots_counted",
    "word_for",
]
