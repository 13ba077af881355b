"""What another user may have put somewhere is told from what is ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pegasus.ownership import is_private, is_strangers, may_be_planted
from pegasus.transport import folder as sockets
from tests.other_user import NOBODY, needs_root


def is_ours_alone(folder: Path) -> Path:
    """Leave the folder as it was made."""
    return folder


def can_be_looked_at(folder: Path) -> Path:
    """Let others read it."""
    folder.chmod(0o755)
    return folder


def belongs_to_nobody(folder: Path) -> Path:
    """Give it to another user."""
    os.chown(folder, NOBODY, NOBODY)
    return folder


def is_open_to_all(folder: Path) -> Path:
    """Let everybody write."""
    folder.chmod(0o777)
    return folder


def is_sticky_and_open_to_all(folder: Path) -> Path:
    """Let everybody write, as in /tmp."""
    folder.chmod(0o1777)
    return folder


def is_open_to_a_group(folder: Path) -> Path:
    """Let a group write."""
    folder.chmod(0o770)
    return folder


def is_a_link_to_an_open_one(folder: Path) -> Path:
    """Give a link of ours to a folder of everybody."""
    (folder / "open").mkdir()
    (folder / "link").symlink_to(is_open_to_all(folder / "open"))
    return folder / "link"


def is_a_file(folder: Path) -> Path:
    """Give a file."""
    (folder / "file").touch(0o700)
    return folder / "file"


def is_not_there(folder: Path) -> Path:
    """Give nothing."""
    return folder / "none"


@pytest.mark.parametrize(
    ("made", "private"),
    [
        (is_ours_alone, True),
        (can_be_looked_at, True),
        pytest.param(belongs_to_nobody, False, marks=needs_root),
        (is_open_to_all, False),
        (is_sticky_and_open_to_all, False),
        (is_open_to_a_group, False),
        (is_a_link_to_an_open_one, False),
        (is_a_file, False),
        (is_not_there, False),
    ],
)
def test_a_private_folder(tmp_path: Path, made: Callable[[Path], Path], *, private: bool) -> None:
    """A folder is private if it is this user's, and nobody else may put anything into it."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    assert is_private(made(folder)) is private


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("run", True),
        ("%h", False),
        ("${HOME}", False),
        ("a b", False),
        ('"', False),
        ("*", False),
        ("é", False),
        ("x" * 50, False),
    ],
)
def test_a_runtime_folder_that_ssh_can_spell(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, used: bool
) -> None:
    """The control sockets stand in a folder whose path means to ssh what it says, or in /tmp."""
    folder = runtime / name
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    assert sockets._place() == (folder if used else Path("/tmp"))


@pytest.mark.parametrize("given", ["", "run", "~/run", "/"])
def test_a_runtime_folder_that_is_none(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """What is no path of a private folder is not used."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", given)
    if os.geteuid() or given != "/":
        assert sockets._place() == Path("/tmp")


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a short path."""
    folder = tmp_path_factory.mktemp("r")
    monkeypatch.setattr(sockets, "PLACE_LIMIT", len(str(folder)) + 20)
    return folder


@needs_root
@pytest.mark.parametrize(("mode", "planted"), [(0o1777, True), (0o777, False), (0o1755, False)])
def test_what_somebody_else_has_put_into_a_folder(
    tmp_path: Path, mode: int, *, planted: bool
) -> None:
    """In a folder like /tmp what is not ours was planted; where people share, it was not."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(mode)
    ours, theirs = folder / "ours", folder / "theirs"
    ours.touch()
    theirs.symlink_to(ours)
    os.chown(theirs, NOBODY, NOBODY, follow_symlinks=False)
    assert [is_strangers(path) for path in (ours, theirs)] == [False, True]
    assert [may_be_planted(path) for path in (ours, theirs)] == [False, planted]


@needs_root
def test_the_owner_of_a_folder_is_no_stranger_in_it(tmp_path: Path) -> None:
    """Root works in the folder of a user on what is the user's."""
    (tmp_path / "theirs").touch()
    for path in (tmp_path, tmp_path / "theirs"):
        os.chown(path, NOBODY, NOBODY)
    assert not is_strangers(tmp_path / "theirs")
