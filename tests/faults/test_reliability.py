"""The experiment with faults, one trial for each: no job is lost and none runs twice.

``python -m tests.faults.reliability --trials 20`` runs more of them, and makes a table.
``PEGASUS_TRIAL_SEED`` repeats the same trials. Most of a trial is waiting: run several in parallel.
"""

from __future__ import annotations

import os
import secrets

import pytest

from tests.faults.ledger import Account
from tests.faults.scenarios import SCENARIOS, Scenario, make_trial
from tests.faults.stage import trial_folder
from tests.nodes import WaysToAsk, start_nodes

SEED = os.environ.get("PEGASUS_TRIAL_SEED", "")


def one_trial(scenario: Scenario, asked: WaysToAsk, seed: str) -> Account | str:
    """Run a trial on nodes of its own, or return why it cannot be run here."""
    way, options = scenario.way(asked), dict(scenario.options)
    with (
        start_nodes(2, way=way, options=options, say=lambda _: None) as nodes,
        trial_folder() as home,
    ):
        return scenario.why_not(nodes) or make_trial(scenario, nodes, home, seed)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_job_is_accounted_for(way: WaysToAsk, scenario: Scenario) -> None:
    """Whatever breaks, each job runs at most once, and its result is known.

    A job whose connection broke is reported as lost, a run ends, and none of its
    processes lives on, unless the node's sshd gets no notice that the connection is gone.
    """
    seed = SEED or secrets.token_hex(4)
    account = one_trial(scenario, way, seed)
    if isinstance(account, str):
        pytest.skip(account)
    assert not account.faults, f"to make it again: PEGASUS_TRIAL_SEED={seed}"
