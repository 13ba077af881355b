"""Some trials of each fault of a Slurm cluster; ``tests.slurm.reliability`` makes many."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.cluster.nodes import SlurmNodes, start_slurm_nodes
from tests.faults.stage import trial_folder
from tests.slurm.harms import ON_A_CLUSTER, SlurmScenario, make_slurm_trial


@pytest.fixture(scope="module")
def cluster_of_trials() -> Iterator[SlurmNodes]:
    """A cluster whose daemons the trials may kill."""
    with start_slurm_nodes(2) as nodes:
        yield nodes


@pytest.mark.parametrize("scenario", ON_A_CLUSTER, ids=lambda scenario: scenario.name)
def test_every_job_on_slurm_is_accounted_for(
    cluster_of_trials: SlurmNodes, scenario: SlurmScenario
) -> None:
    """Whatever happens to an allocation, each job runs at most once, and its result is known.

    A job that ends with its allocation is reported as lost, and nothing is left ten seconds later:
    no process, no step and no allocation.
    """
    seed = secrets.token_hex(4)
    with trial_folder() as home:
        account = make_slurm_trial(scenario, cluster_of_trials, home, seed)
    assert not account.faults, f"the seed is {seed}"
