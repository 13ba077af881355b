"""The experiment with faults, one trial for each: no job is lost and none runs twice.

``python -m tests.faults.reliability --trials 20`` runs more of them, and makes a table.
``PEGASUS_TRIAL_SEED`` repeats the same trials.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.faults.ledger import Account
from tests.faults.scenarios import SCENARIOS, Scenario, make_trial
from tests.faults.stage import trial_folder
from tests.nodes import WaysToAsk, start_nodes

SEED = os.environ.get("PEGASUS_TRIAL_SEED", "")

AT_ONCE = 3
"""Trials in parallel: most of a trial is waiting."""

Trials = Mapping[str, Future[Account | str]]


def one_trial(scenario: Scenario, asked: WaysToAsk, seed: str) -> Account | str:
    """Run a trial on nodes of its own, or return why it cannot be run here."""
    way, options = scenario.way(asked), dict(scenario.options)
    with (
        start_nodes(2, way=way, options=options, say=lambda _: None) as nodes,
        trial_folder() as home,
    ):
        return scenario.why_not(nodes) or make_trial(scenario, nodes, home, seed)


@pytest.fixture(scope="module")
def seed() -> str:
    """The seed of all trials."""
    return SEED or secrets.token_hex(4)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, way: WaysToAsk, seed: str) -> Iterator[Trials]:
    """The running trials of all selected tests, by name."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    params = [item.callspec.params for item in items if hasattr(item, "callspec")]
    asked = [s for param in params if isinstance(s := param.get("scenario"), Scenario)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {s.name: pool.submit(one_trial, s, way, seed) for s in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_job_is_accounted_for(trials: Trials, scenario: Scenario, seed: str) -> None:
    """Whatever breaks, each job runs at most once, and its result is known.

    A job whose connection broke is reported as lost, a run ends, and none of its
    processes lives on, unless the node's sshd gets no notice that the connection is gone.
    """
    account = trials[scenario.name].result()
    if isinstance(account, str):
        pytest.skip(account)
    assert not account.faults, f"to make it again: PEGASUS_TRIAL_SEED={seed}"
