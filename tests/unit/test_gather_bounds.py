"""`b --gather` with outputs that are large, binary or never read, and as differences."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress

import pytest
import trio
import trio.testing

from pegasus.events import Noted
from pegasus.gather import kept, listener, open_gathered
from pegasus.gather.difference import MOST_DIFF_BYTES, MOST_DIFF_LINES, difference
from pegasus.gather.kept import ALL_IN_MEMORY, IN_MEMORY, KeptOutput, OutputStore
from pegasus.gather.listener import Gathered
from pegasus.model import Exited, Stream
from pegasus.screen import open_screen
from tests.unit.gathering import Broadcast, Shown, block, broadcast, nodes
from tests.unit.screens import LIMIT, pipe

BINARY = bytes(range(256)).replace(b"\r", b"") * 1024
"""256 KiB of every byte but the one that divides lines on a screen."""


def gathered_in(run: Broadcast) -> Gathered:
    """Give the listener itself."""
    assert isinstance(run.listener, Gathered)
    return run.listener


async def test_large_outputs() -> None:
    """Every byte of large outputs is shown, equal ones once, and memory stays small meanwhile."""
    shown = Shown()
    line = b"0123456789abcde\n"
    async with broadcast(4, shown) as run:
        run.take()
        run.start()
        store = gathered_in(run).store
        for _ in range(64):
            for at in range(4):
                await run.print(at, line * 4096 + (b"odd\n" if at == 3 else b""))
                assert store._in_memory <= 4 * IN_MEMORY + 1
        await run.print(3, b"last")
        for at in range(4):
            run.end(at)
    even = block("node-[1-3] (3)", (line * 4096 * 64).decode().removesuffix("\n"))
    odd = (line * 4096 + b"odd\n") * 64 + b"last"
    assert shown.out.startswith(even)
    assert shown.out[len(even) :] == block("node-4", odd.decode())
    assert store._in_memory == 0
    assert len(shown.said) == 1


async def test_large_outputs_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is made once, however many outputs need it at the same moment: nothing is lost."""
    store, outputs = OutputStore(), [KeptOutput(), KeptOutput()]
    both, make = threading.Barrier(2), kept._nameless_file

    def make_slowly() -> int:
        with suppress(threading.BrokenBarrierError):
            both.wait(0.1)  # gives the other thread the opportunity to come here as well
        return make()

    monkeypatch.setattr(kept, "_nameless_file", make_slowly)
    texts = [bytes([at]) * 2 * IN_MEMORY for at in (1, 2)]
    async with trio.open_nursery() as nursery:
        for output, text in zip(outputs, texts, strict=True):
            nursery.start_soon(store.add, output, text)
    read = [b"".join([part async for part in store.read(output)]) for output in outputs]
    store.close()
    assert read == texts


async def test_binary_output() -> None:
    """Bytes that are no text pass unchanged into a file or a pipe."""
    shown = Shown()
    async with broadcast(2, shown) as run:
        await run.step(BINARY, BINARY)
    assert shown.out.split(b"(2)\n" + b"-" * 15 + b"\n")[1] == BINARY + b"\n"


async def test_the_file_is_used_again() -> None:
    """What was shown takes no place any more, and the file has no name."""
    shown = Shown()
    async with broadcast(1, shown) as run:
        store = gathered_in(run).store
        for _ in range(3):
            await run.step(BINARY)
            with trio.fail_after(LIMIT):
                while store._end:
                    await trio.sleep(0.01)
            assert store._fd is not None
            assert os.fstat(store._fd).st_size == 0
            assert os.fstat(store._fd).st_nlink == 0
    assert shown.out.count(b"node-1") == 3
    assert store._fd is None


async def test_many_small_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a limit for all of them, also small outputs go to the file."""
    monkeypatch.setattr(kept, "ALL_IN_MEMORY", 1000)
    assert ALL_IN_MEMORY > 1000
    store, outputs = OutputStore(), [KeptOutput() for _ in range(100)]
    for round_ in range(3):
        for at, output in enumerate(outputs):
            await store.add(output, b"%d %d %s\n" % (round_, at, b"x" * 100))
            assert store._in_memory < 1200
    texts = [b"".join([part async for part in store.read(output)]) for output in outputs]
    store.close()
    assert texts[42] == b"".join(b"%d 42 %s\n" % (round_, b"x" * 100) for round_ in range(3))


async def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept is said, with the place where it is; nothing else suffers."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    shown = Shown()
    async with broadcast(2, shown) as run:
        await run.step(b"x" * 70_000 + b"\nend\n", b"small\n")
        await run.step(b"small\n", b"small\n")
    assert shown.out == (
        block("node-1", "").removesuffix(b"\n")
        + block("node-2", "small")
        + block("node-[1-2] (2)", "small")
    )
    assert shown.said[1] == (
        "70,005 of 70,005 bytes of this output could not be kept in a temporary file. "
        "`pegasus logs 1 --sub-node 0` shows all of it."
    )


async def test_a_read_that_is_cancelled() -> None:
    """What was printed before a cancellation is kept, wherever it was to go."""
    store, output = OutputStore(), KeptOutput()
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.add(output, BINARY)
    assert b"".join([part async for part in store.read(output)]) == BINARY
    store.close()


HUGE = b"0123456789abcde\n" * 65536 * 3
"""3 MiB: more than a pipe and the screen have room for."""


async def test_a_reader_that_stalls() -> None:
    """Events do not wait for a reader that stalls; the output of the next step does."""
    with pipe(reading=False) as stdout, pipe() as stderr:
        async with (
            open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen,
            open_gathered(True, screen, nodes(1), trio.Event()) as gathered,
        ):
            run = Broadcast(gathered, nodes(1))
            await run.step(HUGE)
            run.take()
            run.start()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run.print, 0, b"later\n")
                await trio.testing.wait_all_tasks_blocked(0.05)
                assert len(nursery.child_tasks) == 1
                run.listener.tell(Noted("heard"))
                stdout.start_reading()
            run.end(0, Exited(1))
        assert stdout.text() == block("node-1", HUGE.decode()[:-1]) + block("node-1", "later")
        assert stderr.text().decode().splitlines() == [
            "[Pegasus] === run job 1: 'true' ===",
            "[Pegasus] heard",
            "[Pegasus] === run job 2: 'true' ===",
            "[Pegasus] job 2 on node-1: exit status: 1",
        ]


async def test_a_run_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stalls does not hold up the end of a run that was killed."""
    monkeypatch.setattr(listener, "LAST_WAIT", 0.01)
    killed = trio.Event()
    with pipe(reading=False) as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen:
            with trio.fail_after(LIMIT):
                async with open_gathered(True, screen, nodes(1), killed) as gathered:
                    await Broadcast(gathered, nodes(1)).step(HUGE)
                    killed.set()
            stdout.start_reading()
        assert block("node-1", HUGE.decode()[:-1]).startswith(stdout.text())


async def test_a_reader_that_goes_away() -> None:
    """Where nobody reads any more, the run goes on to its end."""
    with pipe(reading=False) as stdout, pipe() as stderr:
        stdout.close_reader()
        async with (
            open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen,
            open_gathered(True, screen, nodes(1), trio.Event()) as gathered,
        ):
            run = Broadcast(gathered, nodes(1))
            for _ in range(3):
                await run.step(HUGE)
        assert stderr.text().count(b"=== run job") == 3


async def test_differences() -> None:
    """The output of the most is shown in full, and how each other differs from it below."""
    shown = Shown()
    even, odd = b"".join(b"%d\n" % i for i in range(20)), b"\xff\n"
    async with broadcast(6, shown, kind="diff") as run:
        await run.step(even, even, even.replace(b"7\n", odd, 1), even, even + b"more", b"")
    reference = even.decode().removesuffix("\n")
    head = block("node-[1-2,4] (3)", reference)
    assert shown.out.startswith(head)
    texts = shown.out.removeprefix(head).split(b"--- node-[1-2,4] (3)\n")
    assert texts[1] == (b"+++ node-3\n@@ -5,7 +5,7 @@\n 4\n 5\n 6\n-7\n+\xff\n 8\n 9\n 10\n")
    assert texts[2] == b"+++ node-5\n@@ -18,3 +18,4 @@\n 17\n 18\n 19\n+more\n"
    assert texts[3].startswith(b"+++ node-6\n@@ -1,20 +0,0 @@\n-0\n-1\n")
    assert len(texts) == 4


async def test_no_differences() -> None:
    """Where all outputs are equal, it is shown once, and nothing where there is none."""
    shown = Shown()
    async with broadcast(3, shown, kind="diff") as run:
        await run.step(b"a\n", b"a", b"a\n")
        await run.step(b"", b"", b"")
    assert shown.out == block("node-[1-3] (3)", "a")


async def test_differences_from_no_output() -> None:
    """Where most print nothing, what the others print is added."""
    shown = Shown()
    async with broadcast(3, shown, kind="diff") as run:
        await run.step(b"", b"one\n", b"", stream=Stream.STDERR)
    assert shown.out == b""
    assert (
        b"--- node-[1,3] (2): standard error\n+++ node-2: standard error\n@@ -0,0 +1 @@\n+one\n"
    ) in shown.err


@pytest.mark.parametrize(
    "text", [b"x" * (MOST_DIFF_BYTES + 1), b"\n" * (MOST_DIFF_LINES + 1)], ids=["bytes", "lines"]
)
async def test_outputs_that_are_too_long_to_be_compared(text: bytes) -> None:
    """They are said to differ, with their sizes and the place where they are."""
    shown = Shown()
    async with broadcast(3, shown, kind="diff") as run:
        await run.step(b"a\n", text, b"a\n")
    assert shown.out == block("node-[1,3] (2)", "a") + b"--- node-[1,3] (2)\n+++ node-2\n"
    assert shown.said[1] == (
        f"These outputs differ (2 bytes and {len(text):,} bytes), and are too long to be compared "
        "here. `pegasus logs 1 --sub-node 1` shows all of it."
    )


def test_the_longest_comparison() -> None:
    """Two outputs without a common line, and two with only common ones, are compared in time."""
    lines = [b"%d\n" % i for i in range(MOST_DIFF_LINES)]
    assert difference(b"".join(lines), b"".join(b"x" + line for line in lines), ("a", "b"))
    assert difference(b"".join(lines), b"".join(reversed(lines)), ("a", "b"))
    repeated = b"0\n1\n" * (MOST_DIFF_LINES // 2)
    assert difference(repeated, repeated + b"2\n", ("a", "b")) == (
        b"--- a\n+++ b\n@@ -3998,3 +3998,4 @@\n 1\n 0\n 1\n+2\n"
    )


async def test_many_steps_while_a_reader_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages about steps without output are left out then, and counted; outputs are not."""
    monkeypatch.setattr(listener, "MOST_WAITING", 10)
    with pipe(reading=False) as stdout, pipe() as stderr:
        async with (
            open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen,
            open_gathered(True, screen, nodes(1), trio.Event()) as gathered,
        ):
            run = Broadcast(gathered, nodes(1))
            await run.step(HUGE)
            for _ in range(30):
                run.take()
                run.start()
                run.end(0, Exited(1))
            stdout.start_reading()
        assert stdout.text() == block("node-1", HUGE.decode()[:-1])
        assert b"] 51 messages on steps without output were left out: the reader" in stderr.text()
