"""Output: the speed of a job's output from its node to a pipe or a terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.drain import COLUMNS, Target, open_drain
from benchmarks.ground import Ground
from benchmarks.rounds import PEGASUS, Contestant, Values
from benchmarks.running import Failed, Metered, running
from pegasus.terminal_text import fit

LINE = 4_000  # bytes of a long line
LINES_AT_A_TIME = 1_000
PRINTERS = 32
LEAST_ROUNDS = (1, 6, 6)  # by size
RAW = "limit: `ssh … cat` over a control master"
RAW_MANY = "limit: 32 `ssh … cat` over control masters"
ROWS = "limit: `cat` of the rows that Pegasus makes of it, with no ssh"
TARGETS: tuple[Target, ...] = ("pipe", "terminal")
DONE = b"=== done"  # what Pegasus prints after the output of a job
WORDS = """\
A job prints a file that its node has in memory: {long:,} MB in lines of {line:,} bytes, or
{short:,} short lines (`seq`, {short_mb:.0f} MB); or 32 jobs print {long:,} MB together, in long
lines. The time is that from the job's start, by the journal, to the arrival of its last byte; for
`ssh … cat`, which uses an open control master, from its own start. Both write to a pipe that is
read at once, and to a terminal of {columns} columns. Pegasus puts the sub-node's name before each
line, and writes all of it to its record as well. On a terminal it puts the name before each row,
and the kernel's terminal is slower with rows than with one long line: so `cat` alone writes the
same rows there, from a file on this machine. One measurement takes about a second, so other load
on the machine has more effect than in longer ones: {rounds} rounds."""


@dataclass(frozen=True, slots=True)
class Work:
    """The output of one test.

    Attributes:
        name: in a few words.
        file: what each job prints.
        amount: in units, of all jobs together.
        unit: MB or lines.
        printers: how many jobs print at once.
    """

    name: str
    file: Path
    amount: float
    unit: str
    printers: int = 1


def make_work(bench: Bench, folder: Path) -> list[Work]:
    """Write the files."""
    megabytes, lines = bench.sized(32, 256, 1_000), bench.sized(500_000, 2_000_000, 10_000_000)
    long, part, short = (folder / name for name in ("long", "part", "short"))
    count = megabytes * 1_000_000 // LINE
    write_lines(long, count)
    write_lines(part, count // PRINTERS)
    with short.open("w", encoding="ascii") as file:
        file.writelines(f"{number}\n" for number in range(1, lines + 1))
    many = long.stat().st_size // PRINTERS * PRINTERS / 1e6
    return [
        Work("one job, long lines", long, long.stat().st_size / 1e6, "MB"),
        Work("one job, short lines", short, lines, "lines"),
        Work("32 jobs at once, long lines", part, many, "MB", PRINTERS),
    ]


def write_lines(path: Path, count: int) -> None:
    """Write long lines, no two of which are alike."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{number:08}".ljust(LINE - 1, "x") + "\n" for number in range(count))


def pegasus(ground: Ground, work: Work, target: Target) -> Values:
    """Print it with Pegasus; several jobs begin when all sub-nodes are connected."""
    several = work.printers > 1
    with ground.work() as folder:
        subject.write_hosts(folder, ground, work.printers)
        steps = ["true"] * several + [f"cat {work.file}"]
        (folder / "queue.yaml").write_text("".join(f"- '{step}'\n" for step in steps))
        line = subject.command_line("b" if several else "q", ground)
        _, arrived, came = drained(line, target, folder, DONE)
        began = subject.Journal.read(folder).started[work.printers if several else 0]
    must_be_whole(work, came)
    return {work.unit: work.amount / (arrived - began)}


def raw(ground: Ground, work: Work, target: Target) -> Values:
    """Print it with ssh alone."""
    names = ground.names(work.printers)
    calls = [f"ssh -F {ground.mastered} {name} cat {work.file} &" for name in names]
    with ground.work() as folder:
        line = ["sh", "-c", " ".join([*calls, "wait"])]
        done, arrived, came = drained(line, target, folder)
    must_be_whole(work, came)
    return {work.unit: work.amount / (arrived - done.began)}


def rows(ground: Ground, work: Work, target: Target) -> Values:
    """Print with cat what Pegasus would print, prepared; in units of what the job prints."""
    with ground.work() as folder:
        ready = folder / "rows"
        name = f"[{ground.nodes[0].name}] ".encode()
        with work.file.open("rb") as file, ready.open("wb") as to:
            while block := file.read(LINE * LINES_AT_A_TIME):
                shown = fit(block, COLUMNS - len(name), colour=False)
                to.writelines(name + line for line in shown.splitlines(keepends=True))
        done, arrived, came = drained(["cat", str(ready)], target, folder)
    must_be_whole(work, came)
    return {work.unit: work.amount / (arrived - done.began)}


def drained(
    line: Sequence[str], target: Target, folder: Path, marker: bytes = b""
) -> tuple[Metered, float, int]:
    """Run a command; return when its last output or marker arrived, and the amount."""
    with open_drain(target, marker) as (drain, end):
        errors = end if target == "terminal" else subprocess.DEVNULL
        with running(line, cwd=folder, stdout=end, stderr=errors) as run:
            done = run.wait()
        if done.status != 0:
            raise Failed(f"exit status {done.status}")
    return done, drain.marked or drain.last, drain.bytes


def must_be_whole(work: Work, came: int) -> None:
    """Check that nothing is missing."""
    if came < work.file.stat().st_size * work.printers:
        raise Failed(f"only {came:,} bytes came")


def rounds(bench: Bench) -> int:
    """Return the number of rounds."""
    return max(bench.rounds, bench.sized(*LEAST_ROUNDS))


def measure(bench: Bench) -> Part:
    """Measure each kind of output, to each target."""
    part = Part("output", "Output", "")
    with bench.ground.work() as folder, bench.ground.masters(PRINTERS):
        works = make_work(bench, folder)
        long, short = works[0], works[1]
        part.words = WORDS.format(
            long=round(long.amount),
            line=LINE,
            short=round(short.amount),
            short_mb=short.file.stat().st_size / 1e6,
            columns=COLUMNS,
            rounds=rounds(bench),
        )
        for work in works:
            for target in TARGETS:
                measure_one(bench, part, work, target)
    return part


def measure_one(bench: Bench, part: Part, work: Work, target: Target) -> None:
    """Measure one kind, to one target."""
    limit = RAW if work.printers == 1 else RAW_MANY
    runs: dict[str, Callable[..., Values]] = {PEGASUS: pegasus, limit: raw}
    if (target, work.unit, work.printers) == ("terminal", "MB", 1):
        runs[ROWS] = rows
    contestants = [
        Contestant(who, partial(run, bench.ground, work, target)) for who, run in runs.items()
    ]
    title = f"{work.name}, to a {target}"
    played = bench.play(f"output, {title}", contestants, rounds(bench))
    figure = Figure(work.unit, f"{work.unit}/s", "more")
    part.tables.append(table(played, title, figure))
    if work.unit == "MB":
        reached = played.ratio((PEGASUS, work.unit), (limit, work.unit))
        must = "≥ 0.7 times `ssh … cat`"
        part.bounds.append(Bound(f"output, {title}", must, reached, least=0.7))
    elif target == "pipe":
        pace = played.spread(PEGASUS, work.unit)
        must = "≥ 1,000,000 lines/s"
        part.bounds.append(Bound(f"output, {title}", must, pace, least=1e6, unit="lines/s"))
