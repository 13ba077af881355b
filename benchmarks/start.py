"""Start: the time until something happens, beside a Python that does nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.rounds import Contestant, Values
from benchmarks.running import run

BASE = "`python3 -c pass`"
VERSION = "`pegasus --version`"
STATUS = "`pegasus status`"
FIRST = "`pegasus q` on localhost, until its first job starts"
WORDS = """\
From the start of the process to its end, or until the first job has recorded the time. The bare
Python is that of Pegasus. `status` shows a run of one job. {rounds} rounds."""


def seconds(argv: Sequence[str], folder: Path | None = None) -> Values:
    """Run a command, and return its seconds."""
    return {"s": run(argv, cwd=folder).seconds}


def first_job(bench: Bench) -> Values:
    """Run a queue of one job that records when it starts."""
    with bench.ground.work() as folder:
        subject.write_local_hosts(folder, 1)
        subject.write_queue(folder, 1, f"date +%s.%N > {folder}/began")
        done = run(subject.command_line("q"), cwd=folder)
        began = float((folder / "began").read_text(encoding="ascii"))
    return {"s": began - done.began, "whole": done.seconds}


def measure(bench: Bench) -> Part:
    """Measure all starts."""
    rounds = max(bench.rounds, bench.sized(5, 15, 31))
    part = Part("start", "Start", WORDS.format(rounds=rounds))
    with bench.ground.work() as folder:
        subject.write_local_hosts(folder, 1)
        subject.write_queue(folder, 1)
        run(subject.command_line("q"), cwd=folder)
        contestants = [
            Contestant(BASE, lambda: seconds([sys.executable, "-c", "pass"])),
            Contestant(VERSION, lambda: seconds([subject.script(), "--version"])),
            Contestant(STATUS, lambda: seconds([subject.script(), "status"], folder)),
            Contestant(FIRST, lambda: first_job(bench)),
        ]
        played = bench.play("start", contestants, rounds)
    whole = played.spread(FIRST, "whole")
    if whole:
        played.notes[FIRST] = f"to its end: {whole} s"
    part.tables.append(table(played, "until something happens", Figure.against(BASE, "s", "s")))
    for who, most in ((VERSION, 0.15), (FIRST, 0.4)):
        reached = played.spread(who, "s")
        part.bounds.append(Bound(f"start, {who}", f"≤ {most:g} s", reached, most=most, unit="s"))
    return part
