"""What is asked of Slurm, and how its answers are read. The fake fulfils the same contract."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path

import pytest

from pegasus.allocations import AllocationRequest, SlurmClient, requests_of
from pegasus.allocations.client import (
    AllocationStatus,
    AsksSlurm,
    SlurmMissing,
    SlurmRefused,
    SlurmSilent,
    active_of,
    status_of,
    time_of,
)
from pegasus.allocations.request import holder_script
from tests.unit.allocating import FakeSlurm, requested
from tests.unit.slurm_programs import SlurmPrograms

NAME = "pegasus-0123456789abcdef"
REQUEST: AllocationRequest = requests_of([requested(("nodes", "2"), ("exclusive", ""))])[0]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmPrograms:
    """Put programs of Slurm first in the PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    return SlurmPrograms(folder)


@pytest.fixture(params=["fake", "programs"])
def side(request: pytest.FixtureRequest) -> FakeSlurm | SlurmPrograms:
    """Give a controller."""
    if request.param == "fake":
        features: dict[str, tuple[str, ...]] = {"c1": ("a100", "nvme")}
        return FakeSlurm(starts_after=None, features_of=features)
    found = request.getfixturevalue("programs")
    assert isinstance(found, SlurmPrograms)
    return found


@pytest.fixture
def slurm(side: FakeSlurm | SlurmPrograms) -> AsksSlurm:
    """Give what asks the controller."""
    return side if isinstance(side, FakeSlurm) else SlurmClient()


async def submit(slurm: AsksSlurm) -> str:
    """Submit a request."""
    return await slurm.submit(REQUEST.argv(NAME), holder_script())


async def test_the_life_of_an_allocation(slurm: AsksSlurm, side: FakeSlurm | SlurmPrograms) -> None:
    """An allocation waits, has its nodes, and is over when it is cancelled."""
    assert await slurm.named(NAME) == []
    job = await submit(slurm)
    (found,) = await slurm.named(NAME)
    assert (found.job, found.phase, found.nodes, found.reason) == (job, "waiting", (), "Priority")
    side.start(job)
    (found,) = await slurm.named(NAME)
    assert (found.phase, found.nodes, found.partition) == ("running", ("c1", "c2"), "gpu")
    assert (found.limit, found.reason) == (3600.0, "")
    assert 3500 < found.left <= 3600
    assert await slurm.named("pegasus-another") == []
    look = await slurm.look(job)
    assert look is not None
    assert look.phase == "running"
    await slurm.cancel(job)
    await slurm.cancel(job)  # what is over can be cancelled
    (found,) = await slurm.named(NAME)
    assert (found.phase, found.state) == ("over", "CANCELLED")


async def test_what_is_not_known(slurm: AsksSlurm) -> None:
    """An allocation that Slurm does not know is none."""
    assert await slurm.look("99") is None


async def test_features(slurm: AsksSlurm) -> None:
    """Each node has its features, or none."""
    assert await slurm.features(["c1", "c2"]) == {"c1": ("a100", "nvme"), "c2": ()}


async def test_a_refused_request(slurm: AsksSlurm, side: FakeSlurm | SlurmPrograms) -> None:
    """A refusal has Slurm's own words, and nothing is submitted; a trial says the same."""
    side.refuse("Batch job submission failed: Invalid partition name specified")
    for refused in (submit(slurm), slurm.test(REQUEST)):
        with pytest.raises(SlurmRefused, match=r"^Batch job submission failed: Invalid partition"):
            await refused
    assert await slurm.named(NAME) == []


async def test_a_trial(slurm: AsksSlurm) -> None:
    """A trial gives Slurm's words, and submits nothing."""
    assert (await slurm.test(REQUEST)).startswith("Job 9 to start at 2030-01-01T00:00:00")
    assert await slurm.named("pegasus") == []


async def test_a_lost_answer(slurm: AsksSlurm, side: FakeSlurm | SlurmPrograms) -> None:
    """A request whose answer is lost is silence, and no refusal: Slurm may have it."""
    side.lose_answers()
    with pytest.raises(SlurmSilent, match="Socket timed out"):
        await submit(slurm)
    assert len(await slurm.named(NAME)) == 1


async def test_silence(slurm: AsksSlurm, side: FakeSlurm | SlurmPrograms) -> None:
    """A controller that is down gives no answer, which is not the answer that there is nothing."""
    side.be_silent()
    for question in (
        submit(slurm),
        slurm.named(NAME),
        slurm.look("1"),
        slurm.cancel("1"),
        slurm.features(["c1"]),
    ):
        with pytest.raises(SlurmSilent):
            await question


async def test_what_is_submitted(programs: SlurmPrograms) -> None:
    """``sbatch`` gets the user's options after those of Pegasus, and the script that holds it."""
    assert await submit(SlurmClient()) == "1"
    assert (programs.folder / "options").read_text().splitlines() == [
        "--parsable",
        "--no-requeue",
        "--output=/dev/null",
        "--chdir=/",
        f"--job-name={NAME}",
        "--nodes=2",
        "--exclusive",
    ]
    assert (programs.folder / "script").read_bytes() == holder_script()


@pytest.mark.parametrize("words", ["echo 12 34", "kill -KILL $$", "echo 7; exit 1"])
async def test_odd_ends_of_sbatch(programs: SlurmPrograms, words: str) -> None:
    """Where it is not sure that a request was refused, it is looked for."""
    programs.write("sbatch", f"#!/bin/sh\ncat >/dev/null\n{words}\n")
    with pytest.raises(SlurmSilent):
        await submit(SlurmClient())


async def test_a_program_that_hangs(
    programs: SlurmPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that does not end gives no answer, in limited time."""
    monkeypatch.setattr("pegasus.allocations.client.PROGRAM_LIMIT", 0.05)
    programs.write("squeue", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(SlurmSilent, match="squeue does not answer"):
        await SlurmClient().named(NAME)


async def test_no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no Slurm, each question names the program that is missing."""
    monkeypatch.setenv("PATH", "/nonexistent")
    client = SlurmClient()
    for program, question in (
        ("sbatch", submit(client)),
        ("squeue", client.named(NAME)),
        ("scancel", client.cancel("1")),
        ("sinfo", client.features(["c1"])),
    ):
        with pytest.raises(SlurmMissing, match=program):
            await question


async def test_a_program_that_goes_missing(programs: SlurmPrograms) -> None:
    """A program that could be started before is back soon: Slurm is being updated."""
    client = SlurmClient()
    assert await client.named(NAME) == []
    (programs.folder / "squeue").write_text("#!/nonexistent/interpreter\n")
    with pytest.raises(SlurmSilent):
        await client.named(NAME)


async def test_odd_lines(programs: SlurmPrograms) -> None:
    """What is no line of the list is left out; nodes that cannot be read are no end."""
    line = "5|RUNNING|1:00|2:00|gpu|{}|None"
    programs.write("squeue", f"#!/bin/sh\necho 'a notice'\necho '{line.format('c1')}'\n")
    (found,) = await SlurmClient().named(NAME)
    assert found.nodes == ("c1",)
    programs.write("squeue", f"#!/bin/sh\necho '{line.format('c[1-')}'\n")
    with pytest.raises(SlurmSilent, match=r"list of nodes \(c\[1-\) cannot be read"):
        await SlurmClient().named(NAME)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (
            "12|PENDING|1:00:00|1:00:00|gpu||(Resources)",
            AllocationStatus("12", "PENDING", 3600, 3600, "gpu", (), "Resources"),
        ),
        (
            "  12|PENDING|1:00|1:00|gpu|(null)|ReqNodeNotAvail, UnavailableNodes:c[1|2] é%  ",
            AllocationStatus(
                *("12", "PENDING", 60, 60, "gpu", ()), "ReqNodeNotAvail, UnavailableNodes:c[1|2] é%"
            ),
        ),
        (
            "12|RUNNING|UNLIMITED|UNLIMITED|gpu|c[1-2,4],d1,e[08-09]-x|None",
            AllocationStatus(
                *("12", "RUNNING", inf, inf, "gpu"),
                ("c1", "c2", "c4", "d1", "e08-x", "e09-x"),
            ),
        ),
        ("12|TIMEOUT|-0:05|1:00|gpu|c1|TimeLimit", None),
        ("squeue: something", None),
        ("", None),
    ],
)
def test_lines(line: str, status: AllocationStatus | None) -> None:
    """A line of the list, with whatever stands in its last field."""
    found = status_of(line)
    if status is None and found is not None:
        assert (found.phase, found.left) == ("over", 0.0)
    else:
        assert found == status


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:30", 30),
        ("2:03", 123),
        ("1:02:03", 3723),
        ("1-02:03:04", 93784),
        ("10-00:00:00", 864000),
        ("-1:00", 0),
        ("UNLIMITED", inf),
        ("INVALID", inf),
        ("NOT_SET", inf),
        ("", inf),
    ],
)
def test_times(text: str, seconds: float) -> None:
    """Lengths of time in all of Slurm's forms."""
    assert time_of(text) == seconds


@pytest.mark.parametrize(
    ("limit", "longest", "margin"),
    [(36000, 0, 120), (600, 0, 60), (inf, 0, 120), (600, 320, 320), (36000, 320, 320)],
)
def test_margins(limit: float, longest: float, margin: float) -> None:
    """The last two minutes, or a tenth of a short allocation, or what a job may take."""
    assert AllocationStatus("1", "RUNNING", limit, limit).margin(longest) == margin


def test_phases() -> None:
    """A state that is not known is no end: there would be a second request."""
    states = ("RUNNING", "COMPLETING", "REQUEUED", "STOPPED", "EXPEDITING")
    assert [AllocationStatus("1", each).phase for each in states] == [
        *("running", "over", "waiting", "suspended", "waiting")
    ]


def test_which_one_is_used() -> None:
    """One with nodes comes first, among them the known one, among others the oldest."""
    states = {"9": "RUNNING", "10": "RUNNING", "8": "PENDING", "7": "TIMEOUT", "11": "SUSPENDED"}
    found = [AllocationStatus(job, state) for job, state in states.items()]
    assert [each.job for each in active_of(found, "10")] == ["10", "9", "11", "8"]
    assert [each.job for each in active_of(found, "8")] == ["9", "10", "11", "8"]
