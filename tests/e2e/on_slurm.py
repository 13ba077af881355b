"""Marks the tests whose promise is not made in a Slurm allocation; see ``runner.SLURM``."""

from __future__ import annotations

import os

import pytest

from tests.e2e.runner import SLURM

OWN_ENTRIES = "its nodes have entries of their own, and `slurm: {}` gives all nodes the same one"
OVER_SSH = "it is about ssh and sshd"
STEP_ALONE = "a slurmstepd that is killed alone is not noticed: docs/why/allocations.md"
DETACHED = "`--detach` is refused on Slurm"
MANY = "a cluster of sixty-four nodes takes too long to start"


def not_on_slurm(reason: str) -> pytest.MarkDecorator:
    """Skip a test where the nodes of the tests are those of a Slurm allocation.

    Args:
        reason: what is promised there instead.
    """
    return pytest.mark.skipif(SLURM in os.environ, reason=reason)
