"""The guarantee of the first Ctrl-C, as an experiment: many trials, each at a random moment.

``PEGASUS_TRIALS`` is their number, ``PEGASUS_TRIAL_SEED`` repeats one trial.
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
    """After the notice the queue file does not change and no command starts.

    Running commands end normally and with their whole output, each job is in ``consumed.yaml`` or
    in ``queue.yaml`` exactly once, and the exit status is 130: in every phase of Pegasus, in queue
    mode and in broadcast mode, on localhost and over SSH, for SIGINT and for SIGTERM.
    """
    plan = Plan.draw(SEED or f"{secrets.token_hex(4)}/{number}")
    with seed_said(plan):
        violations = Trial(pegasus, plan).make()
        assert not violations
