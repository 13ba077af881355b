"""Runs as people see them: what runs where and what ended how, as paragraphs and tables.

Rule 1: whatever a text of others contains, it takes one line here.
Rule 2: a table costs microseconds a row: a run may have failed a hundred thousand times.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from pegasus import duration
from pegasus.estimate import remaining_words
from pegasus.record import RunRecord
from pegasus.report import left
from pegasus.report.command_table import (
    UNLIMITED,
    CommandRow,
    ReportPart,
    Rows,
    cut_cells,
    folded,
    on_one_line,
    table_of,
    visible,
)
from pegasus.report.overview import Overview
from pegasus.report.slot_tables import slots_table, waiting_table
from pegasus.report.summary import missing_words, waiting_words
from pegasus.run_state import STATUS_WORDS, RunState, allocation_words

LATEST_SUCCESSES = 5
"""How many of the commands that succeeded are listed: the last ones, which show the progress."""

_LEAST_OUTCOMES = 12
"""Columns for the outcomes of a run for which folding is worth it; with fewer the row is cut."""

# Parts -> the terminal.


def written(parts: Iterable[ReportPart], width: int | None, *, colour: bool) -> bytes:
    """Write paragraphs, wrapped, and the lines of tables, as they are."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=UNLIMITED if width is None else width,
        force_terminal=colour,
        color_system="standard" if colour else None,  # not what rich takes from the environment
        no_color=not colour,
        legacy_windows=False,
    )
    for part in parts:
        if isinstance(part, Rows):
            file.write("".join(f"{line}\n" for line in part.lines))
        else:
            console.print(part, overflow=part.overflow, no_wrap=part.no_wrap)
    return file.getvalue().encode("utf-8", "backslashreplace")


def plain_lines(parts: Iterable[ReportPart], width: int) -> list[str]:
    """Give the lines of parts, without any control sequence."""
    return written(parts, width, colour=False).decode().splitlines()


def about(overview: Overview, most: int | None, width: int | None) -> Iterator[ReportPart]:
    """Lay out an overview.

    Args:
        overview: what is shown.
        most: rows of a table; None for all.
        width: columns; None for a pipe or a file, where nothing is cut or folded.
    """
    width = UNLIMITED if width is None else width
    if overview.all_runs:
        yield from table_of_runs(overview.runs, width)
    else:
        for run in overview.runs:
            yield from about_run(run, most, width)
            if remaining := overview.remaining_of(run, time.time()):
                yield Text(f"{remaining_words(remaining).capitalize()}.\n")
    for warning in overview.warnings:
        yield Text(f"Warning: {visible(warning)}")
    if not overview.runs:
        yield Text("No run of this queue is recorded.")
    if not overview.all_runs:
        yield Text(about_queue(overview))


def about_queue(overview: Overview) -> str:
    """Say what waits in the queue file, and what is wrong in it."""
    path, waiting = visible(overview.queue_file), overview.waiting
    if waiting is None:
        return f"{path}: there is no such file."
    text = waiting_words(waiting, path)
    return f"{text}\n{visible(overview.fault)}" if overview.fault else text


# A run.


def about_run(run: RunRecord, most: int | None, width: int) -> Iterator[ReportPart]:
    """Lay out one run.

    Args:
        run: the run, read.
        most: rows of a table; None for all.
        width: columns.
    """
    state = run.state
    yield Text(headline(run), style="bold")
    for warning in run.warnings:
        yield Text(f"Warning: {warning}.")
    yield Text(counts_line(run))
    if state.end is not None and state.end.reason:
        yield Text(visible(state.end.reason))
    if state.is_draining:
        yield Text("Draining: nothing more is taken.")
    if state.is_paused and state.paused_at is not None:
        paused = duration.words(max(0.0, time.time() - state.paused_at))
        yield Text(f"Paused for {paused}: nothing is taken or started until `pegasus resume`.")
    if run.began.resumes:
        yield Text(f"It continues the broadcast of run {visible(run.began.resumes)}.")
    if state.missing:
        yield Text(visible(missing_words(state)))
    if run.liveness == "running":
        for allocation in state.allocations.values():
            yield Text(f"{visible(allocation_words(allocation))}.")
        yield from _about_nodes(state, most)
    running = [CommandRow(job, each, None) for job, each in state.running()]
    yield from table_of("Running", "for", running[-most:] if most else running, width)
    yield from _left_out(len(running), most)
    if run.liveness == "running":
        yield from slots_table(run, most, width)
        yield from waiting_table(state, width)
    yield from _about_silent(state, most)
    yield from _about_left(run, most, width)
    yield from table_of_failures(state, most, width)
    yield from _left_out(state.failure_count, most)
    yield from table_of_successes(state, width)
    yield Text()


def table_of_failures(state: RunState, most: int | None, width: int) -> Iterator[ReportPart]:
    """Lay out what did not succeed, at most so many commands, the latest ones."""
    failed = [
        CommandRow(each.job, each.execution, str(each.outcome)) for each in state.failures(most)
    ]
    yield from table_of("Failed", "after", failed, width)


def table_of_successes(state: RunState, width: int) -> Iterator[ReportPart]:
    """Lay out the latest commands that succeeded."""
    latest = [
        CommandRow(each.job, each.execution, None) for each in state.successes(LATEST_SUCCESSES)
    ]
    more = state.counts()["succeeded"] > LATEST_SUCCESSES
    title = f"Succeeded, the last {LATEST_SUCCESSES}" if more else "Succeeded"
    yield from table_of(title, "after", latest, width)


def headline(run: RunRecord) -> str:
    """Say which run it is, and since when or how it ended."""
    began, state, end = run.began, run.state, run.state.end
    where = f"process {began.pid} on {visible(began.host)}"
    name = f"Run {visible(run.name)} ({began.mode})"
    if end is not None:
        status = "" if end.exit_status is None else f", exit status {end.exit_status}"
        took = duration.words(max(0.0, end.at - run.began_at))
        return f"{name}: {visible(end.result)} after {took}{status}"
    if run.alive:
        if state.follower is not None:
            return f"{name}: taken over by {left.follower_words(run)}"
        took = duration.words(max(0.0, time.time() - run.began_at))
        return f"{name}: for {took}, {where}"
    return f"{name}: {where}, was killed; last seen {_date(state.last_at)}"


def counts_line(run: RunRecord) -> str:
    """Give the counts of a run's commands, as a sentence."""
    counts = run.state.counts()
    if not counts:
        return "Nothing was taken yet." if run.liveness == "running" else "Nothing was taken."
    return ", ".join(f"{counts[word]:,} {word}" for word in STATUS_WORDS if counts[word]) + "."


def _about_nodes(state: RunState, most: int | None) -> Iterator[Text]:
    nodes = state.present
    connecting = sum(node.connection == "connecting" for node in nodes)
    if connecting:
        yield Text(f"{connecting} of {len(nodes)} sub-nodes are not connected yet.")
    for node in [node for node in nodes if node.connection == "unreachable"][:most]:
        name, words = visible(str(node.sub_node)), on_one_line(node.words)
        yield Text(f"{name} cannot be reached: {words}", overflow="ellipsis", no_wrap=True)


def _about_silent(state: RunState, most: int | None) -> Iterator[Text]:
    """Name the commands whose silence was reported (``--stall``)."""
    silent = [(job, each, each.silent_since) for job, each in state.running() if each.silent_since]
    for job, each, since in silent[:most]:
        words = duration.words(max(0.0, time.time() - (since or 0.0)))
        yield Text(
            f"{visible(str(each.sub_node))}: job {job.number} has printed nothing for {words}."
        )


def _about_left(run: RunRecord, most: int | None, width: int) -> Iterator[ReportPart]:
    """Lay out detached commands that no Pegasus follows now, and what is left on nodes."""
    found = left.left_in(run)
    if run.alive:
        away = [each for each in found if each.execution.cut or each.stop_stored]
        for each in away[:most]:
            where = f"job {each.job.number} on {each.execution.sub_node}"
            yield Text(f"{visible(where)}: {left.left_words(each)}")
        return
    rows = [
        CommandRow(each.job, each.execution, left.left_words(each))
        for each in found
        if each.status == "runs"
    ]
    yield from table_of("Detached", "for", rows[-most:] if most else rows, width)
    yield from _left_out(len(rows), most)
    if rows:
        stops = sum(each.stop_stored for each in found if each.status == "runs")
        yield Text(left.going_on_words(len(rows), stops))
    if len(rows) < len(found):
        yield Text(left.folders_left_words(len(found) - len(rows)))


def _left_out(count: int, most: int | None) -> Iterator[Text]:
    if most is not None and count > most:
        yield Text(f"and {count - most:,} before; without --watch all are listed")


# All runs.


def table_of_runs(runs: Sequence[RunRecord], width: int) -> Iterator[ReportPart]:
    """Lay out runs, one in a row."""
    if not runs:
        return
    titles = ["run", "when", "state", "jobs", "size"]
    cells = [_run_cells(run) for run in runs]
    widths = [
        max(cell_len(title), *(cell_len(row[i]) for row in cells)) for i, title in enumerate(titles)
    ]
    rest = width - sum(widths) - len(widths)
    head = [_padded(*each) for each in zip(titles, titles, widths, strict=True)]
    yield Text(" ".join([*head, "outcomes"]), style="bold", no_wrap=True, overflow="crop")
    lines = []
    for run, row in zip(runs, cells, strict=True):
        padded = [_padded(*each) for each in zip(titles, row, widths, strict=True)]
        words = visible(counts_line(run).rstrip("."))
        if rest < _LEAST_OUTCOMES:
            lines.append(cut_cells(" ".join([*padded, words]), width))
            continue
        first, *others = folded(words, rest)
        lines.append(" ".join([*padded, first]).rstrip())
        lines += [" " * (width - rest) + other for other in others]
    yield Rows(lines)


def _run_cells(run: RunRecord) -> list[str]:
    state = run.state.end.result if run.state.end else run.liveness
    cells = [run.name, _date(run.began_at), state]
    cells += [f"{len(run.state.jobs):,}", decimal(run.size())]
    return [visible(cell) for cell in cells]


def _padded(title: str, text: str, width: int) -> str:
    padding = " " * (width - cell_len(text))
    return padding + text if title in {"jobs", "size"} else text + padding


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
