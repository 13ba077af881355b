"""How much of a queue file is complete while somebody writes it, and where nobody can tell."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from pegasus.errors import PegasusError
from pegasus.findings import find
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, old_files, settled, writers
from pegasus.queue_file.settled import last_entry
from tests.unit.taking import unfilled


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give the path of an empty queue."""
    path = tmp_path / "queue.yaml"
    path.write_text("")
    return path


@contextmanager
def written(queue: Path, text: str, mode: str = "a") -> Iterator[None]:
    """Let another process have the file open, in which it has written a text."""
    with queue.open(mode) as file:
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
        file.write(text)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def age(queue: Path, seconds: float = 2.0) -> None:
    """Let the last change have been some time ago."""
    os.utime(queue, (time.time() - seconds,) * 2)


def take(queue: Path, n: int = 9) -> list[str]:
    """Take jobs."""
    taken = LockedQueue(str(queue), queue).take(FirstJobs([unfilled] * n))
    return [each.commands[0] for each in taken.jobs]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 0),
        ("- a\n- b\n", 4),
        ("- a\n- b", 4),
        ("- a\n-", 4),
        ("- a\n- |\n  x\n  y", 4),
        ("- a\n- command: x\n  l:\n  - 1\n  - 2\n", 4),
        ("  - a\n  - b\n", 6),
        ("# one\n# two\n", 12),
        ("# one\n# tw", 0),
        ("[a, b", 0),
        ("- a\n--- b\n", 0),
    ],
)
def test_the_last_entry(text: str, at: int) -> None:
    """It begins at the last dash in the list's column."""
    assert last_entry(text.encode()) == at


@pytest.mark.parametrize(
    ("last", "quiet", "taken"),
    [
        ("- b\n", False, False),
        ("- b\n", True, True),
        ("- 'b'\n", True, True),
        ("- {command: b}\n", True, True),
        ("- b", True, False),
        ("- 'b\n", True, False),
        ("- |\n  b\n", True, False),
        ("- command: b\n", True, False),
        ("- command: b\n  x: [1]\n", True, False),
        ("# b\n", True, None),
    ],
)
def test_what_is_taken_while_somebody_writes(
    queue: Path, monkeypatch: pytest.MonkeyPatch, last: str, *, quiet: bool, taken: bool | None
) -> None:
    """The last entry waits; on one line, with its end, for a second; else for the next one."""
    if not quiet:
        monkeypatch.setattr(settled, "QUIET", 1000.0)
    with written(queue, f"- a\n{last}"):
        age(queue)
        assert take(queue) == (["a", "b"] if taken else ["a"])
        assert take(queue) == []
    after = [command.strip() for command in take(queue)]
    assert after == (["b"] if taken is False and last != "- 'b\n" else [])


@pytest.mark.parametrize("last", ["- b", "- |\n  b\n", "- command: b\n"])
def test_what_nobody_has_open_is_taken_at_once(queue: Path, last: str) -> None:
    """A file whose last line has no line break is as good as any, once it is closed."""
    queue.write_text(f"- a\n{last}")
    assert [command.strip() for command in take(queue)] == ["a", "b"]


def test_who_writes_into_the_middle_is_waited_for(queue: Path) -> None:
    """Nothing is taken from a file that somebody overwrites, and nothing is added to it."""
    queue.write_text("- a\n- b\n- c\n")
    with written(queue, "", "r+"):
        age(queue)
        taken = LockedQueue(str(queue), queue).take(FirstJobs([unfilled]))
        assert taken.jobs == ()
        assert not taken.empty
        assert taken.pending is not None
        assert "writes into this file. Waiting until it is closed." in taken.pending.words
        assert "`cat` (process " in taken.pending.words
    assert take(queue) == ["a", "b", "c"]


async def test_looking_again_is_cheap_while_nothing_changes(queue: Path) -> None:
    """What is pending looks the same until something happens, so nobody looks in vain."""
    file = QueueFile(queue)
    with written(queue, "- a\n- |\n  b\n"):
        age(queue)
        assert take(queue, 1) == ["a"]
        locked = LockedQueue(str(queue), queue)
        taken = await trio.to_thread.run_sync(locked.take, FirstJobs([unfilled]))
        assert taken.pending is not None
        assert file.signs() == taken.pending.signs
        before = file.states()
    assert file.signs() != taken.pending.signs  # it was closed
    with written(old_files.find_old_files(queue)[0].path, "- c\n"):
        assert file.states() != before


def test_a_program_that_overwrites_in_the_moment_of_a_take(queue: Path) -> None:
    """What it saves is the queue then, as if it had saved right after the take."""
    with written(queue, "- a\n- b\n"):
        age(queue)
        assert take(queue, 1) == ["a"]
        old = old_files.find_old_files(queue)[0].path
        old.write_text("- saved\n- too\n")
        assert take(queue) == ["saved"]
    assert take(queue) == ["too"]


def refuse_leases(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """Make this a file system that gives no leases."""
    call = fcntl.fcntl

    def without(fd: int, command: int, value: int = 0) -> int:
        if command == fcntl.F_SETLEASE and value == fcntl.F_RDLCK:
            raise OSError(error, os.strerror(error))
        return call(fd, command, value)

    monkeypatch.setattr(fcntl, "fcntl", without)


def test_a_process_of_one_s_own_without_leases(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process of this machine has open is found without a lease as well."""
    refuse_leases(monkeypatch, errno.EINVAL)
    with written(queue, "- a\n- b\n- |\n  c\n"):
        assert take(queue) == ["a", "b"]
        assert len(old_files.find_old_files(queue)) == 1
    age(old_files.find_old_files(queue)[0].path)
    assert take(queue) == ["c\n"]


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EAGAIN])
def test_a_file_system_that_gives_no_leases(
    queue: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """There a last line without a line break waits for a second; all else is as ever."""
    refuse_leases(monkeypatch, error)
    monkeypatch.setattr(settled, "QUIET", 1000.0)
    queue.write_text("- a\n- b\n- c")
    assert take(queue) == ["a", "b"]
    assert queue.read_text() == "- c"
    age(queue, 2000.0)
    assert take(queue) == ["c"]
    assert sorted(path.name for path in queue.parent.iterdir()) == ["consumed.yaml", "queue.yaml"]


def test_no_proc(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody says who writes, a second without a change has to do, and nothing is lost."""
    monkeypatch.setattr(writers, "_PROC", "/nowhere")
    monkeypatch.setattr(settled, "QUIET", 1000.0)
    with written(queue, "- a\n- b\n"):
        assert take(queue) == ["a"]
        assert len(old_files.find_old_files(queue)) == 1
        assert take(queue) == ["b"]  # of a file that nobody else knows
    assert take(queue) == []
    assert sorted(path.name for path in queue.parent.iterdir()) == ["consumed.yaml", "queue.yaml"]


def test_no_hard_links(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot keep a name, who has it open is waited for; else all is as ever."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    queue.write_text("- a\n- b\n")
    assert take(queue, 1) == ["a"]
    with written(queue, "- c\n"), pytest.raises(PegasusError, match="Close the file"):
        take(queue)
    assert take(queue) == ["b", "c"]


def test_a_queue_that_is_mounted_by_itself(tmp_path: Path) -> None:
    """A file that is a mount point cannot be replaced, and the message says what can be done."""
    (tmp_path / "source.yaml").write_text("- echo hi\n")
    (tmp_path / "queue.yaml").write_text("")
    code = (
        "from pathlib import Path\n"
        "from pegasus.queue_file import LockedQueue\n"
        "from pegasus.model import Entry\n"
        "from pegasus.picker import FirstJobs\n"
        "locked = LockedQueue('queue.yaml', Path('queue.yaml').resolve())\n"
        "for change in (lambda: locked.take(FirstJobs([lambda job: (job.command,)])),\n"
        "               lambda: locked.add([Entry(('x',), ())])):\n"
        "    try:\n        change()\n    except Exception as error:\n        print(error)\n"
    )
    script = 'mount --bind source.yaml queue.yaml && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr}")
    assert done.stdout.count("Mount the folder that the file is in, not the file alone.") == 2
    assert (tmp_path / "source.yaml").read_text() == "- echo hi\n"
    assert "echo" not in (tmp_path / "consumed.yaml").read_text()


@pytest.mark.parametrize("error", [errno.EBUSY, errno.EXDEV])
def test_a_rename_that_is_refused(queue: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """The same, where nothing can be mounted."""

    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    queue.write_text("- a\n")
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PegasusError, match="Mount the folder that the file is in"):
        take(queue)
    monkeypatch.undo()
    assert take(queue) == ["a"]


def test_check_tries_the_lock(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a queue cannot be locked, `pegasus check` says so, and leaves nothing behind."""
    queue.write_text("- a\n")
    hosts = queue.with_name("hosts.yaml")
    hosts.write_text("- localhost\n")
    assert find(hosts, queue).faults == ()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    (fault,) = find(hosts, queue).faults
    assert "Keep the queue on a file system that has locks" in str(fault)
    assert sorted(path.name for path in queue.parent.iterdir()) == ["hosts.yaml", "queue.yaml"]


def test_the_sign_of_a_file_that_is_gone(tmp_path: Path) -> None:
    """It differs from that of every file."""
    assert settled.sign_of(tmp_path / "queue.yaml")[0] is None


def test_what_cannot_be_seen_is_said(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system tells nothing about writers, a run says so, with what to do instead."""
    queue.write_text("- a\n")
    assert QueueFile(queue).blind_spot() == ""
    refuse_leases(monkeypatch, errno.EINVAL)
    assert "`pegasus add`" in QueueFile(queue).blind_spot()
    queue.unlink()
    assert QueueFile(queue).blind_spot() == ""
    os.mkfifo(queue)
    for path in (queue, queue.parent, Path("/dev/null")):
        assert QueueFile(path).blind_spot() == ""


def test_a_clock_that_is_ahead(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server whose clock is ahead by less than a minute makes no half line complete."""
    refuse_leases(monkeypatch, errno.EINVAL)
    queue.write_text("- a\n- rm -rf ./scratch/run-1/tm")
    age(queue, -20.0)
    assert take(queue) == ["a"]
    age(queue, -1000.0)
    assert take(queue) == ["rm -rf ./scratch/run-1/tm"]


def test_two_writers_of_whom_one_is_not_seen(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes to an old file is not moved behind the half line of another writer."""
    refuse_leases(monkeypatch, errno.EINVAL)
    with written(queue, "- a\n- b\n- c\n"):
        assert take(queue) == ["a", "b"]
        old = old_files.find_old_files(queue)[0].path
        with old.open("a") as file:
            file.write("- d\n- e\n")
        with queue.open("a") as unseen:  # of this process, which is not looked for
            unseen.write("- rm -rf ./scratch/run-1/tm")
            unseen.flush()
            assert "rm -rf ./scratch/run-1/tm" not in take(queue)
            assert queue.read_text().endswith("- rm -rf ./scratch/run-1/tm")
            unseen.write("p-2\n")
    for path in (old, queue):
        if path.exists():
            age(path)
    commands = take(queue) + take(queue)
    assert "rm -rf ./scratch/run-1/tmp-2" in commands


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_folder_of_old_files_is_the_user_s(queue: Path) -> None:
    """Where root runs Pegasus in a user's folder, the user can go on without root."""
    os.chown(queue.parent, 4242, 4242)
    os.chown(queue, 4242, 4242)
    with written(queue, "- a\n- |\n  b"):
        assert take(queue) == ["a"]
        folder = old_files.folder_of(queue).stat()
        assert (folder.st_uid, folder.st_gid) == (4242, 4242)
