"""What ``kill -9`` of Pegasus costs, as an experiment: many trials, each at random moments.

``PEGASUS_TRIALS`` says how many, ``PEGASUS_TRIAL_SEED`` makes one trial again.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import SAID
from tests.e2e.leftovers import Traces
from tests.e2e.runner import Pegasus
from tests.faults.crash import Crash, CrashPlan, plan_said

TRIALS = int(os.environ.get("PEGASUS_TRIALS", "10"))
SEED = os.environ.get("PEGASUS_TRIAL_SEED", "")


@pytest.fixture(scope="module")
def counted(pytestconfig: pytest.Config) -> Iterator[Counter[str]]:
    """What was counted over all trials, said at the end."""
    counts: Counter[str] = Counter()
    yield counts
    words = ", ".join(f"{what}: {count}" for what, count in sorted(counts.items()))
    pytestconfig.stash[SAID].append(f"crash trials: {words}")


@pytest.mark.parametrize("number", range(1 if SEED else TRIALS))
def test_a_killed_pegasus_loses_nothing(
    pegasus: Pegasus, nothing_left: Traces, counted: Counter[str], number: int
) -> None:
    """``kill -9`` at any moment, and once more after a new start, loses no job.

    The journal can be read to its last whole line; ``status`` says of each job what the job
    itself wrote down; ``queue.yaml`` and ``consumed.yaml`` hold each job once; ``retry`` brings
    back exactly what did not end well, each once; and when all is done, each job was reported as
    well ended once, and ran to its end once. Nothing of a killed run lives ten seconds later.
    A job that had just ended when Pegasus died, before that was recorded, counts as lost.
    """
    plan = CrashPlan.draw(SEED or f"{secrets.token_hex(4)}/{number}")
    with plan_said(plan):
        counted += Crash.of(pegasus, nothing_left, plan).make()
