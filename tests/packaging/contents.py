"""What the sdist and the wheel have to contain, and what they must not."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

FOLDERS = ("benchmarks", "contrib", "docs", "examples", "src", "tests")
"""Folders of the checkout that the sdist has completely."""

FILES = (
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"),
    *("noxfile.py", "pyproject.toml"),
)
"""Files of the checkout that the sdist has: with them its tests can be run."""

LEFTOVERS = frozenset(
    {".nox", ".pegasus", ".venv", "__pycache__", "build", "consumed.yaml", "dist", "try"}
)
"""Names of what work in a checkout leaves behind. Git ignores most of it, and so does hatchling."""

MANUAL = "share/man/"
"""Where a wheel may have data beside the package."""


def files_of(checkout: Path) -> set[str]:
    """Return the files of a checkout that the sdist has to contain."""
    paths = (path for name in FOLDERS for path in (checkout / name).rglob("*") if path.is_file())
    found = {path.relative_to(checkout).as_posix() for path in paths}
    return {name for name in found if not is_left(name)} | set(FILES)


def is_left(name: str) -> bool:
    """Return whether a file is no part of a release."""
    return bool(LEFTOVERS & set(PurePosixPath(name).parts)) or name.endswith(".yaml.lock")


def names_in_sdist(sdist: Path) -> set[str]:
    """Return the files of an sdist, relative to its one folder."""
    with tarfile.open(sdist) as tar:
        files = [member.name for member in tar.getmembers() if member.isfile()]
    return {name.partition("/")[2] for name in files}


def sums_in_wheel(wheel: Path) -> dict[str, int]:
    """Return the files of a wheel, each with its checksum."""
    with zipfile.ZipFile(wheel) as archive:
        return {each.filename: each.CRC for each in archive.infolist() if not each.is_dir()}


def faults_of_sdist(names: set[str], files: Iterable[str]) -> list[str]:
    """Compare the sdist with the files of the checkout."""
    missing = [f"the sdist has no {name}" for name in sorted(set(files) - names)]
    extra = [f"the sdist has {name}: remove it here" for name in sorted(names) if is_left(name)]
    return missing + extra


def faults_of_wheel(names: Iterable[str], files: Iterable[str]) -> list[str]:
    """Compare the wheel with the files of the checkout: it has those in src/, and no other."""
    has = set(names)
    wanted = {name.removeprefix("src/") for name in files if name.startswith("src/")}
    extra = {name for name in has - wanted if not is_metadata(name)}
    licences = [name for name in has if name.endswith(".dist-info/licenses/LICENSE")]
    return [
        *(f"the wheel has no {name}" for name in sorted(wanted - has)),
        *(f"the wheel has {name}" for name in sorted(extra)),
        *([] if licences else ["the wheel has no LICENSE"]),
    ]


def is_metadata(name: str) -> bool:
    """Return whether a file of a wheel is no module: its metadata, or a manual page."""
    top, _, rest = name.partition("/")
    return top.endswith(".dist-info") or (
        top.endswith(".data") and rest.startswith(f"data/{MANUAL}")
    )


def differences(one: Mapping[str, int], other: Mapping[str, int]) -> list[str]:
    """Compare the wheel from the sdist with the wheel from the checkout."""
    names = sorted(set(one) | set(other))
    return [
        f"the wheels from the sdist and from the checkout differ in {name}"
        for name in names
        if one.get(name) != other.get(name)
    ]
