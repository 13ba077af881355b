"""What users may rely on when nobody reads, nobody can read any more, or a disk is full."""

from __future__ import annotations

import os
import pty
import re
import resource
import subprocess
import sys
import textwrap
from contextlib import ExitStack

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pegasus.events import Ended, Printed, Started
from pegasus.lines import LONGEST_LINE
from pegasus.model import Assignment, Exited, Stream
from pegasus.screen import Screen, listener, open_screen
from pegasus.screen.output import ROOM_FOR_EVENTS, ROOM_FOR_JOBS, ROOM_FOR_NOTES
from tests.unit.screens import LIMIT, assignment, err, out, pipe

LEFT_OUT = " of messages left out: the reader of this output was too slow"

BLOCK = b"x" * (LONGEST_LINE - 1) + b"\n"
"""More than a pipe takes, once a prefix is in front."""


async def print_for_ever(screen: Screen, job: Assignment, shown: list[int]) -> None:
    """Be a job that prints as fast as it may."""
    while True:
        await screen.show(out(job, BLOCK))
        shown.append(job.number)


async def test_a_stalled_reader_holds_back_only_who_prints_to_it() -> None:
    """Jobs that print to a pipe nobody reads wait; telling, other output and notices go on."""
    shown: list[int] = []
    with trio.fail_after(LIMIT), pipe(reading=False) as stdout, pipe() as stderr:
        with trio.CancelScope() as scope:
            async with (
                open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen,
                trio.open_nursery() as nursery,
            ):
                for number in range(4):
                    nursery.start_soon(print_for_ever, screen, assignment(number, number), shown)
                await wait_all_tasks_blocked()
                assert len(shown) == ROOM_FOR_JOBS // len(b"[node-1] " + BLOCK) + 1
                assert all(shown.count(number) >= 4 for number in range(4))
                screen.tell(Started(assignment()))
                await screen.show(err(assignment(), b"an error\n"))
                screen.say("stopping")
                await screen.wait_written()
                scope.cancel()
        assert scope.cancelled_caught
        assert stderr.text() == (
            b"[node-1] === run 'true' ===\n[node-1] an error\n[Pegasus] stopping\n"
        )


async def test_a_reader_that_comes_back_gets_everything() -> None:
    """Output that waited for its reader is all there, and jobs go on printing."""
    job = assignment()
    with trio.fail_after(LIMIT), pipe(reading=False) as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:

            async def play() -> None:
                for number in range(60):
                    await screen.show(out(job, b"%03d" % number + BLOCK[3:]))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(play)
                await wait_all_tasks_blocked()
                stdout.start_reading()
        numbers = re.findall(rb"^\[node-1\] (\d+)x+$", stdout.text(), re.MULTILINE)
        assert list(map(int, numbers)) == list(range(60))


async def test_jobs_that_print_take_turns() -> None:
    """Jobs that flood a slow reader get on equally well; none of them has to wait for its end."""
    shown: list[int] = []
    with trio.fail_after(LIMIT), pipe(reading=False) as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:

            async def play(job: Assignment) -> None:
                for _ in range(100):
                    await screen.show(out(job, BLOCK))
                    shown.append(job.number)

            async with trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(play, assignment(number, number))
                await wait_all_tasks_blocked()
                stdout.start_reading()
    counts = [shown[:150].count(number) for number in range(3)]
    assert min(counts) >= 45


async def test_memory_is_bounded_when_nobody_reads() -> None:
    """Run and done lines that find no room are counted, and the count is told later."""
    job = assignment()
    with trio.fail_after(LIMIT), pipe(reading=False) as both:
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            (place,) = screen._files
            await screen.show(out(job, b"printed, but no end"))
            for _ in range(60_000):
                screen.tell(Started(assignment(7, 7, "node-7", "c" * 80)))
            assert ROOM_FOR_EVENTS < place.output.waiting < ROOM_FOR_EVENTS + 1000
            screen.tell(Ended(job, Exited(0), 1.0))
            screen.say("stopping")
            assert place.output.waiting < ROOM_FOR_NOTES
            both.start_reading()
            await screen.wait_written()
            screen.say("back again")
        lines = both.text().decode().split("\n")[:-1]
        runs = [line for line in lines if line.startswith("[node-7] === run")]
        left_out = 60_000 - len(runs) + 1
        assert lines[len(runs) :] == [
            "[node-1] printed, but no end",
            "[Pegasus] stopping",
            f"[Pegasus] {left_out:,} lines{LEFT_OUT}",
            "[Pegasus] back again",
        ]


async def test_notes_are_bounded_too() -> None:
    """Not even notes fill the memory; one that is left out is counted as one line."""
    with trio.fail_after(LIMIT), pipe(reading=False) as both:
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            (place,) = screen._files
            while place.output.waiting <= ROOM_FOR_NOTES:
                screen.say("n" * 100_000)
            screen.say("too much")
            both.start_reading()
        text = both.text().decode()
        assert text.endswith(f"[Pegasus] 1 line{LEFT_OUT}\n")


async def test_cancelling_does_not_wait_for_a_stalled_reader() -> None:
    """Whoever is cancelled comes out at once, however much waits to be read."""
    with trio.fail_after(LIMIT), pipe(reading=False) as both:
        with trio.CancelScope() as scope:
            async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
                for _ in range(5):
                    await screen.show(out(assignment(), BLOCK))
                await wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        with trio.move_on_after(0.05) as scope:
            async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
                await screen.show(out(assignment(), BLOCK))
        assert scope.cancelled_caught


async def test_a_failing_run_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """When Pegasus itself fails, a stalled reader has a moment, and then the error comes out."""
    monkeypatch.setattr(listener, "SCREEN_END_LIMIT", 0.01)

    async def fail(fd: int) -> None:
        async with open_screen(stdout_fd=fd, stderr_fd=fd) as screen:
            await screen.show(out(assignment(), BLOCK))
            raise ValueError("a bug")

    with (
        trio.fail_after(LIMIT),
        pipe(reading=False) as both,
        pytest.raises(ValueError, match="a bug"),
    ):
        await fail(both.fd)


def test_a_process_ends_although_nobody_reads() -> None:
    """The thread that is stuck in a write does not keep Pegasus from ending."""
    script = """
        import trio
        from pegasus.screen import open_screen

        async def main():
            with trio.CancelScope() as scope:
                async with open_screen() as screen:
                    screen.say("x" * 1_000_000)
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()

        import trio.testing
        trio.run(main)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            assert child.wait(LIMIT) == 0
        finally:
            child.kill()


async def test_a_reader_that_goes_away() -> None:
    """``| head``: the run is told once, later output is dropped, the other output goes on."""
    gone: list[str] = []
    job = assignment()
    with trio.fail_after(LIMIT), pipe(reading=False) as stdout, pipe() as stderr:
        async with open_screen(
            stdout_fd=stdout.fd, stderr_fd=stderr.fd, on_reader_gone=lambda: gone.append("!")
        ) as screen:
            await screen.show(out(job, b"1\n"))
            assert await stdout.read_some() == b"[node-1] 1\n"
            assert not gone
            stdout.close_reader()
            for _ in range(40):
                await screen.show(out(job, BLOCK))
            screen.tell(Ended(job, Exited(0), 1.0))
        assert gone == ["!"]
        assert stderr.text() == b"[node-1] === done (exit status: 0) ===\n"


async def test_both_readers_go_away() -> None:
    """With nobody left to read, the run is told once and ends without a fuss."""
    gone: list[str] = []
    job = assignment()
    with ExitStack() as stack:
        stdout, stderr = (stack.enter_context(pipe(reading=False)) for _ in range(2))
        stdout.close_reader()
        stderr.close_reader()
        with trio.fail_after(LIMIT):
            async with open_screen(
                stdout_fd=stdout.fd, stderr_fd=stderr.fd, on_reader_gone=lambda: gone.append("!")
            ) as screen:
                screen.tell(Started(job))
                await screen.show(out(job, b"x\n"))
                await screen.wait_written()
                screen.say("nobody hears this")
    assert gone == ["!"]


async def test_waiting_jobs_go_on_when_their_reader_goes_away() -> None:
    """A job that waits for a stalled reader is free when that reader leaves."""
    with trio.fail_after(LIMIT), pipe(reading=False) as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:

            async def play() -> None:
                for _ in range(40):
                    await screen.show(out(assignment(), BLOCK))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(play)
                await wait_all_tasks_blocked()
                stdout.close_reader()


async def test_a_terminal_that_vanishes() -> None:
    """A closed terminal window is a reader that went away."""
    gone: list[str] = []
    master, terminal = pty.openpty()
    try:
        with trio.fail_after(LIMIT):
            async with open_screen(
                stdout_fd=terminal, stderr_fd=terminal, on_reader_gone=lambda: gone.append("!")
            ) as screen:
                os.close(master)
                await screen.show(out(assignment(), b"text\n"))
                await screen.wait_written()
                await screen.show(out(assignment(), b"more\n"))
    finally:
        os.close(terminal)
    assert gone == ["!"]


@pytest.mark.parametrize(("stream", "name"), [(Stream.STDOUT, "output"), (Stream.STDERR, "error")])
async def test_a_full_disk(stream: Stream, name: str) -> None:
    """A disk that is full does not end a run; it is said once, where it can be read."""
    job = assignment()
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with trio.fail_after(LIMIT), pipe() as other:
            fds = (full, other.fd) if stream is Stream.STDOUT else (other.fd, full)
            async with open_screen(stdout_fd=fds[0], stderr_fd=fds[1]) as screen:
                for _ in range(3):
                    await screen.show(Printed(job, stream, b"text\n"))
                    await wait_all_tasks_blocked(0.01)
            assert other.text().decode() == (
                f"[Pegasus] cannot write to standard {name}: No space left on device; "
                "what does not fit there is dropped\n"
            )
    finally:
        os.close(full)


async def test_nowhere_to_write() -> None:
    """Outputs that are full or closed do no harm, even when there is nobody to tell."""
    full = os.open("/dev/full", os.O_WRONLY)
    closed = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 65_536) - 1  # never that many
    try:
        for stdout, stderr in ((full, full), (closed, full), (full, closed), (closed, closed)):
            with trio.fail_after(LIMIT):
                async with open_screen(stdout_fd=stdout, stderr_fd=stderr) as screen:
                    screen.tell(Started(assignment()))
                    await screen.show(out(assignment(), b"text\n"))
    finally:
        os.close(full)


def test_a_disk_with_room_again() -> None:
    """What is printed after a full disk has room again begins on a line of its own."""
    script = """
        import resource, trio
        from pegasus.screen import open_screen

        def allow(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        async def main():
            async with open_screen(stderr_fd=1) as screen:
                for size in (20, 20, resource.RLIM_INFINITY):
                    allow(size)
                    screen.say("0123456789")
                    await screen.wait_written()

        trio.run(main)
    """
    with os.fdopen(os.memfd_create("disk"), "w+b") as disk:
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], stdout=disk, check=True, timeout=LIMIT
        )
        disk.seek(0)
        assert disk.read() == b"[Pegasus] 0123456789\n[Pegasus] 0123456789\n"


async def test_somebody_else_made_the_file_non_blocking() -> None:
    """An ssh or a node that shares the file may have set O_NONBLOCK: nothing is lost."""
    job = assignment()
    with trio.fail_after(LIMIT), pipe(reading=False) as both:
        os.set_blocking(both.fd, False)
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            for _ in range(10):
                await screen.show(out(job, BLOCK))
            await wait_all_tasks_blocked()
            both.start_reading()
        assert not os.get_blocking(both.fd)
        assert both.text() == (b"[node-1] " + BLOCK) * 10
