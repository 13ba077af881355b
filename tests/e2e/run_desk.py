"""A run, and a second terminal in another directory that queries and controls it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.runner import Done, Pegasus, Running
from tests.written import check_written

GATED = "- echo {name} begins; until [ -e {name} ]; do sleep 0.05; done; echo {name} ends\n"
"""A job that runs as long as a file is missing."""
ODD = 'printf "%s\\n" "it\'s" \'{"a": "b"}\'   # 🦄 [red] :smile: ✓\nexit {{ status }}'
"""A command with quotes, colours, emoji and two lines."""


@dataclass(frozen=True, slots=True)
class RunDesk:
    """A run's directory, and a terminal in another one."""

    there: Pegasus
    elsewhere: Pegasus

    def open(self, name: str) -> None:
        """Make the file that a gated job waits for."""
        (self.there.folder / name).touch()

    def start(self, *arguments: str) -> Running:
        """Start a command in the other terminal."""
        queue = f"--queue-file={self.there.queue_file}"
        return self.elsewhere.start_bare(*arguments, queue)

    def tell(self, *arguments: str) -> Done:
        """Run a command in the other terminal, to its end."""
        return self.start(*arguments).wait()

    def status(self, *arguments: str) -> dict[str, Any]:
        """Return the status as JSON, checked against its schema."""
        done = self.tell("status", "--json", *arguments)
        assert done.status == 0, done.stderr
        data: dict[str, Any] = json.loads(done.out)
        check_written(data, "record/status")
        return data

    def run(self) -> dict[str, Any]:
        """Return the status of the only run."""
        (run,) = self.status()["runs"]
        found: dict[str, Any] = run
        return found

    def queue(self) -> list[Any]:
        """Return the entries that wait."""
        found: list[Any] = yaml.load(self.there.queue_file.read_bytes(), yaml.BaseLoader) or []
        return found


def quoted(text: str) -> str:
    """Quote a text for a queue file that contains it unchanged, emoji included."""
    return json.dumps(text, ensure_ascii=False)


def wait_for(gate: Path) -> str:
    """Return a command that runs as long as a file is missing."""
    return f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.05; done"


def gated(*names: str) -> str:
    """Return a queue of gated jobs."""
    return "".join(GATED.format(name=name) for name in names)


def localhosts(count: int) -> str:
    """Return a hosts file of this many sub-nodes on this machine, each with its number."""
    return f"- hostname: localhost\n  i: {list(range(count))}\n"


def kinds(run: dict[str, Any]) -> dict[int, str | None]:
    """Return the kind of each job's outcome, by number; None if it has not ended."""
    found = {}
    for job in run["jobs"]:
        (kind,) = [outcome["kind"] for outcome in job["outcomes"]] or [None]
        found[job["job"]] = kind
    return found
