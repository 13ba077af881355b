"""Status: what ``pegasus status`` of a long run costs, once and with ``--watch``.

    python -m benchmarks.status [PROGRAM] [--jobs N] [--rounds N]

PROGRAM is the ``pegasus`` of another virtual environment, usually that of the version before a
change. Both read the same record in turn, and each ratio is made of two figures of one round.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import Bench, Bound, Figure, Part, Row, Table, say, table
from benchmarks.long_run import LongRun
from benchmarks.meter import descendants
from benchmarks.rounds import Contestant, Played, Values, play
from benchmarks.running import cpu_of, run, running, wait_until

JOBS = 20_000
LOOKS = 5  # of ``--watch``, one a second, that one measurement takes
STARTING = 60.0  # seconds for the first look of ``--watch``; 75,000 jobs took 13
NOTICING = 20.0  # seconds for a look that shows a change
SETTLING = 0.1  # seconds for the rest of that look
NOW, BEFORE = "now", "before"
BASE = "`python3 -c pass`"
STATUS = "`pegasus status`"
JSON = "`pegasus status --json`"
IDLE = "a look, nothing changed"
CHANGED = "a look, one job changed"
BOUNDS = ((STATUS, 1.0), (JSON, 0.5))
WORDS = """\
The record of a run with {jobs:,} jobs that ended, one in fifty with a failure. The time is that of
the whole command. For `--watch`, in a pipe, it is the CPU time of one look at a run that goes on,
without the first look."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records that all contestants read.

    Attributes:
        ended: the run is over.
        going: a run that goes on, with as many jobs.
        numbers: of the jobs that are added to it.
    """

    ended: LongRun
    going: LongRun
    numbers: Iterator[int]


@contextmanager
def open_records(jobs: int) -> Iterator[Records]:
    """Write the records; they are removed when the block ends."""
    with tempfile.TemporaryDirectory(prefix="status-") as name:
        ended, going = (LongRun(Path(name, part), jobs) for part in ("ended", "going"))
        for each in (ended, going):
            each.folder.mkdir()
            each.write(ended=each is ended)
        with (going.record / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # which tells readers that the run goes on
            yield Records(ended, going, itertools.count(jobs + 1))


def once(program: str, records: Records, *options: str) -> Values:
    """Run ``pegasus status`` once."""
    return {"s": run([program, "status", *options], cwd=records.ended.folder).seconds}


def watch(program: str, records: Records) -> Values:
    """Run ``pegasus status --watch``, and measure the CPU time of its looks in milliseconds.

    A look at a change is measured from the change until the output has it. That contains up to one
    look at nothing.
    """
    going = records.going
    with tempfile.NamedTemporaryFile() as shown:
        argv = [program, "status", "--watch"]
        with shown.file as output, running(argv, cwd=going.folder, stdout=output) as started:
            length = partial(_length, Path(shown.name))
            wait_until(lambda: length() > 0, limit=STARTING, what="the first look")
            used = partial(_cpu_below, started.meter)
            idle = _cost(used, lambda: time.sleep(LOOKS)) / LOOKS
            changed = [_cost(used, partial(_change, records, length)) for _ in range(LOOKS)]
    return {IDLE: 1000 * idle, CHANGED: 1000 * sum(changed) / len(changed)}


def _length(path: Path) -> int:
    return path.stat().st_size


def _cpu_below(pid: int) -> float:
    return sum(map(cpu_of, descendants(pid)))


def _cost(used: Callable[[], float], action: Callable[[], object]) -> float:
    before = used()
    action()
    return used() - before


def _change(records: Records, length: Callable[[], int]) -> None:
    """Append a job that was not in the record before, and wait until it is shown."""
    before = length()
    records.going.add(next(records.numbers))
    wait_until(lambda: length() > before, limit=NOTICING, what="a look that shows a change")
    time.sleep(SETTLING)


WORK: dict[str, Callable[[str, Records], Values]] = {
    STATUS: once,
    JSON: lambda program, records: once(program, records, "--json"),
    "`pegasus status --watch`": watch,
}


def measure(bench: Bench) -> Part:
    """Measure Pegasus, beside a Python that does nothing."""
    jobs = bench.sized(2_000, JOBS, JOBS)
    part = Part("status", "Status of a long run", WORDS.format(jobs=jobs))
    with open_records(jobs) as records:
        bare = [sys.executable, "-c", "pass"]
        contestants = [Contestant(BASE, lambda: {"s": run(bare).seconds})]
        for who, work in WORK.items():
            contestants.append(Contestant(who, partial(work, subject.script(), records)))
        played = bench.play("status", contestants)
    part.tables.append(table(played, "time of the command", Figure.against(BASE, "s", "s")))
    part.tables.append(looks(played))
    for who, most in BOUNDS:
        reached = played.spread(who, "s")
        part.bounds.append(Bound(f"status, {who}", f"≤ {most:g} s", reached, most=most, unit="s"))
    return part


def looks(played: Played) -> Table:
    """Make a table of what a look of ``--watch`` costs."""
    (who,) = (name for name in WORK if "--watch" in name)
    rows = [
        Row(figure, spread, played.ratio((who, figure), (who, IDLE)) if figure != IDLE else None)
        for figure in (IDLE, CHANGED)
        if (spread := played.spread(who, figure)) is not None
    ]
    return Table("CPU time of a look of `--watch`", "ms", tuple(rows), f"times that of {IDLE}")


def compare(programs: dict[str, str], jobs: int, rounds: int) -> None:
    """Print the figures of each program, and the ratios of the two."""
    with open_records(jobs) as records:
        for name, work in WORK.items():
            say(f"{name}:")
            contestants = [
                Contestant(who, partial(work, program, records))
                for who, program in programs.items()
            ]
            played = play(contestants, rounds, say)
            for line in lines(name, played):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


def lines(name: str, played: Played) -> Iterator[str]:
    """Yield the figures of one piece of work: median, lowest and highest."""
    for reason in played.left_out.items():
        yield f"{name}: left out: {': '.join(reason)}"
    bounds = dict(BOUNDS)
    for figure in played.values.get(NOW, [{}])[0]:
        what, unit = (name, "s") if figure == "s" else (f"{name}, {figure}", "ms")
        for who in played.values:
            yield f"{what}: {who} {played.spread(who, figure)} {unit}"
        if ratio := played.ratio((NOW, figure), (BEFORE, figure)):
            yield f"{what}: now / before {ratio}"
        if name in bounds:
            most = bounds[name]
            bound = Bound(what, f"≤ {most:g} s", played.spread(NOW, figure), most=most)
            yield f"{what}: {bound.must}: {bound.met.strip('*')}"


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.status", description=__doc__)
    parser.add_argument("program", type=Path, nargs="?")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    programs = {NOW: subject.script()}
    if given.program is not None:
        programs[BEFORE] = str(given.program.absolute())
    compare(programs, given.jobs, given.rounds)


if __name__ == "__main__":
    main()
