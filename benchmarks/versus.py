"""``python -m benchmarks.versus PROGRAM``: Pegasus compared with another version.

PROGRAM is the ``pegasus`` of another virtual environment, usually of the version before a change.
Both do the same work in turn, and each figure is a ratio, round by round.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import deep_queue, fleet, footprint, output, start, subject
from benchmarks.bench import Bench, say
from benchmarks.dispatch import Work
from benchmarks.ground import Masters, open_ground
from benchmarks.rounds import Contestant, Values, play

NOW, BEFORE = "now", "before"
WIDTH = 8
JOBS = 1_000
DEEP = (100, 100_000)
IDLE = 10.0  # seconds for which an idle run is measured


def by(program: Path | None, work: Callable[[], Values]) -> Values:
    """Do some work with one of the two programs."""
    os.environ.pop(subject.PROGRAM, None)
    if program is not None:
        os.environ[subject.PROGRAM] = str(program)
    try:
        return work()
    finally:
        os.environ.pop(subject.PROGRAM, None)


def works(bench: Bench, folder: Path) -> dict[str, Callable[[], Values]]:
    """Return the work by name.

    Args:
        bench: what is measured, and where.
        folder: for files that are printed.
    """
    deep = deep_queue.Work(bench, 1)
    found: dict[str, Callable[[], Values]] = {
        f"dispatch, {WIDTH} sub-nodes": partial(Work(bench, WIDTH, Masters(())).pegasus, JOBS),
        f"connect, {fleet.WIDTH} sub-nodes": partial(fleet.pegasus, bench),
    }
    for length in DEEP:
        write = partial(deep_queue.write_entries, length)
        jobs = min(200, length - 2 * deep_queue.WARMING)
        found[f"deep queue, {length:,} entries"] = partial(deep.run, write, jobs)
    for printed in output.make_work(bench, folder):
        for target in output.TARGETS:
            work = partial(output.pegasus, bench.ground, printed, target)
            found[f"output, {printed.name}, to a {target}"] = work
    found["start"] = partial(start.first_job, bench)
    found[f"idle, {WIDTH} sub-nodes"] = partial(footprint.idle, bench, WIDTH, IDLE)
    return found


def main() -> None:
    """Measure, and print the ratios: the median, the lowest and the highest."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus", description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="the beginning of the names of the work")
    given = parser.parse_args()
    with open_ground() as ground, ground.work() as folder:
        bench = Bench(ground, given.rounds, "usual", "not asked for")
        for name, work in works(bench, folder).items():
            if not name.startswith(given.only):
                continue
            say(f"{name}:")
            both = [
                Contestant(NOW, partial(by, None, work)),
                Contestant(BEFORE, partial(by, given.program.absolute(), work)),
            ]
            played = play(both, given.rounds, say)
            for figure in played.values.get(NOW, [{}])[0]:
                ratio = played.ratio((NOW, figure), (BEFORE, figure))
                sys.stdout.write(f"{name}: {figure}, now / before: {ratio}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
