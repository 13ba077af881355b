"""A broadcast that is killed at random moments and continued, and an account of all its steps.

Rule 1: there are two sources: the journals of all runs, and what the commands noted on their nodes.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.detached import kill
from tests.e2e.runner import LIMIT, Done, Pegasus

STEPS = 20
NOTES = "steps-done"
COMMAND = (
    'echo "{{ name }} {{ n }} begin" >> ~/steps-done; '
    "sleep 0.0$(( ({{ n }} * 7 + {{ pace }}) % 10 )); "
    'echo "{{ name }} {{ n }} end" >> ~/steps-done'
)


@dataclass
class ResumedTrial:
    """A broadcast of twenty steps on eight sub-nodes.

    Attributes:
        pegasus: in whose folder it runs.
        seed: of the random moments and changes.
        options: for each run.
        names: the names of the sub-nodes in the hosts file, with their hosts, in its order.
    """

    pegasus: Pegasus
    seed: int
    options: tuple[str, ...] = ()
    names: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        hosts = [node.name for node in self.pegasus.nodes]
        self.names = [(hosts[number % len(hosts)], f"s{number}") for number in range(8)]

    def start_and_kill(self, *options: str) -> None:
        """Start a run, and kill it at a random moment."""
        running = self.pegasus.start("b", *options, *self.options, hosts=self._hosts())
        moment = self.rng.choice(["=== run", "=== done"])
        running.wait_for(moment, on="stderr", times=self.rng.randint(1, 60))
        kill(running)

    def finish(self) -> Done:
        """Continue it to its end."""
        running = self.pegasus.start("b", "--resume", *self.options, hosts=self._hosts())
        return running.wait(3 * LIMIT)

    def change_hosts(self) -> None:
        """Take a sub-node out of the hosts file, add another one, and change the order."""
        self.rng.shuffle(self.names)
        host, _ = self.names.pop()
        self.names.append((host, f"new{self.rng.randint(0, 10**6)}"))
        self.rng.shuffle(self.names)

    def queue(self) -> str:
        """Give the queue at the beginning."""
        return f"- command: '{COMMAND}'\n  n: {list(range(STEPS))}\n"

    def _hosts(self) -> str:
        lines = [
            f"- hostname: {host}\n  name: {name}\n  pace: {sum(map(ord, name)) % 10}\n"
            for host, name in self.names
        ]
        return "".join(lines)

    # The account.

    def journals(self) -> list[list[dict[str, Any]]]:
        """Read the journals of all runs, in their order."""
        paths = sorted(self.pegasus.folder.glob(".pegasus/*/journal.jsonl"))
        lines = [path.read_bytes().rpartition(b"\n")[0].splitlines() for path in paths]
        return [[json.loads(line) for line in each] for each in lines]

    def check(self) -> None:
        """Check that each step has succeeded once on each sub-node, in order."""
        done: defaultdict[str, list[int]] = defaultdict(list)
        unknown: Counter[tuple[str, int]] = Counter()
        for events in self.journals():
            places = {each["number"]: each["params"]["name"] for each in events[0]["sub_nodes"]}
            steps: dict[int, int] = {}
            under_way: set[tuple[str, int]] = set()
            for event in events:
                if event["event"] == "taken":
                    steps[event["job"]] = int(event["params"]["n"])
                if event["event"] in {"started", "ended"}:
                    key = places[event["sub_node"]], steps[event["job"]]
                    if event["event"] == "started":
                        others = {step for _, step in under_way}
                        assert others <= {key[1]}, "lockstep"
                        under_way.add(key)
                    else:
                        under_way.discard(key)
                        if event["outcome"] == {"kind": "exited", "status": 0}:
                            done[key[0]].append(key[1])
            unknown.update(under_way)
        for _, name in self.names:
            assert done[name] == list(range(STEPS)), (self.seed, name)
        for name, found in done.items():
            assert found == sorted(set(found)), (self.seed, name)
        self._check_notes(unknown)

    def _check_notes(self, unknown: Counter[tuple[str, int]]) -> None:
        """Check what the commands noted: only those whose end nobody saw may run once more."""
        noted: Counter[tuple[str, int, str]] = Counter()
        for node in self.pegasus.nodes:
            for line in (node.home / NOTES).read_text().splitlines():
                name, step, what = line.split()
                noted[name, int(step), what] += 1
        for (name, number, _), count in noted.items():
            assert count <= 1 + unknown[name, number], (self.seed, name, number)
        for _, name in self.names:
            for number in range(STEPS):
                assert noted[name, number, "end"] >= 1, (self.seed, name, number)
