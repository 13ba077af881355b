"""Sessions on sub-nodes: over SSH, and without SSH on localhost.

Rule 1: a session is open during its block, and leaves nothing behind.
Rule 2: sessions depend on no queue and not on each other; each kind uses the same names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pegasus.model import SubNode
from pegasus.transport import local, ssh
from pegasus.transport.detached import DetachedShell
from pegasus.transport.shell import NodeShell
from pegasus.transport.ssh_context import SshContext, open_ssh

__all__ = [
    "DetachedShell",
    "NodeSession",
    "NodeShell",
    "OpenSession",
    "SshContext",
    "open_ssh",
    "session_opener",
]

NodeSession = local.LocalSession | ssh.SshSession
OpenSession = Callable[[SubNode], AbstractAsyncContextManager[NodeSession]]


def session_opener(context: SshContext) -> OpenSession:
    """Return the function that opens a session on a sub-node, with the transport of its entry.

    Args:
        context: how ssh is called in this run.
    """

    @asynccontextmanager
    async def open_session(sub_node: SubNode) -> AsyncIterator[NodeSession]:
        match sub_node.transport:
            case "local":
                yield local.LocalSession()
            case "ssh":
                async with ssh.open_session(context, sub_node) as session:
                    yield session

    return open_session
