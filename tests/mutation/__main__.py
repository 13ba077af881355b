"""``python -m tests.mutation``: put faults into copies of Pegasus and check that tests find them.

Exit status 1: a survivor that ``survivors.toml`` does not explain, an entry in it
without a mutant, or too few mutants killed.
"""

from __future__ import annotations

import argparse
import difflib
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutation import survivors
from tests.mutation.mutants import PACKAGES, SOURCE, Mutant, choose, find
from tests.mutation.suite import Copy, Touching

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESSES = 2
LEAST_KILLED = 0.85
"""The share of the mutants that tests must kill; the others are explained one by one."""

UNIT, END_TO_END, EXPLAINED, SURVIVES = "by unit", "by e2e", "explained", "SURVIVES"


def main() -> int:
    """Run with the options of the command line."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = _arguments()
    mutants = find(ROOT)
    entries = survivors.read(survivors.FILE.read_text(encoding="utf-8"))
    stale = survivors.about_nothing(entries, mutants)
    meant = [each for each in mutants if asked.only in each.file]
    chosen = choose(meant, asked.sample, asked.seed)
    print(f"{len(chosen):,} of {len(meant):,} mutants, seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pegasus-mutation-") as folder:
        copies = [Copy(ROOT, Path(folder, str(i))) for i in range(PROCESSES)]
        touching = _prepare(copies[0], sorted({each.package for each in chosen}))
        ends = _try_all(chosen, copies, touching, entries)
    return _report(list(zip(chosen, ends, strict=True)), stale)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s mutation --", description=__doc__)
    parser.add_argument("--sample", type=int, help="try so many mutants, drawn by chance")
    parser.add_argument("--seed", type=int, default=1, help="of that chance (default: 1)")
    parser.add_argument("--only", default="", help="a part of a file's name: queue_file/lock")
    return parser.parse_args()


def _prepare(copy: Copy, packages: Iterable[str]) -> Touching:
    """Check that all tests pass without a fault, and record which test runs which line."""
    print("running the tests without a fault", flush=True)
    touching = copy.measure()
    for package in packages:
        assert copy.passes_end_to_end(package), copy.said()
    return touching


def _try_all(
    mutants: Sequence[Mutant],
    copies: Sequence[Copy],
    touching: Touching,
    entries: Sequence[survivors.Survivor],
) -> list[str]:
    """Test all mutants, one in each copy at a time; return the result of each."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)
    lock, done = threading.Lock(), Counter[str]()

    def end_of(number: int) -> str:
        mutant, copy, began = mutants[number], free.get(), time.monotonic()
        try:
            end = _try(mutant, copy, touching, 2 * number + 1)
            killer = copy.failed()
        finally:
            free.put(copy)
        if end == SURVIVES and any(entry.explains(mutant) for entry in entries):
            end = EXPLAINED
        with lock:
            done["all"] += 1
            took = f"{time.monotonic() - began:.0f} s"
            where = f"{mutant.file}:{mutant.first} {mutant.operator}"
            print(f"[{done['all']}/{len(mutants)}] {where}: {end}, {took} {killer}", flush=True)
        return end

    pool = ThreadPoolExecutor(len(copies))
    try:
        return list(pool.map(end_of, range(len(mutants))))
    finally:  # after a Ctrl-C: some are left, and tests that run
        pool.shutdown(wait=False, cancel_futures=True)
        for copy in copies:
            copy.end()
        pool.shutdown()


def _try(mutant: Mutant, copy: Copy, touching: Touching, version: int) -> str:
    original = (ROOT / SOURCE / mutant.file).read_text(encoding="utf-8")
    copy.put(mutant.file, mutant.text, version)
    try:
        tests = touching.of(mutant)
        if tests and not copy.passes_unit(tests):
            return UNIT
        return SURVIVES if copy.passes_end_to_end(mutant.package) else END_TO_END
    finally:
        copy.put(mutant.file, original, version + 1)


def _report(ends: Sequence[tuple[Mutant, str]], stale: Iterable[survivors.Survivor]) -> int:
    """Print the results of the mutants; return the exit status."""
    failed = False
    for mutant, end in ends:
        if end == SURVIVES:
            failed = True
            _print_survivor(mutant)
    for entry in stale:
        failed = True
        print(f"\n{survivors.FILE.name} explains what is no mutant: {entry.file}: {entry.line}")
    columns = (UNIT, END_TO_END, EXPLAINED, SURVIVES)
    print("\n" + "".join(f"{head:>12}" for head in ("", "mutants", *columns)))
    for package in (*PACKAGES, "all"):
        counts = Counter(end for each, end in ends if package in {each.package, "all"})
        figures = (counts.total(), *(counts[column] for column in columns))
        print(f"{package:>12}" + "".join(f"{figure:>12,}" for figure in figures))
    counts = Counter(end for _, end in ends)
    killed = (counts[UNIT] + counts[END_TO_END]) / max(len(ends), 1)
    print(f"killed: {killed:.1%}; at least {LEAST_KILLED:.0%} have to be")
    return int(failed or killed < LEAST_KILLED)


def _print_survivor(mutant: Mutant) -> None:
    original = (ROOT / SOURCE / mutant.file).read_text(encoding="utf-8").splitlines()
    name = f"src/pegasus/{mutant.file}"
    diff = difflib.unified_diff(original, mutant.text.splitlines(), name, name, lineterm="")
    print(f"\n{name}:{mutant.first}: survives {mutant.operator}", *diff, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
