"""The contract of sessions, on fakes and on localhost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from pegasus.dispatch import Session
from pegasus.hosts_file import read_hosts
from pegasus.transport import open_ssh, session_opener
from pegasus.transport.local import LocalSession
from tests import contract
from tests.contract import *  # noqa: F403 -- the tests of the contract run here
from tests.fakes import FakeNode
from tests.launch_contract import Launches


@asynccontextmanager
async def open_fake() -> AsyncIterator[Session]:
    """Open a fake session."""
    async with FakeNode().open_session() as session:
        yield session


@asynccontextmanager
async def open_local() -> AsyncIterator[Session]:
    """Open a session on localhost."""
    await trio.lowlevel.checkpoint()
    yield LocalSession()


@pytest.fixture(params=["fake", "local"])
def open_session(request: pytest.FixtureRequest) -> contract.OpenSession:
    """Give a kind of session, one after the other."""
    kinds: dict[str, contract.OpenSession] = {"fake": open_fake, "local": open_local}
    return kinds[request.param]


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "LOCALHOST", "127.0.0.1", "::1"])
async def test_names_of_this_machine(name: str, tmp_path: Path) -> None:
    """This machine needs no SSH, however its name is written."""
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text(f'- "{name}"\n', encoding="utf-8")
    (sub_node,) = read_hosts(hosts)
    assert sub_node.transport == "local"
    async with open_ssh(None) as ssh, session_opener(ssh)(sub_node) as session:
        assert isinstance(session, LocalSession)


@pytest.mark.parametrize("open_session", ["local"], indirect=True)
class TestLocal(contract.OnlyReal, Launches):
    """Localhost keeps the whole contract."""
