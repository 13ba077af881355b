"""Runs one program of a check, and stops the check where the program fails."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class PackagingFault(Exception):
    """What users would install is wrong, or cannot be made; the message says what was found."""


def run(
    argv: Sequence[str | Path], *, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a program and return what it printed.

    Raises:
        PackagingFault: it failed; the message has its output.
    """
    words = [str(word) for word in argv]
    done = subprocess.run(
        words,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise PackagingFault(
            f"`{shlex.join(words)}` ended with {done.returncode}:\n{done.stdout.rstrip()}"
        )
    return done.stdout
