"""One run of test nodes: its folder, its owner, and its removal.

Every run has a folder of its own and a guardian: a small process that waits for its standard
input to end, which happens when the owner closes it, exits, or is killed. Then the guardian removes
all that the run has started. Nodes are removed in no other way, so the path for accidents is used
every time. Where the guardian was killed as well, the next run removes what is left.

Rule 1: only what carries the run's own id is touched: marked processes, labelled containers, and
the steps of a Slurm cluster, which have its folder open.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.nodes import engine
from tests.nodes.errors import NodesFault
from tests.nodes.owner import Owner
from tests.nodes.processes import (
    Process,
    belonging,
    end,
    everything,
    has_in_environment,
    has_open,
    kill,
)

PREFIX = "pegasus-nodes-"
MARKER = "PEGASUS_TEST_NODE"
REMOVING = 90.0  # seconds for the guardian to remove everything; six containers take 1


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder and guardian, as a context manager; leaving it removes everything.

    Attributes:
        id: unique, and part of the folder's name.
        folder: contains all of its files.
        owner: this process.
        guardian: the process that removes everything.
        children: processes of the run that this process has to reap, as their parent.
    """

    id: str
    folder: Path
    owner: Owner
    guardian: subprocess.Popen[bytes] = field(repr=False)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @classmethod
    def begin(cls) -> Run:
        """Make the folder and start its guardian."""
        run_id = secrets.token_hex(4)
        folder = home_of_runs() / f"{PREFIX}{run_id}"
        folder.mkdir(mode=0o700)
        owner = Owner.myself()
        (folder / "owner").write_text(str(owner), encoding="ascii")
        guardian = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.guard", str(folder)],
            cwd=Path(__file__).resolve().parents[2],
            env={"PATH": os.environ.get("PATH", os.defpath), **engine.environment()},
            stdin=subprocess.PIPE,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
        )
        return cls(run_id, folder, owner, guardian)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Make the guardian remove everything, and wait for its end; may be called twice."""
        if self.guardian.stdin:
            self.guardian.stdin.close()
        if self.guardian.wait(REMOVING) != 0:
            raise NodesFault(f"test nodes could not be removed: see above, and {self.folder}")
        for child in self.children:
            child.wait(REMOVING)


def home_of_runs() -> Path:
    """Return the folder of all runs."""
    return Path(tempfile.gettempdir()).resolve()


def id_of(folder: Path) -> str:
    """Return the id of the run with this folder."""
    return folder.name.removeprefix(PREFIX)


def marker(folder: Path, node: str = "*") -> str:
    """Return the mark in the environment of each command of a local node, or its start for all."""
    return f"{MARKER}={id_of(folder)}/" + ("" if node == "*" else f"{node}/")


def processes_of(
    folder: Path, node: str = "*", among: Sequence[Process] | None = None
) -> list[Process]:
    """Return the processes of a run's local nodes, or of one, with sshds and descendants.

    Args:
        folder: of the run.
        node: its name; ``*`` for all.
        among: what `everything` has returned; None to ask it now.
    """
    mark = marker(folder, node)
    listeners = {pid for file in folder.glob(f"{node}/sshd.pid") if (pid := read_pid(file))}

    def belongs(process: Process) -> bool:
        if process.host_pid in listeners and process.is_sshd:
            return True
        return has_in_environment(process.host_pid, mark)

    return belonging(belongs, among)


def steps_of(folder: Path) -> list[Process]:
    """Return the living slurmstepds that hold a file open whose path begins with ``folder``.

    They have an empty environment, and their parent is gone where slurmd was killed. The sockets
    and logs of their cluster, which they hold open, are in the folder of its run.
    """
    found = (p for p in everything() if p.name == "slurmstepd" and p.alive)
    return [process for process in found if has_open(process, folder)]


def read_pid(file: Path) -> int | None:
    """Return the number in a pid file, None if it is missing or incomplete."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def remove(folder: Path) -> None:
    """Remove everything that a run has started, and its folder last."""
    if (folder / "docker").exists():
        engine.remove_labelled(id_of(folder))
    processes = f"the processes of {folder.name}"
    end(lambda: [*processes_of(folder), *steps_of(folder)], kill, what=processes)
    shutil.rmtree(folder, ignore_errors=True)  # two sweeps may do this at the same time
    if folder.exists():
        raise NodesFault(f"{folder} can't be removed")


def sweep() -> None:
    """Remove what runs have left behind whose owner and guardian were both killed."""
    left = [folder for folder in home_of_runs().glob(f"{PREFIX}*") if is_abandoned(folder)]
    # An image cannot be removed before the containers made of it, which belong to other runs.
    for folder in sorted(left, key=lambda folder: not any(folder.glob("node-*"))):
        with suppress(NodesFault):  # while the engine is down, say: a later run removes it
            remove(folder)


def is_abandoned(folder: Path) -> bool:
    """Return whether no process will remove a run any more; False for another user's."""
    try:
        owner = Owner.parse((folder / "owner").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False  # not readable, or just being made or removed
    return owner.is_dead() and not guardians(folder)


def guardians(folder: Path) -> list[Process]:
    """Return the living guardian of a run, which will remove it."""
    words = f"{__package__}.guard {folder}"
    return [p for p in everything() if p.alive and p.command.endswith(words)]
