"""The experiment with faults, one trial of each: no job is lost and none runs twice.

``python -m tests.faults.reliability --trials 20`` makes more of them, and a table.
``PEGASUS_TRIAL_SEED`` makes the same trials again.
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
"""Trials that are made at the same time: most of a trial is waiting."""

Trials = Mapping[str, Future[Account | str]]


def one_trial(scenario: Scenario, asked: WaysToAsk, seed: str) -> Account | str:
    """Make a trial on nodes of its own; or say why it can't be made here."""
    way, options = scenario.way(asked), dict(scenario.options)
    with (
        start_nodes(2, way=way, options=options, say=lambda _: None) as nodes,
        trial_folder() as home,
    ):
        return scenario.why_not(nodes) or make_trial(scenario, nodes, home, seed)


@pytest.fixture(scope="module")
def seed() -> str:
    """What is random in the trials follows from it."""
    return SEED or secrets.token_hex(4)


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, way: WaysToAsk, seed: str) -> Iterator[Trials]:
    """The trials of all the tests that were selected, by name, under way."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    params = [item.callspec.params for item in items if hasattr(item, "callspec")]
    asked = [s for param in params if isinstance(s := param.get("scenario"), Scenario)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {s.name: pool.submit(one_trial, s, way, seed) for s in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_job_is_accounted_for(trials: Trials, scenario: Scenario, seed: str) -> None:
    """Whatever breaks, each job is run at most once, and what became of it is known.

    A job whose connection broke is told to be lost, a run comes back, and nothing of it lives on,
    unless the node's sshd is never told that the connection is gone.
    """
    account = trials[scenario.name].result()
    if isinstance(account, str):
        pytest.skip(account)
    assert not account.faults, f"to make it again: PEGASUS_TRIAL_SEED={seed}"
