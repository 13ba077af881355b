"""Marks the tests whose promise is not made for detached commands; see ``runner.DETACH``."""

from __future__ import annotations

import os

import pytest

from tests.e2e.runner import DETACH


def not_detached(reason: str) -> pytest.MarkDecorator:
    """Skip a test where the runs of the tests are detached.

    Args:
        reason: what is promised for detached commands instead.
    """
    return pytest.mark.skipif(DETACH in os.environ, reason=reason)
