"""Promises of the lock: one holder, named to those who wait, who cannot leave it behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from pegasus.errors import PegasusError
from pegasus.queue_file import QueueFile, lock
from tests.unit.queue_texts import jobs_of

SRC = str(Path(__file__).parents[2] / "src")

HOLD = """
import sys, trio
from pegasus.queue_file import QueueFile
async def main():
    async with QueueFile(sys.argv[1]).locked(print):
        print("held", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
trio.run(main)
"""
"""Holds a queue's lock until its standard input ends."""

DRAIN = """
import sys, trio
from pegasus.picker import FirstJobs
from pegasus.queue_file import QueueFile
fill = lambda job: (job.command,)
async def main():
    queue, size, empty = QueueFile(sys.argv[1]), int(sys.argv[2]), False
    while not empty:
        async with queue.locked(lambda words: None) as held:
            taken = await trio.to_thread.run_sync(held.take, FirstJobs([fill] * size))
        empty = taken.empty
        for each in taken.jobs:
            print(each.job.command, dict(each.job.params).get("x", ""))
trio.run(main)
"""
"""Takes from a queue until it is empty, some at a time, and prints what it got."""


@contextmanager
def child(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in another process, which is killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": SRC},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def holder(queue: Path) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold a queue's lock."""
    with child(HOLD, str(queue)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give a queue with one job."""
    path = tmp_path / "queue.yaml"
    path.write_text("- a\n")
    return path


async def test_whoever_waits_says_so_after_a_second_and_who_holds_it(queue: Path) -> None:
    """A waiter is told once, after a second, who holds the lock, and gets it in the end."""
    said: list[tuple[float, str]] = []
    begun = trio.current_time()
    with holder(queue) as process:

        def say(words: str) -> None:
            said.append((trio.current_time() - begun, words))
            assert process.stdin is not None
            process.stdin.close()

        with trio.fail_after(30):
            async with QueueFile(str(queue)).locked(say):
                pass
    [(seconds, words)] = said
    assert 1 <= seconds < 10
    assert re.fullmatch(
        re.escape(f"waiting for {queue}.lock, which `-c ")
        + r".*` \(process "
        + str(process.pid)
        + r", since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d\) holds",
        words,
    )


async def test_waiting_for_the_lock_can_be_cancelled(queue: Path) -> None:
    """Whoever waits can be interrupted, and does not hold the lock afterwards."""
    with holder(queue):
        with trio.move_on_after(0.1) as scope:
            async with QueueFile(queue).locked(print):
                raise AssertionError
        assert scope.cancelled_caught
    with trio.fail_after(30):
        async with QueueFile(queue).locked(print):
            pass


async def test_a_killed_holder_leaves_no_lock(queue: Path) -> None:
    """The lock of a process that was killed is free at once, although its words are still there."""
    with holder(queue) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    path = queue.with_name("queue.yaml.lock")
    assert json.loads(path.read_bytes())["pid"] == process.pid
    assert lock.holder(path) == "another process"
    with trio.fail_after(30):
        async with QueueFile(queue).locked(pytest.fail):
            assert json.loads(path.read_bytes())["pid"] == os.getpid()
    assert path.read_bytes() == b""


async def test_the_words_of_a_dead_holder_are_not_believed(queue: Path) -> None:
    """A process number that is in use again does not make its new owner the holder."""
    path = queue.with_name("queue.yaml.lock")
    words = {"pid": os.getpid(), "host": socket.gethostname(), "command": "pegasus q"}
    for started, believed in ((lock._started(os.getpid()), True), (1, False)):
        path.write_text(json.dumps(words | {"since": "2000-01-01", "started": started}))
        assert (lock.holder(path) != "another process") is believed
    path.write_text(json.dumps(words | {"host": "far", "pid": 1, "since": "then", "started": 1}))
    assert lock.holder(path) == "`pegasus q` (process 1 on far, since then)"
    path.write_text("[]")
    assert lock.holder(path) == "another process"


async def test_two_tasks_of_one_process_exclude_each_other(queue: Path) -> None:
    """The lock is not only between processes."""
    inside = 0

    async def work() -> None:
        nonlocal inside
        async with QueueFile(queue).locked(print):
            inside += 1
            assert inside == 1
            await trio.lowlevel.checkpoint()
            inside -= 1

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(work)


async def test_the_lock_stands_beside_the_real_file(tmp_path: Path) -> None:
    """Two names of one queue are one lock, named after the file itself."""
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "q.yaml").symlink_to("real/jobs.yaml")
    async with QueueFile(tmp_path / "q.yaml").locked(print) as held:
        assert held.real == real / "jobs.yaml"
        assert [file.name for file in real.iterdir()] == ["jobs.yaml.lock"]
        with trio.move_on_after(0.05) as scope:
            async with QueueFile(real / "jobs.yaml").locked(print):
                raise AssertionError
        assert scope.cancelled_caught


async def test_who_may_write_the_queue_may_lock_it(queue: Path) -> None:
    """The lock file is as open as the queue file is, but whoever may only read can't hold it."""
    await trio.Path(queue).chmod(0o664)
    async with QueueFile(queue).locked(print):
        pass
    assert queue.with_name("queue.yaml.lock").stat().st_mode & 0o777 == 0o660


async def test_where_no_lock_can_be_is_said(tmp_path: Path) -> None:
    """A folder that is missing, or a lock that is a link, is a sentence; no folder is made."""
    with pytest.raises(
        PegasusError, match=r"no/q.yaml.lock: cannot lock the queue: there is no folder"
    ):
        async with QueueFile(tmp_path / "no" / "q.yaml").locked(print):
            pass
    assert not await trio.Path(tmp_path, "no").exists()
    await trio.Path(tmp_path, "q.yaml.lock").symlink_to("elsewhere")
    with pytest.raises(PegasusError, match="Replace the symbolic link by a file"):
        async with QueueFile(tmp_path / "q.yaml").locked(print):
            pass


async def test_an_error_inside_releases_the_lock(queue: Path) -> None:
    """Whatever happens to the holder, the lock is free afterwards."""
    with pytest.raises(ZeroDivisionError):
        async with QueueFile(queue).locked(print):
            raise ZeroDivisionError
    async with QueueFile(queue).locked(pytest.fail):
        pass


def test_several_processes_take_each_job_once(tmp_path: Path) -> None:
    """Processes that drain one queue at the same time share its jobs; none is lost or doubled."""
    queue = tmp_path / "queue.yaml"
    queue.write_text(
        "".join(
            f"- command: job {i}\n  x: [1, 2, 3, 4]\n" if i % 4 == 0 else f"- job {i}  # note {i}\n"
            for i in range(400)
        )
    )
    expected = [
        f"{command} {dict(params).get('x', '')}" for command, params in jobs_of(queue.read_bytes())
    ]
    with (
        child(DRAIN, str(queue), "1") as a,
        child(DRAIN, str(queue), "3") as b,
        child(DRAIN, str(queue), "7") as c,
    ):
        outputs = [process.communicate()[0].splitlines() for process in (a, b, c)]
    assert sorted(line for lines in outputs for line in lines) == sorted(expected)
    consumed = jobs_of((tmp_path / "consumed.yaml").read_bytes())
    assert [f"{command} {dict(params).get('x', '')}" for command, params in consumed] == expected
    assert queue.read_text().count("# note") == 300


def test_queues_of_one_folder_share_consumed_yaml(tmp_path: Path) -> None:
    """Two queues with two locks and one consumed.yaml do not tread on each other's records."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("".join(f"- {name} {i}\n" for i in range(100)))
    with (
        child(DRAIN, str(tmp_path / "a.yaml"), "1") as a,
        child(DRAIN, str(tmp_path / "b.yaml"), "1") as b,
    ):
        for process in (a, b):
            process.communicate()
    consumed = [command for command, _ in jobs_of((tmp_path / "consumed.yaml").read_bytes())]
    for name in ("a", "b"):
        assert [c for c in consumed if c.startswith(name)] == [f"{name} {i}" for i in range(100)]
