"""The guarantee of the first Ctrl-C, as an experiment: many trials, each at a random moment.

``PEGASUS_TRIALS`` says how many, ``PEGASUS_TRIAL_SEED`` makes one trial again.
"""

from __future__ import annotations

import os
import secrets

import pytest

from tests.e2e.runner import Pegasus
from tests.faults.trial import Plan, Trial, seed_said

TRIALS = int(os.environ.get("PEGASUS_TRIALS", "12"))
SEED = os.environ.get("PEGASUS_TRIAL_SEED", "")


@pytest.mark.parametrize("number", range(1 if SEED else TRIALS))
def test_from_the_notice_on_nothing_is_taken_and_nothing_starts(
    pegasus: Pegasus, number: int
) -> None:
    """From the notice on the queue file does not change and no command starts.

    What runs ends normally and with its whole output, each job is in ``consumed.yaml`` or in
    ``queue.yaml`` exactly once, and the exit status is 130: whatever Pegasus is doing, in queue
    mode and in broadcast mode, on localhost and over SSH, for SIGINT and for SIGTERM.
    """
    plan = Plan.draw(SEED or f"{secrets.token_hex(4)}/{number}")
    with seed_said(plan):
        violations = Trial(pegasus, plan).make()
        assert not violations
