"""Detached commands in every kind of sh that there is here."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from pegasus.detachment import Detachment
from pegasus.living import LIVING_COMMANDS, living_of
from pegasus.model import Apart, Cancelled, Exited, Killed, Lost, NotStarted, Stream, TimedOut
from tests.contract import GPU_VARIABLES, GPUS, LIMIT, SHOW_VARIABLES, Output, assignment
from tests.keepers.places import (
    HERE,
    Place,
    find_out,
    follow,
    processes_of,
    run_detached,
    wait_no_process,
)
from tests.unit.test_script import DEADLY, names_in

KEEPER_KILLED = Lost("its keeper on the node was killed")


@pytest.fixture(params=HERE, ids=" ".join)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Give a place for each sh that is here."""
    return Place(tmp_path, tuple(request.param))


async def test_ends(place: Place) -> None:
    """One shell tells exit statuses and signals apart, command after command; nothing is left."""
    commands = ["exit 0", "exit 143", "exec dash -c 'kill $$'", "exit 255", "kill -9 $$", "exit 7"]
    expected = [Exited(0), Exited(143), Killed(15), Exited(255), Killed(9), Exited(7)]
    async with place.open_shell() as shell:
        done = [await run_detached(shell, command) for command in commands]
    assert [outcome for outcome, _, _ in done] == expected
    assert all(again for _, _, again in done)
    assert place.left() == []
    await wait_no_process(place)


async def test_output(place: Place) -> None:
    """Both streams arrive as they are, whether the command takes long or not."""
    text = r"printf 'a\0b\n\377 x'; printf err >&2"
    async with place.open_shell() as shell:
        for command in (text, f"{text}; sleep 0.2; echo late"):
            outcome, output, again = await run_detached(shell, command)
            assert (outcome, again, output.stderr) == (Exited(0), True, b"err")
            assert output.stdout == b"a\0b\n\xff x" + (b"late\n" if "late" in command else b"")
    await wait_no_process(place)


async def test_commands_arrive_as_they_are(place: Place) -> None:
    """A command is not changed on its way, plain or encoded."""
    texts = [r"a  b\n\\ 'x' %s", "tab\there", "\\", "-n", "é\n\n", "$HOME `x`", " leading ", "\r"]
    async with place.open_shell() as shell:
        for text in texts:
            quoted = "printf %s '" + text.replace("'", r"'\''") + "'"
            _, output, _ = await run_detached(shell, quoted)
            assert output.stdout.decode() == text


async def test_slots(place: Place) -> None:
    """A command is told its slots; without a pool of GPUs the account's own variable stays."""
    seen = []
    async with place.open_shell(CUDA_VISIBLE_DEVICES="own") as shell:
        for text, slots in ((SHOW_VARIABLES, GPUS), (SHOW_VARIABLES, ()), ("env;:\t", GPUS)):
            key, output = shell.key, Output()
            assigned = replace(assignment(text, slots=slots), key=key)
            with trio.fail_after(LIMIT):
                await shell.run(assigned, "run-1", output.show, trio.Event())
                assert key is not None
                assert await shell.release(key)
                assert await shell.wait_next()
            seen.append(output.stdout.decode())
    assert seen[:2] == [GPU_VARIABLES, "CUDA_VISIBLE_DEVICES=own\n"]
    assert set(GPU_VARIABLES.splitlines()) <= set(seen[2].splitlines())


async def test_living(place: Place) -> None:
    """A command that goes on without its session is found by its run and its number."""
    fifo = place.base / "fifo"
    os.mkfifo(fifo)
    command = f"echo x >'{fifo}'; read -r x <'{fifo}'"
    with trio.fail_after(LIMIT):
        async with place.open_shell() as shell, trio.open_nursery() as nursery:
            nursery.start_soon(follow, shell, shell.key, command)
            await trio.to_thread.run_sync(fifo.read_text)
            nursery.cancel_scope.cancel()
        asked = [*place.sh, "-c", LIVING_COMMANDS]
        found = await trio.run_process(asked, capture_stdout=True)
        assert ("run-1", 1) in (living_of(found.stdout) or ())
        await trio.to_thread.run_sync(fifo.write_text, "y\n")
    await wait_no_process(place)


async def test_every_signal_is_reported_as_itself(place: Place) -> None:
    """A command that a signal ends is reported with it, also where it went to the whole group."""
    # Some kinds of sh ignore SIGQUIT, and so do their commands, or exit where others are killed.
    async with place.open_shell() as shell:
        for number, whom in ((n, whom) for n in DEADLY for whom in ("$$", "0")):
            if number != signal.SIGQUIT:
                outcome, _, _ = await run_detached(shell, f"exec dash -c 'kill -{number:d} {whom}'")
                assert outcome == Killed(number), whom


async def test_a_killed_group(place: Place) -> None:
    """A command that kills its whole group, and its keeper with it, is lost."""
    async with place.open_shell() as shell:
        assert (await run_detached(shell, "kill -9 0"))[0] == KEEPER_KILLED
        assert (await run_detached(shell, "exit 5"))[0] == Exited(5)
    await wait_no_process(place)


async def test_the_environment_is_the_account_s(place: Place) -> None:
    """Nothing that the scripts need for themselves is in a command's environment."""
    names = {*"abcdefgklmnopqrstvw", *(f"_{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")}
    async with place.open_shell(**dict.fromkeys(names, "account")) as shell:
        outcome, output, _ = await run_detached(shell, "env")
    assert outcome == Exited(0)
    assert "\x1e" not in output.stdout.decode()
    lines = set(output.stdout.decode().splitlines())
    assert {f"{name}=account" for name in names if not name.startswith("_")} <= lines
    async with place.open_shell() as shell:
        _, output, _ = await run_detached(shell, "env")
    without = await trio.run_process([*place.sh, "-c", "env"], capture_stdout=True)
    added = names_in(output.stdout) - names_in(without.stdout) - {"_", "PWD", "OLDPWD", "SHLVL"}
    assert added == {"PEGASUS_RUN", "PEGASUS_JOB", "PEGASUS_SUB_NODE"}


async def test_a_command_has_only_its_streams(place: Place) -> None:
    """A command reads nothing and has no open file but its three streams."""
    async with place.open_shell() as shell:
        _, output, _ = await run_detached(shell, "cat; ls /proc/$$/fd; :")
    assert output.stdout == b"0\n1\n2\n"


async def test_following_later(place: Place) -> None:
    """A command outlives its session; the next one follows it from the exact byte to its end."""
    output = Output()
    command = "echo first; echo e1 >&2; sleep 0.7; echo second; echo e2 >&2; exit 9"
    with trio.fail_after(LIMIT):
        async with place.open_shell() as shell, trio.open_nursery() as nursery:
            key = shell.key
            assert key is not None
            nursery.start_soon(follow, shell, key, command, output)
            while not (output.stdout and output.stderr):
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        received = {stream: len(output.streams[stream]) for stream in Stream}
        outcome, rest = await find_out(place, key, received)
    assert outcome == Exited(9)
    assert output.stdout + rest.stdout == b"first\nsecond\n"
    assert output.stderr + rest.stderr == b"e1\ne2\n"
    assert place.left() == []
    await wait_no_process(place)


async def test_following_after_the_end(place: Place) -> None:
    """A command that ended while nobody followed it has its status and all of its output."""
    async with place.open_shell() as shell:
        key = shell.key
        assert key is not None
        with trio.move_on_after(0.1):
            await follow(shell, key, "sleep 0.3; printf x; exit 4")
    while not (place.root / key / "end").exists():
        await trio.sleep(0.01)
    async with place.open_shell() as shell:
        output = Output()
        again = await follow(shell, key, "", output, Detachment(trio.Event(), extent={}))
        assert (again, output.stdout, shell.seconds is not None) == (Exited(4), b"x", True)
        assert await shell.release(key)
        gone = await follow(shell, key, "", output, Detachment(trio.Event(), extent={}))
        assert isinstance(gone, Lost)


async def test_never_started(place: Place) -> None:
    """A folder that was prepared and never used tells so, and can never be used any more."""
    async with place.open_shell() as shell:
        key = shell.key
        assert key is not None
        outcome, _ = await find_out(place, key)
        assert isinstance(outcome, NotStarted)
        outcome = await follow(shell, key, "echo no")
        assert isinstance(outcome, NotStarted)
    assert place.left() == []


async def stopped(place: Place, command: str) -> tuple[object, Output]:
    """Stop a command once it has printed something."""
    stop, output = trio.Event(), Output()
    outcomes: list[object] = []
    async with place.open_shell() as shell:
        key = shell.key
        assert key is not None

        async def run() -> None:
            outcomes.append(await follow(shell, key, command, output, Detachment(stop)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            while not output.stdout:
                await trio.sleep(0.01)
            stop.set()
        assert await shell.release(key)
    return outcomes[0], output


async def test_a_stopped_command(place: Place) -> None:
    """A command that is stopped gets SIGTERM, all of it, and its last words are heard."""
    command = "trap 'echo bye; exit' TERM; sleep 1000 & echo up; wait"
    outcome, output = await stopped(place, command)
    assert (outcome, output.stdout) == (Cancelled(), b"up\nbye\n")
    assert place.left() == []
    await wait_no_process(place)


async def test_a_stubborn_command(place: Place) -> None:
    """What ignores SIGTERM is killed after ten seconds; groups of its own as well."""
    command = "(trap '' TERM; sleep 1000; sleep 1000) & (set -m; sleep 1001 &) ; echo up; wait"
    outcome, _ = await stopped(place, command)
    assert outcome == Cancelled()
    await wait_no_process(place)


async def test_a_limit(place: Place) -> None:
    """A command that runs longer than its limit is ended by its node; a shorter one is not."""
    async with place.open_shell() as shell:
        outcome, _, _ = await run_detached(shell, "sleep 1000; echo no", 0.3)
        assert outcome == TimedOut(0.3)
        assert (await run_detached(shell, "exit 3", 1000))[0] == Exited(3)
    await wait_no_process(place)


async def test_background_processes(place: Place) -> None:
    """What a command leaves in the background stays, and disturbs no other command."""
    async with place.open_shell() as shell:
        outcome, output, again = await run_detached(shell, "(sleep 1; echo late) & echo $!", 100)
        assert (outcome, again) == (Exited(0), True)
        outcome, other, _ = await run_detached(
            shell, f"kill -0 {output.stdout.decode().strip()} && sleep 1.5"
        )
        assert (outcome, other.stdout) == (Exited(0), b"")


async def test_a_killed_keeper(place: Place) -> None:
    """A command that kills its own shells is ended, and not reported as anything that it is not."""
    async with place.open_shell() as shell:
        outcome, _, again = await run_detached(shell, "kill -9 $PPID; exec sleep 1000")
        assert outcome == Killed(9)
        assert again
    await wait_no_process(place)


async def test_an_impatient_account(place: Place) -> None:
    """A TMOUT of the account's ends no command that takes longer, and is the command's own."""
    async with place.open_shell(TMOUT="1") as shell:
        outcome, output, _ = await run_detached(shell, "sleep 1.2; echo $TMOUT")
    assert (outcome, output.stdout) == (Exited(0), b"1\n")


async def test_a_killed_session(place: Place) -> None:
    """A session that is killed takes no command with it, and its shell is apart."""
    async with place.open_shell() as shell:
        key, output = shell.key, Output()
        assert key is not None
        outcome = await follow(
            shell, key, f"kill -9 {pid_of_session(place)}; sleep 0.3; echo on", output
        )
        assert isinstance(outcome, Apart | Exited)  # what follows may live on, and report the end
    received = {stream: len(output.streams[stream]) for stream in Stream}
    outcome, rest = await find_out(place, key, received)
    assert (outcome, output.stdout + rest.stdout) == (Exited(0), b"on\n")


def pid_of_session(place: Place) -> int:
    """Return the process ID of the one session that is open."""
    pids = [int(line.split()[0]) for line in processes_of(place)]
    return min(pids)
