"""Builds the sdist and the wheel, as a release does."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.packaging.steps import PackagingFault, run


@dataclass(frozen=True, slots=True)
class Distributions:
    """The two files of a release."""

    sdist: Path
    wheel: Path


def build_both(checkout: Path, folder: Path) -> Distributions:
    """Build the sdist from the checkout, and the wheel from the sdist; check their metadata.

    Raises:
        PackagingFault: one of them cannot be built, or its description would not be shown.
    """
    run([sys.executable, "-m", "build", "--outdir", folder, checkout])
    both = Distributions(only(folder, "*.tar.gz"), only(folder, "*.whl"))
    run([sys.executable, "-m", "twine", "check", "--strict", both.sdist, both.wheel])
    return both


def build_wheel(checkout: Path, folder: Path) -> Path:
    """Build the wheel from the checkout, as ``pip install .`` does."""
    run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, checkout])
    return only(folder, "*.whl")


def version_of(wheel: Path) -> str:
    """Return the version in the name of a wheel."""
    return wheel.name.split("-")[1]


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a pattern.

    Raises:
        PackagingFault: there is none, or more than one.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "nothing"
        raise PackagingFault(f"{folder}: one file {pattern} is expected, and there is {names}.")
    return found[0]
