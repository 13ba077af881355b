"""The example of examples/ that needs a Slurm cluster."""

from __future__ import annotations

from pathlib import Path

from tests.slurm.requested import Requesting

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "slurm"


def test_slurm(requesting: Requesting) -> None:
    """One allocation is requested, runs all parts on its two nodes, and is given back."""
    hosts, queue = ((EXAMPLE / f"{name}.yaml").read_text("utf-8") for name in ("hosts", "queue"))
    done = requesting.run("q", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    parts = [line for line in done.stdout.splitlines() if "] part " in line]
    assert len(parts) == 6
    assert requesting.submitted() == 1
    requesting.wait_for_none()
