"""``pegasus logs`` in another terminal, during a run."""

from __future__ import annotations

import os
import random
import shlex
from pathlib import Path

import pytest

from tests.e2e.run_desk import GATED, RunDesk, gated, localhosts, quoted, wait_for

LARGE = os.environ.get("PEGASUS_LARGE") == "1"

SIZE = 100_000_000 if LARGE else 3_000_000
"""Bytes that a job prints on each of its outputs."""


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_following_a_job(run_desk: RunDesk, host: str) -> None:
    """``logs N -f`` follows a job's output and ends with the job; ``logs N`` ends at once."""
    home = run_desk.there.folder if host == "localhost" else run_desk.there.nodes[host].home
    gate, other = home / "gate-of-it", home / "gate-of-the-other"
    one = f"echo begins; echo bad >&2; {wait_for(gate)}; printf ends"
    two = wait_for(other)
    queue = "".join(f"- {quoted(command)}\n" for command in (one, two))
    running = run_desk.there.start("q", hosts=f"- {host}\n- {host}\n", queue=queue)
    try:
        running.wait_for("begins", on="stdout")
        running.wait_for("=== run", times=2)
        following = run_desk.start("logs", "1", "-f")
        following.wait_for("begins", on="stdout")
        now = run_desk.tell("logs", "1")
        assert (now.status, now.out, now.err) == (0, b"begins\n", b"bad\n")
        assert run_desk.tell("logs", "2").out == b""
        assert following.status is None
        gate.touch()
        done = following.wait()
        assert (done.status, done.out, done.err) == (0, b"begins\nends", b"bad\n")
        assert running.status is None
        other.touch()
        assert running.wait().status == 0
    finally:
        gate.unlink(missing_ok=True)
        other.unlink(missing_ok=True)


def test_following_the_job_that_runs(run_desk: RunDesk) -> None:
    """``logs -f`` follows the only running job; if there are several, it names them."""
    running = run_desk.there.start("q", hosts=localhosts(2), queue=gated("a"))
    running.wait_for("a begins", on="stdout")
    following = run_desk.start("logs", "-f")
    following.wait_for("a begins", on="stdout")
    run_desk.tell("add", GATED.format(name="b")[2:].strip())
    running.wait_for("b begins", on="stdout")
    asked = run_desk.tell("logs", "-f")
    assert asked.status == 2
    assert "jobs 1 to 2 run" in asked.stderr
    run_desk.open("a")
    assert following.wait().out == b"a begins\na ends\n"
    run_desk.open("b")
    assert running.wait().status == 0


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_output_is_kept_byte_for_byte(run_desk: RunDesk, host: str) -> None:
    """A job's stored output is what it printed, on both streams; ``logs`` prints these bytes."""
    home = run_desk.there.folder if host == "localhost" else run_desk.there.nodes[host].home
    rng = random.Random(7)
    data = {name: rng.randbytes(SIZE) for name in ("stdout", "stderr")}
    files = {name: home / f"steering {name}" for name in data}
    try:
        for name, path in files.items():
            path.write_bytes(data[name])
        paths = {name: shlex.quote(str(path)) for name, path in files.items()}
        job = f"cat {paths['stdout']} & cat {paths['stderr']} >&2; wait"
        queue = f"- {quoted(job)}\n"
        done = run_desk.there.run("q", "-p", "0", hosts=f"- {host}\n", queue=queue, limit=90)
        assert done.status == 0
    finally:
        for path in files.values():
            path.unlink(missing_ok=True)
    both = run_desk.tell("logs", "1")
    assert (both.out == data["stdout"], both.err == data["stderr"]) == (True, True)
    for name, bytes_ in data.items():
        one = run_desk.tell("logs", "1", f"--{name}")
        said = {"stdout": one.out, "stderr": one.err}
        assert said.pop(name) == bytes_
        assert list(said.values()) == [b""]
    (job_report,) = run_desk.run()["jobs"]
    (execution,) = job_report["executions"]
    for name, bytes_ in data.items():
        assert Path(execution[name]["file"]).read_bytes() == bytes_
        assert execution[name]["bytes"] == SIZE
