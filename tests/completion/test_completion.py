"""Promises of completion: what each shell makes of a line that is typed in part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.completion.shells import SHELLS, Terminal, opened

LINES = {
    "sta": "status",
    "b --max-un": "b --max-unreachable",
    "lock --color nev": "lock --color never",
    "completion fi": "completion fish",
    "q --queue-file que": "q --queue-file queue.yaml",
    "q --ssh-config clu": "q --ssh-config cluster.ssh",
    "logs 3": "logs 3",
    "retry ": "retry 2",
    "stop ": "stop 3",
    "check --limit ra": "check --limit rack=r2",
    "check --sub-node 1": "check --sub-node 1",
    "logs 3 --sub-node ": "logs 3 --sub-node 0",
}
"""What is typed -> what it becomes, without ``pegasus`` in front of both."""


@pytest.mark.parametrize(("typed", "completed"), LINES.items())
def test_one_candidate(shell: Terminal, typed: str, completed: str) -> None:
    """Where one value is possible, the line gets it."""
    assert shell.completed(f"pegasus {typed}") == f"pegasus {completed}"


@pytest.mark.parametrize("words", ["status --run", "results", "report --run", "stop 3 --run"])
def test_the_name_of_a_run(shell: Terminal, folder: Path, words: str) -> None:
    """A run is completed from the record of the queue."""
    (record,) = (folder / ".pegasus").glob("0001-*")
    assert shell.completed(f"pegasus {words} 0") == f"pegasus {words} {record.name}"


def test_several_candidates(shell: Terminal) -> None:
    """All jobs of the run are offered to ``logs``."""
    shell.offers("pegasus logs ", "1", "2", "3")


@pytest.mark.parametrize("shell_name", SHELLS)
def test_nothing_readable(shell_name: str, tmp_path: Path) -> None:
    """Without a run, or with a hosts file that has a fault, nothing is offered or said."""
    home, folder = tmp_path / "home", tmp_path / "queue"
    home.mkdir()
    folder.mkdir()
    (folder / "hosts.yaml").write_text("- [\n")
    with opened(shell_name, home, folder) as terminal:
        for line in ("pegasus status --run ", "pegasus stop 1 --run ", "pegasus check --limit "):
            assert terminal.completed(line) == line.strip()
    assert [each.name for each in folder.iterdir()] == ["hosts.yaml"]
