"""Test nodes: real sshds, each with an address, a host key, a home and a login shell of its own.

    with start_nodes(3, shells=("bash", "fish")) as nodes:
        nodes["node-2"].run("echo hello")
        subprocess.run(["ssh", "-F", nodes.ssh_config, "node-1", "echo hello"])

There are two kinds, with the same interface: in Docker, where nodes can
be cut off the network, and on loopback addresses, which need sshd only. Standard library only.
"""

from __future__ import annotations

from tests.nodes.access import use_default_exchange
from tests.nodes.errors import NodesFault
from tests.nodes.node import Node, Nodes, Way
from tests.nodes.processes import Process
from tests.nodes.start import WaysToAsk, start_nodes
from tests.nodes.waiting import wait_until

__all__ = [
    "Node",
    "Nodes",
    "NodesFault",
    "Process",
    "Way",
    "WaysToAsk",
    "start_nodes",
    "use_default_exchange",
    "wait_until",
]
