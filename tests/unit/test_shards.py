"""Trials side by side: each is accounted for, whatever becomes of the process that makes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from tests.faults.ledger import Account
from tests.faults.shards import Result, Task, make_all


def tasks(*seeds: str) -> Sequence[Task]:
    """Give trials that are never made."""
    return [Task("kill-node", seed, "local", Path("/nonexistent")) for seed in seeds]


def pretend(connection: Connection) -> None:
    """Be a shard that makes nothing; some trials are the end of it."""
    with suppress(EOFError, OSError):
        while True:
            task: Task = connection.recv()
            if task.seed == "deadly":
                os._exit(3)
            connection.send(Result(Account(jobs=1, ended=1)))


def test_each_trial_has_a_result() -> None:
    """Each trial that is asked for comes back once, however many are made side by side."""
    seeds = [str(number) for number in range(7)]
    made = list(make_all(tasks(*seeds), 2, pretend))
    assert sorted(task.seed for task, _ in made) == seeds
    assert not [fault for _, result in made for fault in result.account.faults]


def test_a_shard_that_dies_is_counted_and_replaced() -> None:
    """A trial whose process dies counts as stuck, and all the others are made."""
    made = {task.seed: result for task, result in make_all(tasks("a", "deadly", "b"), 1, pretend)}
    assert made.keys() == {"a", "deadly", "b"}
    assert made["deadly"].account.faults == ["stuck: the trial's process ended: 3"]
    assert made["a"].account.faults == made["b"].account.faults == []
