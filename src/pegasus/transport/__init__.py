"""Sessions on sub-nodes: over SSH, without SSH on localhost, and as steps of a Slurm allocation.

Rule 1: a session is open during its block, and leaves nothing behind.
Rule 2: sessions depend on no queue and not on each other; each kind uses the same names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from pegasus.model import SubNode
from pegasus.transport import local, slurm, ssh
from pegasus.transport.detached import DetachedShell
from pegasus.transport.sharing import SharedConnections, SharedSession
from pegasus.transport.shell import NodeShell
from pegasus.transport.ssh_context import SshContext, open_ssh, refuse_missing_config

__all__ = [
    "DetachedShell",
    "NodeSession",
    "NodeShell",
    "OpenSession",
    "SshContext",
    "open_ssh",
    "refuse_missing_config",
    "session_opener",
]

NodeSession = local.LocalSession | ssh.SshSession | SharedSession | slurm.SlurmSession
OpenSession = Callable[[SubNode], AbstractAsyncContextManager[NodeSession]]


def session_opener(context: SshContext) -> OpenSession:
    """Return the function that opens a session on a sub-node, with the transport of its entry.

    A sub-node with pools may have several sessions open at once, which share connections.

    Args:
        context: how ssh is called in this run.
    """
    shared = SharedConnections(context.masters, partial(ssh.open_session, context))

    @asynccontextmanager
    async def open_session(sub_node: SubNode) -> AsyncIterator[NodeSession]:
        match sub_node.transport:
            case "local":
                yield local.LocalSession()
            case "slurm":
                yield slurm.open_slurm(sub_node, context.note_once)
            case "ssh" if sub_node.pools:
                async with shared.open_session(sub_node) as session:
                    yield session
            case "ssh":
                async with ssh.open_session(context, sub_node) as session:
                    yield session

    return open_session
