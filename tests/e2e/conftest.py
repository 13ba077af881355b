"""Fixtures of the end-to-end tests: nodes, the command, and the check that nothing is left."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from tests.cluster.nodes import start_slurm_nodes
from tests.e2e.leftovers import MARK, Traces
from tests.e2e.lock_desk import QUEUE, Editor, LockDesk
from tests.e2e.run_desk import RunDesk
from tests.e2e.runner import SLURM, Pegasus, own_environment
from tests.e2e.ssh_config import SshConfig
from tests.nodes import Nodes, WaysToAsk, start_nodes

WAY = "PEGASUS_TEST_NODES"
SAID = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Prepare a list for messages about the nodes."""
    config.stash[SAID] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Report which nodes the tests ran on."""
    said = config.stash[SAID]
    for line in dict.fromkeys(said):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def way() -> WaysToAsk:
    """The kind of nodes that the environment selects."""
    asked = os.environ.get(WAY, "auto")
    if asked not in {"auto", "docker", "local"}:
        pytest.exit(f"{WAY} is {asked!r}: auto, docker or local", returncode=4)
    return cast("WaysToAsk", asked)


@pytest.fixture(scope="session")
def nodes(way: WaysToAsk, pytestconfig: pytest.Config) -> Iterator[Nodes]:
    """Three nodes with bash, for all tests; none may be left paused, cut off or killed."""
    say = pytestconfig.stash[SAID].append
    with start_slurm_nodes(3) if SLURM in os.environ else start_nodes(3, way=way, say=say) as made:
        say(made.why)
        yield made


@pytest.fixture
def make_nodes(way: WaysToAsk) -> Iterator[Callable[..., Nodes]]:
    """Start nodes for one test, which may break them; they are removed after the test.

    It takes the arguments of `start_nodes`, except for the kind.
    """
    over_ssh = partial(start_nodes, way=way, say=lambda _: None)
    with ExitStack() as stack:
        start = cast(
            "Callable[..., AbstractContextManager[Nodes]]",
            start_slurm_nodes if SLURM in os.environ else over_ssh,
        )
        yield lambda *args, **options: stack.enter_context(start(*args, **options))


@pytest.fixture
def runtime_folder() -> Iterator[Path]:
    """The test's ``XDG_RUNTIME_DIR``: short, since the path of a socket has a limit."""
    folder = Path(tempfile.mkdtemp(prefix="pgt-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def nothing_left(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    runtime_folder: Path,
) -> Iterator[Traces]:
    """Fail the test if it leaves a process, a socket folder, a temporary file, a remote command."""
    mark = secrets.token_hex(8)
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_folder))
    shared = ()
    if {"nodes", "pegasus"} & set(request.fixturenames):
        shared = tuple(request.getfixturevalue("nodes"))
    traces = Traces(mark=mark, runtime=runtime_folder, folder=tmp_path, nodes=shared)
    traces = replace(traces, before=traces.socket_folders())
    yield traces
    if left := traces.wait_until_gone():
        traces.clear_away()
        pytest.fail("left behind:\n" + "\n".join(left))


@pytest.fixture
def pegasus(nothing_left: Traces, nodes: Nodes, tmp_path: Path) -> Iterator[Pegasus]:
    """The pegasus command in an empty folder, with an empty home, and the shared nodes."""
    environment = own_environment(nothing_left.runtime)
    command = Pegasus(folder=tmp_path, nodes=nodes, environment=environment)
    yield command
    command.end()


@pytest.fixture
def ssh(pegasus: Pegasus) -> SshConfig:
    """The ssh configuration of the test nodes, to which the test may add."""
    return SshConfig(pegasus.folder, pegasus.nodes)


@pytest.fixture
def run_desk(pegasus: Pegasus) -> RunDesk:
    """Two directories: that of the run, whose name needs quotes, and that of the terminal."""
    places = [pegasus.folder / name for name in ("it's a run", "elsewhere")]
    for place in places:
        place.mkdir()
    there, elsewhere = (replace(pegasus, folder=place) for place in places)
    return RunDesk(there, elsewhere)


@pytest.fixture
def lock_desk(nothing_left: Traces, tmp_path: Path) -> Iterator[LockDesk]:
    """A folder with a queue of one job that runs on localhost."""
    environment = own_environment(nothing_left.runtime)
    desk = LockDesk(tmp_path, environment, Editor(tmp_path / "editing"))
    desk.queue.write_text(QUEUE, encoding="utf-8")
    (tmp_path / "hosts.yaml").write_text("- localhost\n", encoding="utf-8")
    yield desk
    for close in desk.opened:
        close()
