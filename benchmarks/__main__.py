"""``python -m benchmarks``: measure, and write the results."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    deep_queue,
    dispatch,
    fleet,
    footprint,
    live,
    needs,
    output,
    peers,
    start,
    status,
)
from benchmarks.bench import Bench, Measure, Part, say
from benchmarks.ground import open_ground
from benchmarks.plot import draw
from benchmarks.report import Conditions, report
from benchmarks.running import Failed

PARTS: dict[str, Measure] = {
    "dispatch": dispatch.measure,
    "queue": deep_queue.measure,
    "needs": needs.measure,
    "connect": fleet.measure_connect,
    "broadcast": fleet.measure_broadcast,
    "output": output.measure,
    "live": live.measure,
    "footprint": footprint.measure,
    "start": start.measure,
    "status": status.measure,
}
HERE = Path(__file__).parent
PLOT = "results.svg"
ROUNDS = {"quick": 1, "usual": 3, "full": 5}


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}: shown, kept only with --into")
    parser.add_argument("--rounds", type=int, help="how often each contestant has its turn")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", default="usual")
    size.add_argument("--full", dest="size", action="store_const", const="full")
    parser.add_argument("--into", type=Path, help="the folder for RESULTS.md and results.svg")
    parser.add_argument("--cache", type=Path, help="where the original in Rust is built, and kept")
    return parser.parse_args(words)


def get_original(cache: Path | None) -> Path | str:
    """Return the original in Rust, or why it is not available."""
    if cache is None:
        return "no --cache to build it in"
    say("the original in Rust is built where it has not been before: a minute or more")
    return peers.build_original(cache)


def measure(bench: Bench, name: str) -> Part:
    """Measure a part; an error leaves out this part only."""
    try:
        return PARTS[name](bench)
    except Failed as reason:
        say(f"{name}: left out: {reason}")
        return Part(name, name.capitalize(), f"Left out: {reason}.")


def main() -> None:
    """Measure all parts, or those that were asked for."""
    load = os.getloadavg()[0]
    given = options()
    names = given.only.split(",") if given.only else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        sys.exit(f"there is no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same way out as for Ctrl-C
    peers.install()
    original = get_original(given.cache)
    began = time.monotonic()
    rounds = given.rounds or ROUNDS[given.size]
    with open_ground() as ground:
        bench = Bench(ground, rounds, given.size, original)
        parts = [measure(bench, name) for name in names]
    conditions = Conditions(load, peers.versions(original), time.monotonic() - began)
    into = given.into or (None if given.only else HERE)
    if into is None:
        sys.stdout.write(report(bench, conditions, parts, None))
        return
    into.mkdir(parents=True, exist_ok=True)
    drawn = draw(parts, into / PLOT)
    text = report(bench, conditions, parts, PLOT if drawn else None)
    (into / "RESULTS.md").write_text(text, encoding="utf-8")
    say(f"wrote {into / 'RESULTS.md'}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
