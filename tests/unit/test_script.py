"""What runs on a node, in every kind of sh that there is here."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest
import trio

from pegasus.errors import NodeUnreachable
from pegasus.model import Exited, Killed, Lost, NotStarted, Outcome
from pegasus.process import open_child
from pegasus.transport.script import NODE_SCRIPT, encode, hand_over, remote_command
from pegasus.transport.shell import NodeShell, open_shell
from tests.contract import (
    GPU_VARIABLES,
    GPUS,
    LIMIT,
    SHOW_VARIABLES,
    Output,
    assignment,
    run_command,
    run_in,
    run_in_one,
)

SHELLS = (
    ["dash"],
    ["bash"],
    ["bash", "--posix"],  # as it is when it is called sh
    ["busybox", "sh"],
    ["ksh"],
    ["mksh"],
    ["yash"],
)
HERE = [shell for shell in SHELLS if shutil.which(shell[0])]


def real(shell: list[str]) -> Path:
    """Give the program that a shell is: ksh may be AT&T's, or mksh."""
    return Path(shutil.which(shell[0]) or shell[0]).resolve()


class Session:
    """A way into this machine, by a sh of the test's choice."""

    def __init__(self, sh: list[str], **environment: str) -> None:
        self.sh = sh
        self.place = "here"
        changes = [f"{name}={value}" for name, value in environment.items()]
        # Nothing that the tests' own surroundings ignore, as `nohup` does, stays ignored.
        self.argv = ["env", "--default-signal", *changes, *sh, "-c", NODE_SCRIPT]

    def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AbstractAsyncContextManager[NodeShell]:
        assert on_key is None
        return open_shell(open_child(self.argv, 2.0), lost)


async def lost(status: int) -> Outcome:
    """Diagnose a shell that ended without a report."""
    await trio.lowlevel.checkpoint()
    return Lost(f"status {status}")


@pytest.fixture(params=HERE, ids=" ".join)
def session(request: pytest.FixtureRequest) -> Session:
    """Give a session for each sh that is here; dash, bash and busybox's are on every CI."""
    return Session(request.param)


def test_there_are_kinds_of_sh() -> None:
    """The tests below have not run on nothing."""
    assert len(HERE) >= 2


async def test_ends(session: Session) -> None:
    """One shell tells exit statuses and signals apart, command after command."""
    commands = ["exit 0", "exit 143", "kill -TERM $$", "exit 255", "kill -KILL $$", "exit 7"]
    done = await run_in_one(session, *commands)
    expected = [Exited(0), Exited(143), Killed(15), Exited(255), Killed(9), Exited(7)]
    assert [outcome for outcome, _ in done] == expected
    assert [(output.stdout, output.stderr) for _, output in done] == [(b"", b"")] * len(commands)


async def test_the_environment_is_the_account_s(session: Session) -> None:
    """Nothing that the shell needs for itself is in a command's environment."""
    _, output = await run_command(session, "env")
    without = await trio.run_process([*session.sh, "-c", "env"], capture_stdout=True)
    added = names_in(output.stdout) - names_in(without.stdout)
    of_shells = {"_", "PWD", "OLDPWD", "SHLVL"}
    assert added - of_shells == {"PEGASUS_RUN", "PEGASUS_JOB", "PEGASUS_SUB_NODE"}


async def test_slots(session: Session) -> None:
    """A command is told its slots, and only it; the account's own variables stay the others'."""
    own = Session(session.sh, CUDA_VISIBLE_DEVICES="own", PEGASUS_SLOTS_GPU="own")
    texts = ((SHOW_VARIABLES, GPUS), (SHOW_VARIABLES, ()), (f"{SHOW_VARIABLES};:\t", GPUS))
    seen = []
    async with own.open_shell() as shell:
        for text, slots in texts:
            output = Output()
            with trio.fail_after(LIMIT):
                assigned = assignment(text, slots=slots)
                await shell.run(assigned, "run-1", output.show, trio.Event())
                seen.append(output.stdout.decode())
                if not await shell.wait_next():  # on a busy machine
                    break
    account = "CUDA_VISIBLE_DEVICES=own\nPEGASUS_SLOTS_GPU=own\n"
    assert seen == [GPU_VARIABLES, account, GPU_VARIABLES][: len(seen)]


def names_in(environment: bytes) -> set[str]:
    """Give the names of variables as ``env`` prints them."""
    lines = environment.decode().splitlines()
    return {line.partition("=")[0] for line in lines if "=" in line}


async def test_commands_arrive_as_they_are(session: Session) -> None:
    """A command is not changed on its way, plain or encoded."""
    texts = [r"a  b\n\\ 'x' %s", "tab\there", "\\", "-n", "é\n\n", "$HOME `x`", " leading ", "\r"]
    quoted = ["printf %s '" + text.replace("'", r"'\''") + "'" for text in texts]
    done = await run_in_one(session, *quoted)
    assert [output.stdout.decode() for _, output in done] == texts


async def test_a_cancelled_command_is_ended(session: Session) -> None:
    """A cancelled command gets SIGTERM, all of it, and its last words are heard."""
    output = Output()
    command = "trap 'echo bye; exit' TERM; sleep 1000 & echo $!; wait"
    with trio.fail_after(LIMIT), trio.CancelScope() as scope:
        async with session.open_shell() as shell, trio.open_nursery() as nursery:
            nursery.start_soon(shell.run, assignment(command), "run-1", output.show, trio.Event())
            while not output.stdout:
                await trio.sleep(0.01)
            scope.cancel()
    child, _, words = output.stdout.decode().partition("\n")
    assert words == "bye\n"
    _, output = await run_command(session, f"cat /proc/{child}/cmdline")
    assert b"sleep" not in output.stdout  # who has ended has no command line, reaped or not


async def test_leftovers(session: Session) -> None:
    """A shell whose command left something that could print takes no other command."""
    async with session.open_shell() as shell:
        outcome, output, again = await run_in(shell, "sleep 60 & echo $!")
    assert (outcome, again) == (Exited(0), False)
    outcome, _ = await run_command(session, f"kill {output.stdout.decode()}")
    assert outcome == Exited(0)


async def test_an_account_that_exports_everything(session: Session) -> None:
    """No variable of the account's carries the mark to a command, and none is changed."""
    names = {*"abcdefgklmnopqrstvw", *(f"_{letter}" for letter in "acdefgiklmnopqstuvwxyz")}
    busy = Session(session.sh, **dict.fromkeys(names, "account"))
    outcome, output = await run_command(busy, "env")
    assert outcome == Exited(0)
    lines = output.stdout.decode().splitlines()
    assert "\x1e" not in output.stdout.decode()
    assert {f"{name}=account" for name in names if not name.startswith("_")} <= set(lines)


@pytest.mark.parametrize("session", [s for s in HERE if s[0] in {"bash", "ksh"}], indirect=True)
async def test_an_impatient_account(session: Session) -> None:
    """A TMOUT of the account's ends no command that takes longer, and is the command's own."""
    hasty = Session(session.sh, TMOUT="1", SHELLOPTS="nounset")
    outcome, output = await run_command(hasty, "sleep 1.2; echo $TMOUT")
    assert (outcome, output.stdout) == (Exited(0), b"1\n")


async def test_signals_to_the_whole_group(session: Session) -> None:
    """A command may signal its group; the shells above it are not impressed."""
    signals = "trap '' USR1 USR2 ALRM; kill -USR1 0; kill -USR2 0; kill -ALRM 0; exit 4"
    assert (await run_command(session, signals))[0] == Exited(4)


UNDEADLY = {
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGSTOP,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGURG,
    signal.SIGWINCH,
}
"""Signals that end nothing."""

DEADLY = sorted(set(signal.valid_signals()) - UNDEADLY - {signal.SIGKILL})
"""Signals that end a process and that a shell above it can survive."""


async def test_every_signal_is_reported_as_itself(session: Session) -> None:
    """A command that a signal ends is reported with it, also where it went to the whole group."""
    # Busybox ignores SIGQUIT itself, and so do its commands.
    deadly = [n for n in DEADLY if n != signal.SIGQUIT or session.sh[0] != "busybox"]
    commands = [f"kill -{number:d} {whom}; exit 4" for number in deadly for whom in ("$$", "0")]
    while commands:
        async with session.open_shell() as shell:
            again = True
            while again and commands:
                command = commands.pop()
                outcome, _, again = await run_in(shell, command)
                assert outcome == Killed(int(command.split()[1].strip("-;"))), command


TELLING = [s for s in HERE if s[0] in {"ksh", "yash"} and "mksh" not in str(real(s))]


@pytest.mark.parametrize("session", TELLING, indirect=True)
async def test_exit_statuses_that_look_like_signals(session: Session) -> None:
    """A shell that can tell exit statuses from SIGINT and SIGPIPE does so."""
    commands = ["exit 130", "exit 141", "kill -INT $$", "kill -PIPE $$"]
    done = await run_in_one(session, *commands)
    expected = [Exited(130), Exited(141), Killed(2), Killed(13)]
    assert [outcome for outcome, _ in done] == expected


async def test_a_signal_to_the_group_costs_no_shell(session: Session) -> None:
    """A shell serves on after a command that was ended with its whole group."""
    done = await run_in_one(session, "kill -PIPE 0", "exit 3", "kill -XCPU 0", "exit 5")
    assert [outcome for outcome, _ in done] == [Killed(13), Exited(3), Killed(24), Exited(5)]


HEEDING = [s for s in HERE if s[0] != "yash"]
"""Kinds of sh that handle a signal while they read; yash does it afterwards."""

GROUP_OF_SHELL = "cut -d' ' -f5 /proc/self/stat"


@pytest.mark.parametrize("session", HEEDING, indirect=True)
async def test_sigterm_ends_a_shell_without_a_command(session: Session) -> None:
    """A shell ends where SIGTERM goes to all its processes while it waits for a command."""
    with trio.fail_after(LIMIT):
        async with leading(session) as shell:
            _, output, again = await run_in(shell, GROUP_OF_SHELL)
            if again:  # on a busy machine it has ended already
                os.killpg(int(output.stdout), signal.SIGTERM)
            await shell.wait_broken()


JUST_AFTER = f"""\
group=$({GROUP_OF_SHELL})
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do (:); done
setsid sh -c "while kill -0 $$; do :; done; kill -s TERM -- -$group" >/dev/null 2>&1 &
"""
"""Sends SIGTERM to the shell's processes when it has seen the end of this command."""


REPORTING = [s for s in HEEDING if "mksh" not in str(real(s))]
"""Kinds of sh whose printf is no program, which the signal might end before it has reported."""


@pytest.mark.parametrize("session", REPORTING, indirect=True)
async def test_sigterm_just_after_a_command(session: Session) -> None:
    """A shell ends also where SIGTERM comes while it looks for what its command has left."""
    with trio.fail_after(LIMIT):
        async with leading(session) as shell:
            assert (await run_in(shell, JUST_AFTER))[0] == Exited(0)
            await shell.wait_broken()


def leading(session: Session) -> AbstractAsyncContextManager[NodeShell]:
    """Open a shell that leads a process group, as on a node."""
    return open_shell(open_child(["setsid", "--wait", *session.argv], 2.0), lost)


SHARING = """\
export OUTER=$$
"$BASH" -c "$1"
echo survived >&2
"""
"""A server that starts commands in its own process group, as dropbear does."""

NEEDED = ("[", "cut", "echo", "env", "kill", "printf", "ps", "sleep")


def sharing(session: Session, folder: Path, *tools: str) -> list[str]:
    """Spell the start of a shell by such a server, on a node that has only these tools."""
    for tool in (*NEEDED, *tools):
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    (folder / "sh").symlink_to(real(session.sh))
    bash = shutil.which("bash") or "bash"
    return ["env", "--default-signal", f"PATH={folder}", bash, "-c", SHARING, "x", remote_command()]


async def test_a_group_of_its_own(session: Session, tmp_path: Path) -> None:
    """A job has a process group of its own where the server gives it none: it leads a session."""
    argv = sharing(session, tmp_path, "setsid")
    command = "echo $OUTER $(cut -d' ' -f5,6 /proc/self/stat); kill -USR1 0; sleep 9"
    async with open_shell(open_child(argv, 2.0), lost) as shell:
        outcome, output, _ = await run_in(shell, command)
    outer, group, leader = output.stdout.split()
    assert outcome == Killed(signal.SIGUSR1)
    assert group == leader != outer


CAN_MONITOR = [s for s in HERE if s[0] in {"bash", "ksh", "mksh"}]


@pytest.mark.parametrize("session", CAN_MONITOR, indirect=True)
async def test_a_group_of_its_own_without_setsid(session: Session, tmp_path: Path) -> None:
    """Where there is no setsid, a shell that knows `set -m` makes the group."""
    argv = sharing(session, tmp_path)
    command = "echo $OUTER $(cut -d' ' -f5 /proc/self/stat); kill -USR1 0; sleep 9"
    async with open_shell(open_child(argv, 2.0), lost) as shell:
        outcome, output, _ = await run_in(shell, command)
        outer, group = output.stdout.split()
        assert (outcome, group != outer) == (Killed(signal.SIGUSR1), True)


async def test_a_leader_stays_where_it_is(session: Session, tmp_path: Path) -> None:
    """Where the server gives each command a group, as sshd does, no process more is started."""
    (tmp_path / "setsid").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "setsid").chmod(0o755)
    (tmp_path / "sh").symlink_to(real(session.sh))
    path = f"PATH={tmp_path}:{os.environ['PATH']}"
    argv = ["env", "--default-signal", path, "bash", "-c", remote_command()]
    async with open_shell(open_child(argv, 2.0), lost) as shell:
        outcome, output, _ = await run_in(shell, "cut -d' ' -f5,6 /proc/self/stat")
    group, leader = output.stdout.split()
    assert (outcome, group) == (Exited(0), leader)


async def test_signals_have_their_defaults(session: Session) -> None:
    """A command can be ended by the signals that the shells above it do not care for."""
    names = ("HUP", "INT", "USR1", "USR2", "ALRM")  # busybox itself has SIGQUIT ignored
    done = await run_in_one(session, *(f"kill -s {name} $$; exit 4" for name in names))
    expected = [Killed(signal.Signals[f"SIG{name}"].value) for name in names]
    assert [outcome for outcome, _ in done] == expected


def test_plain_commands_are_handed_over_as_they_are() -> None:
    """What a line can carry is not encoded: it need not be decoded by a process of its own."""
    assert hand_over("run 1 0", r"echo '\n' %s") == b"job run 1 0\necho '\\n' %s\n"
    variables = (("A", "2,3"), ("B", ""))
    assert hand_over("run 1 0", "echo", variables) == b"job run 1 0 plain - A=2,3 B=\necho\n"
    assert hand_over("run 1 0", "a\n", variables).startswith(b"job run 1 0 encoded - A=2,3 B=\n")
    encoded = hand_over("run 1 0", "a\nb")
    assert encoded == f"job run 1 0 encoded\n{encode('a' + chr(10) + 'b')}\n".encode()


@pytest.mark.parametrize("files", [8, 9, 10, 13, 14, 15])
async def test_few_open_files(session: Session, tmp_path: Path, files: int) -> None:
    """A command that is reported as not started never ran, and one that ended has begun."""
    session.argv = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *session.argv]
    outcome: Outcome = NotStarted("no shell")
    with suppress(NodeUnreachable):
        async with session.open_shell() as shell:
            outcome, _, _ = await run_in(shell, f"exec mkdir {tmp_path}/ran")

    assert (tmp_path / "ran").exists() == (outcome == Exited(0))
    assert isinstance(outcome, Exited | NotStarted), outcome
