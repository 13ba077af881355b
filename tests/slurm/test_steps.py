"""The contract of sessions in steps of a real Slurm allocation."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from pegasus.dispatch import Session
from pegasus.errors import NodeUnreachable
from pegasus.model import Apart, Exited, Lost, Outcome, SlurmPlace, SubNode
from pegasus.transport.slurm import COMPLETING_LIMIT, open_slurm
from tests import contract
from tests.cluster.daemons import Cluster
from tests.contract import *  # noqa: F403 -- the tests of the contract run here
from tests.launch_contract import Launches
from tests.nodes import wait_until
from tests.slurm.processes import sleeping

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


async def begin(
    session: Session,
    command: str,
    output: contract.Output,
    found: list[Outcome | Apart],
    begun: trio.Event,
) -> None:
    """Run a command in a shell of its own, and tell when it has printed something."""
    async with session.open_shell() as shell, trio.open_nursery() as nursery:

        async def tell() -> None:
            while not output.stdout:
                await trio.sleep(0.01)
            begun.set()

        nursery.start_soon(tell)
        assigned = contract.assignment(command)
        found.append(await shell.run(assigned, "run-1", output.show, trio.Event()))


async def test_a_cancelled_allocation(
    open_session: contract.OpenSession, cluster: Cluster, allocated: str
) -> None:
    """A job that an scancel of the allocation ends is lost, and the words name the allocation."""
    output = contract.Output()
    found: list[Outcome | Apart] = []
    with trio.fail_after(contract.LIMIT + COMPLETING_LIMIT):
        async with open_session() as session, trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(begin, session, "echo; sleep 600", output, found, begun)
            await begun.wait()
            await trio.to_thread.run_sync(cluster.run, "scancel", allocated)
    (outcome,) = found
    assert isinstance(outcome, Lost)
    assert outcome.words == f"the Slurm allocation {allocated} has ended (CANCELLED)"
    async with open_session() as session:
        with pytest.raises(NodeUnreachable):
            async with session.open_shell():
                pass


async def test_a_command_that_ignores_the_end(
    open_session: contract.OpenSession, cluster: Cluster, allocated: str
) -> None:
    """Slurm's SIGKILL reaches a command that ignores its SIGTERM, and the allocation ends."""
    output = contract.Output()
    found: list[Outcome | Apart] = []
    name = 10_000 + secrets.randbelow(80_000)
    command = f"trap '' TERM; echo; exec sleep {name}"
    with trio.fail_after(contract.LIMIT + COMPLETING_LIMIT):
        async with open_session() as session, trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(begin, session, command, output, found, begun)
            await begun.wait()
            await trio.to_thread.run_sync(cluster.run, "scancel", allocated)
    assert found == [Lost(f"the Slurm allocation {allocated} has ended (CANCELLED)")]
    wait_until(lambda: not sleeping(name), limit=1, what="the end of the command")


async def test_a_shell_without_a_command(
    open_session: contract.OpenSession, cluster: Cluster, allocated: str
) -> None:
    """A shell that waits for a command does not delay the end of its allocation."""
    with trio.fail_after(contract.LIMIT):
        async with open_session() as session, session.open_shell() as shell:
            await trio.to_thread.run_sync(cluster.run, "scancel", allocated)
            await shell.wait_broken()
    ask = ("squeue", "--noheader", "--states=all", f"--jobs={allocated}", "--format=%T")
    wait_until(lambda: cluster.run(*ask).strip() == "CANCELLED", what="the end of the allocation")


async def test_a_signal_to_the_allocation(
    open_session: contract.OpenSession, cluster: Cluster, allocated: str
) -> None:
    """A signal that ``scancel`` sends to all steps reaches the command, and ends no shell."""
    output = contract.Output()
    found: list[Outcome | Apart] = []
    command = "trap 'sleep 1; echo saved; exit 3' USR1; echo set; while :; do sleep 0.1; done"
    with trio.fail_after(contract.LIMIT):
        async with open_session() as session, trio.open_nursery() as nursery:
            begun = trio.Event()
            nursery.start_soon(begin, session, command, output, found, begun)
            await begun.wait()
            await trio.to_thread.run_sync(cluster.run, "scancel", "--signal=USR1", allocated)
    assert (found, output.stdout) == ([Exited(3)], b"set\nsaved\n")
