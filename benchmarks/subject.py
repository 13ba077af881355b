"""Pegasus as installed beside this Python: called by its script, measured by its journal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ground import Ground
from benchmarks.running import Failed, Metered, run, running, wait_until

CONNECTING = 240.0  # seconds for all sub-nodes to connect; 256 took 40
PROGRAM = "PEGASUS_BENCH_PROGRAM"  # names another pegasus than the one of this environment
BY_CLIENTS = {"PEGASUS_SSH_CLIENTS": "1"}  # makes Pegasus use an ssh process for each command


def script() -> str:
    """Return the path of ``pegasus``."""
    if named := os.environ.get(PROGRAM):
        return named
    beside = Path(sys.executable).parent
    path = shutil.which("pegasus", path=os.pathsep.join([str(beside), os.defpath]))
    if path is None:
        raise Failed(f"there is no pegasus in {beside}: `pip install .`")
    return path


@dataclass(frozen=True, slots=True)
class Journal:
    """The times that Pegasus recorded of a run.

    Attributes:
        started: when its commands were started, in seconds since the epoch, in that order.
        ended: when they ended, likewise.
    """

    started: tuple[float, ...]
    ended: tuple[float, ...]

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """Read the journal of the only run in a folder, without a torn line at its end."""
        lines: list[bytes] = []
        for path in folder.glob(".pegasus/*/journal.jsonl"):
            lines = path.read_bytes().split(b"\n")[:-1]
        events = [json.loads(line) for line in lines]
        return cls(times(events, "started"), times(events, "ended"))


def seen(folder: Path, event: str) -> int:
    """Count the events of a kind that the only run in a folder has recorded so far."""
    word = f'"event":"{event}"'.encode()
    return sum(path.read_bytes().count(word) for path in folder.glob(".pegasus/*/journal.jsonl"))


def times(events: Iterable[Mapping[str, Any]], name: str) -> tuple[float, ...]:
    """Return the times of all events of a kind, in order."""
    return tuple(sorted(event["at"] for event in events if event["event"] == name))


def write_hosts(folder: Path, ground: Ground, sub_nodes: int) -> None:
    """Write a hosts file with this many sub-nodes, distributed over all nodes."""
    names = [node.name for node in ground.nodes]
    lines = [f"- {names[number % len(names)]}" for number in range(sub_nodes)]
    (folder / "hosts.yaml").write_text("\n".join([*lines, ""]), encoding="ascii")


def write_local_hosts(folder: Path, sub_nodes: int) -> None:
    """Write a hosts file with this many sub-nodes that need no ssh."""
    (folder / "hosts.yaml").write_text("- localhost\n" * sub_nodes, encoding="ascii")


def write_queue(folder: Path, entries: int, command: str = "true") -> None:
    """Write a queue of this many equal entries, in quotes.

    The original reads a bare ``true`` as a boolean and reports that repeatedly.
    """
    (folder / "queue.yaml").write_text(f"- '{command}'\n" * entries, encoding="ascii")


def command_line(mode: str, ground: Ground | None = None, *more: str) -> list[str]:
    """Return a command line, with the ssh configuration of the nodes if they are used."""
    config = ["--ssh-config", str(ground.nodes.ssh_config)] if ground else []
    return [script(), mode, *config, *more]


def run_queue(
    folder: Path,
    ground: Ground,
    mode: str = "q",
    env: Mapping[str, str] | None = None,
    more: Sequence[str] = (),
) -> tuple[Metered, Journal]:
    """Run the queue of a folder to its end; return its cost and its record.

    Raises:
        Failed: a job failed, or Pegasus did.
    """
    done = run(command_line(mode, ground, *more), cwd=folder, env=env)
    return done, Journal.read(folder)


def run_queue_connected(
    folder: Path,
    ground: Ground | None,
    sub_nodes: int,
    env: Mapping[str, str] | None = None,
    more: Sequence[str] = (),
) -> tuple[Metered, Journal]:
    """Do the same, but delay the queue until all sub-nodes are connected.

    Each of them is given a job first that waits for a file. The ends of these jobs are among the
    first in the journal.
    """
    queue, go = folder / "queue.yaml", folder / "go"
    waiting = f"- 'while ! test -e {go}; do sleep 0.1; done'\n" * sub_nodes
    queue.write_text(waiting + queue.read_text(encoding="ascii"), encoding="ascii")
    with running(command_line("q", ground, *more), cwd=folder, env=env) as started:
        wait_until(
            lambda: started.has_ended() or seen(folder, "started") >= sub_nodes,
            limit=CONNECTING,
            what=f"{sub_nodes} connections",
            glance=0.1,
        )
        go.touch()
        return started.wait(), Journal.read(folder)


def must_have(journal: Journal, ended: int) -> None:
    """Check that a run did its work.

    Raises:
        Failed: it ran another number of commands.
    """
    if len(journal.ended) != ended:
        raise Failed(f"{len(journal.ended):,} of {ended:,} commands ended")
