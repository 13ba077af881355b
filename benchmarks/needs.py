"""Needs: jobs that take slots, beside the same jobs on plain sub-nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.ground import SSHDS
from benchmarks.rounds import Contestant, Values

SLOTS = 64
JOBS = 10_000
PLAIN = f"{SLOTS} sub-nodes, without keys"
ALONE = f"{SLOTS} slots, without keys"
NEEDS = f"{SLOTS} slots, each job with `needs`"
WIDE = f"{SLOTS} slots, each tenth job needs 8 of them"
TIME = Figure.against(PLAIN, "ms", "ms")
CPU = Figure.against(PLAIN, "CPU ms", "ms")
MOST = 1.5
WORDS = """\
{jobs:,} times `true`, each an entry of its own, on eight nodes: once on 64 sub-nodes without slots,
and otherwise on eight sub-nodes with eight slots each. The time for a job is that between two ends,
from the moment at which 64 commands run, by the journal. CPU is that of the controller with its ssh
clients and masters, and with the connections: 64 masters for 64 sub-nodes, and as many as sshd's
limits require for the slots. While a job of eight slots waits, the slots that are kept for it run
nothing, so the last line is not a comparison of equal work."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work."""

    bench: Bench
    jobs: int

    def run(self, hosts: Callable[[Path], object], entry: str, others: str | None = None) -> Values:
        """Run a queue of equal entries; each tenth may be another one."""
        with self.bench.ground.work() as folder:
            hosts(folder)
            ten = entry * 10 if others is None else entry * 9 + others
            (folder / "queue.yaml").write_text(ten * (self.jobs // 10), encoding="ascii")
            done, journal = subject.run_queue_connected(folder, self.bench.ground, SLOTS)
        subject.must_have(journal, self.jobs + SLOTS)
        began = journal.ended[SLOTS - 1]
        counted = sum(at > began for at in journal.ended)
        return {
            "ms": 1000 * (journal.ended[-1] - began) / counted,
            "CPU ms": 1000 * done.cpu / self.jobs,
        }

    def with_slots(self, folder: Path) -> None:
        """Write a hosts file of eight sub-nodes with eight slots each."""
        names = ", ".join(node.name for node in self.bench.ground.nodes)
        text = f"- hostname: [{names}]\n  slots: {{gpu: 0-{SLOTS // SSHDS - 1}}}\n"
        (folder / "hosts.yaml").write_text(text, encoding="ascii")

    def plain(self, folder: Path) -> None:
        """Write a hosts file of 64 sub-nodes."""
        subject.write_hosts(folder, self.bench.ground, SLOTS)


def entry_of(needs: int) -> str:
    """Write an entry that takes slots."""
    return f"- command: 'true'\n  needs: {{gpu: {needs}}}\n"


def measure(bench: Bench) -> Part:
    """Measure all of them in turn."""
    jobs = bench.sized(1_000, JOBS, JOBS)
    work = Work(bench, jobs)
    part = Part("needs", "Slots", WORDS.format(jobs=jobs))
    contestants = [
        Contestant(PLAIN, partial(work.run, work.plain, "- 'true'\n")),
        Contestant(ALONE, partial(work.run, work.with_slots, "- 'true'\n")),
        Contestant(NEEDS, partial(work.run, work.with_slots, entry_of(1))),
        Contestant(WIDE, partial(work.run, work.with_slots, entry_of(1), entry_of(8))),
    ]
    played = bench.play("needs", contestants)
    part.tables += [table(played, "time for a job", TIME), table(played, "CPU for a job", CPU)]
    for who in (ALONE, NEEDS):
        reached = played.ratio((who, TIME.name), (PLAIN, TIME.name))
        must = f"time for a job ≤ {MOST:g} times that on {PLAIN}"
        part.bounds.append(Bound(f"slots, {who}", must, reached, most=MOST))
    return part
