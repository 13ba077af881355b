"""More sub-nodes than the limits of open files allow, hard and soft.

``PEGASUS_OPEN_FILES=1024`` runs the full experiment: two hundred sub-nodes, forty over SSH.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace

import pytest

from tests.e2e.journals import events
from tests.e2e.runner import Pegasus, Running
from tests.nodes import wait_until

pytestmark = pytest.mark.timeout(600)

LIMIT = int(os.environ.get("PEGASUS_OPEN_FILES", "256"))
"""Open files."""

SUB_NODES = LIMIT * 200 // 1024
"""Two hundred for 1,024 open files, and in proportion for other limits."""

OVER_SSH = SUB_NODES // 5
"""Sub-nodes that are reached over SSH: a connection costs a tenth of a second of a processor."""

JOBS = 3 * SUB_NODES
PATIENCE = 240.0
"""Seconds for two hundred sub-nodes on two processors with other load."""


def test_more_sub_nodes_than_open_files(pegasus: Pegasus) -> None:
    """The sub-nodes within the limit do all the work: each job runs once, and the status is 0.

    The others are reported with the next step, and tried again as long as there is work; none
    is reported again for the same reason before it has been connected, and there is no traceback.
    """
    limited = ("sh", "-c", f'ulimit -n {LIMIT}; exec "$@"', "sh", *pegasus.program)
    node = pegasus.nodes[0]
    go_on = node.home / "go-on"
    queue = f"- until [ -e {go_on} ]; do sleep 0.5; done\n"
    queue += f"- command: echo ran {{{{ n }}}}\n  n: [{numbers(JOBS)}]\n"
    hosts = f"- hostname: {node.name}\n  place: [{numbers(OVER_SSH)}]\n"
    hosts += f"- hostname: localhost\n  place: [{numbers(SUB_NODES - OVER_SSH)}]\n"
    running = replace(pegasus, program=limited).start("q", hosts=hosts, queue=queue)
    try:
        wait_until(
            lambda: running.status is not None or all_worked(pegasus),
            limit=PATIENCE,
            what="all jobs, a word of each sub-node, and for one to be tried again",
        )
    finally:
        go_on.touch()
    done = running.wait(PATIENCE)
    go_on.unlink()
    assert "Traceback" not in done.stderr
    assert done.status == 0, done.stderr
    ran = Counter(re.findall(r"ran (\d+)$", done.stdout, re.MULTILINE))
    assert ran == Counter(map(str, range(JOBS)))
    assert f"{JOBS + 1} commands: {JOBS + 1} succeeded." in done.stderr.replace(",", "")
    assert "Raise the limit of open files" in done.stderr
    assert_not_named_again(pegasus, running)


def numbers(count: int) -> str:
    """Return a list of this many numbers."""
    return ", ".join(map(str, range(count)))


def all_worked(pegasus: Pegasus) -> bool:
    """Return whether all jobs but the first are over, and a sub-node was tried twice or more.

    Each sub-node must have been connected once, or reported as unreachable.
    """
    tries = Counter(event["sub_node"] for event in events(pegasus, "unreachable"))
    heard_of = {event["sub_node"] for event in events(pegasus, "connected")} | tries.keys()
    again = max(tries.values(), default=0) > 1
    return again and len(events(pegasus, "ended")) >= JOBS and len(heard_of) == SUB_NODES


def assert_not_named_again(pegasus: Pegasus, running: Running) -> None:
    """Check that a host is reported once for each reason of any of its sub-nodes."""
    (began,) = events(pegasus, "run_started")
    hosts = {s["number"]: s["hostname"] for s in began["sub_nodes"]}
    reasons: dict[int, tuple[str, str]] = {}
    news: list[tuple[str, str]] = []
    for event in events(pegasus, "connected", "unreachable"):
        number = event["sub_node"]
        if event["event"] == "connected":
            reasons.pop(number, None)
            continue
        reason = hosts[number], event["words"]
        if reason not in reasons.values():
            news.append(reason)
        reasons[number] = reason
    named = r"^\[Pegasus\] (.*) cannot be reached, trying again in \d+ s: (.*)$"
    said = re.findall(named, running.stderr, re.MULTILINE)
    assert said
    assert said == news
