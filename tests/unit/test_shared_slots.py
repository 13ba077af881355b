"""Several runs on one queue: each sees what the others hold, also what a killed one holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pegasus.events import TakenOver
from pegasus.holds import Hold, gone
from pegasus.record import RunFolder, find_runs, records_of
from pegasus.shared_slots import SharedSlots, slots
from tests.unit.shared import Clock, hold, put_holds, recorded

A, B = "0001-run-a", "0002-run-b"


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """A queue file."""
    path = tmp_path / "queue.yaml"
    path.write_text("- true\n")
    return path


def files_of(queue: Path) -> list[str]:
    """Give the names of the files of holds."""
    return sorted(path.name for path in (records_of(queue) / "slots").glob("*"))


def test_each_sees_what_the_other_holds(queue: Path) -> None:
    """What a run writes, another one sees at its next look, and nothing of its own."""
    with recorded(queue, A, B):
        first, second = SharedSlots(queue, A), SharedSlots(queue, B)
        assert first.others() == ()
        second.write([hold(0, B), hold(1, B, 2), Hold("", "at_most:x", "0", B, 2, on="n")])
        assert set(first.others()) == {
            hold(0, B),
            hold(1, B, 2),
            Hold("", "at_most:x", "0", B, 2, on="n"),
        }
        assert second.others() == ()
        second.write([hold(1, B, 2)])
        assert first.others() == (hold(1, B, 2),)
        second.write([])
        assert first.others() == ()
        assert files_of(queue) == []
        assert first.problems == second.problems == []


def test_quick_changes_are_seen(queue: Path) -> None:
    """A file that was replaced within one step of the file system's clock is read again."""
    with recorded(queue, A, B):
        first = SharedSlots(queue, A)
        path = put_holds(queue, B, [hold(0, B)])
        state = path.stat()
        assert first.others() == (hold(0, B),)
        with path.open("r+b") as file:  # the same file, size and time
            content = file.read().replace(b'"slot": "0"', b'"slot": "1"')
            file.seek(0)
            file.write(content)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert first.others() == (hold(1, B),)


def test_an_unchanged_file_is_not_read_again(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A take costs one look at each file; a file is read only when it has changed."""
    monkeypatch.setattr(slots, "_CERTAIN_AFTER", 0.0)
    with recorded(queue, A, B):
        first = SharedSlots(queue, A)
        put_holds(queue, B, [hold(0, B)])
        first.others()
        monkeypatch.setattr("pegasus.shared_slots.hold_files.read", None)
        assert first.others() == (hold(0, B),)


def test_without_records_a_run_is_alone(queue: Path) -> None:
    """Without a folder of records nothing is shared, nothing is made and nothing is amiss."""
    shared = SharedSlots(queue, A)
    shared.write([hold(0, A)])
    shared.release_of(B, 1)
    shared.forget([hold(0, B)])
    assert (shared.others(), shared.doubtful(), shared.problems) == ((), (), [])
    assert not records_of(queue).exists()


def test_files_are_private(queue: Path) -> None:
    """Only the owner of the records reads what is held."""
    with recorded(queue, A):
        SharedSlots(queue, A).write([hold(0, A)])
        folder = records_of(queue) / "slots"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / f"{A}.json").stat().st_mode & 0o777 == 0o600


def test_the_folder_is_no_run(queue: Path) -> None:
    """Who looks for runs does not take the folder of the holds for one."""
    with recorded(queue, A):
        SharedSlots(queue, A).write([hold(0, A)])
        warnings: list[str] = []
        assert [run.name for run in find_runs(queue, warnings)] == [A]
        assert warnings == []


# Runs that are over.


def test_a_run_that_lives_is_not_in_doubt(queue: Path) -> None:
    """What a living run holds is held, and cannot be removed by others."""
    with recorded(queue, A, B):
        shared = SharedSlots(queue, A)
        put_holds(queue, B, [hold(0, B)])
        assert shared.doubtful() == ()
        shared.forget([hold(0, B)])
        assert shared.others() == (hold(0, B),)


@pytest.mark.parametrize("detached", [False, True])
def test_a_killed_run_holds_until_its_commands_are_gone(queue: Path, *, detached: bool) -> None:
    """The slots of a killed run are held until the node says that its commands are gone."""
    clock = Clock()
    with recorded(queue, A, B) as (_, other):
        shared = SharedSlots(queue, A, clock=clock)
        put_holds(queue, B, [hold(0, B), hold(1, B, 2)], detached=detached)
        other.kill()
        first = shared.doubtful()
        assert {each.hold for each in first} == {hold(0, B), hold(1, B, 2)}
        assert {(each.is_detached, each.seconds_over) for each in first} == {(detached, 0.0)}
        assert set(shared.others()) == {hold(0, B), hold(1, B, 2)}
        clock.pass_by(5)
        free = gone(shared.doubtful(), frozenset({(B, 2)}))
        shared.forget([each.hold for each in free])
        assert shared.others() == (hold(1, B, 2),)
        assert [each.hold for each in shared.doubtful()] == [hold(1, B, 2)]
        shared.forget([hold(1, B, 2)])
        assert (shared.others(), shared.doubtful(), files_of(queue)) == ((), (), [])


def test_a_removed_record_is_that_of_a_run_that_is_over(queue: Path) -> None:
    """What such a run held is in doubt; its file says whether it was detached."""
    with recorded(queue, A):
        put_holds(queue, "0009-run-x", [hold(3, "0009-run-x")], detached=True)
        (doubt,) = SharedSlots(queue, A).doubtful()
        assert (doubt.hold.slot, doubt.is_detached) == ("3", True)


def test_a_run_that_is_followed(queue: Path) -> None:
    """Who follows detached commands lets their slots go; so does everybody whom the node tells."""
    clock = Clock()
    with recorded(queue, A, B, detached=True) as (_, other):
        shared = SharedSlots(queue, A, clock=clock)
        put_holds(queue, B, [hold(n, B, n) for n in range(3)], detached=True)
        assert shared.doubtful() == ()
        other.kill()
        assert len(shared.doubtful()) == 3
        other.tell(TakenOver(1, "here", ""))
        other.follow()
        shared.release_of(B, 1)
        assert shared.others() == (hold(0, B, 0), hold(2, B, 2))
        clock.pass_by(5)
        free = gone(shared.doubtful(), frozenset({(B, 2)}))
        shared.forget([each.hold for each in free])
        assert shared.others() == (hold(2, B, 2),)


def test_only_what_is_free_is_removed(queue: Path) -> None:
    """What a file has got in the meantime stays in it."""
    with recorded(queue, A, B) as (_, other):
        shared = SharedSlots(queue, A)
        put_holds(queue, B, [hold(0, B)])
        other.kill()
        (doubt,) = shared.doubtful()
        put_holds(queue, B, [hold(0, B), hold(1, B, 2)])
        shared.forget([doubt.hold])
        assert shared.others() == (hold(1, B, 2),)


def test_of_a_killed_run_nothing_stays(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files and files that were not finished are removed once their run is over."""
    monkeypatch.setattr(slots, "_CERTAIN_AFTER", 0.0)
    with recorded(queue, A, B) as (_, other):
        shared = SharedSlots(queue, A)
        path = put_holds(queue, B, [])
        path.with_name(f".{path.name}.unfinished").write_bytes(b"{")
        other.kill()
        assert shared.doubtful() == ()
        assert files_of(queue) == []


def test_a_file_that_a_power_failure_emptied(queue: Path) -> None:
    """A file without content, or with zeros, holds nothing and is no problem."""
    with recorded(queue, A, B):
        path = put_holds(queue, B, [hold(0, B)])
        shared = SharedSlots(queue, A)
        for content in (b"", b"\0" * 50):
            path.write_bytes(content)
            assert shared.others() == ()
        assert shared.problems == []


# What can go wrong.


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"queue": "q", "detached": false}',
        b'{"queue": "q", "detached": false, "holds": [1]}',
        b'{"queue": "q", "detached": false, "holds": [{"place": "", "pool": "", "slot": 1}]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file(queue: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run held before its file was damaged counts as held; it is reported once."""
    monkeypatch.setattr(slots, "_CERTAIN_AFTER", 0.0)
    with recorded(queue, A, B) as (_, other):
        shared = SharedSlots(queue, A)
        path = put_holds(queue, B, [hold(0, B)])
        assert shared.others() == (hold(0, B),)
        path.write_bytes(content)
        for _ in range(3):
            assert shared.others() == (hold(0, B),)
        (problem,) = shared.problems
        assert f"{path}: it is damaged." in problem
        assert "Remove this file" in problem
        other.kill()
        assert [each.hold for each in shared.doubtful()] == [hold(0, B)]
        assert path.exists()
        shared.forget([hold(0, B)])
        assert not path.exists()


def test_something_else_in_the_place_of_a_file(queue: Path, tmp_path: Path) -> None:
    """A pipe, a link or a folder among the files neither hangs nor ends a run."""
    with recorded(queue, A, B):
        path = put_holds(queue, B, [hold(0, B)])
        folder = path.parent
        os.mkfifo(folder / "pipe.json")
        (folder / "folder.json").mkdir()
        (folder / "link.json").symlink_to(tmp_path / "nowhere")
        (folder / "README").write_text("not a run")
        shared = SharedSlots(queue, A)
        assert shared.others() == (hold(0, B),)
        assert len(shared.problems) == 3


def test_a_disk_that_refuses(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a run cannot write what it holds, it goes on; it says so once and tries again."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "slots")

    with recorded(queue, A, B):
        shared = SharedSlots(queue, A)
        with monkeypatch.context() as patch:
            patch.setattr("pegasus.durable.write_private", refuse)
            shared.write([hold(0, A)])
            shared.write([hold(0, A)])
        (problem,) = shared.problems
        assert "No space left on device. Other runs of this queue do not see" in problem
        shared.write([hold(0, A)])
        assert SharedSlots(queue, B).others() == (hold(0, A),)


def test_a_folder_that_cannot_be_read(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before counts while the folder cannot be read."""

    def refuse(_: Path) -> None:
        raise PermissionError(1, "another user owns this folder", "records")

    with recorded(queue, A, B):
        put_holds(queue, B, [hold(0, B)])
        shared = SharedSlots(queue, A)
        assert shared.others() == (hold(0, B),)
        monkeypatch.setattr("pegasus.shared_slots.slots.refuse_strangers", refuse)
        assert shared.others() == (hold(0, B),)
        (problem,) = shared.problems
        assert "records: another user owns this folder. This run does not see" in problem


def test_a_writer_that_was_killed_before(queue: Path) -> None:
    """What a writer left unfinished is in nobody's way."""
    with recorded(queue, A, B):
        path = put_holds(queue, A, [])
        path.with_name(f".{path.name}.unfinished").write_bytes(b"{")
        shared = SharedSlots(queue, A)
        shared.write([hold(0, A)])
        assert shared.problems == []
        assert SharedSlots(queue, B).others() == (hold(0, A),)


def test_queues_of_one_folder(queue: Path) -> None:
    """Queues in one folder share nodes, but no limits of groups: those are of one queue."""
    with recorded(queue, A, B):
        limit = hold(0, B, pool="at_most:x", place="")
        put_holds(queue, B, [hold(0, B), limit], name="other.yaml")
        assert SharedSlots(queue, A).others() == (hold(0, B),)
        assert set(SharedSlots(queue.with_name("other.yaml"), A).others()) == {hold(0, B), limit}


def test_detached_holds_are_synced(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What detached commands hold survives a power failure, as they do."""
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    with recorded(queue, A, B):
        SharedSlots(queue, A).write([hold(0, A)])
        assert synced == []
        SharedSlots(queue, B, is_detached=True).write([hold(1, B)])
        assert len(synced) == 1


def test_a_record_that_cannot_be_read(queue: Path) -> None:
    """If nobody knows whether a run goes on, what it holds is held."""
    with recorded(queue, A, B) as (_, other):
        put_holds(queue, B, [hold(0, B)])
        RunFolder(records_of(queue) / B).journal.write_bytes(b"damaged\n")
        other.kill()
        shared = SharedSlots(queue, A)
        assert shared.doubtful() == ()
        assert shared.others() == (hold(0, B),)
        assert "its first line is damaged" in shared.problems[0]
