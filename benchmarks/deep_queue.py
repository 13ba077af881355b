"""Deep queue: the cost of a job at the head of a long queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.rounds import Contestant, Values
from benchmarks.running import running, wait_until

LENGTHS = (100, 10_000, 100_000)
SIDE = 100  # values of each of the three parameters of the entry that stands for a million jobs
WIDTHS = (1, 8)
WARMING = 10  # first jobs, which do not count
PATIENCE = 180.0  # seconds for the jobs of one queue
WORDS = """\
Jobs that do nothing, each an entry of its own, on local sub-nodes without ssh. The time for a job
is that between two starts, over {jobs} jobs after the first ten ({few} in the short queue); then a
Ctrl-C ends the run in order. A million jobs are one entry with three lists of a hundred values."""
ONE = "1 entry of 1,000,000 jobs"
BASE = "100 entries"
JOB = Figure.against(BASE, "ms", "ms")
UNTIL_FIRST = Figure.against(BASE, "until first", "s")


@dataclass(frozen=True, slots=True)
class Work:
    """The work on a number of local sub-nodes."""

    bench: Bench
    width: int

    def run(self, write: Callable[[Path], object], jobs: int) -> Values:
        """Run a number of jobs of a queue, then stop the run."""
        with self.bench.ground.work() as folder:
            subject.write_local_hosts(folder, self.width)
            write(folder)
            with running(subject.command_line("q"), cwd=folder) as run:
                wait_until(
                    lambda: run.has_ended() or subject.seen(folder, "started") >= jobs + WARMING,
                    limit=PATIENCE,
                    what=f"{jobs} jobs",
                    glance=0.1,
                )
                run.interrupt()
                done = run.wait()
            starts = subject.Journal.read(folder).started
        counted = starts[WARMING : jobs + WARMING]
        pace = (counted[-1] - counted[0]) / (len(counted) - 1)
        return {"ms": 1000 * pace, "until first": starts[0] - done.began}


def write_entries(count: int, folder: Path) -> None:
    """Write a queue of entries that all differ, as real queues do."""
    text = "".join(f"- true --seed {number}\n" for number in range(count))
    (folder / "queue.yaml").write_text(text, encoding="ascii")


def write_one(folder: Path) -> None:
    """Write a queue of one entry that stands for a million jobs."""
    values = ", ".join(map(str, range(SIDE)))
    lists = "".join(f"  {name}: [{values}]\n" for name in "abc")
    text = "- command: true {{ a }} {{ b }} {{ c }}\n" + lists
    (folder / "queue.yaml").write_text(text, encoding="ascii")


def contestants(work: Work, jobs: int) -> list[Contestant]:
    """Return one contestant for each queue."""
    found: list[Contestant] = []
    for length in LENGTHS:
        run = partial(work.run, partial(write_entries, length), min(jobs, length - 2 * WARMING))
        found.append(Contestant(f"{length:,} entries", run))
    return [*found, Contestant(ONE, partial(work.run, write_one, jobs))]


def measure(bench: Bench) -> Part:
    """Measure with one sub-node and with eight."""
    jobs = bench.sized(100, 300, 1_000)
    part = Part("queue", "Deep queue", WORDS.format(jobs=jobs, few=LENGTHS[0] - 2 * WARMING))
    for width in WIDTHS:
        name = f"{width} local sub-node{'s' if width > 1 else ''}"
        played = bench.play(f"queue, {name}", contestants(Work(bench, width), jobs))
        part.tables += [
            table(played, f"{name}: time for a job", JOB),
            table(played, f"{name}: from the command line to the first job", UNTIL_FIRST),
        ]
        if width == 1:
            for who, most in ((f"{LENGTHS[1]:,} entries", 1.3), (f"{LENGTHS[2]:,} entries", 4.0)):
                reached = played.ratio((who, "ms"), (BASE, "ms"))
                must = f"time for a job ≤ {most:g} times that of {BASE}"
                part.bounds.append(Bound(f"deep queue, {who}", must, reached, most=most))
    return part
