"""Ways into a sub-node: how ssh is spelled, and how to do without it on localhost.

Rule 1: a session is open for the length of its block, and nothing of it is left afterwards.
Rule 2: sessions know nothing of queues and of each other; the same names stand in each way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pegasus.model import SubNode
from pegasus.transport import local, ssh
from pegasus.transport.shell import Shell
from pegasus.transport.ways import Ssh, open_ssh

__all__ = ["OpenSession", "Session", "Shell", "Ssh", "open_ssh", "session_opener"]

Session = local.LocalSession | ssh.SshSession
OpenSession = Callable[[SubNode], AbstractAsyncContextManager[Session]]


def session_opener(ways: Ssh) -> OpenSession:
    """Give the function that opens a session into a sub-node, over SSH or on localhost.

    Args:
        ways: how ssh is called in this run.
    """

    @asynccontextmanager
    async def open_session(sub_node: SubNode) -> AsyncIterator[Session]:
        if sub_node.hostname.lower() in local.NAMES:
            yield local.LocalSession()
        else:
            async with ssh.open_session(ways, sub_node) as session:
                yield session

    return open_session
