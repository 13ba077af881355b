"""Measures the reliability of Pegasus: faults at random moments, and an account of all jobs.

``python -m tests.faults.reliability --trials 50 --crashes 500 --table docs/why/reliability.md``

Each trial is a queue of short jobs on four sub-nodes, a fault at a random moment, the end of the
fault, and an account of every job. A queue that is not empty after that is given to a new run.
A crash trial kills runs of a queue, of a broadcast, or of two at once, puts back what they left,
and continues to the end; its account is the strictest, and its first violation ends it.

A violation is reported with its seed and with the folder of its
files; the exit status is 1 then, and the other trials continue.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tests.faults.ledger import Account
from tests.faults.scenarios import CRASHES, DETACHED, SCENARIOS, Scenario
from tests.faults.shards import BY_NAME, Result, Task, make_all
from tests.nodes import WaysToAsk

COMMAND = "python -m tests.faults.reliability"


@dataclass(slots=True)
class Row:
    """A line of the table."""

    words: str
    trials: int = 0
    account: Account = field(default_factory=Account)

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        a = self.account
        counts = [str(len(x)) for x in (a.lost, a.twice, a.wrong, a.orphans, a.stuck)]
        if a.kept:
            counts[3] += f", {len(a.kept)} kept"
        told = (self.trials, a.jobs, a.reported, a.unrecorded)
        return [self.words, *map(str, told), *counts]


HEAD = ["fault", "trials", "jobs", "reported lost", "unrecorded"]
HEAD += ["lost", "twice", "told wrong", "orphans", "stuck"]
MARK_IN_FILE = "<!-- the table{of} {word} -->"


def table(rows: Sequence[Row]) -> str:
    """Return the table as Markdown."""
    lines = [HEAD, ["---", *["--:"] * (len(HEAD) - 1)], *(row.cells() for row in rows)]
    whole = Row("**all**")
    for row in rows:
        whole.trials += row.trials
        whole.account += row.account
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [*lines, whole.cells()])


def write_table(path: Path, text: str, name: str = "") -> None:
    """Replace the table between the two marks of a file, which contain its name if it has one."""
    of = f" of {name}" if name else ""
    begin, end = (MARK_IN_FILE.format(of=of, word=word) for word in ("begins", "ends"))
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--trials", type=int, default=3, help="of each fault")
    parser.add_argument("--crashes", type=int, default=9, help="crash trials in all")
    parser.add_argument("--detached", type=int, default=16, help="of detached commands, in all")
    parser.add_argument("--jobs", type=int, default=4, help="how many are made side by side")
    parser.add_argument("--only", action="append", help="a fault, or the beginning of its name")
    parser.add_argument("--way", choices=["auto", "docker", "local"], default="auto")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="for the same trials again")
    parser.add_argument("--again", action="append", metavar="SEED", help="this one trial again")
    parser.add_argument("--table", type=Path, help="a file to write the table into")
    asked = parser.parse_args()
    for seed in asked.again or ():
        if len(seed.split("/")) != 3 or seed.split("/")[1] not in BY_NAME:
            parser.error(f"{seed} is the seed of no trial: it is like 5d002ab5/kill-node/2")
    return asked


def tasks(asked: argparse.Namespace, keep: Path) -> Iterator[Task]:
    """Yield the requested trials."""
    way = cast("WaysToAsk", asked.way)
    if asked.again:
        yield from (Task(seed.split("/")[1], seed, way, keep) for seed in asked.again)
        return
    for scenario in (*SCENARIOS, *CRASHES, *DETACHED):
        if not asked.only or scenario.name.startswith(tuple(asked.only)):
            for number in range(count(asked, scenario)):
                yield Task(scenario.name, f"{asked.seed}/{scenario.name}/{number}", way, keep)


def count(asked: argparse.Namespace, scenario: Scenario) -> int:
    """Return the number of trials of a scenario; some are distributed over their kinds."""
    if scenario.is_detached:
        return len(range(DETACHED.index(scenario), asked.detached, len(DETACHED)))
    if scenario.is_crash:
        return len(range(CRASHES.index(scenario), asked.crashes, len(CRASHES)))
    return int(asked.trials)


def say(words: str) -> None:
    """Write a message to standard error."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def tell(task: Task, result: Result) -> None:
    """Report the result of a trial; for a violation, all that repeats it."""
    account = result.account
    say(
        f"{task.seed}: {result.seconds:.1f} s, {account.ended} ended, "
        f"{account.reported} reported, {account.unrecorded} unrecorded"
    )
    for fault in account.faults:
        say(f"  WRONG {fault}")
    if account.faults:
        say(f"  to make it again: {COMMAND} --way={task.way} --again={task.seed}")
        say(f"  what there is to see of it: {result.kept}")


def make(asked: argparse.Namespace, rows: dict[str, Row]) -> None:
    """Run the trials, and add each to its row."""
    left_out: set[str] = set()
    keep = Path(tempfile.mkdtemp(prefix="pegasus-reliability-"))
    for task, result in make_all(tasks(asked, keep), asked.jobs):
        if not result.left_out:
            row = rows[task.name]
            row.trials += 1
            row.account += result.account
            tell(task, result)
        elif task.name not in left_out:
            left_out.add(task.name)
            say(f"{task.name}: left out, it {result.left_out}")
    if not any(keep.iterdir()):
        keep.rmdir()


def main() -> int:
    """Run trials, print the table, and write it to a file on request."""
    asked, began = arguments(), time.monotonic()
    rows = {name: Row(scenario.words) for name, scenario in BY_NAME.items()}
    say(f"seed {asked.seed}")
    try:
        make(asked, rows)
    except KeyboardInterrupt:
        say("interrupted: what was seen until now was seen")
    done = [row for row in rows.values() if row.trials]
    sys.stdout.write(table(done))
    for row in done:
        for what, number in sorted((+row.account.counted).items()):
            say(f"{row.words}: {number} {what}")
    say(f"seed {asked.seed}, {(time.monotonic() - began) / 60:.0f} minutes")
    if asked.table is not None:
        write_table(asked.table, table(done))
    return 1 if any(row.account.faults for row in done) else 0


if __name__ == "__main__":
    sys.exit(main())
