"""Setup for all tests: an orderly end also after SIGTERM, which CI sends; no settings of a user."""

from __future__ import annotations

import os
import signal
from types import FrameType

import pytest
import trio.testing
from hypothesis import settings

from tests.examples import examples

# The time of an example depends on the machine: pytest-timeout finds what is slow.
settings.register_profile("pegasus", deadline=None, max_examples=examples(100))
settings.load_profile("pegasus")

# What the user of this machine has set for pegasus must not change what tests see.
os.environ["XDG_CONFIG_HOME"] = os.devnull
for name in [name for name in os.environ if name.startswith("PEGASUS_OPTION_")]:
    del os.environ[name]


def pytest_sessionstart(session: pytest.Session) -> None:
    """End the tests after SIGTERM as after Ctrl-C, so that every fixture is torn down.

    A test under way may swallow the exception (Trio hands it to the test as a failure), so the
    session is marked to stop as well.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        session.shouldstop = "SIGTERM"
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


@pytest.fixture
def threaded_clock() -> trio.testing.MockClock:
    """Give a clock that jumps once nothing happens, for runs that also use threads.

    ``autojump_clock`` does not see that a thread works, and jumps over what waits for it.
    """
    return trio.testing.MockClock(autojump_threshold=0.03)
