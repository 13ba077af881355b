"""The summary at the end of a run: outcomes by number, and each command that did not succeed.

Rule 1: pure; it reads the state of a run.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from pegasus import duration
from pegasus.model import TimedOut
from pegasus.node_sets import names_of
from pegasus.report.left import folders_left_words, going_on_words
from pegasus.run_state import OUTCOME_WORDS, Execution, Result, RunState, StatusWord
from pegasus.slot_words import slots_text
from pegasus.terminal_text import on_one_line, visible

_COMMAND_LIMIT = 200
"""Characters of a command in the summary: enough to identify it. The log has all of it."""

_FAILURE_INDENT = "  "

_NAMED_SUB_NODES = 8
"""Sub-nodes that are listed by name; of more, only the least and the most busy are named."""


def last_words(
    state: RunState, log_of: Callable[[Result], str | None] | None, wall: float
) -> list[str]:
    """Give the summary of a run, and how busy its sub-nodes were.

    Args:
        state: of a run that is over.
        log_of: gives the path of a command's log; None where there is none at all.
        wall: seconds that the run took.
    """
    return [*summary_of(state, log_of or (lambda _: None)), utilisation_of(state, wall)]


def retry_words(queue_file: Path, run: int | None) -> str:
    """Name the command that puts what did not succeed back into the queue.

    Args:
        queue_file: its path as the user gave it.
        run: the number of the run; None where the command finds it without.
    """
    which = "" if run is None else f" --run {run}"
    if queue_file != Path("queue.yaml"):
        which += f" --queue-file {shlex.quote(str(queue_file))}"
    return f"To put what did not succeed back into the queue: pegasus retry{which}"


def summary_of(state: RunState, log_of: Callable[[Result], str | None]) -> list[str]:
    """Give a line of counts, and one for each command that did not succeed.

    Args:
        state: of a run that is over.
        log_of: gives the path of a command's log; None where there is none.
    """
    counts = state.counts()
    total = counts.total()
    lines = [f"{total} command{'s' if total > 1 else ''}: {_counted(counts)}."]
    lines += [_line(result) + _log(result, log_of) for result in state.failures()]
    lines += [missing_words(state)] if state.missing else []
    return lines + _about_left([each for _, each in state.left()])


def waiting_words(waiting: int, path: object) -> str:
    """Say how many jobs wait in a queue file, as a sentence."""
    return f"{waiting:,} {'job waits' if waiting == 1 else 'jobs wait'} in {path}."


def names_failure(line: str) -> bool:
    """Return whether a line of a summary is one about a command that did not succeed."""
    return line.startswith(_FAILURE_INDENT)


def missing_words(state: RunState) -> str:
    """Name the sub-nodes without which a broadcast went on."""
    missing, every = state.missing, len(state.sub_nodes)
    return (
        f"Missing, since they could not be reached: {names_of(missing)} "
        f"({len(missing)} of {every} sub-nodes)."
    )


def _counted(counts: Counter[StatusWord]) -> str:
    words: tuple[StatusWord, ...] = (*OUTCOME_WORDS, "detached")
    return ", ".join(f"{counts[word]} {word}" for word in words if counts[word])


def _about_left(tries: Collection[Execution]) -> list[str]:
    """Say what goes on, and which folders are left, of detached commands."""
    running = [each for each in tries if each.outcome is None]
    lines = []
    if running:
        lines.append(going_on_words(len(running), sum(each.stop_stored for each in running)))
    if len(running) < len(tries):
        lines.append(folders_left_words(len(tries) - len(running)))
    return lines


def _log(result: Result, log_of: Callable[[Result], str | None]) -> str:
    log = log_of(result)
    return f"  [{log}]" if log else ""


def utilisation_of(state: RunState, wall: float) -> str:
    """Give the share of the time in which commands ran on the sub-nodes, or in their slots.

    Where a sub-node has pools, those of the first one count.

    Args:
        state: of a run.
        wall: seconds that the run took.
    """
    busy = state.busy_seconds()
    nodes = [each for number, each in state.sub_nodes.items() if each.was_connected or busy[number]]
    found = [
        (busy[each.sub_node.number], 1, str(each.sub_node))
        for each in nodes
        if not each.sub_node.pools
    ]
    for use in state.pool_uses():
        numbers = [each.number for each in use.sub_nodes]
        seconds = sum(busy[each] for each in numbers)
        if use.is_first and (
            seconds or any(state.sub_nodes[each].was_connected for each in numbers)
        ):
            found.append((seconds, max(1, len(use.slots)), f"{use.name} {use.pool.name}"))
    shares = [(_share(seconds, places, wall), name) for seconds, places, name in found]
    mean = _share(sum(each[0] for each in found), sum(each[1] for each in found), wall)
    what = "slots" if state.has_pools else "sub-nodes"
    words = f"The {what} were busy {mean:.0%} of {duration.words(wall)}"
    if len(shares) == 1:
        return f"{words}."
    if len(shares) > _NAMED_SUB_NODES:
        (least, idle), (most, busiest) = min(shares), max(shares)
        return f"{words}: from {least:.0%} ({idle}) to {most:.0%} ({busiest})."
    return f"{words}: {', '.join(f'{name} {share:.0%}' for share, name in shares)}."


def _share(seconds: float, places: int, wall: float) -> float:
    return seconds / (max(1, places) * wall) if wall else 0.0


def _line(result: Result) -> str:
    execution = result.execution
    command = result.job.job.command if execution is None else execution.assignment.command
    shown = on_one_line(command, _COMMAND_LIMIT)
    where = f"job {result.job.number}"
    if execution is not None:
        slots = slots_text(execution.assignment.slots)
        where += f" on {execution.sub_node}" + (f" ({slots})" if slots else "")
    outcome = on_one_line(str(result.outcome))
    ran = None if isinstance(result.outcome, TimedOut) else result.started  # which has the time
    after = f", after {duration.words(ran.seconds or 0.0)}" if ran else ""
    return visible(f"{_FAILURE_INDENT}{where}: {outcome}{after}: {shown}")
