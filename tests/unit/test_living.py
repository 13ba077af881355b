"""Which commands still live on a node, asked with every kind of sh that there is here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from pegasus.living import LIVING_COMMANDS, Living, living_of
from tests.unit.test_script import HERE

LIMIT = 20.0


def ask(sh: list[str], **environment: str) -> Living | None:
    """Ask this machine."""
    command = [*sh, "-c", LIVING_COMMANDS]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, timeout=LIMIT, check=True
    )
    assert done.stderr == b""
    return living_of(done.stdout)


@pytest.fixture
def living() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give a run of which job 3 lives, and its process."""
    run = f"run-{token_hex(8)}"
    environ = os.environ | {"PEGASUS_JOB": "3", "ODD": "a\nb=\\\udcff", "PEGASUS_RUN": run}
    with subprocess.Popen(["sleep", "1000"], env=environ) as process:
        try:
            yield run, process
        finally:
            process.kill()


@pytest.mark.parametrize("sh", HERE, ids=" ".join)
def test_living(sh: list[str], living: tuple[str, subprocess.Popen[bytes]]) -> None:
    """A process of a command is found as long as it lives, and not as a zombie."""
    run, process = living
    assert (run, 3) in (ask(sh) or ())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from now on
    found = ask(sh)
    assert found is not None
    assert (run, 3) not in found


def test_a_question_is_no_command() -> None:
    """What asks, and any other question, is not found."""
    found = ask(["sh"], PEGASUS_RUN="-", PEGASUS_JOB="0")
    assert found is not None
    assert not any(run == "-" for run, _ in found)


@pytest.mark.skipif(not shutil.which("busybox"), reason="needs busybox")
def test_a_small_system(tmp_path: Path, living: tuple[str, subprocess.Popen[bytes]]) -> None:
    """The tools of busybox are enough; where one does not work, the answer is unknown."""
    for name in ("cat", "sed", "tr", "xargs"):
        (tmp_path / name).symlink_to(shutil.which("busybox") or "")
    sh = [shutil.which("dash") or "sh"]  # busybox's would use its own tools anyway
    assert (living[0], 3) in (ask(sh, PATH=str(tmp_path)) or ())
    (tmp_path / "tr").unlink()
    (tmp_path / "tr").symlink_to(shutil.which("true") or "")
    assert ask(sh, PATH=str(tmp_path)) is None


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (b"", None),
        (b"unknown\n", None),
        (b"run-1 1\n", None),
        (b"end\n", frozenset()),
        (b"run-1 1\nrun-2 x\n1\nrun-1 12\nend\n", frozenset({("run-1", 1), ("run-1", 12)})),
    ],
)
def test_answers(output: bytes, found: Living | None) -> None:
    """Only a complete answer counts; what is no command in it is ignored."""
    assert living_of(output) == found
