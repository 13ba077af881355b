"""Detached commands run exactly once, by force: a few trials of each kind.

``python -m tests.faults.reliability --only detached --detached 1000`` runs many more, and
``PEGASUS_TRIAL_SEED`` repeats one.
"""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.scenarios import DETACHED, make_trial
from tests.faults.stage import trial_folder
from tests.nodes import start_nodes

SEED = os.environ.get("PEGASUS_TRIAL_SEED", "")

AT_ONCE = 4
"""Trials in parallel: most of a trial is waiting."""


def faults_of(seed: str) -> list[str]:
    """Run the trial of a seed on nodes of its own; return its violations."""
    scenario = next(each for each in DETACHED if each.name == seed.split("/")[1])
    options = dict(scenario.options)
    with (
        start_nodes(2, way="local", options=options, say=lambda _: None) as nodes,
        trial_folder() as home,
    ):
        return make_trial(scenario, nodes, home, seed).faults


@pytest.mark.timeout(300)
def test_detached_commands_run_once() -> None:
    """Whatever is killed at whatever line of the launch, each command runs once.

    Pegasus, its ssh processes, sshd's processes, the keeper, the network, a node, or one of two
    Pegasus on a queue: none that ran is reported as not started, none is lost whose outcome could
    be known, each has one end in the journals and the output of an undisturbed run, and no folder
    and no process is left after the last run.
    """
    start, number = secrets.token_hex(4), secrets.randbelow(100)
    seeds = [SEED] if SEED else [f"{start}/{scenario.name}/{number}" for scenario in DETACHED]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(seeds, pool.map(faults_of, seeds), strict=True))
    assert {seed: faults for seed, faults in found.items() if faults} == {}
