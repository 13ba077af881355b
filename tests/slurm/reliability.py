"""Measures the reliability of runs in a Slurm allocation: faults at random moments.

``python -m tests.slurm.reliability --trials 20 --table docs/why/reliability.md``

Each trial is a queue of short jobs on four sub-nodes of two nodes, a fault, the end of the fault,
and an account of every job. A queue that is not empty after that is given to a new run.

A violation is reported with its seed and with the folder of its files; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import queue
import secrets
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.cluster.nodes import SlurmNodes, start_slurm_nodes
from tests.faults.ledger import Account
from tests.faults.reliability import Row, say, table, write_table
from tests.faults.stage import trial_folder
from tests.slurm.harms import ON_A_CLUSTER, SlurmScenario, make_slurm_trial

PLACE = "Slurm"
"""The name of the table in the file that has several."""

Made = tuple[SlurmScenario, str, Account, float]


class Worker(threading.Thread):
    """Makes trials one after the other, on a cluster of its own."""

    def __init__(self, waiting: queue.SimpleQueue[tuple[SlurmScenario, str]], keep: Path) -> None:
        super().__init__(daemon=True)
        self._waiting = waiting
        self._keep = keep
        self._stack = ExitStack()
        self._nodes: SlurmNodes | None = None
        self.made: queue.SimpleQueue[Made] = queue.SimpleQueue()

    def run(self) -> None:
        """Make trials until none is left."""
        with self._stack, suppress(queue.Empty):
            while True:
                scenario, seed = self._waiting.get_nowait()
                began = time.monotonic()
                account = self._make(scenario, seed)
                self.made.put((scenario, seed, account, time.monotonic() - began))

    def _make(self, scenario: SlurmScenario, seed: str) -> Account:
        """Make a trial; its errors become results. Nodes with a fault are not used again."""
        account = Account()
        with trial_folder() as home:
            try:
                if self._nodes is None:
                    self._nodes = self._stack.enter_context(start_slurm_nodes(2))
                account = make_slurm_trial(scenario, self._nodes, home, seed)
            except Exception:  # noqa: BLE001 -- whatever it is, it is told, and others go on
                account.stuck.append(f"the trial itself: {traceback.format_exc()}")
            if account.faults:
                self._keep_files(home, self._keep / seed.replace("/", "-"))
                self._nodes = None
                self._stack.close()
        return account

    def _keep_files(self, home: Path, place: Path) -> None:
        with suppress(OSError, shutil.Error):
            shutil.copytree(home, place, ignore_dangling_symlinks=True)
        if self._nodes is not None:
            for log in self._nodes.cluster.folder.glob("*.log"):
                with suppress(OSError):
                    shutil.copy(log, place)


def make_all_on_clusters(
    tasks: list[tuple[SlurmScenario, str]], workers: int, keep: Path
) -> Iterator[Made]:
    """Make trials, several in parallel; yield each as soon as it is made."""
    waiting: queue.SimpleQueue[tuple[SlurmScenario, str]] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    made: queue.SimpleQueue[Made] = queue.SimpleQueue()
    threads = [Worker(waiting, keep) for _ in range(min(workers, len(tasks)))]
    for thread in threads:
        thread.made = made
        thread.start()
    for _ in tasks:
        yield made.get()
    for thread in threads:
        thread.join()


def slurm_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm.reliability", description=__doc__)
    parser.add_argument("--trials", type=int, default=1, help="of each fault")
    parser.add_argument("--jobs", type=int, default=3, help="how many are made side by side")
    parser.add_argument("--only", action="append", help="a fault, or the beginning of its name")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="for the same trials again")
    parser.add_argument("--table", type=Path, help="a file to write the table into")
    return parser.parse_args()


def main() -> int:
    """Make trials, print the table, and write it to a file on request."""
    asked, began = slurm_arguments(), time.monotonic()
    chosen = [
        each for each in ON_A_CLUSTER if not asked.only or each.name.startswith(tuple(asked.only))
    ]
    numbers = range(asked.trials)
    tasks = [(each, f"{asked.seed}/{each.name}/{n}") for n in numbers for each in chosen]
    rows = {scenario.name: Row(scenario.words) for scenario in chosen}
    keep = Path(tempfile.mkdtemp(prefix="pegasus-slurm-reliability-"))
    say(f"seed {asked.seed}")
    for scenario, seed, account, seconds in make_all_on_clusters(tasks, asked.jobs, keep):
        rows[scenario.name].trials += 1
        rows[scenario.name].account += account
        counted = ", ".join(f"{count} {what}" for what, count in (+account.counted).items())
        say(f"{seed}: {seconds:.1f} s, {account.ended} ended, {account.reported} lost; {counted}")
        for fault in account.faults:
            say(f"  WRONG {fault}\n  what there is to see of it: {keep}")
    text = table([row for row in rows.values() if row.trials])
    sys.stdout.write(text)
    for row in rows.values():
        for what, count in sorted((+row.account.counted).items()):
            say(f"{row.words}: {count} {what}")
    say(f"seed {asked.seed}, {(time.monotonic() - began) / 60:.0f} minutes")
    if asked.table is not None:
        write_table(asked.table, text, PLACE)
    if not any(keep.iterdir()):
        keep.rmdir()
    return 1 if any(row.account.faults for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
