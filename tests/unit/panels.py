"""What the tests of the panel share: runs in different states, and their panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pegasus.events import Connected, Ended, Event, RunMode, Started, Taken
from pegasus.model import Assignment, Exited, Job, SubNode
from pegasus.panel import PanelView, panel_lines
from pegasus.rendered import as_recorded
from pegasus.run_state import RunState
from tests.unit.states import began

NOW = 1000.0

NAMES = ("node-1", "node-2", "日本語のノード", "node\x1b[2J\n-4", "e\u0301" * 30, "n" * 200)
"""Names of sub-nodes: wide characters, control characters, combining marks, long ones."""


def nodes_of(count: int, names: Sequence[str] = ("node",)) -> tuple[SubNode, ...]:
    """Give so many sub-nodes, each with its number as a parameter."""
    return tuple(
        SubNode(number, names[number % len(names)], (("gpu", str(number)),))
        for number in range(count)
    )


def given(number: int, node: SubNode, key: str | None = None) -> Assignment:
    """Give a job to a sub-node."""
    return Assignment(number, Job("x"), node, as_recorded("x"), key)


def run_on(nodes: Sequence[SubNode], *events: Event, mode: RunMode = "queue") -> RunState:
    """Give a run on sub-nodes that are connected, after further events, one each second."""
    state = RunState(keep_successes=False)
    state.apply(replace(began(mode), sub_nodes=tuple(nodes)), 0.0)
    for node in nodes:
        state.apply(Connected(node), 0.0)
    for at, event in enumerate(events, 1):
        with suppress(KeyError):  # as in a live run, which forgets jobs that succeeded
            state.apply(event, float(at))
    return state


def running(number: int, node: SubNode) -> list[Event]:
    """Give the events of a job that runs."""
    return [Taken(number, Job("x")), Started(given(number, node))]


def ended(number: int, node: SubNode, status: int = 0, *, again: bool = False) -> list[Event]:
    """Give the events of a job that ended after ten seconds."""
    end = Ended(given(number, node), Exited(status), 10.0, again=again)
    return [*running(number, node), end]


def panel(
    state: RunState,
    width: int = 100,
    height: int = 12,
    *,
    waiting: int | None = 3,
    tail_of: Callable[[Assignment], bytes] = lambda each: f"line of {each.number}\n".encode(),
    stage: str = "",
    now: float = NOW,
    colour: bool = False,
) -> list[str]:
    """Lay out the panel of a run."""
    view = PanelView(state, now, waiting, tail_of, stage)
    return panel_lines(view, width, height, colour=colour)
