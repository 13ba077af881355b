"""Events -> notifications: an object of JSON, variables of the environment, and a sentence.

Rule 1: pure; no clock, no process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pegasus import duration
from pegasus.events import Ended, RunBegan, RunEnded, Stalled
from pegasus.model import Assignment, Stream
from pegasus.node_sets import names_of
from pegasus.record import OutputName, outcome_data, slots_data, sub_node_data
from pegasus.run_state import STATUS_WORDS, Result, RunState
from pegasus.slot_words import slots_text
from pegasus.terminal_text import on_one_line, visible

NOTIFY_VERSION = 1
"""The version of what a notification says."""

FAILURES_LIMIT = 20
"""Failures that the end of a run lists; more fit no message to a person."""

LONGEST_SENTENCE = 500
"""Characters of the sentence, and of a command in the list of failures."""

NotifyEvent: TypeAlias = Literal["job_failed", "stalled", "run_ended"]
_NotifyData: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotifyingRun:
    """The run that a notification is about.

    Attributes:
        began: its beginning.
        outputs: the folder of its outputs; None where it has none.
    """

    began: RunBegan
    outputs: Path | None


@dataclass(frozen=True, slots=True)
class Notification:
    """What a notifier is given.

    Attributes:
        event: its kind.
        at: when it happened, in seconds since the epoch.
        text: a sentence.
        run: the run.
        data: what belongs to this kind of event.
        variables: the same for simple scripts.
    """

    event: NotifyEvent
    at: float
    text: str
    run: NotifyingRun
    data: Mapping[str, Any]
    variables: Mapping[str, str]

    def json(self, left_out: int) -> bytes:
        """Write it on one line.

        Args:
            left_out: how many notifications before it were left out.
        """
        began = self.run.began
        head = {
            "version": NOTIFY_VERSION,
            "event": self.event,
            "at": round(self.at, 3),
            "text": self.text,
            "run": began.name,
            "mode": began.mode,
            "queue_file": began.queue_file,
            "host": began.host,
            "left_out": left_out,
        }
        return json.dumps(head | dict(self.data)).encode() + b"\n"

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        """Give the environment of the notifier.

        Args:
            given: the environment of Pegasus, which may itself be a job of another Pegasus.
        """
        inherited = {name: text for name, text in given.items() if name not in VARIABLES}
        own = {
            "PEGASUS_EVENT": self.event,
            "PEGASUS_RUN": self.run.began.name,
            "PEGASUS_QUEUE_FILE": self.run.began.queue_file,
            "PEGASUS_TEXT": self.text,
            **self.variables,
        }
        return inherited | {name: _variable(text) for name, text in own.items()}


VARIABLES = frozenset(
    {
        "PEGASUS_EVENT",
        "PEGASUS_RUN",
        "PEGASUS_QUEUE_FILE",
        "PEGASUS_TEXT",
        "PEGASUS_JOB",
        "PEGASUS_SUB_NODE",
        "PEGASUS_HOSTNAME",
        "PEGASUS_RESULT",
        "PEGASUS_EXIT_STATUS",
    }
)
"""The variables of a notifier; each event sets some of them."""


def _variable(text: str) -> str:
    """Put a text into a form that an environment can hold."""
    return visible(text).encode("utf-8", "backslashreplace").decode()


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= LONGEST_SENTENCE else f"{shown[:LONGEST_SENTENCE]}…"


def of_failure(run: NotifyingRun, ended: Ended, at: float) -> Notification:
    """Make the notification about a job that failed permanently."""
    where, words = _where(ended.assignment), on_one_line(str(ended.outcome))
    after = duration.words(ended.seconds)
    text = f"Job {ended.assignment.number} on {where}: {words}, after {after}"
    data = _job_data(run, ended.assignment) | {
        "outcome": outcome_data(ended.outcome),
        "words": str(ended.outcome),
        "seconds": round(ended.seconds, 3),
    }
    return Notification("job_failed", at, _short(text), run, data, _job_variables(ended.assignment))


def of_stall(run: NotifyingRun, stalled: Stalled, at: float) -> Notification:
    """Make the notification about a command that has printed nothing for long."""
    where, silence = _where(stalled.assignment), duration.words(stalled.seconds)
    text = f"Job {stalled.assignment.number} on {where} has printed nothing for {silence}"
    data = _job_data(run, stalled.assignment) | {"seconds": round(stalled.seconds, 3)}
    return Notification("stalled", at, _short(text), run, data, _job_variables(stalled.assignment))


def of_end(
    run: NotifyingRun, ended: RunEnded, state: RunState, error: str, at: float
) -> Notification:
    """Make the notification about the end of a run.

    Args:
        run: the run.
        ended: how it ended.
        state: the state at its end.
        error: the message of the error that ended it; empty without one.
        at: when it ended, in seconds since the epoch.
    """
    counts = state.counts()
    said = ", ".join(f"{counts[word]:,} {word}" for word in STATUS_WORDS if counts[word])
    if state.missing:
        said = f"{said or 'nothing was run'}, missing: {names_of(state.missing)}"
    seconds = max(0.0, at - state.began_at)
    text = f"Run {run.began.name}: {ended.result} after {duration.words(seconds)}: "
    text += (on_one_line(error).removesuffix(".") if error else said or "nothing was run") + "."
    failures = state.failures(FAILURES_LIMIT)
    data = {
        "result": ended.result,
        "exit_status": ended.exit_status,
        "error": error or None,
        "seconds": round(seconds, 3),
        "counts": {word.replace(" ", "_"): counts[word] for word in STATUS_WORDS if counts[word]},
        "failure_count": state.failure_count,
        "failures": [_failure_data(each) for each in failures],
    }
    status = "" if ended.exit_status is None else str(int(ended.exit_status))
    variables = {"PEGASUS_RESULT": ended.result, "PEGASUS_EXIT_STATUS": status}
    return Notification("run_ended", at, _short(text), run, data, variables)


def _where(assignment: Assignment) -> str:
    slots = slots_text(assignment.slots)
    return f"{assignment.sub_node}" + (f" ({slots})" if slots else "")


def _failure_data(result: Result) -> _NotifyData:
    execution = result.execution
    command = execution.command if execution else None
    return {
        "job": result.job.number,
        "sub_node": sub_node_data(execution.sub_node) if execution else None,
        **(slots_data(execution.assignment.slots) if execution else {}),
        "command": _short(result.job.job.command if command is None else command),
        "outcome": outcome_data(result.outcome),
        "words": str(result.outcome),
    }


def _job_data(run: NotifyingRun, assignment: Assignment) -> _NotifyData:
    outputs = {
        stream.value: _output_of(run, assignment, stream)
        for stream in (Stream.STDOUT, Stream.STDERR)
    }
    return {
        "job": assignment.number,
        "sub_node": sub_node_data(assignment.sub_node),
        **slots_data(assignment.slots),
        "command": assignment.command,
        "params": dict(assignment.job.params),
        **outputs,
    }


def _output_of(run: NotifyingRun, assignment: Assignment, stream: Stream) -> str | None:
    if run.outputs is None:
        return None
    name = OutputName(assignment.number, assignment.sub_node.number, stream)
    return str(run.outputs / name.file_name(run.began.mode))


def _job_variables(assignment: Assignment) -> dict[str, str]:
    return {
        "PEGASUS_JOB": str(assignment.number),
        "PEGASUS_SUB_NODE": str(assignment.sub_node.number),
        "PEGASUS_HOSTNAME": assignment.sub_node.hostname,
    }
