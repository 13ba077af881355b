"""Runs the tests that have to find a fault, on a copy of the project.

Rule 1: the unit tests that run a mutated line come first; the end-to-end tests come only if those
pass.
Rule 2: every process has a time limit and is ended with its process group.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
import venv
from contextlib import suppress
from pathlib import Path

from coverage import CoverageData

from tests.mutation.mutants import SOURCE, Mutant

NEEDED = ("src", "tests", "docs", "examples", "benchmarks", "README.md", "LICENSE")
NEEDED_TOO = ("pyproject.toml", "noxfile.py", "CONTRIBUTING.md", "CHANGELOG.md")
"""The files that the tests read."""

COMMAND = "from pegasus.__main__ import main\n\nmain()\n"
"""The content of the script of an installed ``pegasus``."""

NOT_UNIT = ("tests/e2e", "tests/faults")

END_TO_END = {
    "dispatch": (
        "tests/e2e/test_broadcast.py",
        "tests/e2e/test_daemon.py",
        "tests/e2e/test_logs.py",
        "tests/e2e/test_node_failures.py",
        "tests/e2e/test_node_limits.py",
        "tests/e2e/test_queue_mode.py",
        "tests/e2e/test_retry.py",
        "tests/e2e/test_ssh_config.py",
        "tests/e2e/test_status.py",
        "tests/e2e/test_steering.py",
    ),
    "queue_file": (
        "tests/e2e/test_add.py",
        "tests/e2e/test_daemon.py",
        "tests/e2e/test_lock.py",
        "tests/e2e/test_lock_editor.py",
        "tests/e2e/test_queue_mode.py",
        "tests/faults/test_bad_files.py",
        "tests/faults/test_queue_file_crash.py",
        "tests/faults/test_queue_file_crash_again.py",
    ),
    "transport": (
        "tests/e2e/test_leftovers.py",
        "tests/e2e/test_no_shell_here.py",
        "tests/e2e/test_node_failures.py",
        "tests/e2e/test_node_limits.py",
        "tests/e2e/test_queue_mode.py",
        "tests/e2e/test_sessions.py",
        "tests/e2e/test_ssh_config.py",
        "tests/faults/test_killed_shells.py",
    ),
}
"""Tests that start Pegasus, by the package that they test."""

TEST_LIMIT = 40
"""Seconds for one test; the longest of them takes ten on an idle machine."""

UNIT_LIMIT = 300.0
END_TO_END_LIMIT = 600.0
"""Seconds for all unit tests of a mutant (all of them take 60), and for its end-to-end tests (60).
A mutant whose tests take longer is killed: users would notice it, too."""

MEASURE_LIMIT = 1800.0
"""Seconds for all unit tests without a fault, with each line noted: two minutes on an idle machine,
and a busy one must not end the session."""

END_LIMIT = 20.0
"""Seconds for the tests to remove their nodes after SIGTERM."""

MEMORY = 8 << 20
"""KiB of address space for each process of the tests: ten times as much as any of them uses."""


class Copy:
    """A copy of the project, in which one mutant at a time is tested."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        for name in NEEDED + NEEDED_TOO:
            if (root / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(root / name, folder / name, ignore=ignored)
            elif (root / name).exists():
                shutil.copy2(root / name, folder / name)
        self._python = self._make_environment()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def _make_environment(self) -> Path:
        """Make a virtual environment with this copy of Pegasus and the packages of this process.

        Tests start Pegasus in many ways, some with an empty environment: no variable would reach
        all of them.
        """
        home = self.folder / "venv"
        venv.create(home, symlinks=True, with_pip=False)
        names = {"base": str(home), "platbase": str(home)}
        own = Path(sysconfig.get_path("purelib", "venv", names))
        paths = (self.folder / "src", sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
        (own / "copy.pth").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
        python, command = home / "bin" / "python", home / "bin" / "pegasus"
        command.write_text(f"#!{python}\n{COMMAND}", encoding="utf-8")
        command.chmod(0o755)
        return python

    def put(self, name: str, text: str, version: int) -> None:
        """Replace a file of the source.

        Its time is its own for each version, whole seconds apart: Python compares seconds and the
        size to tell whether the compiled file is still good.
        """
        file = self.folder / SOURCE / name
        file.write_text(text, encoding="utf-8")
        os.utime(file, (version, version))

    def run(self, tests: list[str], limit: float, *more: str) -> bool:
        """Run tests until one fails; return whether all passed within the limit."""
        if self._ended:
            return False
        fixed = ("-x", "-q", "-p", "no:cacheprovider", f"--timeout={TEST_LIMIT}")
        pytest = [str(self._python), "-m", "pytest", *fixed, *more, *tests]
        limited = ["sh", "-c", f'ulimit -v {MEMORY}; exec "$@"', "sh", *pytest]
        with (self.folder / "said").open("wb") as said:
            self._process = process = subprocess.Popen(
                limited,
                cwd=self.folder,
                env={**os.environ, "PEGASUS_TEST_NODES": "local"},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return process.wait(limit) == 0
            except subprocess.TimeoutExpired:
                return False
            finally:
                _end(process)

    def end(self) -> None:
        """End the processes of this copy and start none any more; called from another thread."""
        self._ended = True
        if self._process is not None:
            _end(self._process)

    def failed(self) -> str:
        """Return the name of the test that failed, of the last tests; empty if no test did."""
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", self.said(), re.MULTILINE)
        return found[1] if found else ""

    def said(self) -> str:
        """Return what the last tests printed."""
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")

    def passes_unit(self, tests: list[str]) -> bool:
        """Return whether unit tests pass."""
        return self.run(tests, UNIT_LIMIT)

    def passes_end_to_end(self, package: str) -> bool:
        """Return whether a package's end-to-end tests pass."""
        beside = ("--numprocesses=3", "--dist=worksteal")  # most of them wait
        return self.run(list(END_TO_END[package]), END_TO_END_LIMIT, *beside)

    def measure(self) -> Touching:
        """Run all unit tests, and record which of them runs which line.

        Raises:
            AssertionError: one of them fails, without any fault.
        """
        ignored = (f"--ignore={each}" for each in NOT_UNIT)
        cover = ("--cov=pegasus", "--cov-context=test", "--cov-report=", "--numprocesses=2")
        assert self.run(["tests"], MEASURE_LIMIT, *cover, *ignored), self.said()
        data = CoverageData(str(self.folder / ".coverage"))
        data.read()
        return Touching(self.folder, data)


class Touching:
    """Which unit tests run which lines."""

    def __init__(self, folder: Path, data: CoverageData) -> None:
        self._files = {
            Path(file).relative_to(folder / SOURCE).as_posix(): {
                line: {_function(each) for each in contexts if each}
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
            if Path(file).is_relative_to(folder / SOURCE)
        }

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run the mutant's lines; where none does, all that run its file.

        A line that is run when the file is imported is run by no test; a test may depend on it.
        """
        lines = self._files.get(mutant.file, {})
        place = range(mutant.first, mutant.last + 1)
        here = set().union(*(lines.get(line, set()) for line in place))
        return sorted(here or set().union(*lines.values()))


def _function(context: str) -> str:
    """Return the test function of a context of pytest-cov: ``FILE::NAME[VALUES]|run``."""
    return context.split("|", maxsplit=1)[0].split("[", maxsplit=1)[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End tests with SIGTERM, so that they remove their nodes; then kill what is left."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_LIMIT)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
