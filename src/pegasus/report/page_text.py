"""The words of the page of a run: times, facts, labels.

Rule 1: pure; what is returned may contain any character of the user's text.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from pegasus import duration
from pegasus.model import Stream
from pegasus.record import RunRecord
from pegasus.report.lanes import LaneBar
from pegasus.report.last_lines import shown_text
from pegasus.run_state import STATUS_WORDS, Execution, JobState, StatusWord


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about the run: its name and its value."""

    name: str
    value: str


def local_time(at: float) -> str:
    """Write the time of the day, with the date, as a clock of this machine shows it."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def moment_words(at: float) -> str:
    """Do the same, with the difference to UTC."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S (UTC%z)")


def facts_of(run: RunRecord) -> list[Fact]:
    """Give what identifies a run."""
    began, end = run.began, run.state.end
    facts = [
        ("Mode", began.mode + (", detached commands" if began.detached else "")),
        ("Began", moment_words(run.began_at)),
        ("Ended", moment_words(end.at) if end else "no end is recorded"),
        ("Queue file", began.queue_file),
        ("Hosts file", began.hosts_file),
        ("Started by", f"process {began.pid} on {began.host}"),
        ("Pegasus", began.pegasus),
        ("Record", str(run.folder.path)),
        ("Sub-nodes", f"{len(run.state.sub_nodes):,}"),
        ("Jobs", f"{len(run.state.jobs):,}"),
    ]
    return [Fact(name, shown_text(value)) for name, value in facts]


def counted(counts: Counter[StatusWord]) -> str:
    """Write counts as a part of a sentence."""
    return ", ".join(f"{counts[word]:,} {word}" for word in STATUS_WORDS if counts[word])


def bar_label(bar: LaneBar) -> str:
    """Say which command a bar stands for, and what became of it."""
    number = f"Job {bar.job.number}"
    if bar.number > 1 or bar.execution.again:
        number += f", try {bar.number}"
    took = duration.words(bar.end - bar.start)
    if bar.outcome is None:
        return f"{number}: {bar.word} for {took}"
    outcome = "succeeded" if bar.word == "succeeded" else str(bar.outcome)
    again = ", tried again" if bar.execution.again else ""
    return f"{number}: {outcome}, after {took}{again}"


def log_pattern(run: RunRecord, job: JobState, execution: Execution) -> str:
    """Give the path of both outputs of a command, as a pattern for a shell."""
    path = run.output(job.number, execution.sub_node.number, Stream.STDOUT)
    return f"{str(path).removesuffix(path.suffix)}.*"
