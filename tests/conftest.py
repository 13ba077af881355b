"""What all tests share: an orderly end also by SIGTERM, as CI sends it."""

from __future__ import annotations

import signal
from types import FrameType

import pytest
from hypothesis import settings

# How long an example takes depends on the machine: what is slow is pytest-timeout's to find.
settings.register_profile("pegasus", deadline=None)
settings.load_profile("pegasus")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let SIGTERM end the tests as Ctrl-C does, so that every fixture is torn down.

    A test under way may swallow the exception (Trio hands it to the test as a failure), hence
    the wish to stop is left with the session as well.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        session.shouldstop = "SIGTERM"
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
