"""The contract of every real session about ``run``: the shell and the directory of a command.

A test module makes it its own by a class that inherits from this one, see ``contract``.
"""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
import trio

from pegasus.launch import Launch
from pegasus.model import Assignment, Command, Demand, Exited, Job, NotStarted, SubNode
from tests.contract import GPUS, LIMIT, OpenSession, assignment, run_assigned


def launched(command: str, shell: str = "", chdir: str = "") -> Assignment:
    """Assign a command that is started in another way."""
    job = Job(command, demand=Demand(launch=Launch(shell, chdir)))
    return Assignment(1, job, SubNode(0, "node"), Command(command))


ODD = "a b'c\"d\\e$f é"
"""The name of a directory that a shell would change, if it was not quoted."""


class Launches:
    """Commands that are started in another way than usual."""

    async def test_the_directory(self, open_session: OpenSession) -> None:
        """A command begins in its directory, whatever its name; the next one at home again."""
        async with open_session() as session, session.open_shell() as shell:
            with trio.fail_after(LIMIT):
                make = f"cd; mkdir -p {shlex.quote(ODD)}/x; pwd -P"
                _, output = await run_assigned(shell, assignment(make))
                home = output.stdout.decode().rstrip("\n")
                for chdir, expected in (
                    (f"{ODD}/x", f"{home}/{ODD}/x"),
                    (f"~/{ODD}", f"{home}/{ODD}"),
                    (f"{home}/{ODD}", f"{home}/{ODD}"),
                    ("~", home),
                ):
                    if not await shell.wait_next():
                        break
                    assigned = launched("echo é >here; cat here; pwd -P", chdir=chdir)
                    outcome, output = await run_assigned(shell, assigned)
                    assert outcome == Exited(0)
                    assert output.stdout.decode() == f"é\n{expected}\n"

    @pytest.mark.parametrize(
        ("chdir", "reason"),
        [
            ("not there", "the directory not there does not exist in the home directory"),
            ("~/it's", "the directory ~/it's does not exist in the home directory"),
            ("/not/there", "the directory /not/there does not exist"),
            ("/dev/null", "the directory /dev/null cannot be entered"),
        ],
    )
    async def test_a_directory_that_is_missing(
        self, open_session: OpenSession, chdir: str, reason: str
    ) -> None:
        """Where its directory is missing, a command is not started; its shell takes another one."""
        async with open_session() as session, session.open_shell() as shell:
            with trio.fail_after(LIMIT):
                outcome, output = await run_assigned(shell, launched("echo began", chdir=chdir))
                assert outcome == NotStarted(reason, is_final=True)
                assert output.stdout + output.stderr == b""
                if await shell.wait_next():
                    outcome, output = await run_assigned(shell, launched("pwd", chdir="x-x"))
                    assert isinstance(outcome, NotStarted)
                    assert "x-x" in outcome.words
                    assert reason not in outcome.words
                if await shell.wait_next():
                    assert (await run_assigned(shell, assignment("exit 3")))[0] == Exited(3)

    async def test_the_shell(self, open_session: OpenSession) -> None:
        """The shell gets the command as one argument, unchanged, and with the slots."""
        odd = "'it'\"s\"$x\\ `é`\n\n{{ y }} \t; exit 3 # \n"
        show = "env printf '%s|' A\\'"
        async with open_session() as session:
            for shell_words, before in ((show, "A'|"), ("printf %s|%s x", "x|")):
                async with session.open_shell() as shell:
                    with trio.fail_after(LIMIT):
                        assigned = replace(launched(odd, shell_words), slots=GPUS)
                        outcome, output = await run_assigned(shell, assigned)
                assert outcome == Exited(0)
                assert output.stdout.decode().rstrip("|") == before + odd

    async def test_bash(self, open_session: OpenSession) -> None:
        """A login shell of bash runs the command, with its own syntax, in its directory."""
        command = (
            'shopt -q login_shell && [[ $PWD == / ]] && echo "${PEGASUS_RUN@Q} $CUDA_DEVICE_ORDER"'
        )
        async with open_session() as session, session.open_shell() as shell:
            with trio.fail_after(LIMIT):
                assigned = replace(launched(command, "bash -lc", "/"), slots=GPUS)
                outcome, output = await run_assigned(shell, assigned)
        assert (outcome, output.stdout) == (Exited(0), b"'run-1' PCI_BUS_ID\n")

    async def test_a_shell_that_is_missing(self, open_session: OpenSession) -> None:
        """Where its shell is missing, a command is not started."""
        async with open_session() as session, session.open_shell() as shell:
            with trio.fail_after(LIMIT):
                outcome, _ = await run_assigned(shell, launched("echo", "no-such-shell -c"))
        assert outcome == NotStarted("there is no shell no-such-shell", is_final=True)
