"""What users may rely on when a run is shown: what is said, where, and in which order."""

from __future__ import annotations

import signal
from collections import defaultdict

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus.events import Connected, Ended, Noted, Printed, Started, Taken, Unreachable
from pegasus.lines import LONGEST_LINE, LineSplitter
from pegasus.model import (
    Assignment,
    Cancelled,
    Command,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    SubNode,
    TimedOut,
)
from pegasus.screen import Screen, open_screen
from tests.examples import examples
from tests.unit.screens import assignment, err, out, pipe

GPU = SubNode(0, "node-1", (("container", "gpu0"),))


async def test_a_job_from_its_run_line_to_its_done_line() -> None:
    """Output goes to standard output, all else to standard error, behind the sub-node's name."""
    command = "python train.py --bs 8"
    job = Assignment(1, Job(command), GPU, Command(command))
    with pipe() as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:
            screen.tell(Taken(1, job.job))
            screen.tell(Started(job))
            await screen.show(out(job, b"epoch 1\nepo"))
            await screen.show(err(job, b"warning: [bold]hot[/bold]\n"))
            await screen.show(out(job, b"ch 2\nlast"))
            screen.tell(Ended(job, Exited(0), 1.0))
        assert stdout.text() == (
            b"[node-1 (container=gpu0)] epoch 1\n"
            b"[node-1 (container=gpu0)] epoch 2\n"
            b"[node-1 (container=gpu0)] last\n"
        )
        assert stderr.text() == (
            b"[node-1 (container=gpu0)] === run 'python train.py --bs 8' ===\n"
            b"[node-1 (container=gpu0)] warning: [bold]hot[/bold]\n"
            b"[node-1 (container=gpu0)] === done (exit status: 0) ===\n"
        )


async def test_order_in_one_file() -> None:
    """Where both outputs are one file, as with ``2>&1``, everything comes in its order."""
    job = assignment()
    with pipe() as both:
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            screen.tell(Started(job))
            await screen.show(out(job, b"one\nno end of line"))
            await screen.show(err(job, b"two\nnone here"))
            screen.tell(Ended(job, Exited(1), 1.0))
            screen.say("all done")
        assert both.text().decode().split("\n") == [
            "[node-1] === run 'true' ===",
            "[node-1] one",
            "[node-1] two",
            "[node-1] no end of line",
            "[node-1] none here",
            "[node-1] === done (exit status: 1) ===",
            "[Pegasus] all done",
            "",
        ]


async def test_lines_of_jobs_do_not_mix() -> None:
    """A line that comes in pieces is shown when it is whole, whatever others print meanwhile."""
    one, two = assignment(1, 0, "a"), assignment(2, 1, "b")
    with pipe() as both:
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            await screen.show(out(one, b"be"))
            await screen.show(out(two, b"other\n"))
            await screen.show(err(one, b"error\n"))
            await screen.show(out(one, b"gin\n"))
        assert both.text() == b"[b] other\n[a] error\n[a] begin\n"


async def test_the_next_job_of_a_sub_node_begins_with_a_new_line() -> None:
    """What one job left unfinished never runs into the next job's output."""
    first, second = assignment(1), assignment(2)
    with pipe() as both:
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            await screen.show(out(first, b"half\r"))
            await screen.show(out(first, b"a line"))
            screen.tell(Ended(first, Cancelled(), 1.0))
            await screen.show(out(second, b"\nnew"))
        assert both.text() == (
            b"[node-1] half\n[node-1] a line\n[node-1] === done (cancelled) ===\n"
            b"[node-1] \n[node-1] new\n"
        )


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Exited(255), "exit status: 255"),
        (Killed(signal.SIGKILL), "killed by signal 9 (SIGKILL)"),
        (Cancelled(), "cancelled"),
        (TimedOut(1.5), "timed out after 1.5 s"),
        (NotStarted("no room"), "not started: no room"),
    ],
)
async def test_outcomes_are_said(outcome: Outcome, words: str) -> None:
    """The done line says what became of the job."""
    with pipe() as stderr:
        async with open_screen(stdout_fd=stderr.fd, stderr_fd=stderr.fd) as screen:
            screen.tell(Ended(assignment(), outcome, 1.0))
        assert stderr.text().decode() == f"[node-1] === done ({words}) ===\n"


async def test_texts_of_several_lines() -> None:
    """Each line of a command is behind the prefix; an outcome or a note is one line each."""
    job = assignment(command="set -e\nmake 'all'\n\n")
    with pipe() as stderr:
        async with open_screen(stdout_fd=stderr.fd, stderr_fd=stderr.fd) as screen:
            screen.tell(Started(job))
            screen.tell(Ended(job, Lost("broken\r\npipe"), 1.0))
            screen.say("3 jobs: 1 failed", "  node-1: echo 'a\nb'")
            screen.tell(Noted("x"))
        assert stderr.text().decode().split("\n") == [
            "[node-1] === run 'set -e",
            "[node-1] make 'all'' ===",
            "[node-1] === done (lost: broken; pipe) ===",
            "[Pegasus] 3 jobs: 1 failed",
            r"[Pegasus]   node-1: echo 'a\nb'",
            "[Pegasus] x",
            "",
        ]


async def test_nodes_that_cannot_be_reached() -> None:
    """Each trouble is told once in ssh's words; connecting is worth a word only after one."""
    other = SubNode(1, "node-2")
    with pipe() as stderr:
        async with open_screen(stdout_fd=stderr.fd, stderr_fd=stderr.fd) as screen:
            screen.tell(Connected(other))
            screen.tell(Unreachable(GPU, "ssh: Connection refused\r\n", 0.4))
            screen.tell(Unreachable(GPU, "ssh: Connection refused\r\n", 2.0))
            screen.tell(Unreachable(other, "ssh: Connection refused", None))
            screen.tell(Unreachable(GPU, "first line\nPermission denied", 59.2))
            screen.tell(Connected(GPU))
            screen.tell(Connected(GPU))
            screen.tell(Unreachable(GPU, "first line\nPermission denied", 1.0))
        name, two_lines = "node-1", "first line; Permission denied"
        assert stderr.text().decode().split("\n") == [
            f"[Pegasus] {name} cannot be reached, trying again in 1 s: ssh: Connection refused",
            "[Pegasus] node-2 cannot be reached, giving up: ssh: Connection refused",
            f"[Pegasus] {name} cannot be reached, trying again in 60 s: {two_lines}",
            f"[Pegasus] {name} is connected now",
            f"[Pegasus] {name} cannot be reached, trying again in 1 s: {two_lines}",
            "",
        ]


async def test_a_host_with_many_sub_nodes() -> None:
    """A reason is told once a host, and again when it changes, or after it was connected."""
    sub_nodes = [SubNode(number, "node-1", (("gpu", str(number)),)) for number in range(16)]
    with pipe() as stderr:
        async with open_screen(stdout_fd=stderr.fd, stderr_fd=stderr.fd) as screen:
            for words in ("Permission denied", "Permission denied", "Connection refused"):
                for sub_node in sub_nodes:
                    screen.tell(Unreachable(sub_node, words, 1.0))
            for sub_node in sub_nodes[:8]:
                screen.tell(Connected(sub_node))
            screen.tell(Unreachable(sub_nodes[8], "Connection refused", 4.0))
            screen.tell(Unreachable(sub_nodes[9], "broken", 4.0))
            screen.tell(Unreachable(sub_nodes[9], "Connection refused", 4.0))
            for sub_node in sub_nodes[8:]:
                screen.tell(Connected(sub_node))
            for sub_node in sub_nodes:
                screen.tell(Unreachable(sub_node, "Connection refused", 1.0))
        assert stderr.text().decode().splitlines() == [
            "[Pegasus] node-1 cannot be reached, trying again in 1 s: Permission denied",
            "[Pegasus] node-1 cannot be reached, trying again in 1 s: Connection refused",
            "[Pegasus] node-1 is connected now",
            "[Pegasus] node-1 cannot be reached, trying again in 4 s: broken",
            "[Pegasus] node-1 is connected now",
            "[Pegasus] node-1 cannot be reached, trying again in 1 s: Connection refused",
        ]


async def test_bytes_pass_as_they_are() -> None:
    """NUL, broken UTF-8 and escapes reach a pipe unchanged, uncoloured and unwrapped."""
    data = b"\0 \xff\xfe \x1b[2J \x9b \t" + b"x" * 500 + b"\n"
    with pipe() as both:
        async with open_screen(
            stdout_fd=both.fd, stderr_fd=both.fd, environ={"COLUMNS": "20"}
        ) as screen:
            await screen.show(out(assignment(), data))
        assert both.text() == b"[node-1] " + data


async def test_names_are_one_line() -> None:
    """A parameter with a newline in it does not tear lines apart."""
    odd = SubNode(0, "n", (("x", "a\nb\udce9"),))
    job = Assignment(1, Job("true"), odd, Command("true"))
    with pipe() as both:
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            await screen.show(out(job, b"text\n"))
        assert both.text() == b"[n (x=a\\nb\\udce9)] text\n"


@pytest.mark.parametrize(
    ("period", "shown"),
    [
        (1, b"[node-1] 1\n[node-1] 2\n[node-1] 3\n[node-1] 4\n[node-1] 5\n"),
        (2, b"[node-1] 2\n[node-1] 4\n"),
        (5, b"[node-1] 5\n"),
        (6, b""),
        (0, b""),
    ],
)
async def test_print_period(period: int, shown: bytes) -> None:
    """``-p N`` shows each N-th line of each stream; run and done lines are always shown."""
    job = assignment()
    with pipe() as stdout, pipe() as stderr:
        async with open_screen(
            stdout_fd=stdout.fd, stderr_fd=stderr.fd, print_period=period
        ) as screen:
            screen.tell(Started(job))
            await screen.show(out(job, b"1\n2\n3"))
            await screen.show(out(job, b"\n4\n5"))
            await screen.show(err(job, b"other\n"))
            screen.tell(Ended(job, Exited(0), 1.0))
        assert stdout.text() == shown
        lines = stderr.text().split(b"\n")
        assert lines[0] == b"[node-1] === run 'true' ==="
        assert lines[-2] == b"[node-1] === done (exit status: 0) ==="
        assert len(lines) == (4 if period == 1 else 3)


async def test_colours_on_a_pipe_when_asked_for() -> None:
    """With ``--color always`` names are coloured in a pipe too, and jobs' bytes stay untouched."""
    with pipe() as both:
        async with open_screen(
            stdout_fd=both.fd, stderr_fd=both.fd, color="always", environ={}
        ) as screen:
            await screen.show(out(assignment(), b"\x1b[31mred\n"))
            screen.say("note")
        assert both.text() == (
            b"\x1b[0;38;5;32m[node-1]\x1b[0m \x1b[31mred\n\x1b[0;1m[Pegasus]\x1b[0m note\n"
        )


async def test_a_line_without_end() -> None:
    """A line of many megabytes is shown in pieces, whole and in order."""
    job = assignment()
    with pipe() as both:
        async with open_screen(stdout_fd=both.fd, stderr_fd=both.fd) as screen:
            for number in range(100):
                await screen.show(out(job, b"%08d" % number * 8192))
        lines = both.text().split(b"\n")[:-1]
        assert {len(line) for line in lines} == {len(b"[node-1] ") + LONGEST_LINE}
        text = b"".join(line.removeprefix(b"[node-1] ") for line in lines)
        assert text == b"".join(b"%08d" % number * 8192 for number in range(100))


async def test_what_was_told_is_written_when_a_run_fails() -> None:
    """Also when Pegasus itself fails, everything said so far comes out, before the error."""

    async def fail(fd: int) -> None:
        async with open_screen(stdout_fd=fd, stderr_fd=fd) as screen:
            await screen.show(out(assignment(), b"last words"))
            raise ValueError("a bug")

    with pipe() as both:
        with pytest.raises(ValueError, match="a bug"):
            await fail(both.fd)
        assert both.text() == b"[node-1] last words\n"


async def test_wait_written() -> None:
    """Who waited for a notice can be sure that it stands there."""
    with pipe(reading=False) as stderr, pipe() as stdout:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:
            screen.say("stopping")
            await screen.wait_written()
            assert await stderr.read_some() == b"[Pegasus] stopping\n"
            await screen.wait_written()


reads = st.tuples(
    st.integers(0, 2),
    st.sampled_from(Stream),
    st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xff", "日".encode(), b"[x] ", b"\0"])).map(
        b"".join
    ),
)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(reads))
def test_each_job_can_be_read_out_of_the_mix(told: list[tuple[int, Stream, bytes]]) -> None:
    """Without the prefixes, the lines of one name are that job's lines, all and in order."""
    jobs = [assignment(number + 1, number, f"node-{number}") for number in range(3)]

    async def main() -> None:
        async with (
            open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen,
            trio.open_nursery() as nursery,
        ):
            for job in jobs:
                nursery.start_soon(play, screen, job)

    async def play(screen: Screen, job: Assignment) -> None:
        for number, stream, data in told:
            if jobs[number] is job:
                await screen.show(Printed(job, stream, data))

    with pipe() as stdout, pipe() as stderr:
        trio.run(main)
        shown = {Stream.STDOUT: stdout.text(), Stream.STDERR: stderr.text()}
    expected: dict[tuple[int, Stream], bytes] = defaultdict(bytes)
    for number, stream, data in told:
        expected[number, stream] += data
    for number, job in enumerate(jobs):
        for stream in Stream:
            prefix = f"[{job.sub_node}] ".encode()
            found = [line for line in shown[stream].split(b"\n") if line.startswith(prefix)]
            lines = LineSplitter()
            block = bytes(lines.feed(expected[number, stream])) + bytes(lines.finish())
            assert [line.removeprefix(prefix) for line in found] == block.split(b"\n")[:-1]
