"""Who follows a detached command of an earlier run takes no jobs of this one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio

from pegasus.dispatch import Inherited, Owner
from pegasus.events import Prepared
from pegasus.model import Exited
from tests.fake_queue import Listening
from tests.fakes import FakeKeeper
from tests.unit.detached_runs import detached, heard, left_by, outcomes
from tests.unit.dispatching import Bench, run_broadcast, run_queue


@pytest.mark.parametrize("run", [run_queue, run_broadcast])
@pytest.mark.parametrize("is_detached", [False, True])
async def test_who_follows_an_earlier_run_takes_no_jobs(
    autojump_clock: trio.abc.Clock, run: Callable[[Bench], Awaitable[None]], *, is_detached: bool
) -> None:
    """A sub-node that this run does not have gets no job, whatever its number, once it is free.

    Nor does a second shell on a sub-node that follows another command already. The folders of this
    run's commands are in its own record.
    """
    bench = detached(*["sleep 3"] * 9, nodes=2)
    keeper = FakeKeeper("sleep 5", 0, 5, Exited(0))
    inherited = [left_by(bench, name, keeper) for name in ("gone", "n0")]
    second = replace(inherited[1].assignment, key="second")
    bench.nodes["n0"].folders["second"] = FakeKeeper("sleep 6", 0, 6, Exited(0))
    inherited.append(Inherited(second, Owner("earlier", Listening())))
    bench.run = replace(bench.run, inherited=inherited, detached=is_detached)
    await run(bench)
    assert [outcomes(heard(each)) for each in inherited] == [[Exited(0)]] * 3
    assert bench.nodes["gone"].ran == []
    assert sum(bench.commands_run.values()) == (9 if run is run_queue else 18)
    assert bench.most_at_once == 1
    for each in (inherited[0], inherited[2]):
        assert len([event for _, event in heard(each).told if isinstance(event, Prepared)]) == 1
    assert not any(node.folders for node in bench.nodes.by_name.values())
