"""``pegasus check``: show the content of the files and their faults before a run.

Rule 1: nothing is taken, locked or written, and without ``--connect`` no node is contacted.
Rule 2: the report goes to standard output, so that it can be piped. For a terminal, control
characters are replaced and lines are wrapped; elsewhere every text is unchanged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from pegasus import duration
from pegasus.errors import (
    ExitStatus,
    FileFault,
    NodeUnreachable,
    PegasusError,
    TemplateFault,
    sole_error,
)
from pegasus.findings import Findings, differing, find
from pegasus.interrupt import open_interrupts
from pegasus.model import Job, SubNode
from pegasus.process import raise_open_files_limit
from pegasus.rendered import Values, render_with
from pegasus.standard_streams import STDOUT, write
from pegasus.terminal_text import fit, on_one_line, visible
from pegasus.transport import OpenSession, open_ssh, session_opener

FIRST_SHOWN = 20
"""Jobs and sub-nodes that are listed without ``--all``: as many as a terminal shows at once."""

_LEGEND = {
    "*": "as on {}; sub-nodes differ in it",
    "!": "cannot be run on {}; the faults say why",
}
"""The marks after the numbers of jobs, with their meaning."""

LEAST_COLUMNS = 20
"""The least columns for a text beside its number; a narrower terminal wraps it."""

_LINES_PER_WRITE = 500
"""Lines that are written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """The command line of ``pegasus check``.

    Attributes:
        every: whether all jobs and sub-nodes are listed, however many.
        sub_node: the number of the sub-node that commands are filled in for; None for the first.
        connect: whether each sub-node is connected to.
    """

    hosts_file: Path
    queue_file: Path
    ssh_config: Path | None = None
    every: bool = False
    sub_node: int | None = None
    limit: tuple[str, ...] = ()
    connect: bool = False


async def check(settings: CheckSettings) -> ExitStatus:
    """Report the content and the faults of the files; with ``connect`` try the sub-nodes.

    Returns:
        SUCCESS; JOB_FAILED, where some sub-node does not answer; USAGE, where a file has a fault,
        or no sub-node answers; INTERRUPTED.

    Raises:
        PegasusError: there is no such sub-node, or no ssh; ``limit`` chooses nothing.
    """
    found = find(settings.hosts_file, settings.queue_file, settings.limit)
    shown_for = _shown_for(settings, found)
    status = ExitStatus.USAGE if found.faults else ExitStatus.SUCCESS
    try:
        _print(_report(settings, found, shown_for))
        if settings.connect and found.sub_nodes:
            status = max(status, await _connect(settings, found.sub_nodes))
    except BrokenPipeError:
        pass  # `| head` has seen enough
    return status


def _shown_for(settings: CheckSettings, found: Findings) -> SubNode | None:
    """Give the sub-node that commands are filled in for; None where there is none."""
    wanted, numbers = settings.sub_node, [each.number for each in found.sub_nodes]
    if not numbers or wanted is None:
        return next(iter(found.sub_nodes), None)
    if wanted not in numbers:
        chosen = "" if not settings.limit else ", as far as --limit chooses them"
        raise PegasusError(
            f"--sub-node {wanted}: {settings.hosts_file} stands for the sub-nodes {numbers[0]} to "
            f"{numbers[-1]}{chosen}."
        )
    return found.sub_nodes[numbers.index(wanted)]


def _print(lines: Iterable[str]) -> None:
    """Write lines to standard output, many at a time, each one completely."""
    batch: list[str] = []
    for line in lines:
        batch.append(line)
        if len(batch) >= _LINES_PER_WRITE:
            _write(batch)
            batch.clear()
    _write(batch)


def _write(lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    write(STDOUT, text.encode("utf-8", "surrogateescape"))


# The content of the files.


def _report(settings: CheckSettings, found: Findings, shown_for: SubNode | None) -> Iterator[str]:
    yield from _sub_nodes(settings, found)
    yield ""
    yield from _jobs(settings, found, shown_for)
    yield ""
    yield from _faults(found)


def _sub_nodes(settings: CheckSettings, found: Findings) -> Iterator[str]:
    count = len(found.sub_nodes)
    file = visible(str(settings.hosts_file))
    limited = f"{count:,} of " if settings.limit else ""
    total = _many(found.unlimited, "sub-node")
    yield f"{file}: {limited}{total}{_as_far(found.hosts_faults)}"
    shown = count if settings.every else FIRST_SHOWN
    width = len(str(found.unlimited))
    for sub_node in found.sub_nodes[:shown]:
        yield from _item(f"  {sub_node.number:>{width}}  ", str(sub_node))
    if shown < count:
        yield f"  … and {count - shown:,} more; --all lists them"


def _jobs(settings: CheckSettings, found: Findings, shown_for: SubNode | None) -> Iterator[str]:
    count, sub_nodes = found.count, found.sub_nodes
    yield f"{visible(str(settings.queue_file))}: {_many(count, 'job')}{_as_far(found.queue_faults)}"
    shown = count if settings.every else min(count, FIRST_SHOWN)
    width = len(f"{shown:,}")
    names = differing(sub_nodes)
    marks = set()
    for number, job in enumerate(found.jobs(), start=1):
        if number > shown:
            yield f"  … and {count - shown:,} more; --all lists them"
            break
        text, mark = _filled(job, shown_for, names)
        marks.add(mark)
        yield from _item(f"  {number:>{width},}{mark} ", text)
    for mark in sorted(marks & _LEGEND.keys()):
        yield from _item(f"  {mark} ", _LEGEND[mark].format(shown_for))


def _filled(job: Job, sub_node: SubNode | None, names: frozenset[str]) -> tuple[str, str]:
    """Render a job, and mark it: ``*`` if sub-nodes differ, ``!`` if it cannot be rendered."""
    if sub_node is None:
        return job.command, " "
    values = Values(job, sub_node)
    try:
        command = render_with(job.command, values)
    except TemplateFault:
        return job.command, "!"
    return command, "*" if names & values.asked else " "


def _faults(found: Findings) -> Iterator[str]:
    if found.tried < found.fillings:
        yield from _item(
            "",
            f"Tried {found.tried:,} of the {found.fillings:,} ways in which the commands can be "
            "filled in: the rest would take too long.",
        )
    for note in found.notes:
        yield from _item("", str(note))
    for fault in found.faults:
        yield from _item("", visible(str(fault)))
    yield f"{_many(len(found.faults), 'fault')}." if found.faults else "No faults."


def _as_far(faults: Sequence[FileFault]) -> str:
    return ", as far as it can be read" if faults else ""


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _item(head: str, text: str) -> list[str]:
    """Lay out a text after its head; for a terminal wrapped and without control characters."""
    text = text.rstrip("\n")
    lines = text.split("\n")
    if os.isatty(STDOUT):
        columns = max(shutil.get_terminal_size().columns - len(head), LEAST_COLUMNS)
        block = f"{text}\n".encode("utf-8", "surrogateescape")
        lines = fit(block, columns, colour=False).decode().removesuffix("\n").split("\n")
    first, *rest = lines
    return [head + first, *(" " * len(head) + line if line else "" for line in rest)]


# Which sub-nodes answer.


async def _connect(settings: CheckSettings, sub_nodes: tuple[SubNode, ...]) -> ExitStatus:
    """Connect to all sub-nodes at once, and report for each whether it answers."""
    raise_open_files_limit()
    answered: dict[int, bool] = {}
    with open_interrupts() as signals, sole_error():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_once, signals, nursery.cancel_scope)
            async with open_ssh(settings.ssh_config, on_note=_note) as ssh:
                open_session = session_opener(ssh)
                async with trio.open_nursery() as tries:
                    for sub_node in sub_nodes:
                        tries.start_soon(_try, open_session, sub_node, len(sub_nodes), answered)
            nursery.cancel_scope.cancel(reason="all have been tried")
    if len(answered) < len(sub_nodes):
        return ExitStatus.INTERRUPTED
    good = sum(answered.values())
    with suppress(BrokenPipeError):
        _write(["", f"{good:,} of {_many(len(sub_nodes), 'sub-node')} can be used."])
    if good == len(sub_nodes):
        return ExitStatus.SUCCESS
    return ExitStatus.JOB_FAILED if good else ExitStatus.USAGE


def _note(words: str) -> None:
    with suppress(BrokenPipeError):  # the reader is gone; the exit status still tells
        _write(_item("  ", words))


async def _cancel_at_once(signals: AsyncIterator[str], scope: trio.CancelScope) -> None:
    async for name in signals:
        scope.cancel(reason=name)


async def _try(
    open_session: OpenSession, sub_node: SubNode, count: int, answered: dict[int, bool]
) -> None:
    """Connect to a sub-node and start a shell there, as a run does before it takes a job."""
    began = trio.current_time()
    words = ""
    try:
        async with open_session(sub_node) as session, session.open_shell():
            took = trio.current_time() - began
    except NodeUnreachable as error:
        took, words = trio.current_time() - began, error.words
    with suppress(BrokenPipeError):  # the reader is gone; the exit status still tells
        if not answered:
            _write([""])
        _write(_item(f"  {sub_node.number:>{len(str(count))}}  ", _answer(sub_node, took, words)))
    answered[sub_node.number] = not words


def _answer(sub_node: SubNode, took: float, words: str) -> str:
    name = visible(str(sub_node))
    if words:
        took_words = duration.words(took)
        return f"{name}: no answer, after {took_words}: {on_one_line(words)}"
    return f"{name}: answers, after {duration.words(took)}"
