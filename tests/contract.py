"""The contract of every session, fake or real: the same tests run on each kind.

A test module makes them its own by a fixture ``open_session``, an async context manager function,
and ``from tests.contract import *``.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from pegasus.dispatch import Session, Shell
from pegasus.events import Printed
from pegasus.model import (
    Apart,
    Assignment,
    Command,
    Exited,
    HeldSlots,
    Job,
    Killed,
    Outcome,
    Pool,
    Slot,
    SlotsHeld,
    Stream,
    SubNode,
)

OpenSession = Callable[[], AbstractAsyncContextManager[Session]]

LIMIT = 20.0
"""Seconds that anything here may take, on a machine that is busy with other things."""


class Output:
    """What a command printed, by stream."""

    def __init__(self) -> None:
        self.streams = dict.fromkeys(Stream, b"")

    async def show(self, printed: Printed) -> None:
        await trio.lowlevel.checkpoint()
        self.streams[printed.stream] += printed.data

    @property
    def stdout(self) -> bytes:
        return self.streams[Stream.STDOUT]

    @property
    def stderr(self) -> bytes:
        return self.streams[Stream.STDERR]


def node_named(name: str, *pools: Pool) -> SubNode:
    """Return a sub-node with the transport that its name has in a hosts file."""
    return SubNode(0, name, (), "local" if name == "localhost" else "ssh", pools)


def assignment(command: str, number: int = 1, slots: SlotsHeld = ()) -> Assignment:
    """Assign a command to some sub-node."""
    return Assignment(number, Job(command), SubNode(0, "node"), Command(command), slots=slots)


async def run_command(session: Session, command: str) -> tuple[Outcome, Output]:
    """Run a command in a shell of its own."""
    with trio.fail_after(LIMIT):
        async with session.open_shell() as shell:
            return await run_assigned(shell, assignment(command))


async def run_assigned(shell: Shell, assigned: Assignment) -> tuple[Outcome, Output]:
    """Run a command in a shell that waits."""
    output = Output()
    outcome = await shell.run(assigned, "run-1", output.show, trio.Event())
    assert not isinstance(outcome, Apart)
    return outcome, output


GPUS = (
    HeldSlots("gpu", (Slot("2", "GPU-b7c0"), Slot("5", "GPU-00aa")), "nvidia"),
    HeldSlots("cpu-cores", (), "nproc"),
)
"""What a command holds that takes two GPUs and no processor."""

GPU_VARIABLES = """\
CUDA_DEVICE_ORDER=PCI_BUS_ID
CUDA_VISIBLE_DEVICES=GPU-b7c0,GPU-00aa
PEGASUS_SLOTS_CPU_CORES=
PEGASUS_SLOTS_GPU=2,5
"""
"""What it is told, sorted."""

SHOW_VARIABLES = "env | grep -E '^(CUDA_|ROCR_|PEGASUS_SLOTS_)' | LC_ALL=C sort"


async def run_in(shell: Shell, command: str) -> tuple[Outcome, Output, bool]:
    """Run a command in a shell that waits; also return whether it takes another one."""
    output = Output()
    with trio.fail_after(LIMIT):
        outcome = await shell.run(assignment(command), "run-1", output.show, trio.Event())
        assert not isinstance(outcome, Apart)
        return outcome, output, await shell.wait_next()


TRIES = 20
"""Shells that are tried until one serves several commands: on a machine on which hundreds of
processes begin during a command a fresh shell is cheaper than a look at all of them."""


async def run_in_one(session: Session, *commands: str) -> list[tuple[Outcome, Output]]:
    """Run commands one after the other in one and the same shell, ready for one more at the end."""
    for _ in range(TRIES):
        done = []
        async with session.open_shell() as shell:
            for command in commands:
                assert not shell.begun
                outcome, output, again = await run_in(shell, command)
                done.append((outcome, output))
                if not again:
                    break
            else:
                return done
    raise AssertionError(f"none of {TRIES} shells took another command after {command!r}")


@pytest.mark.parametrize("status", [0, 1, 3, 126, 127, 128, 130 + 7, 143, 254, 255])
async def test_exit_status(open_session: OpenSession, status: int) -> None:
    """A command's exit status is its outcome, also one that shells and ssh use for other things."""
    async with open_session() as session:
        outcome, _ = await run_command(session, f"exit {status}")
    assert outcome == Exited(status)


@pytest.mark.parametrize("number", [1, 2, 9, 13, 15])
async def test_killed_by_a_signal(open_session: OpenSession, number: int) -> None:
    """A command that a signal ended is distinguished from one that exited."""
    async with open_session() as session:
        outcome, _ = await run_command(session, f"kill -{number} $$")
    assert outcome == Killed(number)


async def test_output(open_session: OpenSession) -> None:
    """What a command prints arrives as it is."""
    async with open_session() as session:
        outcome, output = await run_command(session, "printf hello")
    assert (outcome, output.stdout, output.stderr) == (Exited(0), b"hello", b"")


async def test_one_after_the_other(open_session: OpenSession) -> None:
    """A session serves one command after the other."""
    async with open_session() as session:
        outcomes = [(await run_command(session, f"exit {status}"))[0] for status in range(5)]
    assert outcomes == [Exited(status) for status in range(5)]


async def test_place(open_session: OpenSession) -> None:
    """Two sessions on one node have the same place, which is on one line and not empty."""
    async with open_session() as first, open_session() as second:
        assert first.place == second.place
        assert first.place.split() == [first.place]


async def test_one_after_the_other_in_one_shell(open_session: OpenSession) -> None:
    """A shell whose command left nothing behind takes another one, and is ready again for it."""
    commands = ["exit 3", "kill -9 $$", "printf hello"] * 2
    async with open_session() as session:
        done = await run_in_one(session, *commands)
    assert [outcome for outcome, _ in done] == [Exited(3), Killed(9), Exited(0)] * 2
    assert [output.stdout for _, output in done] == [b"", b"", b"hello"] * 2


async def begin_to_wait(shell: Shell, waits: trio.Event) -> None:
    """Wait for the beginning of a command that is handed over once this does."""
    waits.set()  # no checkpoint between this and the waiting
    await shell.wait_begun()


async def test_a_task_that_waits_for_the_beginning_is_woken(open_session: OpenSession) -> None:
    """A task that waits for the beginning is woken, also where the command has ended by then."""
    async with open_session() as session:
        for _ in range(TRIES):
            with trio.fail_after(LIMIT):
                async with session.open_shell() as shell, trio.open_nursery() as nursery:
                    waits = trio.Event()
                    nursery.start_soon(begin_to_wait, shell, waits)
                    await waits.wait()
                    await run_in(shell, "exit 0")


async def test_cancelled_while_it_runs(open_session: OpenSession) -> None:
    """A cancelled command is ended, and the session serves the next one."""
    async with open_session() as session:
        with trio.fail_after(LIMIT), trio.CancelScope() as scope:
            async with session.open_shell() as shell, trio.open_nursery() as nursery:
                nursery.start_soon(
                    shell.run, assignment("sleep 1000"), "run-1", Output().show, trio.Event()
                )
                await shell.wait_begun()
                scope.cancel()
        assert scope.cancelled_caught
        outcome, _ = await run_command(session, "exit 4")
    assert outcome == Exited(4)


async def test_a_shell_that_is_not_used(open_session: OpenSession) -> None:
    """A shell that never gets a command ends and leaves nothing behind."""
    with trio.fail_after(LIMIT):
        async with open_session() as session:
            async with session.open_shell():
                pass
            outcome, _ = await run_command(session, "exit 0")
    assert outcome == Exited(0)


class OnlyReal:
    """The contract that only real sessions can fulfil."""

    async def test_streams_apart(self, open_session: OpenSession) -> None:
        """Standard output and standard error stay apart, and neither loses its end."""
        async with open_session() as session:
            _, output = await run_command(session, "echo out; echo err >&2; printf x; printf y >&2")
        assert (output.stdout, output.stderr) == (b"out\nx", b"err\ny")

    async def test_much_output(self, open_session: OpenSession) -> None:
        """All of a large output arrives before the command counts as ended."""
        async with open_session() as session:
            _, output = await run_command(
                session, "head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2; printf end"
            )
        assert output.stdout == b"\0" * 3_000_000 + b"end"
        assert len(output.stderr) == 1_000_000

    async def test_background_children(self, open_session: OpenSession) -> None:
        """A job that leaves a process in the background ends all the same, and it lives on."""
        async with open_session() as session:
            outcome, output = await run_command(session, "sleep 60 & echo $!")
            assert outcome == Exited(0)
            child = output.stdout.decode().strip()
            outcome, output = await run_command(session, f"kill {child} && echo it lived")
        assert output.stdout == b"it lived\n"

    async def test_many_background_children(self, open_session: OpenSession) -> None:
        """However many jobs leave something in the background, the next one runs."""
        async with open_session() as session:
            for _ in range(12):
                outcome, _ = await run_command(session, "sleep 5 & exit 0")
                assert outcome == Exited(0)

    async def test_leftovers_need_a_fresh_shell(self, open_session: OpenSession) -> None:
        """What a job left behind can print into no other job's output, nor be ended with it."""
        late = 'trap "echo late; exit" TERM; sleep 60 & echo $$ $!; wait'
        detached = f"setsid sh -c '{late}' & sleep 0.1"
        closed = "sleep 60 >/dev/null 2>&1 & echo $!"
        left = []
        async with open_session() as session:
            for command in (detached, f"({detached})", closed):
                async with session.open_shell() as shell:
                    outcome, output, again = await run_in(shell, command)
                    assert (outcome, again) == (Exited(0), False)
                    left += output.stdout.decode().split()
            outcome, output = await run_command(session, f"kill {' '.join(left)}; sleep 0.1")
        assert (outcome, output.stdout) == (Exited(0), b"")

    async def test_what_goes_at_once_is_no_leftover(self, open_session: OpenSession) -> None:
        """A job of many processes that are all gone at its end costs no fresh shell."""
        many = "true | cat; (sleep 0.01 & wait); echo x"
        async with open_session() as session:
            done = await run_in_one(session, many, many, many)
        assert [output.stdout for _, output in done] == [b"x\n"] * 3

    async def test_jobs_of_one_shell_do_not_affect_each_other(
        self, open_session: OpenSession
    ) -> None:
        """What a job sets for itself ends with it."""
        look = "echo ${LEFT-none} $(pwd) $(umask) $(ulimit -n) $-; trap; alias"
        mess = "export LEFT=1; cd /; umask 0; ulimit -n 64; set -e; trap : EXIT; alias x=y"
        async with open_session() as session:
            (_, before), _, (_, after) = await run_in_one(session, look, mess, look)
        assert before.stdout.startswith(b"none ")
        assert after.stdout == before.stdout

    async def test_environment(self, open_session: OpenSession) -> None:
        """A job has the run, its number and its sub-node's number in its environment."""
        async with open_session() as session:
            _, output = await run_command(
                session, "echo $PEGASUS_RUN $PEGASUS_JOB $PEGASUS_SUB_NODE"
            )
        assert output.stdout == b"run-1 1 0\n"

    async def test_slots(self, open_session: OpenSession) -> None:
        """A job with slots has them in its environment; the next one in its shell has none."""
        async with open_session() as session, session.open_shell() as shell:
            output = Output()
            with trio.fail_after(LIMIT):
                assigned = assignment(f"{SHOW_VARIABLES}; echo é", slots=GPUS)
                await shell.run(assigned, "run-1", output.show, trio.Event())
                assert output.stdout.decode() == GPU_VARIABLES + "é\n"
                if await shell.wait_next():
                    _, output, _ = await run_in(shell, SHOW_VARIABLES)
                    assert b"PEGASUS_SLOTS" not in output.stdout

    async def test_no_input_and_no_terminal(self, open_session: OpenSession) -> None:
        """A job reads nothing, has no terminal, and no open file but its three streams."""
        async with open_session() as session:
            # No pipe: the shell that makes one has its ends open for a moment. And `:`, lest the
            # shell become the `ls`, which opens what it lists.
            _, output = await run_command(
                session, "cat; test -t 0 || echo no terminal; ls /proc/$$/fd; :"
            )
        assert output.stdout == b"no terminal\n0\n1\n2\n"

    async def test_a_killed_group(self, open_session: OpenSession) -> None:
        """A job that kills its whole process group, and Pegasus's shell with it, was killed."""
        async with open_session() as session:
            assert (await run_command(session, "kill -9 0"))[0] == Killed(9)
            assert (await run_command(session, "exit 0"))[0] == Exited(0)

    async def test_a_terminated_group(self, open_session: OpenSession) -> None:
        """A job that terminates its process group is reported with the signal."""
        async with open_session() as session:
            assert (await run_command(session, "kill -TERM 0"))[0] == Killed(15)

    @pytest.mark.parametrize("name", ["PIPE", "XCPU", "SYS", "IO", "SEGV", "64"])
    async def test_a_signal_to_the_whole_group(self, open_session: OpenSession, name: str) -> None:
        """A job that signals its process group is reported with that signal, whichever it is."""
        number = int(name) if name.isdigit() else signal.Signals[f"SIG{name}"].value
        async with open_session() as session:
            done = await run_in_one(session, f"kill -{name} 0; exit 4", "exit 5")
        assert [outcome for outcome, _ in done] == [Killed(number), Exited(5)]

    async def test_a_long_command(self, open_session: OpenSession) -> None:
        """A command may be as long as a node can be given."""
        text = "é" * 30_000 + "x" * 71_000
        async with open_session() as session:
            outcome, output = await run_command(session, f"printf %s '{text}' | wc -c")
        assert (outcome, output.stdout.split()) == (Exited(0), [b"131000"])


class EndsTrees:
    """The contract of real sessions that takes the ten seconds before a SIGKILL."""

    async def test_a_tree_is_ended(self, open_session: OpenSession, tmp_path: Any) -> None:
        """Cancelling ends the command's whole tree; what ignores SIGTERM is killed, but last."""
        own = 10_000 + secrets.randbelow(90_000)  # other tests may run the same beside this one
        tree = (
            f"(trap '' TERM; sleep {own}1; sleep {own}2) & "
            f"sh -c 'sh -c \"sleep {own}3\" & wait' & echo started; wait"
        )
        output = Output()
        async with open_session() as session:
            with trio.fail_after(LIMIT), trio.CancelScope() as scope:
                async with session.open_shell() as shell, trio.open_nursery() as nursery:
                    nursery.start_soon(
                        shell.run, assignment(tree), "run-1", output.show, trio.Event()
                    )
                    while b"started" not in output.stdout:
                        await trio.sleep(0.01)
                    scope.cancel()
            _, left = await run_command(
                session,
                "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f 2>/dev/null | "
                f"grep '^sleep {own}[0-9] '; done; true",
            )
        assert left.stdout == b""
