"""Detached jobs for end-to-end tests, and what became of them."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.e2e.journals import events
from tests.e2e.runner import Done, Pegasus, Running
from tests.nodes import Node

STEADY = """\
- |
  echo x >> ~/starts
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    echo "line $i"; echo "error $i" >&2; sleep 0.1
  done
  exit 3
"""
"""A job of two seconds that prints steadily, and counts its starts on the node."""


LINES = "".join(f"line {i}\n" for i in range(1, 21)).encode()


GATED = (
    "- echo begun; touch ~/begun; until [ -e ~/go-on ]; do sleep 0.05; done; echo ended; exit 4\n"
)
"""A job that ends when a test lets it."""


def outputs(pegasus: Pegasus, run: int = 0) -> dict[str, bytes]:
    """Give the recorded outputs of a run, by file name; an empty one may have no file."""
    folder = sorted(pegasus.folder.glob(".pegasus/0*"))[run]
    return {path.name: path.read_bytes() for path in sorted(folder.glob("output/*"))}


def left_folders(pegasus: Pegasus, node: Node) -> list[str]:
    """Give the folders of this test's detached commands that are still on a node."""
    keys = {event["key"] for event in events(pegasus, "prepared")}
    there = node.run("cd /var/tmp/pegasus-$(id -u) 2>/dev/null && ls || true").split()
    return sorted(keys.intersection(there))


def go_away(node: Node) -> None:
    """Make a node unreachable; its commands go on."""
    node.kill_sessions()
    node.stop_listening()


def kill(running: Running) -> None:
    """Kill Pegasus, and wait until the node has noticed."""
    running.signal(signal.SIGKILL)
    running.wait()


def journal(pegasus: Pegasus, run: int) -> list[dict[str, Any]]:
    """Give the journal of a run, the first one is 0."""
    path = sorted(pegasus.folder.glob(".pegasus/0*/journal.jsonl"))[run]
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def ends(pegasus: Pegasus, run: int) -> list[dict[str, Any]]:
    """Give the ends in the journal of a run."""
    return [event["outcome"] for event in journal(pegasus, run) if event["event"] == "ended"]


def starts(node: Node) -> int:
    """Give how often the steady job has started on a node."""
    path = node.home / "starts"
    return path.read_text().count("x") if path.exists() else 0


def tell(pegasus: Pegasus, *words: str) -> Done:
    """Run a command that needs only the queue file."""
    return pegasus.start_bare(*words, f"--queue-file={pegasus.queue_file}").wait()


def counts(pegasus: Pegasus, *words: str) -> dict[str, int]:
    """Give how many commands of the newest run there are, by state."""
    found = json.loads(tell(pegasus, "status", "--json", *words).stdout)["runs"][0]["counts"]
    return {word: count for word, count in found.items() if count}
