"""Runs on fakes whose commands are detached, and commands that earlier runs have left."""

from __future__ import annotations

from dataclasses import replace

from pegasus.dispatch import Inherited, Owner
from pegasus.model import Assignment, Command, Job, Outcome, SubNode
from tests.fake_queue import Listening
from tests.fakes import FakeKeeper
from tests.unit.dispatching import Bench


def detached(
    *commands: str,
    nodes: int = 1,
    retries: int = 0,
    timeout: float = float("inf"),
    give_up: float = float("inf"),
) -> Bench:
    """Give a run whose commands are detached."""
    bench = Bench(*commands, nodes=nodes, retries=retries, timeout=timeout)
    bench.run = replace(bench.run, detached=True, give_up=give_up)
    return bench


def outcomes(listening: Listening) -> list[Outcome]:
    """Give all outcomes, in order."""
    return [outcome for _, _, outcome in listening.outcomes]


def left_by(bench: Bench, node: str, keeper: FakeKeeper | None, **changes: object) -> Inherited:
    """Give a command that an earlier run has left on a node."""
    listening = Listening()
    assignment = Assignment(7, Job("sleep 5"), SubNode(0, node), Command("sleep 5"), "old")
    bench.nodes[node].folders["old"] = keeper
    inherited = Inherited(assignment, Owner("earlier", listening))
    return replace(inherited, **changes)  # type: ignore[arg-type]


def heard(inherited: Inherited) -> Listening:
    """Give the listener of the earlier run."""
    assert isinstance(inherited.owner.listener, Listening)
    return inherited.owner.listener
