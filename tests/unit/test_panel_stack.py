"""What users see where a run also follows the commands of earlier runs."""

from __future__ import annotations

import pytest

from pegasus.panel import LivePanel, PanelStack
from tests.unit.panels import NOW, ended, nodes_of, run_on, running


def panel_of(name: str, *, busy: bool = True) -> LivePanel:
    """Make the panel of a run with one sub-node."""
    (node,) = nodes_of(1, (name,))
    state = run_on([node], *(running(1, node) if busy else ended(1, node)))
    return LivePanel(state, lambda: 0, lambda _: b"", clock=lambda: NOW)


def names(lines: list[str]) -> list[str]:
    """Give the names of the sub-nodes that have rows, in order."""
    return [line.split()[0] for line in lines if "job 1" in line]


@pytest.mark.parametrize(
    ("height", "shown"), [(1, []), (3, ["own"]), (6, ["own", "one"]), (9, ["own", "one", "two"])]
)
def test_runs_below_each_other(height: int, shown: list[str]) -> None:
    """The run comes first, then those it follows, as far as there is room for a row of each."""
    stack = PanelStack(panel_of("own"), [panel_of("one"), panel_of("two")])
    lines = stack(80, height, False)
    assert len(lines) <= height
    assert names(lines) == shown


def test_what_has_ended_needs_no_room() -> None:
    """A run that is followed has rows only as long as commands of it run."""
    stack = PanelStack(None, [panel_of("one", busy=False), panel_of("two")])
    assert names(stack(80, 4, False)) == ["two"]
    assert PanelStack(None, [panel_of("one", busy=False)])(80, 4, False) == []
