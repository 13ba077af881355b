"""What the tests of the run state share: a run on three sub-nodes, and its jobs."""

from __future__ import annotations

from pegasus.events import RunBegan, RunMode
from pegasus.model import Assignment, Job, SubNode
from pegasus.rendered import as_recorded

NODES = tuple(SubNode(number, f"node-{number}") for number in range(3))


def began(mode: RunMode = "queue") -> RunBegan:
    """Give the beginning of a run on three sub-nodes."""
    return RunBegan(
        name="0001-run",
        number=1,
        mode=mode,
        queue_file="/q/queue.yaml",
        hosts_file="hosts.yaml",
        sub_nodes=NODES,
        pid=1,
        host="here",
        locked=True,
        format=1,
        pegasus="0",
    )


def given_to(number: int, node: int = 0) -> Assignment:
    """Give a job that a sub-node runs."""
    return Assignment(number, Job(f"job {number}"), NODES[node], as_recorded(f"job {number}"))
