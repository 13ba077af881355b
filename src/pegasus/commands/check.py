"""``pegasus check``: show the content of the files and their faults before a run.

Rule 1: nothing is taken, locked or written, and without ``--connect`` no node is contacted.
Rule 2: the report goes to standard output, so that it can be piped. For a terminal, control
characters are replaced and lines are wrapped; elsewhere every text is unchanged.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import trio

from pegasus import duration
from pegasus.allocations import (
    AllocationRequest,
    SlurmClient,
    is_requested,
    requests_of,
    try_request,
)
from pegasus.dispatch import try_pools
from pegasus.errors import ExitStatus, NodeUnreachable, PegasusError, sole_error
from pegasus.findings import Findings, ListingView, find, laid_out, list_findings, many
from pegasus.interrupt import open_interrupts
from pegasus.model import SubNode
from pegasus.process import raise_open_files_limit
from pegasus.standard_streams import STDOUT, write
from pegasus.sub_node_names import number_meant
from pegasus.terminal_text import NARROWEST_TEXT, on_one_line, own_rows, visible
from pegasus.transport import OpenSession, open_ssh, refuse_missing_config, session_opener

_LINES_PER_WRITE = 500
"""Lines that are written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """The command line of ``pegasus check``.

    Attributes:
        every: whether all jobs and sub-nodes are listed, however many.
        sub_node: what the sub-node is called that commands are filled in for; None for the first.
        connect: whether each sub-node is connected to.
    """

    hosts_file: Path
    queue_file: Path
    ssh_config: Path | None = None
    every: bool = False
    sub_node: str | int | None = None
    limit: tuple[str, ...] = ()
    connect: bool = False


async def check(settings: CheckSettings) -> ExitStatus:
    """Report the content and the faults of the files; with ``connect`` try the sub-nodes.

    Returns:
        SUCCESS; JOB_FAILED, where some sub-node does not answer; USAGE, where a file has a fault,
        or no sub-node answers; INTERRUPTED.

    Raises:
        PegasusError: there is no such sub-node or configuration of ssh, or no ssh; ``limit``
            chooses nothing.
    """
    refuse_missing_config(settings.ssh_config)
    found = find(settings.hosts_file, settings.queue_file, settings.limit)
    view = ListingView(
        settings.hosts_file,
        settings.queue_file,
        _shown_for(settings, found),
        every=settings.every,
        limited=bool(settings.limit),
    )
    status = ExitStatus.USAGE if found.faults else ExitStatus.SUCCESS
    try:
        _print(list_findings(view, found))
        if settings.connect and found.sub_nodes:
            status = max(status, await _connect(settings, found.sub_nodes))
    except BrokenPipeError:
        pass  # `| head` has seen enough
    return status


def _shown_for(settings: CheckSettings, found: Findings) -> SubNode | None:
    """Give the sub-node that commands are filled in for; None where there is none."""
    numbers = [each.number for each in found.sub_nodes]
    if not numbers or settings.sub_node is None:
        return next(iter(found.sub_nodes), None)
    wanted = number_meant(settings.sub_node, found.sub_nodes)
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
    """Write lines; a terminal gets notes and faults wrapped between words, tables as they are."""
    columns = os.get_terminal_size(STDOUT).columns if os.isatty(STDOUT) else 0
    if columns >= NARROWEST_TEXT:
        rows = (
            [line] if line[:1].isspace() else own_rows(line, columns)  # rows of tables are indented
            for line in lines
        )
        lines = chain.from_iterable(rows)
    text = "".join(f"{line}\n" for line in lines)
    write(STDOUT, text.encode("utf-8", "surrogateescape"))


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
                    for request in requests_of(sub_nodes):
                        tries.start_soon(_try_request, request, len(sub_nodes), answered)
                    for each in sub_nodes:
                        if not is_requested(each):
                            tries.start_soon(_try, open_session, each, len(sub_nodes), answered)
            nursery.cancel_scope.cancel(reason="all have been tried")
    if len(answered) < len(sub_nodes):
        return ExitStatus.INTERRUPTED
    good = sum(answered.values())
    with suppress(BrokenPipeError):
        _write(["", f"{good:,} of {many(len(sub_nodes), 'sub-node')} can be used."])
    if good == len(sub_nodes):
        return ExitStatus.SUCCESS
    return ExitStatus.JOB_FAILED if good else ExitStatus.USAGE


def _note(words: str) -> None:
    with suppress(BrokenPipeError):  # the reader is gone; the exit status still tells
        _write(laid_out("  ", words))


async def _cancel_at_once(signals: AsyncIterator[str], scope: trio.CancelScope) -> None:
    async for name in signals:
        scope.cancel(reason=name)


async def _try(
    open_session: OpenSession, sub_node: SubNode, count: int, answered: dict[int, bool]
) -> None:
    """Do what a run does before it takes a job: connect, start a shell, ask for the slots."""
    began = trio.current_time()
    try:
        async with open_session(sub_node) as session:
            async with session.open_shell():
                took = duration.words(trio.current_time() - began)
            pools = await try_pools(session, sub_node)
    except NodeUnreachable as error:
        took = duration.words(trio.current_time() - began)
        text, is_good = f"no answer, after {took}: {on_one_line(error.words)}", False
    else:
        text = "; ".join([f"answers, after {took}", *map(str, pools)])
        is_good = all(pool.is_valid for pool in pools)
    text = f"{visible(str(sub_node))}: {text}"
    _report([sub_node.number], count, text, answered, is_good=is_good)


async def _try_request(request: AllocationRequest, count: int, answered: dict[int, bool]) -> None:
    """Ask Slurm about an allocation that a run would request."""
    is_good, words = await try_request(request, SlurmClient())
    said = f"Slurm says: {on_one_line(words)}" if is_good else f"refused: {on_one_line(words)}"
    text = f"requested when there is work: `sbatch {request.words}`; {said}"
    _report([row.number for row in request.rows], count, text, answered, is_good=is_good)


def _report(
    numbers: list[int], count: int, text: str, answered: dict[int, bool], *, is_good: bool
) -> None:
    """Show the answer for sub-nodes, on one line."""
    with suppress(BrokenPipeError):  # the reader is gone; the exit status still tells
        if not answered:
            _write([""])
        _write(laid_out(f"  {numbers[0]:>{len(str(count))}}  ", text))
    answered.update(dict.fromkeys(numbers, is_good))
