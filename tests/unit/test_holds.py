"""When a command of a run that is over counts as gone."""

from __future__ import annotations

import pytest

from pegasus.holds import START_GRACE, UNKNOWN_LIMIT, DoubtfulHold, Hold, gone

HOLD = Hold("node-1:22", "gpu", "0", "0001-run-1", 3)
LIVES = frozenset({("0001-run-1", 3)})
NOTHING: frozenset[tuple[str, int]] = frozenset()


def doubt(seconds: float, *, detached: bool = False) -> DoubtfulHold:
    """Give a hold of a run that has been over for so long."""
    return DoubtfulHold(HOLD, detached, seconds)


@pytest.mark.parametrize("detached", [False, True])
def test_what_the_node_says_decides(*, detached: bool) -> None:
    """A command that lives holds its slot however long its run is over; one that does not, not."""
    old = doubt(1e6, detached=detached)
    assert gone([old], LIVES) == []
    assert gone([old], NOTHING) == [old]


def test_a_command_may_be_just_starting() -> None:
    """Right after the end of a run, a node that does not know a command yet is not believed."""
    assert gone([doubt(START_GRACE - 0.1)], NOTHING) == []
    late = doubt(START_GRACE)
    assert gone([late], NOTHING) == [late]


def test_a_node_that_cannot_be_asked() -> None:
    """Without an answer a command counts as gone after a minute; a detached one never does."""
    assert gone([doubt(UNKNOWN_LIMIT - 1)], None) == []
    late = doubt(UNKNOWN_LIMIT)
    assert gone([late, doubt(1e9, detached=True)], None) == [late]


def test_another_job_of_the_same_number() -> None:
    """A job of the same number in another run says nothing about this one."""
    old = doubt(100)
    assert gone([old], frozenset({("0002-run-2", 3), ("0001-run-1", 4)})) == [old]


def test_who_knows_whether_a_command_lives() -> None:
    """A limit of a group is on no node, so its hold says where the command runs."""
    assert HOLD.node == "node-1:22"
    assert Hold("", "at_most:a", "0", "run", 1, on="node-2:22").node == "node-2:22"
