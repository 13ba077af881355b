"""Dispatch: many commands that do nothing, on a few sub-nodes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import peers, subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.drain import open_drain
from benchmarks.ground import Ground, Masters
from benchmarks.rounds import PEGASUS, Contestant, Played, Values
from benchmarks.running import Failed, Metered, run, running

WIDTHS = (8, 32)
JOBS = 2_000
DEEP = 10_000
XARGS = "`xargs -P {} ssh` over control masters"
DETACHED = "Pegasus, detached"
PARALLEL = "GNU parallel"
ORIGINAL = "the original, in Rust"
ALONE = "limit: `ssh` alone over a control master, one after the other"
RESIDENT = "limit: a resident `sh` on each sub-node, fed over one ssh"
PACE = Figure("jobs/s", "jobs/s", "more", drawn=True)
WHOLE = Figure("whole", "jobs/s", "more")
CPU = Figure("CPU ms", "ms", "less", drawn=True)
WORDS = """\
{jobs:,} times `true` on 8 and on 32 sub-nodes. The pace of Pegasus is that of the jobs between
the moment at which all sub-nodes are connected and the last end, by its journal; that of the
original from its first job to its last, by its messages, as it connects to all before. The
control masters of the tools that use some are open before as well. "Whole" is the whole command,
with the connections. Slower contestants run fewer jobs, and are compared by the time for each; GNU
parallel and the broadcasters without a control master connect anew for each command, as users run
them. CPU is that of the controller: all of a tool's processes and its ssh clients and masters,
without sshd's, and without the connections where they are kept."""


@dataclass(frozen=True, slots=True)
class OriginalRun:
    """A run of the original, which keeps no journal.

    Attributes:
        whole: all of it.
        pace: seconds from its message about the first start to that about the last end.
    """

    whole: Metered
    pace: float


@dataclass(frozen=True, slots=True)
class Work:
    """The work on a number of sub-nodes."""

    bench: Bench
    width: int
    masters: Masters

    def pegasus(
        self, jobs: int, env: Mapping[str, str] | None = None, more: Sequence[str] = ()
    ) -> Values:
        """Run a queue of this many entries, three times.

        Once as users do, once held back until all are connected, which gives the
        pace, and once with a single broadcast, for the cost of the connections.
        """
        whole, journal = self._pegasus(jobs, partial(subject.run_queue, env=env, more=more))
        subject.must_have(journal, jobs)
        hold = partial(subject.run_queue_connected, sub_nodes=self.width, env=env, more=more)
        held, journal = self._pegasus(jobs, hold)
        subject.must_have(journal, jobs + self.width)
        bare, _ = self._pegasus(1, partial(subject.run_queue, mode="b", env=env, more=more))
        began = journal.ended[self.width - 1]
        counted = sum(at > began for at in journal.ended)
        return {
            "jobs/s": counted / (journal.ended[-1] - began),
            "whole": jobs / whole.seconds,
            "CPU ms": 1000 * (held.cpu - bare.cpu) / jobs,
        }

    def _pegasus(
        self, entries: int, run_it: Callable[[Path, Ground], tuple[Metered, subject.Journal]]
    ) -> tuple[Metered, subject.Journal]:
        with self.bench.ground.work() as folder:
            subject.write_hosts(folder, self.bench.ground, self.width)
            subject.write_queue(folder, entries)
            return run_it(folder, self.bench.ground)

    def original(self, jobs: int, built: Path) -> Values:
        """Do the same with the original."""
        connecting = self._original(1, "b", built)
        done = self._original(jobs, "q", built)
        return {
            "jobs/s": jobs / done.pace,
            "whole": jobs / done.whole.seconds,
            "CPU ms": 1000 * (done.whole.cpu - connecting.whole.cpu) / jobs,
        }

    def _original(self, entries: int, mode: str, built: Path) -> OriginalRun:
        with self.bench.ground.work() as folder:
            subject.write_hosts(folder, self.bench.ground, self.width)
            subject.write_queue(folder, entries)
            env = peers.original_env(self.bench.ground, folder)
            argv = [str(built), mode]
            with (
                open_drain("pipe") as (drain, end),
                running(argv, cwd=folder, env=env, stdout=end) as started,
            ):
                done = started.wait()
            if done.status != 0:
                raise Failed(f"exit status {done.status}")
            return OriginalRun(done, drain.last - drain.first)

    def counted(
        self, jobs: int, argv: list[str], stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Values:
        """Run a command that does this many jobs over the open masters, or over none."""
        before = self.masters.cpu()
        done = run(argv, stdin=stdin.encode(), env=env)
        cpu = done.cpu + self.masters.cpu() - before
        return {"jobs/s": jobs / done.seconds, "CPU ms": 1000 * cpu / jobs}

    def broadcasts(self, runs: int, peer: peers.Broadcaster) -> Values:
        """Run a broadcaster this many times."""
        all_runs = [self.counted(self.width, list(peer.argv), env=peer.env) for _ in range(runs)]
        pace = runs / sum(1 / each["jobs/s"] for each in all_runs)
        return {"jobs/s": pace, "CPU ms": sum(each["CPU ms"] for each in all_runs) / runs}


def contestants(work: Work) -> list[Contestant]:
    """Return all contestants that can do it."""
    bench, ground, width = work.bench, work.bench.ground, work.width
    jobs = bench.sized(400, JOBS, JOBS)
    some = bench.sized(150, 600, JOBS)
    few = bench.sized(100, 300, JOBS)
    found = [
        Contestant(PEGASUS, lambda: work.pegasus(jobs)),
        Contestant(DETACHED, lambda: work.pegasus(some, more=["--detach"]), f"{some:,} jobs"),
        Contestant(
            "Pegasus with an ssh process per command",
            lambda: work.pegasus(some, subject.BY_CLIENTS),
            f"the fall-back; {some:,} jobs",
        ),
        Contestant(
            XARGS.format(width), lambda: over_names(work, some, peers.xargs), f"{some:,} jobs"
        ),
    ]
    if shutil.which("parallel"):
        fresh = bench.sized(24, 64, 128)
        plain = peers.gnu_parallel(ground, ground.plain, width)
        kept = peers.gnu_parallel(ground, ground.mastered, width)
        found += [
            piped(work, PARALLEL, plain, fresh),
            piped(work, f"{PARALLEL} over control masters", kept, few),
        ]
    found += [broadcaster(work, peer, 1) for peer in peers.broadcasters(ground, width)]
    found += [broadcaster(work, peer, 4) for peer in peers.mastered_broadcasters(ground, width)]
    if isinstance(bench.original, Path):
        built = bench.original
        note = "it waits 3 s at its end, which is part of the whole"
        found.append(Contestant(ORIGINAL, lambda: work.original(jobs, built), note))
    return [*found, *limits(work)]


def piped(work: Work, who: str, argv: list[str], jobs: int) -> Contestant:
    """Make a contestant of a command that reads commands, one a line."""
    return Contestant(who, lambda: work.counted(jobs, argv, "true\n" * jobs), f"{jobs:,} jobs")


def broadcaster(work: Work, peer: peers.Broadcaster, runs: int) -> Contestant:
    """Make a contestant of a broadcaster."""
    note = f"one command on all, {runs} times" if runs > 1 else "one command on all, once"
    return Contestant(peer.who, lambda: work.broadcasts(runs, peer), note)


def over_names(work: Work, jobs: int, spell: Callable[[Path, int], list[str]]) -> Values:
    """Run a command that reads nodes, one a line, in rotation."""
    names = work.bench.ground.names(work.width)
    lines = "".join(f"{names[number % work.width]}\n" for number in range(jobs))
    return work.counted(jobs, spell(work.bench.ground.mastered, work.width), lines)


def limits(work: Work) -> list[Contestant]:
    """Return the upper bound: ssh without a program above it."""
    config = str(work.bench.ground.mastered)
    alone = work.bench.sized(50, 200, 500)
    loop = f"for i in $(seq {alone}); do ssh -F {config} sub-1 true </dev/null || exit; done"
    fed = work.bench.sized(1_000, 4_000, 10_000)
    program = str(Path(__file__).with_name("resident.py"))
    names = work.bench.ground.names(work.width)
    feeding = [sys.executable, program, config, str(fed), "true", *names]
    return [
        Contestant(ALONE, lambda: work.counted(alone, ["sh", "-c", loop]), f"{alone} jobs"),
        Contestant(RESIDENT, lambda: work.counted(fed, feeding), f"{fed:,} jobs"),
    ]


def measure(bench: Bench) -> Part:
    """Measure both widths, and the deep queue beside the original."""
    jobs = bench.sized(400, JOBS, JOBS)
    part = Part("dispatch", "Dispatch", WORDS.format(jobs=jobs))
    for width in WIDTHS:
        with bench.ground.masters(width) as masters:
            work = Work(bench, width, masters)
            played = bench.play(f"dispatch, {width} sub-nodes", contestants(work))
        title = f"{width} sub-nodes"
        part.tables += [
            table(played, f"{title}: pace", PACE),
            table(played, f"{title}: whole, with the connections", WHOLE),
            table(played, f"{title}: CPU of the controller for a job", CPU),
        ]
        if width == WIDTHS[0]:
            part.bounds += bounds(played, width)
    deep(bench, part)
    return part


def bounds(played: Played, width: int) -> list[Bound]:
    """Set the requirements."""
    pace = (PEGASUS, "jobs/s")
    over_xargs = played.ratio(pace, (XARGS.format(width), "jobs/s"))
    over_parallel = played.ratio(pace, (PARALLEL, "jobs/s"))
    over_original = played.ratio(pace, (ORIGINAL, "jobs/s"))
    which = f"dispatch, {width} sub-nodes"
    return [
        Bound(which, "≥ 1.8 times `xargs -P 8 ssh` over control masters", over_xargs, least=1.8),
        Bound(
            which,
            "detached: ≥ 0.5 times `xargs -P 8 ssh` over control masters",
            played.ratio((DETACHED, "jobs/s"), (XARGS.format(width), "jobs/s")),
            least=0.5,
        ),
        Bound(which, "≥ 30 times GNU parallel as people run it", over_parallel, least=30),
        Bound(which, "ahead of the original in Rust on 2,000 entries", over_original, least=1),
    ]


def deep(bench: Bench, part: Part) -> None:
    """Run a long queue beside the original, which reads and writes all of it for each job."""
    built = bench.original
    reached = None
    if isinstance(built, Path) and bench.size != "quick":
        work = Work(bench, WIDTHS[0], Masters(()))
        rivals = [
            Contestant(PEGASUS, lambda: work.pegasus(DEEP)),
            Contestant(ORIGINAL, lambda: work.original(DEEP, built)),
        ]
        played = bench.play(f"dispatch, {DEEP:,} entries", rivals, rounds=1)
        title = f"{WIDTHS[0]} sub-nodes, {DEEP:,} entries: pace, once each"
        part.tables.append(table(played, title, PACE))
        reached = played.ratio((PEGASUS, PACE.name), (ORIGINAL, PACE.name))
    must = f"far ahead of the original in Rust on {DEEP:,} entries: twice, say"
    part.bounds.append(Bound(f"dispatch, {WIDTHS[0]} sub-nodes", must, reached, least=2))
