"""`sudo pegasus` in a user's folder: the new files belong to the user, who keeps access."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.runner import Pegasus
from tests.nodes import wait_until
from tests.other_user import NOBODY, needs_root, pegasus_as, pegasus_command

pytestmark = needs_root
QUEUE = "- echo ran\n- exit 3\n"


@dataclass(frozen=True)
class Place:
    """A user's folder, in which root and the user run pegasus."""

    folder: Path
    environment: dict[str, str]

    def run(self, uid: int, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``pegasus WORDS`` there as a user."""
        return pegasus_as(uid, self.folder, *words, environment=self.environment)

    def write(self, queue: str, owner: int = NOBODY) -> None:
        """Replace the queue file, as an editor of a user does."""
        path = self.folder / "queue.yaml"
        path.write_text(queue)
        os.chown(path, owner, owner)

    def owners(self) -> dict[str, int]:
        """Return the owners of everything in the folder."""
        every = [self.folder, *self.folder.rglob("*")]
        return {str(path.relative_to(self.folder)): path.lstat().st_uid for path in every}

    def run_folders(self) -> list[Path]:
        """Return the folders of the runs, by name."""
        return sorted(self.folder.glob(".pegasus/*/"))


@contextmanager
def a_place(pegasus: Pegasus, owner: int) -> Iterator[Place]:
    """Make a folder of a user with a hosts file in it."""
    folder = Path(tempfile.mkdtemp(prefix="pgt-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        (folder / "hosts.yaml").write_text("- localhost\n")
        os.chown(folder, owner, owner)
        yield Place(folder, {**pegasus.environment, "XDG_RUNTIME_DIR": ""})
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def place(pegasus: Pegasus) -> Iterator[Place]:
    """Yield a folder that belongs to another user."""
    with a_place(pegasus, NOBODY) as made:
        yield made


def test_what_root_makes_is_the_users(place: Place) -> None:
    """The lock, the record, outputs, orders and jobs put back belong to the queue's owner."""
    place.write(QUEUE)
    assert place.run(0, "q").returncode == 1
    assert place.run(0, "retry").returncode == 0
    assert place.run(0, "status").returncode == 0
    owners = place.owners()
    assert {name for name in owners if name.endswith((".lock", "retried", ".gitignore"))}
    assert {name: uid for name, uid in owners.items() if uid != NOBODY} == {"hosts.yaml": 0}
    assert len([name for name in owners if "/output/" in name]) == 1
    modes = {path.stat().st_mode & 0o777 for path in place.folder.glob(".pegasus/**/*")}
    assert modes == {0o700, 0o600}


def test_the_user_goes_on_after_root(place: Place) -> None:
    """All commands of the user work on root's runs, and the user's own runs work as well."""
    place.write(QUEUE)
    assert place.run(0, "q").returncode == 1
    report = json.loads(place.run(NOBODY, "status", "--json").stdout)
    assert report["runs"][0]["counts"] == {"succeeded": 1, "failed": 1}
    assert report["warnings"] == []
    assert place.run(NOBODY, "logs", "1").stdout == "ran\n"
    again = place.run(NOBODY, "retry")
    assert "Put 1 job of run" in again.stderr
    done = place.run(NOBODY, "q")
    assert done.returncode == 1
    assert "not recorded" not in done.stderr
    place.write(QUEUE)
    done = place.run(0, "q")
    assert "not recorded" not in done.stderr
    report = json.loads(place.run(NOBODY, "status", "--runs", "--json").stdout)
    assert len(report["runs"]) == 3


def test_without_a_queue_file(place: Place) -> None:
    """Where root makes the queue file as well, everything belongs to the folder's owner."""
    assert place.run(0, "add", "exit 3").returncode == 0
    assert place.run(0, "q").returncode == 1
    owners = {name: uid for name, uid in place.owners().items() if uid != NOBODY}
    assert owners == {"hosts.yaml": 0}
    assert place.run(NOBODY, "add", "echo two").returncode == 0
    assert place.run(NOBODY, "q").returncode == 0


@pytest.mark.parametrize("who", [0, NOBODY])
def test_orders_between_root_and_the_user(place: Place, who: int) -> None:
    """Root and the user can each stop the other's run, and get the confirmation."""
    place.write("- touch began; exec sleep 1000\n")
    other = NOBODY - who
    command = pegasus_command(who, place.folder, "q")
    with subprocess.Popen(
        command, cwd="/", env=place.environment, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        try:
            wait_until((place.folder / "began").exists, limit=30, what="the job")
            said = place.run(other, "stop", "--now")
            again = running.communicate(timeout=30)[1]
        finally:
            running.kill()
    assert (said.returncode, running.returncode) == (0, 130), (said.stderr, again)
    assert "What runs is being ended" in said.stderr
    assert {uid for name, uid in place.owners().items() if "orders" in name} == {NOBODY}


def test_a_folder_that_cannot_be_read_is_left_out(place: Place) -> None:
    """One folder of another user hides no other run, and each command reports it."""
    place.write(QUEUE)
    assert place.run(NOBODY, "q").returncode == 1
    (run,) = place.run_folders()
    shutil.copytree(run, run.with_name(f"{run.name}-roots"))
    strays = [run.with_name("stray"), run.with_name(f"{run.name}-roots")]
    strays[0].mkdir(mode=0o700)
    (run.parent / "a-file").touch()
    (run.parent / "an-empty-folder").mkdir()
    os.mkfifo(run.parent / "an-empty-folder" / "journal.jsonl")
    status = place.run(NOBODY, "status")
    assert status.returncode == 0
    assert "1 succeeded, 1 failed" in status.stdout
    every = " ".join(status.stdout.split())
    for stray in strays:
        assert f"Warning: {stray}: this record cannot be read: Permission denied." in every
    assert "this is not a regular file" in every
    assert "It belongs to root" in every
    assert len(json.loads(place.run(NOBODY, "status", "--json").stdout)["warnings"]) == 3
    logs = place.run(NOBODY, "logs", "1")
    assert logs.stdout == "ran\n"
    retry = place.run(NOBODY, "retry")
    assert "Put 1 job" in retry.stderr
    stop = place.run(NOBODY, "stop")
    for done in (logs, retry, stop):
        assert "[Pegasus] " in done.stderr
        assert f"{strays[0]}: this record cannot be read" in done.stderr
    assert "there is nothing to stop" in stop.stderr


def test_a_record_that_cannot_be_read_at_all(place: Place) -> None:
    """Then status still counts what waits, the others name the owner, and a run continues."""
    place.write(QUEUE)
    (place.folder / ".pegasus").mkdir(mode=0o700)
    status = place.run(NOBODY, "status")
    assert status.returncode == 0
    every = " ".join(status.stdout.split())
    assert "this record cannot be read: Permission denied. It belongs to root" in every
    assert "2 jobs wait" in every
    for command in ("logs", "retry", "stop"):
        done = place.run(NOBODY, command)
        assert done.returncode == 2
        assert "It belongs to root. Ask root to give it to you (`chown -R`)" in done.stderr
    done = place.run(NOBODY, "q")
    assert done.returncode == 1
    assert "The run is not recorded" in done.stderr


def test_an_output_that_cannot_be_read(place: Place) -> None:
    """It is reported with the next step, and not as a bug."""
    place.write(QUEUE)
    assert place.run(NOBODY, "q").returncode == 1
    (output,) = place.folder.glob(".pegasus/*/output/1.stdout")
    os.chown(output, 0, 0)
    done = place.run(NOBODY, "logs", "1")
    assert done.returncode == 2
    assert f"{output}: this output cannot be read: Permission denied." in done.stderr


def test_the_owner_of_the_queue_in_a_folder_of_roots(pegasus: Pegasus) -> None:
    """In a shared folder the record belongs to the queue's owner, and root continues to use it."""
    with a_place(pegasus, 0) as place:
        place.folder.chmod(0o777)
        place.write(QUEUE)
        for _ in range(2):
            place.write(QUEUE)
            assert "not recorded" not in place.run(0, "q").stderr
        place.write(QUEUE)
        assert "not recorded" not in place.run(NOBODY, "q").stderr
        report = json.loads(place.run(NOBODY, "status", "--runs", "--json").stdout)
        assert len(report["runs"]) == 3


def test_nothing_but_what_was_made_is_given_away(place: Place) -> None:
    """A link or a folder that another user prepared stays unchanged."""
    place.write(QUEUE)
    secret = place.folder / "secret"
    secret.mkdir()
    (secret / "file").touch()
    (place.folder / "queue.yaml.lock").symlink_to(secret / "file")
    (place.folder / ".pegasus").symlink_to(secret)
    place.run(0, "q")
    assert secret.stat().st_uid == 0
    assert (secret / "file").stat().st_uid == 0
