"""Writes the record of a long run, as docs/reference/record.md describes it.

The journal is written as text, so that two versions of Pegasus read the same bytes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

RUN = "0001-20260101-000000-1"
BEGAN = 1_767_225_600.0  # 2026-01-01
STEP = 0.05  # seconds from one job to the next
SUB_NODES = 8
FAILED_OF = 50  # one job in so many fails
BYTES = 1_000  # that each job printed


@dataclass(frozen=True, slots=True)
class LongRun:
    """A folder with an empty queue and the record of one run.

    Attributes:
        folder: the folder of the queue file.
        jobs: how many jobs the run took, started and ended.
    """

    folder: Path
    jobs: int

    @property
    def record(self) -> Path:
        """The folder of the record."""
        return self.folder / ".pegasus" / RUN

    def write(self, *, ended: bool) -> None:
        """Write the queue file and the record; with `ended`, also the end of the run."""
        (self.folder / "queue.yaml").touch()
        (self.record / "output").mkdir(mode=0o700, parents=True)
        self.record.chmod(0o700)
        self.record.parent.chmod(0o700)
        (self.record / "lock").touch(mode=0o600)
        lines = [self._first(), *(line for job in range(self.jobs) for line in job_lines(job + 1))]
        if ended:
            at = BEGAN + STEP * (self.jobs + 2)
            lines.append(line("run_ended", at, exit_status=1, how="done"))
        journal = self.record / "journal.jsonl"
        journal.touch(mode=0o600)
        journal.write_text("".join(lines), encoding="ascii")

    def add(self, job: int) -> None:
        """Append one more job to the journal."""
        with (self.record / "journal.jsonl").open("a", encoding="ascii") as journal:
            journal.write("".join(job_lines(job)))

    def _first(self) -> str:
        return line(
            "run_started",
            BEGAN,
            format=1,
            pegasus="0",
            run=RUN,
            number=1,
            mode="queue",
            queue_file=str(self.folder / "queue.yaml"),
            hosts_file="hosts.yaml",
            pid=os.getpid(),
            host=os.uname().nodename,
            locked=True,
            sub_nodes=[
                {"number": number, "hostname": "node-1", "params": {"gpu": str(number)}}
                for number in range(SUB_NODES)
            ],
        )


def job_lines(job: int) -> list[str]:
    """Return the three lines of a job that was taken, started and ended."""
    at = BEGAN + STEP * job
    where = {"job": job, "sub_node": job % SUB_NODES}
    status = 1 if job % FAILED_OF == 0 else 0
    params = {"lr": f"{job}e-4", "bs": "16"}
    template = "python train.py --lr {{ lr }} --bs {{ bs }}"
    command = f"python train.py --lr {job}e-4 --bs 16"
    return [
        line("taken", at, job=job, command=template, params=params),
        line("started", at, **where, command=command),
        line(
            "ended",
            at + STEP,
            **where,
            outcome={"kind": "exited", "status": status},
            seconds=STEP,
            again=False,
            stdout=BYTES,
            stderr=0,
        ),
    ]


def line(event: str, at: float, **data: object) -> str:
    """Return one line of the journal."""
    return json.dumps({"event": event, "at": round(at, 3), **data}, separators=(",", ":")) + "\n"
