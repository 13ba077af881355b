"""An invented run on disk: a journal in the documented format and outputs, without running it.

It is the same for the same arguments, and has what a report must show: outcomes of each kind,
several tries, and commands without an end.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BEGAN = datetime(2026, 11, 21, 22, 4, 13, tzinfo=UTC).timestamp()
"""When the invented run began, in seconds since the epoch."""

NAME = "0042-20261121-220413-12345"

LINES = "epoch {0}/40  loss 0.{1:04d}  accuracy 0.8{2}\nsaved checkpoints/epoch-{0}.pt\n"

FAILURES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"kind": "exited", "status": 1}, "RuntimeError: CUDA out of memory\n"),
    ({"kind": "killed", "signal": 9}, "Killed\n"),
    ({"kind": "timed_out", "limit": 5400}, ""),
    ({"kind": "lost", "words": "the connection broke: Connection reset by peer"}, ""),
    ({"kind": "cancelled"}, ""),
)


@dataclass(frozen=True, slots=True)
class RunShape:
    """What is invented.

    Attributes:
        nodes: how many sub-nodes.
        jobs: how many jobs have ended.
        seconds: how long a job takes in the mean.
        failing: how many of a hundred tries fail.
        ended: whether the run has ended; otherwise each sub-node runs one more job when Pegasus is
            killed.
    """

    nodes: int = 64
    jobs: int = 10_000
    seconds: float = 240.0
    failing: int = 2
    ended: bool = True


def invent(folder: Path, shape: RunShape) -> Path:
    """Write the record of an invented run; return the path of its queue file."""
    queue = folder / "queue.yaml"
    queue.write_text("[]\n", encoding="utf-8")
    run = folder / ".pegasus" / NAME
    (run / "output").mkdir(parents=True)
    lines = [json.dumps(line) for line in _Story(run / "output", shape).lines(queue)]
    (run / "journal.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (run / "lock").touch()
    return queue


class _Story:
    """What happens, in the order of time."""

    def __init__(self, output: Path, shape: RunShape) -> None:
        self._output = output
        self._shape = shape
        self._random = random.Random(7)

    def lines(self, queue: Path) -> Iterator[dict[str, Any]]:
        """Yield the lines of the journal."""
        nodes = self._nodes()
        yield {
            "event": "run_started",
            "at": BEGAN,
            "format": 1,
            "pegasus": "1.0.0",
            "run": NAME,
            "number": 42,
            "mode": "queue",
            "queue_file": str(queue),
            "hosts_file": "hosts.yaml",
            "pid": 12345,
            "host": "desk",
            "locked": True,
            "sub_nodes": nodes,
        }
        yield from ({"event": "connected", "at": BEGAN + 1, "sub_node": n["number"]} for n in nodes)
        happened = list(self._jobs())
        happened.sort(key=lambda line: line["at"])
        yield from happened
        if self._shape.ended:
            at = happened[-1]["at"] + 1
            yield {"event": "run_ended", "at": at, "exit_status": 1, "how": "done"}

    def _nodes(self) -> list[dict[str, Any]]:
        each = range(self._shape.nodes)
        return [
            {
                "number": number,
                "hostname": f"node-{number // 4 + 1}",
                "params": {"gpu": str(number % 4)},
                "transport": "ssh",
            }
            for number in each
        ]

    def _jobs(self) -> Iterator[dict[str, Any]]:
        free = {number: BEGAN + 1.2 + number * 0.02 for number in range(self._shape.nodes)}
        for job in range(1, self._shape.jobs + 1):
            yield self._taken(job, min(free.values()))
            for last in (False, True):
                node = min(free, key=free.__getitem__)
                at = free[node]
                seconds = round(self._shape.seconds * self._random.lognormvariate(-0.2, 0.6), 3)
                fails = self._random.randrange(100) < (50 if last else self._shape.failing)
                free[node] = at + seconds + 0.02
                yield self._started(job, node, at)
                yield self._ended(job, node, at + seconds, seconds, fails=fails, last=last)
                if not fails:
                    break
        if not self._shape.ended:
            for node, at in free.items():
                job += 1
                yield self._taken(job, at)
                yield self._started(job, node, at)

    def _params(self, job: int) -> dict[str, str]:
        return {"lr": ("1e-4", "3e-4", "1e-3")[job % 3], "seed": str(job // 3)}

    def _taken(self, job: int, at: float) -> dict[str, Any]:
        command = "python train.py --lr {{ lr }} --seed {{ seed }} --gpu {{ gpu }}"
        params = self._params(job)
        return {"event": "taken", "at": at, "job": job, "command": command, "params": params}

    def _started(self, job: int, node: int, at: float) -> dict[str, Any]:
        params = self._params(job)
        command = f"python train.py --lr {params['lr']} --seed {params['seed']} --gpu {node % 4}"
        return {"event": "started", "at": at, "job": job, "sub_node": node, "command": command}

    def _ended(
        self, job: int, node: int, at: float, seconds: float, *, fails: bool, last: bool
    ) -> dict[str, Any]:
        outcome, words = FAILURES[job % len(FAILURES)] if fails else (None, "")
        printed = LINES.format(job % 40, job * 7919 % 10_000, job % 10)
        sizes = {"stdout": self._print(job, "stdout", printed)}
        sizes["stderr"] = self._print(job, "stderr", words)
        return {
            "event": "ended",
            "at": at,
            "job": job,
            "sub_node": node,
            "outcome": outcome or {"kind": "exited", "status": 0},
            "seconds": seconds,
            "again": fails and not last,
            **sizes,
        }

    def _print(self, job: int, stream: str, text: str) -> int:
        if text:
            with (self._output / f"{job}.{stream}").open("a", encoding="utf-8") as file:
                file.write(text)
        return len(text)
