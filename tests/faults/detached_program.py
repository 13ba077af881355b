"""The pegasus command, with a stop or a crash at a chosen line: for trials of detached commands.

It is run as a program. ``PEGASUS_TRIAL_HOOK`` is a JSON object: ``base`` is where the folders of
detached commands are; ``script``, ``line`` and ``gate`` put a stop before a line of the keeper or
of the follower; ``calls`` kills this process at a call of a function of Pegasus.

Rule 1: a stop changes nothing but the time: it waits, once, until the file ``go`` is in the gate.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

VARIABLE = "PEGASUS_TRIAL_HOOK"

STOP = "mkdir {gate}/here 2>/dev/null && while [ ! -e {gate}/go ]; do sleep 0.02; done"

OPEN_ENDS = ("\\", "&&", "||", "|", " in")
"""What a line ends with where the next one belongs to the same command."""

CLOSING = ("}", ")", "then", "else", "elif", "fi", "esac", "do", "_s=$?")
"""What a line begins with that uses the status of the line before, or that ends a command."""

COUNTED = ("/pegasus/transport/", "/pegasus/dispatch/", "/pegasus/record/", "/pegasus/durable")
"""The parts of the package whose calls count: those that a detached command goes through."""


def stopped(script: str, line: int, gate: str) -> str:
    """Return a script that stops before one of its lines."""
    lines = script.split("\n")
    return "\n".join([*lines[:line], STOP.format(gate=gate), *lines[line:]])


def stops_in(script: str) -> list[int]:
    """Return the numbers of the lines before which the script may stop."""
    lines = script.split("\n")
    return [
        number
        for number, line in enumerate(lines)
        if number > 0
        and not lines[number - 1].rstrip().endswith(OPEN_ENDS)
        and not line.strip().startswith(CLOSING)
        and is_valid(stopped(script, number, "gate"))
    ]


def is_valid(script: str) -> bool:
    """Return whether a shell can read a script."""
    checked = subprocess.run(["sh", "-n", "-c", script], capture_output=True, check=False)
    return checked.returncode == 0


@functools.cache
def all_stops() -> list[tuple[str, int]]:
    """Return each script and line at which a stop is possible."""
    from pegasus.transport import follower, keeper

    scripts = {"keeper": keeper.KEEPER_SCRIPT, "follower": follower.FOLLOWER_SCRIPT}
    return [(name, line) for name, script in scripts.items() for line in stops_in(script)]


def count_down(calls: int) -> Callable[[FrameType, str, Any], None]:
    """Return a profiler that kills this process at the n-th call, on whatever thread."""
    left = [calls]

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and any(part in frame.f_code.co_filename for part in COUNTED):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return profile


def main() -> None:
    """Change Pegasus as asked, and run it."""
    sys.path[0] = str(Path(__file__).resolve().parents[2] / "src")  # not the folder of the tests
    from pegasus.transport import follower, keeper, local

    hook = json.loads(os.environ[VARIABLE])
    keeper_script, script = keeper.KEEPER_SCRIPT, follower.FOLLOWER_SCRIPT
    if hook.get("script") == "keeper":
        keeper_script = stopped(keeper_script, hook["line"], hook["gate"])
    elif hook.get("script") == "follower":
        script = stopped(script, hook["line"], hook["gate"])
    vars(follower).update(KEEPER_SCRIPT=keeper_script, FOLLOWER_SCRIPT=script)
    vars(local).update(FOLLOWER_SCRIPT=script)
    Path(hook["base"]).mkdir(mode=0o755, exist_ok=True)
    follower.follower_arguments.__defaults__ = (hook["base"],)
    follower.follower_command.__defaults__ = (hook["base"],)
    if calls := hook.get("calls"):
        profile = count_down(calls)
        threading.setprofile(profile)
        sys.setprofile(profile)
    from pegasus.cli import main as run

    run()


if __name__ == "__main__":
    main()
