"""Each process of a detached command is killed at each line of its script, and then followed anew.

A process kills itself there, so that each line is a place of its own, and not a moment. The next
session must tell the truth: no command runs twice, none that ran is not started, none is lost whose
end is known, and nothing is left.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import pytest
import trio

from pegasus.detachment import Detachment
from pegasus.errors import NodeUnreachable
from pegasus.model import Apart, Cancelled, Exited, Killed, Lost, NotStarted, Outcome, Stream
from pegasus.transport.follower import FOLLOWER_SCRIPT
from pegasus.transport.keeper import KEEPER_SCRIPT
from tests.contract import Output
from tests.keepers.places import Place, find_out, follow, processes_of

HOOK = """\
_stop() {
  _s_=$?
  [ "$PEGASUS_STOP" != "$1" ] || { : >"$PEGASUS_STOPPED"
    read -r _p_ _l_ </proc/self/stat; kill -s KILL "$_p_"; }
  return $_s_
}
"""
"""Kills the process that calls it with the name of the stop that is asked for."""

UNFINISHED = ("&&", "||", "|", "\\")
"""Ends of lines that the next line continues."""

EVERY = 1 if os.environ.get("PEGASUS_ALL_STOPS") else 6
"""Which stops are tried: all of them take minutes."""

AT_ONCE = 4
"""Stops that are tried at the same time, on a machine with few processors."""

PATIENCE = 4.0
"""Seconds for a session that may have lost one of its processes; then another one takes over."""


def is_sh(text: str) -> bool:
    """Return whether a text is a script that sh can read."""
    return (
        run(["dash", "-n"], input=text.encode(), check=False, capture_output=True).returncode == 0
    )


def stops_of(script: str, name: str) -> tuple[str, list[str]]:
    """Return a script with a stop behind each line that can have one, and the stops."""
    lines, stops = script.splitlines(), list[str]()
    for index in range(len(lines), 0, -1):
        stop = f"{name}{index}"
        tried = [*lines[:index], f"_stop {stop}", *lines[index:]]
        if not lines[index - 1].endswith(UNFINISHED) and is_sh("\n".join(tried)):
            lines = tried
            stops.append(stop)
    return HOOK + "\n".join(lines), stops


KEEPER, KEEPER_STOPS = stops_of(KEEPER_SCRIPT, "keeper")
FOLLOWER, FOLLOWER_STOPS = stops_of(FOLLOWER_SCRIPT, "follower")


@dataclass(frozen=True)
class Trial:
    """One stop, tried in a place of its own."""

    place: Place
    stop: str
    ends_it: bool

    @property
    def starts(self) -> int:
        """How often the command has begun."""
        path = self.place.base / "starts"
        return path.read_text().count("x") if path.exists() else 0

    @property
    def was_reached(self) -> bool:
        """Whether a process has come to the stop."""
        return (self.place.base / "stopped").exists()

    async def run(self) -> None:
        """Run a command, whose processes stop there, and find out what became of it."""
        command = f"echo x >>{self.place.base}/starts; echo out; echo err >&2; sleep 0.2; echo more"
        keys: list[str] = []
        output, outcome = Output(), None
        key: str | None = None
        try:
            async with self.place.open_shell(
                keys.append, PEGASUS_STOP=self.stop, PEGASUS_STOPPED=f"{self.place.base}/stopped"
            ) as shell:
                key = shell.key
                with trio.move_on_after(PATIENCE):
                    outcome = await follow(shell, key, command, output, self.detachment())
        except NodeUnreachable:
            pass
        fresh = Place(self.place.base, self.place.sh)
        if key is not None and (outcome is None or isinstance(outcome, Apart)):
            received = {stream: len(output.streams[stream]) for stream in Stream}
            with trio.fail_after(30):
                outcome, rest = await find_out(fresh, key, received)
            for stream in Stream:
                output.streams[stream] += rest.streams[stream]
        async with fresh.open_shell() as shell:
            for left in keys:
                assert await shell.release(left), self
        if key is not None:
            assert outcome is not None
            assert not isinstance(outcome, Apart)
            self.check(outcome, output)
        assert fresh.left() == [], self
        with trio.move_on_after(5):
            while processes_of(self.place):
                await trio.sleep(0.02)
        assert not processes_of(self.place), self

    def detachment(self) -> Detachment:
        """Return how the command is run: it is ended at once, or not at all."""
        stop = trio.Event()
        if self.ends_it:
            stop.set()
        return Detachment(stop)

    def check(self, outcome: Outcome, output: Output) -> None:
        """Check that an outcome is true."""
        told = (self.stop, outcome, self.starts, output.stdout)
        assert self.starts <= 1, told
        match outcome:
            case NotStarted():
                assert self.starts == 0, told
            case Exited(0):
                assert self.starts == 1, told
                assert (output.stdout, output.stderr) == (b"out\nmore\n", b"err\n"), told
            case Cancelled():
                assert self.ends_it, told
            case Lost() | Killed(9):
                assert self.stop.startswith("keeper"), told
            case _:
                raise AssertionError(told)


@pytest.mark.parametrize("ends_it", [False, True], ids=["ends itself", "is ended"])
@pytest.mark.parametrize("stops", [KEEPER_STOPS, FOLLOWER_STOPS], ids=["keeper", "follower"])
async def test_every_stop(tmp_path: Path, stops: list[str], ends_it: bool) -> None:  # noqa: FBT001
    """Whichever process dies at whichever line, the truth is found out, and nothing is left."""
    limit = trio.CapacityLimiter(AT_ONCE)
    trials, wrong = list[Trial](), list[str]()

    async def attempt(trial: Trial) -> None:
        async with limit:
            try:
                await trial.run()
            except* AssertionError as errors:
                wrong.append(f"{trial.stop}: {errors.exceptions[0]}")
            except* trio.TooSlowError:
                wrong.append(f"{trial.stop}: too slow")

    async with trio.open_nursery() as nursery:
        for stop in stops[::EVERY]:
            base = tmp_path / stop
            base.mkdir()
            trials.append(Trial(Place(base, ("dash",), KEEPER, FOLLOWER), stop, ends_it))
            nursery.start_soon(attempt, trials[-1])
    assert not wrong, "\n".join(wrong)
    assert sum(trial.was_reached for trial in trials) > len(trials) // 3
