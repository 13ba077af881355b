"""The cost of ``kill -9`` of Pegasus, as an experiment: many trials, each at random moments.

``PEGASUS_TRIALS`` is the number of each kind, ``PEGASUS_TRIAL_SEED`` repeats one trial.
``python -m tests.faults.reliability`` runs many more, and makes a table.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import get_args

import pytest

from tests.e2e.conftest import SAID
from tests.e2e.leftovers import Traces
from tests.e2e.runner import Pegasus
from tests.faults.crash import Crash, CrashPlan, Kind, plan_said

TRIALS = int(os.environ.get("PEGASUS_TRIALS", "3"))
SEED = os.environ.get("PEGASUS_TRIAL_SEED", "")
SEEDS = [SEED] if SEED else [f"crash-{kind}/{n}" for kind in get_args(Kind) for n in range(TRIALS)]


@pytest.fixture(scope="module")
def counted(pytestconfig: pytest.Config) -> Iterator[Counter[str]]:
    """The counts of all trials, reported at the end."""
    counts: Counter[str] = Counter()
    yield counts
    words = ", ".join(f"{what}: {count}" for what, count in sorted(counts.items()))
    pytestconfig.stash[SAID].append(f"crash trials: {words}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_pegasus_loses_nothing(
    pegasus: Pegasus, nothing_left: Traces, counted: Counter[str], seed: str
) -> None:
    """``kill -9`` at any moment, and again after a new start, loses no job.

    That is so for a run of a queue, for a broadcast, and for two runs at once on one queue, of
    which one or both are killed. The journal can be read to its last whole line; ``status`` reports
    of each job what the job itself noted; ``queue.yaml`` and ``consumed.yaml`` contain each job
    once; ``retry`` puts back exactly what did not succeed, each once, also while another run
    continues; and when all is done, each job was reported as successful once, in a broadcast on
    every sub-node, and ran to its end once. Nothing of a killed run lives ten seconds later. A job
    that had just ended when Pegasus died, before that was recorded, counts as lost, and a broadcast
    that is put back runs again everywhere.
    """
    plan = CrashPlan.draw(SEED or f"{secrets.token_hex(4)}/{seed}")
    with plan_said(plan):
        counted += Crash.of(pegasus, nothing_left, plan).make()
