"""``python -m tests.packaging check 3.11 3.12``: check what users install, on these Pythons.

``python -m tests.packaging zipapp 3.11 3.12`` writes dist/pegasus.pyz. The programs ``python3.11``
and so on are searched on PATH.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.packaging import contents
from tests.packaging.building import Distributions, build_both, build_wheel, version_of
from tests.packaging.clean import Clean, find_python, make_clean, try_program
from tests.packaging.steps import PackagingFault
from tests.packaging.tutorial import follow_tutorial
from tests.packaging.zipapp import build_zipapp

CHECKOUT = Path(__file__).resolve().parent.parent.parent
AT_A_TIME = 3
"""Pythons on which Pegasus is tried in parallel: pip mostly waits for downloads."""


def main() -> int:
    """Run with the options of the command line; return the exit status."""
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="pegasus-packaging-") as name:
        try:
            if asked.work == "check":
                check(Path(name), asked.versions)
            else:
                write_zipapp(Path(name), asked.versions, CHECKOUT / "dist" / "pegasus.pyz")
        except PackagingFault as fault:
            print(f"packaging: {fault}", file=sys.stderr)
            return 1
    return 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.packaging", description=__doc__)
    parser.add_argument("work", choices=("check", "zipapp"))
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="of Python: 3.12")
    return parser.parse_args()


def check(scratch: Path, versions: Sequence[str]) -> None:
    """Build everything; compare the files; run it on each Python."""
    both = build_both(CHECKOUT, scratch / "dist")
    compare(both, build_wheel(CHECKOUT, scratch / "wheel"))
    print(f"built {both.sdist.name} and {both.wheel.name}", flush=True)
    zipapp = scratch / "pegasus.pyz"
    write_zipapp(scratch, versions, zipapp, both.wheel)

    def try_both(version: str) -> None:
        try_wheel(both.wheel, version, scratch / f"wheel-{version}")
        try_zipapp(zipapp, version_of(both.wheel), version, scratch / f"zipapp-{version}")

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(try_both, versions))


def compare(both: Distributions, wheel: Path) -> None:
    """Compare the distributions with the checkout and with each other.

    Raises:
        PackagingFault: a file is missing in one of them, does not belong there, or differs.
    """
    files = contents.files_of(CHECKOUT)
    sums = contents.sums_in_wheel(both.wheel)
    faults = [
        *contents.faults_of_sdist(contents.names_in_sdist(both.sdist), files),
        *contents.faults_of_wheel(sums, files),
        *contents.differences(sums, contents.sums_in_wheel(wheel)),
    ]
    if faults:
        raise PackagingFault("\n".join(faults))


def try_wheel(wheel: Path, version: str, folder: Path) -> None:
    """Install the wheel in a clean environment, and run a queue with it."""
    clean = make_clean(find_python(version), folder)
    clean.install(wheel)
    program = [clean.folder / "bin" / "pegasus"]
    try_installed(clean, program, version_of(wheel), f"Python {version}: the wheel")


def try_zipapp(zipapp: Path, expected: str, version: str, folder: Path) -> None:
    """Run a queue with the zipapp, on a Python that has nothing else."""
    clean = make_clean(find_python(version), folder)
    try_installed(clean, [clean.python, zipapp], expected, f"Python {version}: the zipapp")


def try_installed(clean: Clean, program: Sequence[str | Path], expected: str, subject: str) -> None:
    """Run the starter files, and follow the tutorial."""
    jobs = try_program(clean, program, expected)
    blocks = follow_tutorial(clean, program)
    print(f"{subject} ran {jobs} jobs, and {blocks} blocks of the tutorial", flush=True)


def write_zipapp(
    scratch: Path, versions: Sequence[str], target: Path, wheel: Path | None = None
) -> None:
    """Build the zipapp, from a new wheel unless one is given."""
    wheel = wheel or build_wheel(CHECKOUT, scratch / "wheel")
    pythons = [find_python(version) for version in versions]
    build_zipapp(wheel, pythons, target, scratch / "zipapp")
    size = target.stat().st_size / 1e6
    print(f"{target}: {size:.1f} MB, for Python {', '.join(versions)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
