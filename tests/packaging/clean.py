"""A clean environment: a Python with nothing but its standard library, and what a check adds."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.packaging.steps import PackagingFault, run


@dataclass(frozen=True, slots=True)
class Clean:
    """An environment in a folder of its own, with a home of its own.

    Attributes:
        folder: the environment, and its home.
        first_on_path: a folder whose programs come before those of the environment.
    """

    folder: Path
    first_on_path: Path | None = None

    @property
    def python(self) -> Path:
        """The Python of the environment."""
        return self.folder / "bin" / "python3"

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of its programs: nothing of the user who runs the check."""
        own = [*filter(None, [self.first_on_path]), self.folder / "bin"]
        path = os.pathsep.join([*map(str, own), os.defpath])
        return {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8"}

    def install(self, wheel: Path) -> None:
        """Install a wheel and what it requires, with the pip of the check."""
        pip = (sys.executable, "-m", "pip", "--python", self.python)
        run([*pip, "install", "--quiet", wheel])

    def run(self, argv: Sequence[str | Path], folder: Path | None = None) -> str:
        """Run a program in the environment, in a folder of it."""
        return run(argv, folder=folder or self.folder, env=self.variables)


def make_clean(python: Path, folder: Path) -> Clean:
    """Make a clean environment, also where Debian's python3 has no ensurepip."""
    run([python, "-m", "venv", "--without-pip", folder])
    return Clean(folder)


def find_python(version: str) -> Path:
    """Find a Python on PATH.

    Raises:
        PackagingFault: there is none.
    """
    found = shutil.which(f"python{version}")
    if found is None:
        raise PackagingFault(f"python{version} is not on PATH. Install it, or leave it out.")
    return Path(found)


def try_program(clean: Clean, program: Sequence[str | Path], version: str) -> int:
    """Run the queue of the starter files with an installed Pegasus; return how many jobs it had.

    Raises:
        PackagingFault: a command failed, or a job did not succeed.
    """
    printed = clean.run([*program, "--version"]).strip()
    if printed != version:
        raise PackagingFault(f"`pegasus --version` printed {printed!r} instead of {version}.")
    clean.run([*program, "init", "first"])
    clean.run([*program, "q"], clean.folder / "first")
    status = clean.run([*program, "status", "--json"], clean.folder / "first")
    return succeeded(json.loads(status))


def succeeded(status: Mapping[str, Any]) -> int:
    """Return how many jobs the newest run had, from the output of ``pegasus status --json``.

    Raises:
        PackagingFault: one of them did not succeed, or there was none.
    """
    counts = dict(status["runs"][-1]["counts"])
    jobs = int(counts.pop("succeeded", 0))
    others = {state: count for state, count in counts.items() if count}
    if not jobs or others or status["waiting"]:
        raise PackagingFault(
            f"all jobs of the starter files should succeed: {jobs} succeeded, "
            f"{status['waiting']} wait, others: {others or 'none'}."
        )
    return jobs
