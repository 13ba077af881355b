"""`b --gather`: what is shown of a step, of its failures, and of a step that does not end."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from pegasus.events import Missing, Noted, RunEnded, SubNodeAdded
from pegasus.gather import open_gathered
from pegasus.gather.naming import GroupNames
from pegasus.model import (
    Cancelled,
    Exited,
    Killed,
    NotStarted,
    Outcome,
    StepOrigin,
    Stream,
    SubNode,
)
from pegasus.screen import Screen, open_screen
from tests.unit.gathering import Broadcast, Shown, block, broadcast, nodes
from tests.unit.screens import pipe, terminal


async def test_equal_outputs_are_shown_once() -> None:
    """Each output has the names of its sub-nodes above; the one of the most is first."""
    shown = Shown()
    async with broadcast(12, shown) as run:
        await run.step(*(b"odd\n" if at in {2, 9} else b"even\n\n2\n" for at in range(12)))
    assert shown.out == block("node-[1-2,4-9,11-12] (10)", "even\n\n2") + block(
        "node-[3,10] (2)", "odd"
    )
    assert shown.said == ["=== run job 1: 'true' ==="]


async def test_sub_nodes_that_join_before_the_first_step() -> None:
    """Those of a Slurm allocation are waited for, and named, like those of the hosts file."""
    shown = Shown()
    joining = nodes(3)
    async with broadcast(joining[:1], shown) as run:
        for each in joining[1:]:
            run.listener.tell(SubNodeAdded(each))
        run.sub_nodes = joining
        await run.step(b"same\n", b"same\n", b"same\n")
    assert shown.out == block("node-[1-3] (3)", "same")
    assert shown.said == ["=== run job 1: 'true' ==="]


async def test_the_order_of_outputs() -> None:
    """Lower exit statuses come first, then larger groups, then names, as with ``clush``."""
    shown = Shown()
    async with broadcast(12, shown) as run:
        run.take()
        run.start()
        for at in range(12):
            output = b"many" if at < 4 else b"%d" % (at + 1)
            await run.print(at, output)
            run.end(at, Exited(3 if at < 4 else 0))
    titles = [line for line in shown.out.decode().splitlines() if line.startswith("node")]
    assert titles == [*(f"node-{i}" for i in (10, 11, 12, 5, 6, 7, 8, 9)), "node-[1-4] (4)"]


@pytest.mark.parametrize("pieces", [(b"a\nb",), (b"a", b"\n", b"b"), (b"a\n", b"", b"b\n")])
async def test_a_newline_at_the_end_makes_no_difference(pieces: tuple[bytes, ...]) -> None:
    """Outputs are equal however they were divided, and with or without a last newline."""
    shown = Shown()
    async with broadcast(2, shown) as run:
        run.take()
        run.start()
        await run.print(0, b"a\nb\n")
        for piece in pieces:
            await run.print(1, piece)
        run.end(0)
        run.end(1)
    assert shown.out == block("node-[1-2] (2)", "a\nb")


async def test_blank_lines_make_a_difference() -> None:
    """No output is not shown; a blank line is, and two are something else."""
    shown = Shown()
    async with broadcast(4, shown) as run:
        await run.step(b"", b"\n", b"\n\n", b"\n")
    assert shown.out == block("node-[2,4] (2)", "") + block("node-3", "\n")


async def test_the_error_output_is_gathered_apart() -> None:
    """Standard error is gathered for itself, and shown on standard error."""
    shown = Shown()
    async with broadcast(3, shown) as run:
        run.take()
        run.start()
        for at in range(3):
            await run.print(at, b"out\n")
            await run.print(at, b"warning %d\n" % (at // 2), Stream.STDERR)
            run.end(at)
    assert shown.out == block("node-[1-3] (3)", "out")
    expected = block("node-[1-2] (2): standard error", "warning 0")
    assert expected + block("node-3: standard error", "warning 1") in shown.err


async def test_failures_are_grouped() -> None:
    """What did not succeed is named by its outcome; no run or done line is shown."""
    shown = Shown()
    outcomes: list[Outcome] = [
        Exited(0),
        Exited(3),
        Exited(1),
        Exited(3),
        Killed(9),
        NotStarted("no disk"),
    ]
    async with broadcast(6, shown) as run:
        run.take("exit {{ n }}\n")
        run.start()
        for at, outcome in enumerate(outcomes):
            run.end(at, outcome)
    assert shown.out == b""
    assert shown.said == [
        "=== run job 1: 'exit {{ n }}' ===",
        "job 1 on node-3: exit status: 1",
        "job 1 on node-[2,4] (2): exit status: 3",
        "job 1 on node-5: killed by signal 9 (SIGKILL)",
        "job 1 on node-6: not started: no disk",
    ]


async def test_only_the_last_try_counts() -> None:
    """Of a command that is tried again, or that never started, only the last try is shown."""
    shown = Shown()
    async with broadcast(3, shown) as run:
        run.take()
        run.start()
        await run.print(0, b"first\n")
        run.end(0, Exited(1), again=True)
        await run.print(1, b"lost\n")
        run.give_back(1)
        run.start(0, 1)
        for at in range(3):
            await run.print(at, b"last\n")
            run.end(at)
    assert shown.out == block("node-[1-3] (3)", "last")
    assert len(shown.said) == 1


async def test_a_step_is_shown_when_it_has_ended_everywhere() -> None:
    """Nothing is shown before, and everything at once then, not when the next step begins."""
    with pipe() as stdout, pipe() as stderr:
        async with (
            open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd) as screen,
            open_gathered(True, screen, nodes(2), trio.Event()) as listener,
        ):
            run = Broadcast(listener, nodes(2))
            run.take()
            run.start()
            await run.print(0, b"out\n")
            await run.print(1, b"out\n")
            run.end(0)
            await trio.testing.wait_all_tasks_blocked()
            assert stdout._pieces == []
            run.end(1)
            with trio.fail_after(20):
                while b"".join(stdout._pieces) != block("node-[1-2] (2)", "out"):
                    await trio.sleep(0.01)


async def test_a_run_that_is_aborted() -> None:
    """What was printed so far is shown, and what has not ended is named."""
    shown = Shown()
    async with broadcast(4, shown) as run:
        run.take()
        run.start()
        for at in range(3):
            await run.print(at, b"so far\n")
        run.end(0)
        run.end(1, Cancelled())
        run.end_run()
    assert shown.out == block("node-[1-3] (3)", "so far")
    assert shown.said[1:] == [
        "job 1 on node-2: cancelled",
        "job 1 on node-[3-4] (2): has not ended",
    ]


async def test_a_sub_node_that_is_missing() -> None:
    """A broadcast that goes on without a sub-node does not wait for it."""
    shown = Shown()
    async with broadcast(3, shown) as run:
        run.listener.tell(Missing(run.sub_nodes[1], "no route"))
        for _ in range(2):
            run.take()
            run.start(0, 2)
            for at in (0, 2):
                await run.print(at, b"out\n")
                run.end(at)
    assert shown.out == 2 * block("node-[1,3] (2)", "out")


async def test_steps_that_are_continued() -> None:
    """A step of an earlier run, which some sub-nodes have done, is shown before the next one."""
    shown = Shown()
    async with broadcast(3, shown) as run:
        for at in (2, 1):
            run.take(origin=StepOrigin("earlier", 1))
            run.start(at)
            await run.print(at, b"late\n")
            run.end(at)
    assert shown.out == block("node-3", "late") + block("node-2", "late")


async def test_messages_are_shown_at_once() -> None:
    """All else of a run is shown as without ``--gather``."""
    shown = Shown()
    async with broadcast(1, shown) as run:
        run.listener.tell(Noted("one"))
        run.take()
        run.listener.tell(Noted("two"))
        run.listener.tell(RunEnded(0, "done"))
        run.listener.tell(Noted("three"))
    assert shown.said == ["one", "=== run job 1: 'true' ===", "two", "three"]


async def test_without_gathering() -> None:
    """Without the option the screen itself is the listener."""
    with pipe() as stdout:
        async with (
            open_screen(stdout_fd=stdout.fd, stderr_fd=stdout.fd) as screen,
            open_gathered(False, screen, nodes(1), trio.Event()) as listener,
        ):
            assert isinstance(listener, Screen)


async def test_on_a_terminal() -> None:
    """The names are bold, and nothing that a job printed moves the cursor."""
    with terminal(40) as tty:
        async with (
            open_screen(stdout_fd=tty.fd, stderr_fd=tty.fd, environ={"TERM": "xterm"}) as screen,
            open_gathered(True, screen, nodes(2), trio.Event()) as listener,
        ):
            run = Broadcast(listener, nodes(2))
            await run.step(*2 * (b"\x1b[2Jred \x1b[31mtext\n10%\r100%\n" + b"x" * 50 + b"\x07",))
        screen_shown = tty.screen()
        rows = [row.rstrip() for row in screen_shown.display[:8]]
        rule = "-" * 15
        assert rows[1:7] == [rule, "node-[1-2] (2)", rule, "red text", "100%", "x" * 40]
        assert screen_shown.buffer[2][0].bold
        assert not screen_shown.buffer[4][0].bold
        assert rows[7].startswith("x" * 10)


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ([0], "a (gpu=0)"),
        ([0, 1], "a"),
        ([0, 1, 2, 3], "a,b"),
        ([0, 2], "a,b (gpu=0)"),
        ([0, 2, 3], "a (gpu=0), b"),
        ([4, 5, 6], "c (gpu=[0-2], x=1)"),
        ([4, 5, 8], "c (gpu=0, x=1), c (gpu=1, x=1), c (gpu=1, x=2)"),
        ([10, 11, 12], "node-[1-2]"),
    ],
)
def test_the_names_of_groups(group: list[int], name: str) -> None:
    """Parameters are given where only some of a host's sub-nodes are meant."""
    every = [
        *(SubNode(0, host, (("gpu", gpu),)) for host in "ab" for gpu in "01"),
        *(SubNode(0, "c", (("gpu", gpu), ("x", x))) for x in "12" for gpu in "012"),
        *(SubNode(0, name) for name in ("node-1", "node-2", "node-2")),
    ]
    chosen = [every[at] for at in group]
    found = GroupNames(every).name_of(chosen)
    assert found == name.replace("a,b", "a,b").replace(" (2)", "")


def test_a_name_is_one_line() -> None:
    """A parameter cannot forge lines: control characters in it are made visible."""
    every = [SubNode(at, "a", (("x", f"{at}\n[Pegasus] ha"),)) for at in range(2)]
    assert GroupNames(every).with_count(every[:1]) == "a (x=0\\n[Pegasus] ha)"


async def test_on_a_live_screen() -> None:
    """The area below the log shows what running commands print, before their step is shown."""
    with terminal() as tty:
        environ = {"TERM": "xterm-256color"}
        async with (
            open_screen(stdout_fd=tty.fd, stderr_fd=tty.fd, environ=environ, live=True) as screen,
            open_gathered(True, screen, nodes(2), trio.Event()) as listener,
        ):
            run = Broadcast(listener, nodes(2))
            run.take()
            run.start()
            await run.print(0, b"10%\r")
            await run.print(0, b"20%\r")
            assert screen.tail_of(run.assignment(0)) == b"10%\r20%\r"
            run.end(0)
            assert screen.tail_of(run.assignment(0)) == b""
