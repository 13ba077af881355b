"""Builds ``pegasus.pyz``: Pegasus and all that it requires in one file, for several Pythons.

shiv extracts the file into a cache at its first start: google-re2 is compiled, and Python cannot
load compiled modules from a zip. The compiled modules of several versions of Python have
different names, so they can be in one folder.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.packaging.steps import run

PREAMBLE = Path(__file__).with_name("preamble.py")
PIP = (sys.executable, "-m", "pip")


def build_zipapp(wheel: Path, pythons: Sequence[Path], target: Path, scratch: Path) -> None:
    """Build the zipapp from a wheel, for these Pythons.

    All have the versions of the libraries that the first one gets.
    """
    site, versions = scratch / "site", scratch / "versions.txt"
    scratch.mkdir()
    versions.touch()
    parts = [scratch / str(number) for number, _ in enumerate(pythons)]
    install(wheel, pythons[0], parts[0], versions)
    versions.write_text(list_versions(parts[0]), encoding="utf-8")
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda python, part: install(wheel, python, part, versions), pythons[1:], parts[1:]
            )
        )
    for part in parts:
        shutil.rmtree(part / "bin", ignore_errors=True)  # scripts with the path of this Python
        shutil.copytree(part, site, dirs_exist_ok=True)
    settings = ("--console-script", "pegasus", "--compressed", "--preamble", PREAMBLE)
    target.parent.mkdir(parents=True, exist_ok=True)
    shiv = (sys.executable, "-m", "shiv", "--site-packages", site, *settings)
    run([*shiv, "--output-file", target])


def install(wheel: Path, python: Path, folder: Path, versions: Path) -> None:
    """Install a wheel and what it requires into a folder, as this Python needs it."""
    where = ("--target", folder, "--constraint", versions)
    run([*PIP, "--python", python, "install", "--quiet", "--no-compile", *where, wheel])


def list_versions(folder: Path) -> str:
    """Return the versions of what is installed in a folder, for pip's ``--constraint``."""
    return run([*PIP, "list", "--path", folder, "--format=freeze", "--exclude=pegasus-ssh"])
