"""The contract of sessions in steps of a real Slurm allocation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from pegasus.dispatch import Session
from pegasus.errors import NodeUnreachable
from pegasus.model import Exited, Lost, SlurmPlace, SubNode
from pegasus.transport.slurm import COMPLETING_LIMIT, open_slurm
from tests import contract
from tests.cluster.daemons import Cluster
from tests.contract import *  # noqa: F403 -- the tests of the contract run here
from tests.launch_contract import Launches

DIES_WITH_ITS_STEP = "Slurm ends what a step leaves behind"


@pytest.fixture
def allocated(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run in an allocation of one node; give the id of the allocation."""
    with cluster.allocation("--nodes=1", "--nodelist=c1", "--gpus-per-node=2") as variables:
        for name in ("PATH", "SLURM_CONF", "SLURM_JOB_ID", "SLURM_JOB_NODELIST"):
            monkeypatch.setenv(name, variables[name])
        yield variables["SLURM_JOB_ID"]


@pytest.fixture
def open_session(allocated: str) -> contract.OpenSession:
    """Open sessions on a node of the allocation."""

    @asynccontextmanager
    async def open_step() -> AsyncIterator[Session]:
        await trio.lowlevel.checkpoint()
        yield open_slurm(SubNode(0, "c1", (), "slurm", (), SlurmPlace(allocated)), print)

    return open_step


class TestSlurm(contract.OnlyReal, Launches, contract.EndsTrees):
    """A step fulfils the contract, but for what outlives a command."""

    async def test_background_children(self, open_session: contract.OpenSession) -> None:
        """What a job leaves in the background ends at the latest with the step of its shell."""
        async with open_session() as session:
            outcome, output = await contract.run_command(session, "sleep 60 & echo $!")
            assert outcome == Exited(0)
            child = output.stdout.decode().strip()
            # Which processes Slurm ends is its own decision (ProctrackType); the next job runs.
            outcome, _ = await contract.run_command(session, f"kill {child}; true")
        assert outcome == Exited(0)

    async def test_slots(self, open_session: contract.OpenSession) -> None:
        """A job with slots has them in its environment, in place of all that Slurm assigned."""
        async with open_session() as session, session.open_shell() as shell:
            output = contract.Output()
            with trio.fail_after(contract.LIMIT):
                assigned = contract.assignment(contract.SHOW_VARIABLES, slots=contract.GPUS)
                await shell.run(assigned, "run-1", output.show, trio.Event())
        shown = set(output.stdout.decode().splitlines())
        assert set(contract.GPU_VARIABLES.splitlines()) <= shown


async def test_gpus(open_session: contract.OpenSession) -> None:
    """A job sees the GPUs that Slurm has assigned."""
    async with open_session() as session:
        _, output = await contract.run_command(session, "echo $CUDA_VISIBLE_DEVICES; pwd")
    assert output.stdout.splitlines()[0] == b"0,1"


async def test_a_cancelled_allocation(
    open_session: contract.OpenSession, cluster: Cluster, allocated: str
) -> None:
    """A job that an scancel of the allocation ends is lost, and the words name the allocation."""
    output = contract.Output()
    found = []

    async def follow(session: Session, begun: trio.Event) -> None:
        async with session.open_shell() as shell:

            async def tell() -> None:
                await shell.wait_begun()
                begun.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(tell)
                assigned = contract.assignment("sleep 600")
                found.append(await shell.run(assigned, "run-1", output.show, trio.Event()))

    with trio.fail_after(contract.LIMIT + COMPLETING_LIMIT):
        async with open_session() as session, trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(follow, session, begun)
            await begun.wait()
            await trio.to_thread.run_sync(cluster.run, "scancel", allocated)
    (outcome,) = found
    assert isinstance(outcome, Lost)
    assert outcome.words == f"the Slurm allocation {allocated} has ended (CANCELLED)"
    async with open_session() as session:
        with pytest.raises(NodeUnreachable):
            async with session.open_shell():
                pass
