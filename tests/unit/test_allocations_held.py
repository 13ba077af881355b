"""The script that holds an allocation, and the lock that says whose it is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pegasus.allocations.entry_lock import EntryLock
from pegasus.allocations.request import HOLDER_LOOKS, HOLDER_PERIOD, holder_script
from pegasus.errors import PegasusError

SQUEUE = """#!/bin/sh
echo "$SLURM_JOB_ID $*" >>"$FAKE_SLURM/asked"
read -r answer <"$FAKE_SLURM/answers" || exit 0
sed -i 1d "$FAKE_SLURM/answers"
case $answer in
  step) printf '%s\\n' 7.batch 7.extern 7.3;;
  none) printf '%s\\n' 7.batch 7.extern;;
  fail) exit 1;;
esac
"""


def hold(folder: Path, *answers: str) -> int:
    """Run the script, with the answers of Slurm; give how often it has asked."""
    (folder / "squeue").write_text(SQUEUE)
    (folder / "squeue").chmod(0o755)
    (folder / "answers").write_text("".join(f"{each}\n" for each in answers))
    path = f"{folder}:{os.environ['PATH']}"
    environment = {"PATH": path, "FAKE_SLURM": str(folder), "SLURM_JOB_ID": "7"}
    subprocess.run(
        ["sh"], input=holder_script(0.001, 3), env=environment, check=True, timeout=60, cwd="/"
    )
    asked = (folder / "asked").read_text().splitlines()
    assert set(asked) == {"7 --noheader --steps --jobs=7 --format=%i"}
    return len(asked)


@pytest.mark.parametrize(
    ("answers", "looks"),
    [
        ((), 3),
        (("none", "none", "none"), 3),
        (("none", "none", "step"), 6),
        (("step", "step", "none", "step"), 7),
        (("none", "none", "fail", "fail", "none"), 5),
        (("none", "none", "step", "fail"), 7),
    ],
)
def test_how_long_it_holds(tmp_path: Path, answers: tuple[str, ...], looks: int) -> None:
    """It ends after some looks without a step of Pegasus; no answer is no reason."""
    assert hold(tmp_path, *answers) == looks


def test_the_script_that_is_submitted() -> None:
    """The script holds an allocation for five minutes, and begins as ``sbatch`` wants it."""
    assert HOLDER_PERIOD * HOLDER_LOOKS == 300
    assert holder_script().startswith(b"#!/bin/sh\n")
    assert b"@" not in holder_script()
    assert b"sleep 60\n" in holder_script()


@contextmanager
def held_elsewhere(path: Path) -> Iterator[int]:
    """Let another process hold a lock; give its id."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, b"y" if EntryLock(path).acquire_nowait() else b"n")
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(read, 1) == b"y"
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_two_processes(tmp_path: Path) -> None:
    """One process has the lock; the next one gets it however that one ends, and the same name."""
    lock = EntryLock(path := tmp_path / "slurm.lock")
    with held_elsewhere(path):
        name = path.read_text().split()[0]
        assert not lock.acquire_nowait()
        assert not lock.is_held
    assert lock.acquire_nowait()
    assert lock.acquire_nowait()
    assert lock.name == name
    lock.release()
    lock.release()
    assert not lock.is_held
    with held_elsewhere(path):
        assert path.read_text().split()[0] == name


def test_names(tmp_path: Path) -> None:
    """Each entry has a name of its own, which is good as an option, and stays."""
    names = set()
    for each in ("a", "b", "a"):
        lock = EntryLock(tmp_path / each)
        assert lock.acquire_nowait()
        names.add(lock.name)
        lock.release()
    assert len(names) == 2
    assert all(name.startswith("pegasus-") and name.replace("-", "").isalnum() for name in names)


def test_a_copied_folder(tmp_path: Path) -> None:
    """A copy of a queue's records has another name: neither cancels the other's allocation."""
    first = EntryLock(tmp_path / "slurm.lock")
    assert first.acquire_nowait()
    shutil.copy2(tmp_path / "slurm.lock", tmp_path / "copy.lock")
    copy = EntryLock(tmp_path / "copy.lock")
    assert copy.acquire_nowait()
    assert copy.name != first.name


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"pegasus-1 2", b"pegasus-0123456789abcdef"])
def test_odd_contents(tmp_path: Path, content: bytes) -> None:
    """A file that was cut off gets a new name, which stays."""
    (path := tmp_path / "slurm.lock").write_bytes(content)
    lock = EntryLock(path)
    assert lock.acquire_nowait()
    lock.release()
    again = EntryLock(path)
    assert again.acquire_nowait()
    assert again.name == lock.name != ""


def test_a_link(tmp_path: Path) -> None:
    """A link that somebody has put there is not followed, and the error names the file."""
    (tmp_path / "slurm.lock").symlink_to(tmp_path / "other")
    with pytest.raises(PegasusError, match=r"slurm\.lock: this file cannot be used"):
        EntryLock(tmp_path / "slurm.lock").acquire_nowait()
    assert not (tmp_path / "other").exists()
