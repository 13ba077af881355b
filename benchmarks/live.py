"""The live screen: what it costs beside the log, and when it is there."""

from __future__ import annotations

import json
import shlex
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.drain import open_drain
from benchmarks.rounds import Contestant, Values
from benchmarks.running import Failed, cpu_of, running, wait_until

LIVE, LOG_ONLY = "live screen", "--no-live"
OPTIONS = {LIVE: (), LOG_ONLY: ("--no-live",)}
TERMINAL = {"TERM": "xterm-256color"}
DONE = b"=== done"  # what Pegasus prints after the output of a job
ENDING = 60.0  # seconds that the longest wait may take
LEAST_ROUNDS = (1, 6, 10)  # by size
BARS = 8
SETTLING = 2.0  # seconds until all bars move
BAR = """\
import sys, time
for step in range(int(float(sys.argv[1]) * 10)):
    bar = "#" * (step % 20)
    rate = "[00:05<00:10, 9.98it/s, loss=0.123]"
    sys.stderr.write(f"\\r{step % 100:3d}%|{bar:<20}| {step}/9999 {rate}")
    sys.stderr.flush()
    time.sleep(0.1)
"""
"""A progress bar as tqdm draws it, ten times a second."""

WORDS = """\
`pegasus q` on a terminal of 120 columns and 50 rows that is read at once, with the live screen and
with `--no-live`, one after the other in each round. Lines: a job prints {lines:,} short lines
(`seq`); the time is that from the job's start, by the journal, to the arrival of its done line.
CPU: eight jobs on this machine draw progress bars, ten times a second each, or sleep; counted is
the CPU of Pegasus itself, without that of the jobs, over {seconds} seconds, in percent of one core.
First frame: from the beginning of the run, by the journal, and from the start of the process, to
the arrival of the first frame. The process needs most of that time to load Python and Pegasus."""


def lines(bench: Bench, count: int, who: str) -> Values:
    """Print short lines; also give when the first frame came."""
    with bench.ground.work() as folder, open_drain("terminal", DONE) as (drain, end):
        subject.write_local_hosts(folder, 1)
        subject.write_queue(folder, 1, f"seq {count}")
        line = subject.command_line("q", None, *OPTIONS[who])
        with running(line, cwd=folder, env=TERMINAL, stdout=end, stderr=end) as run:
            done = run.wait()
        wait_until(lambda: drain.marked > 0, limit=ENDING, what="the done line")
        started = subject.Journal.read(folder).started[0]
        came = {"first": drain.first - run_began(folder), "process": drain.first - done.began}
    if done.status != 0:
        raise Failed(f"exit status {done.status}")
    return {"lines": count / (drain.marked - started), **came}


def run_began(folder: Path) -> float:
    """Return when the only run in a folder began, by its journal."""
    (path,) = folder.glob(".pegasus/*/journal.jsonl")
    first = json.loads(path.read_bytes().partition(b"\n")[0])
    return float(first["at"])


def working(bench: Bench, command: str, seconds: float, who: str) -> Values:
    """Measure the CPU of Pegasus while eight jobs run."""
    with bench.ground.work() as folder, open_drain("terminal") as (_, end):
        subject.write_local_hosts(folder, BARS)
        subject.write_queue(folder, BARS, f"{command} {seconds + 2 * SETTLING}")
        line = subject.command_line("q", None, *OPTIONS[who])
        with running(line, cwd=folder, env=TERMINAL, stdout=end, stderr=end) as run:
            wait_until(
                lambda: run.has_ended() or subject.seen(folder, "started") >= BARS,
                limit=ENDING,
                what="eight jobs",
            )
            time.sleep(SETTLING)
            pid = child_of(run.meter)
            before, began = cpu_of(pid), time.monotonic()
            time.sleep(seconds)
            used = cpu_of(pid) - before
            return {"%": 100 * used / (time.monotonic() - began)}


def child_of(pid: int) -> int:
    """Return the only child of a process."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return int(path.read_text(encoding="ascii").split()[0])


def measure(bench: Bench) -> Part:
    """Measure lines, CPU and the first frame, with the live screen and without it."""
    count = bench.sized(200_000, 1_000_000, 5_000_000)
    seconds = float(bench.sized(4, 10, 30))
    rounds = max(bench.rounds, bench.sized(*LEAST_ROUNDS))
    part = Part("live", "The live screen", WORDS.format(lines=count, seconds=round(seconds)))
    title = "live screen, short lines, to a terminal"
    contestants = [Contestant(who, partial(lines, bench, count, who)) for who in OPTIONS]
    played = bench.play(title, contestants, rounds)
    figure = Figure("lines", "lines/s", "more", LOG_ONLY, f"times that of {LOG_ONLY}")
    part.tables.append(table(played, "short lines, to a terminal", figure))
    reached = played.ratio((LIVE, "lines"), (LOG_ONLY, "lines"))
    part.bounds.append(Bound(title, f"≥ 0.9 times {LOG_ONLY}", reached, least=0.9))
    first = played.spread(LIVE, "first")
    must = "≤ 0.3 s from the beginning of the run"
    part.bounds.append(Bound("live screen, first frame", must, first, most=0.3, unit="s"))
    whole = Figure("process", "s", "less", LIVE)
    part.tables.append(table(played, "first output, from the start of the process", whole))
    with bench.ground.work() as folder:
        program = folder / "bar.py"
        program.write_text(BAR, encoding="ascii")
        bar = shlex.join([sys.executable, "-S", str(program)])
        for name, command in (("eight bars move", bar), ("eight jobs print nothing", "sleep")):
            cpu = [
                Contestant(who, partial(working, bench, command, seconds, who)) for who in OPTIONS
            ]
            played = bench.play(f"live screen, CPU while {name}", cpu, rounds)
            each = Figure.against(LOG_ONLY, "%", "% of a core")
            part.tables.append(table(played, f"CPU of Pegasus while {name}", each))
            if command == bar:
                spread = played.spread(LIVE, "%")
                must = "≤ 2 % of a core"
                title = f"live screen, CPU while {name}"
                part.bounds.append(Bound(title, must, spread, most=2, unit="%"))
    return part
