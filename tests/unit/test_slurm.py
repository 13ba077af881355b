"""Sessions on Slurm, with an ``srun`` that starts its step here; and the allocation around them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from pegasus.allocation import Allocation, allocation_of, variables_of_steps
from pegasus.dispatch import Session
from pegasus.errors import NodeUnreachable, PegasusError
from pegasus.model import Exited, Killed, Lost, Pool, SlurmPlace, SubNode
from pegasus.probes import command_of
from pegasus.transport.slurm import open_slurm, reason_in
from tests import contract
from tests.contract import *  # noqa: F403 -- the tests of the contract run here
from tests.launch_contract import Launches

# As slurmd does, it starts the step in a process group of its own, in the session of another.
SRUN = """#!/bin/sh
printf '%s\\n' "$@" >"$FAKE_SLURM/arguments"
env | grep ^SLURM_ >"$FAKE_SLURM/variables"
[ ! -e "$FAKE_SLURM/refuses" ] || { echo "srun: error: refused" >&2; exit 1; }
while [ "$1" != sh ]; do shift; done
cd /; exec "$@"
"""
SCONTROL = """#!/bin/sh
read -r state <"$FAKE_SLURM/state" && echo "JobId=7 JobName=x JobState=$state Reason=None"
"""


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the programs of Slurm first in the PATH, and be in an allocation of one node."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "state").write_text("RUNNING\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "c1")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    return tmp_path


@asynccontextmanager
async def open_step() -> AsyncIterator[Session]:
    """Open a session on the node."""
    await trio.lowlevel.checkpoint()
    yield open_slurm(SubNode(0, "c1", (), "slurm", (), SlurmPlace("7")), print)


@pytest.fixture
def open_session(fake_slurm: Path) -> contract.OpenSession:
    """Give what opens a session."""
    assert fake_slurm.exists()
    return open_step


class TestSteps(contract.OnlyReal, Launches):
    """A step fulfils the contract of sessions."""


async def test_its_options(open_session: contract.OpenSession, fake_slurm: Path) -> None:
    """``srun`` gets its options from its command line alone, and jobs begin at home."""
    async with open_session() as session:
        _, output = await contract.run_command(session, "pwd")
        assert session.place == "slurm:7/c1"
    assert output.stdout.decode() == f"{fake_slurm}\n"
    arguments = (fake_slurm / "arguments").read_text().splitlines()
    assert {"--overlap", "--jobid=7", "--nodelist=c1", "--mem=0"} <= set(arguments)
    assert (fake_slurm / "variables").read_text() == ""


@pytest.mark.parametrize("state", ["CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL"])
async def test_an_allocation_that_ends(
    open_session: contract.OpenSession, fake_slurm: Path, state: str
) -> None:
    """A command that ends with its allocation is lost; one that another signal ends is not."""
    async with open_session() as session:
        outcome, _ = await contract.run_command(session, "kill -TERM $$")
        assert outcome == Killed(15)
        (fake_slurm / "state").write_text(f"{state}\n")
        outcome, _ = await contract.run_command(session, "kill -TERM $$")
        assert outcome == Lost(f"the Slurm allocation 7 has ended ({state})")
        outcome, _ = await contract.run_command(session, "exit 143")
        assert outcome == Lost(f"the Slurm allocation 7 has ended ({state})")
        outcome, _ = await contract.run_command(session, "exit 3")
        assert outcome == Exited(3)


async def test_a_refused_step(open_session: contract.OpenSession, fake_slurm: Path) -> None:
    """Where no step can be started, Slurm's own words say why."""
    (fake_slurm / "refuses").touch()
    (fake_slurm / "state").unlink()
    async with open_session() as session:
        with pytest.raises(NodeUnreachable, match="srun: error: refused"):
            await contract.run_command(session, "true")


async def test_without_slurm(
    open_session: contract.OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no srun, the node cannot be reached, and the message names the program."""
    monkeypatch.setenv("PATH", "/nonexistent")
    async with open_session() as session:
        with pytest.raises(NodeUnreachable, match=r"env|srun"):
            await contract.run_command(session, "true")


def test_a_session_outside_an_allocation() -> None:
    """A session outside an allocation is refused, and not opened somewhere else."""
    for place in (None, SlurmPlace(), SlurmPlace(request=())):
        with pytest.raises(NodeUnreachable, match="does not run in a Slurm allocation"):
            open_slurm(SubNode(0, "c1", (), "slurm", (), place), print)


@pytest.mark.parametrize(
    ("listed", "nodes"),
    [
        ("c1", ("c1",)),
        ("c[1-3]", ("c1", "c2", "c3")),
        ("c[1,3],gpu-[08-10]", ("c1", "c3", "gpu-08", "gpu-09", "gpu-10")),
        ("a1,b2", ("a1", "b2")),
    ],
)
def test_nodes_of_an_allocation(listed: str, nodes: tuple[str, ...]) -> None:
    """Slurm's list of nodes is expanded in its order."""
    environment = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": listed}
    assert allocation_of(environment) == Allocation("7", nodes)


def test_no_allocation() -> None:
    """Without the variables of an allocation there is none."""
    assert allocation_of({}) is None
    assert allocation_of({"SLURM_JOB_ID": "7"}) is None


@pytest.mark.parametrize("listed", ["c[1-", "c[x]", ",", "c1,"])
def test_an_odd_list(listed: str) -> None:
    """A list that cannot be understood is a fault, and not another set of nodes."""
    with pytest.raises(PegasusError):
        allocation_of({"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": listed})


def test_variables_of_steps() -> None:
    """What would restrict a step is removed; where Slurm's configuration is, stays."""
    names = ["PATH", "SLURM_CONF", "SLURM_NTASKS", "SLURMD_NODENAME", "SRUN_X", "CUDA_X"]
    assert variables_of_steps(names) == ["SLURM_NTASKS", "SLURMD_NODENAME", "SRUN_X"]


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "2,3"}, "-i 2,3 --query-gpu"),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, "--query-gpu"),
        ({"SLURM_JOB_ID": "7"}, "--query-gpu"),
    ],
)
def test_the_gpus_of_an_allocation(tmp_path: Path, variables: dict[str, str], asked: str) -> None:
    """In an allocation a node is asked only for the GPUs that Slurm has assigned."""
    (tmp_path / "nvidia-smi").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **variables}
    command = ["sh", "-c", command_of(Pool("gpu", "nvidia"))]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert said.stdout.startswith(asked)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            (
                "srun: error: Unable to create step for job 7: Invalid node name specified\n"
                "srun: error: c1: task 0: Exited with exit code 1"
            ),
            "srun: error: Unable to create step for job 7: Invalid node name specified",
        ),
        (
            "srun: cluster configuration lacks support for cpu binding\nsh: no home",
            "sh: no home",
        ),
        (
            "srun: error: c1: task 0: Exited with exit code 1",
            "srun: error: c1: task 0: Exited with exit code 1",
        ),
        ("the shell on the node ended before it was ready",) * 2,
        ("", ""),
    ],
)
def test_the_reason_among_the_words_of_srun(words: str, reason: str) -> None:
    """What srun says of each step is no reason, unless it says nothing else."""
    assert reason_in(words) == reason


async def test_a_step_that_is_refused(open_session: contract.OpenSession, fake_slurm: Path) -> None:
    """The message has the reason alone."""
    (fake_slurm / "refuses").touch()
    async with open_session() as session:
        with pytest.raises(NodeUnreachable) as raised:
            async with session.open_shell():
                pass
    assert raised.value.words == "srun: error: refused"
