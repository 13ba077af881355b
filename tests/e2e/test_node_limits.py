"""The limits of sshd and of open files, with many sub-nodes."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable

import pytest

from tests.e2e.journals import events
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes

STOCK = {"MaxStartups": "10:30:100", "MaxSessions": 10}


def test_forty_sub_nodes_on_one_host(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """Forty sub-nodes on one host all connect, within what a stock sshd allows."""
    nodes = make_nodes(1, options=STOCK)
    numbers = ", ".join(map(str, range(40)))
    hosts = f"- hostname: node-1\n  gpu: [{numbers}]\n"
    # The first forty jobs end when all of them run at the same time.
    queue = (
        "- command: 'echo {{ n }} >> ~/notes; touch ~/at-{{ gpu }}; "
        "until set -- ~/at-* && [ $# -ge 40 ]; do sleep 0.3; done'\n"
        f"  n: [{', '.join(map(str, range(80)))}]\n"
    )
    done = pegasus.on(nodes).run("q", "-p", "0", hosts=hosts, queue=queue, limit=90)
    assert done.status == 0
    assert "80 commands: 80 succeeded." in done.stderr
    notes = (nodes[0].home / "notes").read_text().split()
    assert sorted(map(int, notes)) == list(range(80))
    assert len({event["sub_node"] for event in events(pegasus, "connected")}) == 40
    assert "past MaxStartups" not in nodes[0].log()


@pytest.mark.parametrize("where", ["localhost", "nodes"])
def test_a_low_limit_of_open_files(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], where: str
) -> None:
    """With more sub-nodes than the limit of open files allows, some of them do all the work.

    The others are reported with the next step; no job is lost, and there is no traceback.
    """
    nodes = make_nodes(2, options={"MaxStartups": 1000})
    limit, count = (256, 80) if where == "localhost" else (192, 32)
    names = "localhost" if where == "localhost" else "[node-1, node-2]"
    numbers = ", ".join(str(i) for i in range(count if where == "localhost" else count // 2))
    queue = (
        f"- command: echo ran {{{{ n }}}}; sleep 0.2\n  n: [{', '.join(map(str, range(100)))}]\n"
    )
    pegasus.hosts_file.write_text(f"- hostname: {names}\n  place: [{numbers}]\n")
    pegasus.queue_file.write_text(queue)
    config = f"--ssh-config={nodes.ssh_config}"
    words = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *pegasus.program]
    done = subprocess.run(
        [*words, "q", *pegasus.files()[:2], config],
        cwd=pegasus.folder,
        env=pegasus.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert "Traceback" not in done.stderr
    assert "Raise the limit of open files" in done.stderr
    assert done.returncode == 0, done.stderr
    ran = Counter(re.findall(r"ran (\d+)$", done.stdout, re.MULTILINE))
    assert ran == Counter(map(str, range(100)))
