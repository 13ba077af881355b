"""Attempts by another user of the machine, and their results.

Rule 1: only root can act as another user; a test that needs one is skipped with that reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

NOBODY = 65534  # uid and gid; no file belongs to them

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")

_PROGRAM = r"""
import errno, fcntl, json, os, socket, sys

os.setgroups([])
os.setresgid(*[int(sys.argv[1])] * 3)
os.setresuid(*[int(sys.argv[1])] * 3)


def opened(path, flags=os.O_RDONLY):
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


WAYS = {
    "list": os.listdir,
    "read": opened,
    "write": lambda path: opened(path, os.O_WRONLY),
    "make": lambda path: opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "hold": lambda path: fcntl.flock(opened(path), fcntl.LOCK_EX | fcntl.LOCK_NB),
    "move": lambda path: os.rename(path, path + ".moved"),
    "remove": os.unlink,
    "open up": lambda path: os.chmod(path, 0o777),
    "connect": connect,
}


def attempt(way, path):
    try:
        WAYS[way](path)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"


print(json.dumps([attempt(*one) for one in json.load(sys.stdin)]))
"""


def attempts(wanted: Iterable[tuple[str, Path]]) -> dict[tuple[str, Path], str]:
    """Try operations as another user; return ``done`` or the name of the error for each."""
    every = list(wanted)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(NOBODY)],
        input=json.dumps([(way, str(path)) for way, path in every]),
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(every, json.loads(done.stdout), strict=True))


_PEGASUS = r"""
import importlib, os, pkgutil, sys

import pegasus

for module in pkgutil.walk_packages(pegasus.__path__, "pegasus."):
    importlib.import_module(module.name)  # another user may not be able to read them
uid, folder, *words = sys.argv[1:]
os.environ["HOME"] = "/"
os.setgroups([])
os.setresgid(*[int(uid)] * 3)
os.setresuid(*[int(uid)] * 3)
os.chdir(folder)
sys.argv[1:] = words
pegasus.__main__.main()
"""


def pegasus_command(uid: int, folder: Path, *words: str) -> list[str]:
    """Return a command line that runs ``pegasus WORDS`` as another user, in a folder."""
    return [sys.executable, "-c", _PEGASUS, str(uid), str(folder), *words]


def pegasus_as(
    uid: int, folder: Path, *words: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run ``pegasus WORDS`` as another user, in a folder, to its end."""
    return subprocess.run(
        pegasus_command(uid, folder, *words),
        capture_output=True,
        text=True,
        cwd="/",
        env=environment,
        check=False,
    )
