"""What a shell offers for a value while it is typed: runs, jobs, sub-nodes, terms of ``--limit``.

Rule 1: it reads as ``status`` does: it waits for no lock, holds none, and writes nothing.
Rule 2: what cannot be read gives no candidates. The completion engine of cyclopts swallows every
exception, so nothing here handles one.
Rule 3: a user waits for it, so it imports what it needs when it runs, and reads no long journal.

Each public function is a ``completer`` of a parameter in the sense of cyclopts. It gives values and
their descriptions; the shell leaves out those that do not begin as the typed text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext

    from pegasus.model import SubNode
    from pegasus.record import RunRecord
    from pegasus.run_state import JobState

Candidates: TypeAlias = dict[str, str]
"""Values, each with its description; the description may be empty."""

LONGEST_JOURNAL = 4 << 20
"""Bytes of a journal that is read; about a second's work. A longer one gives no candidates."""

MOST_CANDIDATES = 1_000
"""More help nobody, and a shell needs seconds to sort them."""

_LONGEST_DESCRIPTION = 60
"""Characters; shells show one candidate on each line."""


def runs(context: CompletionContext) -> Candidates:
    """Give the runs of the queue, the newest first."""
    newest = reversed(_runs(context))
    return {run.name: _about_run(run) for run in islice(newest, MOST_CANDIDATES)}


def recorded_jobs(context: CompletionContext) -> Candidates:
    """Give the jobs of a run that a reader can show."""
    run = _run_meant(context)
    return _described(context, run.state.jobs.values() if run else ())


def running_jobs(context: CompletionContext) -> Candidates:
    """Give the jobs that run now, in all runs in progress or in the one that is named."""
    alive = [run for run in _runs_named(context) if run.alive and _refreshed(run)]
    return _described(context, (job for run in alive for job, _ in run.state.running()))


def failed_jobs(context: CompletionContext) -> Candidates:
    """Give the jobs of a run that did not succeed."""
    named = _runs_named(context)
    run = named[-1] if named and _refreshed(named[-1]) else None
    return _described(context, (each.job for each in run.state.failures()) if run else ())


def left_jobs(context: CompletionContext) -> Candidates:
    """Give the jobs whose detached commands, or their folders, are left on nodes."""
    found = [run for run in _runs_named(context) if not run.ends_with_nothing_left()]
    return _described(
        context, (job for run in found if _refreshed(run) for job, _ in run.state.left())
    )


def sub_nodes(context: CompletionContext) -> Candidates:
    """Give the numbers of the sub-nodes: those of the hosts file, or those of a run."""
    return {str(each.number): str(each) for each in islice(_sub_nodes(context), MOST_CANDIDATES)}


def limit_terms(context: CompletionContext) -> Candidates:
    """Give what ``--limit`` may name: hosts, and parameters with their values."""
    from pegasus.destination import host_of

    found: Candidates = {}
    for each in _sub_nodes(context):
        found.setdefault(host_of(each.hostname), "")
        for name, value in each.params:
            found.setdefault(f"{name}={value}", "")
    return dict(islice(found.items(), MOST_CANDIDATES))


def _typed(context: CompletionContext, name: str) -> str | None:
    """Give the value of another option as it was typed, or as the settings give it."""
    found = context.get(name)
    return found.raw if found is not None else None


def _runs(context: CompletionContext) -> list[RunRecord]:
    from pegasus.queue_file import QueueFile
    from pegasus.record import find_runs

    return find_runs(QueueFile(context["--queue-file"].value).real)


def _runs_named(context: CompletionContext) -> list[RunRecord]:
    """Give all runs of the queue, or the one that ``--run`` names."""
    from pegasus.record import choose_run

    name, found = _typed(context, "--run"), _runs(context)
    return found if name is None else [choose_run(found, name)]


def _run_meant(context: CompletionContext) -> RunRecord | None:
    """Give the run that a reader shows, read; None without one."""
    from pegasus.record import current_runs

    current = current_runs(_runs_named(context))
    return current[-1] if current and _refreshed(current[-1]) else None


def _refreshed(run: RunRecord) -> bool:
    """Read a journal; False where it is too long to be read while a user waits."""
    if run.folder.journal.stat().st_size > LONGEST_JOURNAL:
        return False
    run.refresh()
    return True


def _sub_nodes(context: CompletionContext) -> Iterator[SubNode]:
    hosts = context.get("--hosts-file")
    if hosts is None:
        run = _run_meant(context)
        yield from (each.sub_node for each in run.state.sub_nodes.values()) if run else ()
        return
    from pegasus.hosts_file import find_hosts

    yield from find_hosts(hosts.value)[0]


def _described(context: CompletionContext, jobs: Iterable[JobState]) -> Candidates:
    """Give the numbers of jobs that begin as the typed text, without those typed already."""
    from pegasus.terminal_text import on_one_line

    typed = {token.value for token in context.argument.tokens}
    found: Candidates = {}
    for job in jobs:
        number = str(job.number)
        if number.startswith(context.incomplete) and number not in typed:
            found[number] = on_one_line(job.job.command, _LONGEST_DESCRIPTION)
            if len(found) == MOST_CANDIDATES:
                break
    return found


def _about_run(run: RunRecord) -> str:
    from datetime import datetime

    began = datetime.fromtimestamp(run.began_at).astimezone()
    return f"{run.began.mode}, {began:%Y-%m-%d %H:%M}{', in progress' if run.alive else ''}"
