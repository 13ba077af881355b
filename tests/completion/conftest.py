"""A queue whose run goes on: one job has succeeded, one has failed, and one waits to be ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.completion.shells import PATIENCE, SHELLS, Terminal, opened

HOSTS = "- localhost\n- hostname: localhost\n  rack: r2\n"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the folder of the queue; its run ends after the tests."""
    folder = tmp_path_factory.mktemp("queue")
    os.mkfifo(folder / "end")
    (folder / "hosts.yaml").write_text(HOSTS)
    (folder / "my hosts.yaml").write_text(HOSTS)
    (folder / "cluster.ssh").write_text("")
    waiting = f"echo waiting; cat {folder / 'end'}"
    (folder / "queue.yaml").write_text(f"- echo one\n- exit 3\n- {waiting}\n")
    argv = [sys.executable, "-m", "pegasus", "q", "--limit", "!rack=r2"]
    run = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdout is not None
    assert any(b"waiting" in line for line in run.stdout)
    yield folder
    (folder / "end").write_text("")
    run.stdout.read()
    run.stdout.close()
    assert run.wait(PATIENCE) == 1, "job 2 has failed"


@pytest.fixture(scope="session", params=SHELLS)
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> Iterator[Terminal]:
    """Give each shell in turn, at a terminal in the folder of the queue."""
    with opened(request.param, tmp_path_factory.mktemp("home"), folder) as terminal:
        yield terminal
