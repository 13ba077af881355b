"""The login shells of nodes, their places on this machine, and their packages."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.nodes.errors import NodesFault

EVERYWHERE = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def find(program: str) -> Path | None:
    """Find a program where systems install theirs, independent of this process's PATH."""
    found = shutil.which(program, path=EVERYWHERE) or shutil.which(program)
    return Path(found) if found else None


@dataclass(frozen=True, slots=True)
class Shell:
    """A login shell.

    Attributes:
        name: its name in tests.
        program: the file to look for.
        called: the name under which it is run, its ``argv[0]``.
        package: the Debian package that has it.
    """

    name: str
    program: str
    called: str
    package: str

    def path(self) -> Path:
        """Return the program's path on this machine.

        Raises:
            NodesFault: it is not installed.
        """
        path = Path(self.program) if self.program.startswith("/") else find(self.program)
        if path is None or not path.exists():
            raise NodesFault(
                f"the login shell {self.name} is not installed: run "
                f"`apt-get install {self.package}`, or nox as root, which does it"
            )
        return path


SHELLS = {
    shell.name: shell
    for shell in (
        Shell("bash", "bash", "bash", "bash"),
        Shell("dash", "dash", "dash", "dash"),
        Shell("zsh", "zsh", "zsh", "zsh"),
        Shell("fish", "fish", "fish", "fish"),
        Shell("tcsh", "tcsh", "tcsh", "tcsh"),
        Shell("busybox", "busybox", "sh", "busybox-static"),
    )
}


def shell_named(name: str) -> Shell:
    """Return the shell of that name; an absolute path is a shell of the test.

    Raises:
        NodesFault: there is no shell of that name.
    """
    if name.startswith("/"):
        return Shell(name, name, Path(name).name, "what it needs")
    try:
        return SHELLS[name]
    except KeyError:
        known = ", ".join(SHELLS)
        raise NodesFault(f"no shell is called {name!r}: {known}, or an absolute path") from None


def missing(names: Iterable[str] = tuple(SHELLS)) -> list[str]:
    """Return the names of those shells that are not installed here."""
    return [name for name in names if find(SHELLS[name].program) is None]
