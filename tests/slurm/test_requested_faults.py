"""What goes wrong around allocations that Pegasus requests."""

from __future__ import annotations

import re
import secrets
import signal
from collections import Counter
from pathlib import Path

from tests.nodes import wait_until
from tests.slurm.requested import LIMIT_OF_RUN, REQUEST, SENT_AND_LOST, Requesting, alive, noting

NEVER_ANSWERS = """#!/bin/sh
echo "$@" >> '@FOLDER@/submitted'
@SBATCH@ "$@" >/dev/null
exec sleep 600
"""


def test_killed_and_started_again(requesting: Requesting) -> None:
    """After ``kill -9`` no command lives on, and the next run uses the same allocation."""
    name = 10_000 + secrets.randbelow(80_000)
    running = requesting.start("q", hosts=REQUEST, queue=noting(name, 2, requesting.folder))
    requesting.wait_noted(2)
    (job,) = requesting.allocations()
    running.kill()
    wait_until(lambda: not alive(name), limit=10, what="the end of the commands")
    assert requesting.allocations() == [job]
    done = requesting.run("q", hosts=REQUEST, queue="- echo once more\n")
    assert done.status == 0, done.stderr
    assert f"Slurm allocation {job} was requested before: it is used." in done.stderr
    assert requesting.submitted() == 1
    requesting.wait_for_none()


def test_killed_and_nothing_to_do(requesting: Requesting) -> None:
    """The next run cancels an allocation for which it has no job."""
    running = requesting.start("q", hosts=REQUEST, queue=noting(600, 1, requesting.folder))
    requesting.wait_noted(1)
    running.kill()
    assert len(requesting.allocations()) == 1
    assert requesting.run("q", hosts=REQUEST, queue="").status == 0
    requesting.wait_for_none()


def test_an_answer_that_comes_too_late(requesting: Requesting) -> None:
    """An ``sbatch`` that fails after it has submitted leads to one allocation, which is used."""
    requesting.wrap_sbatch(SENT_AND_LOST)
    running = requesting.start("q", hosts=REQUEST, queue=noting(0.5, 8, requesting.folder))
    running.wait_for("no answer to the request: ", limit=LIMIT_OF_RUN)
    requesting.wait_noted(1)
    assert len(requesting.allocations()) == 1
    done = running.wait(LIMIT_OF_RUN)
    assert done.status == 0, done.stderr
    assert requesting.submitted() == 1
    assert sorted(map(int, requesting.noted())) == list(range(8))
    requesting.wait_for_none()


def test_no_answer_at_all(requesting: Requesting) -> None:
    """The same holds where ``sbatch`` never ends, within its time limit."""
    requesting.wrap_sbatch(NEVER_ANSWERS)
    done = requesting.run("q", hosts=REQUEST, queue=noting(0.1, 4, requesting.folder))
    assert done.status == 0, done.stderr
    assert "sbatch does not answer" in done.stderr
    assert requesting.submitted() == 1
    requesting.wait_for_none()


def test_two_runs(requesting: Requesting) -> None:
    """Two runs on one queue have one allocation; if the first is killed, the second has it."""
    queue = noting(2, 10, requesting.folder)
    first = requesting.start("q", hosts=REQUEST, queue=queue)
    requesting.wait_noted(2)
    second = requesting.start("q", hosts=REQUEST)
    second.wait_for("another run on this queue has the allocation", limit=LIMIT_OF_RUN)
    first.kill()
    done = second.wait(LIMIT_OF_RUN)
    assert done.status == 0, done.stderr
    assert requesting.submitted() == 1
    assert sorted(map(int, requesting.noted())) == list(range(10))
    requesting.wait_for_none()


def test_lost_and_tried_again(requesting: Requesting) -> None:
    """What an ``scancel`` cuts off is lost; with --retries it runs again, on the next nodes."""
    running = requesting.start(
        "q", "--retries=1", hosts=REQUEST, queue=noting(3, 2, requesting.folder)
    )
    requesting.wait_noted(2)
    (job,) = requesting.allocations()
    requesting.cluster.run("scancel", job)
    running.wait_for(f"lost: the Slurm allocation {job} has ended (CANCELLED)", times=2, limit=60)
    ended = f"Slurm allocation {job} has ended (CANCELLED). Another one is requested in"
    running.wait_for(ended, limit=60)
    done = running.wait(LIMIT_OF_RUN + 30)
    assert done.status == 0, done.stderr
    assert len(requesting.noted()) == 4
    requesting.wait_for_none()


def test_before_the_time_limit(requesting: Requesting) -> None:
    """In its last tenth an allocation gets no job; the rest of the queue runs on the next one."""
    hosts = "- slurm: {nodes: 2, time: 1m}\n"
    running = requesting.start("q", hosts=hosts, queue=noting(1, 400, requesting.folder))
    requesting.wait_noted(2)
    (job,) = requesting.allocations()
    requesting.cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    said = running.wait_for(f"Slurm allocation {job} ends in", limit=70)
    assert 0 < float(re.findall(r"ends in ([\d.]+) s", said)[0]) <= 6
    wait_until(lambda: job not in requesting.allocations(), what="its end", glance=0.2)
    assert "lost" not in running.stderr
    before = len(requesting.noted())
    requesting.wait_noted(before + 2)
    running.signal(signal.SIGINT)
    running.wait(LIMIT_OF_RUN)
    requesting.wait_for_none()


def test_a_job_that_may_take_too_long(requesting: Requesting) -> None:
    """An allocation in which no job with its --timeout fits is refused; nothing is taken."""
    hosts = "- slurm: {nodes: 2, time: 5m}\n"
    done = requesting.run("q", "--timeout=10m", hosts=hosts, queue="- echo x\n")
    assert done.status == 2
    assert "too short for a job with this --timeout" in done.stderr
    assert requesting.pegasus.queue_file.read_text() == "- echo x\n"
    requesting.wait_for_none()


def test_a_request_that_slurm_refuses(requesting: Requesting) -> None:
    """Slurm's words are in the message; nothing is taken."""
    done = requesting.run("q", hosts="- slurm: {partition: none}\n", queue="- echo x\n")
    assert done.status == 2
    assert "invalid partition specified: none" in done.stderr
    assert requesting.pegasus.queue_file.read_text() == "- echo x\n"
    both = requesting.run("q", hosts="- slurm: {partition: none}\n- node-1\n")
    assert both.status == 0
    assert "] x\n" in both.stdout


def test_no_slurm(requesting: Requesting) -> None:
    """Where Slurm's programs are missing, the message says so; nothing is taken."""
    path = requesting.folder / "programs"
    path.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in {"sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun"}:
            (path / program.name).symlink_to(program)
    running = requesting.pegasus.start(
        "q", hosts=REQUEST, queue="- echo x\n", environment={"PATH": str(path)}
    )
    done = running.wait(LIMIT_OF_RUN)
    assert done.status == 2
    assert "A `slurm` entry with options needs the programs of Slurm" in done.stderr
    assert requesting.pegasus.queue_file.read_text() == "- echo x\n"


def test_a_broadcast_whose_allocation_ends(requesting: Requesting) -> None:
    """What runs is lost; the next run continues it on the nodes that it gets, without repeats."""
    queue = (
        f"- echo one-{{{{ hostname }}}} >> {requesting.folder}/notes\n"
        f"- echo two-{{{{ hostname }}}} >> {requesting.folder}/notes; "
        f"until [ -e {requesting.folder}/go ]; do sleep 0.1; done\n"
        f"- echo three-{{{{ hostname }}}} >> {requesting.folder}/notes\n"
    )
    running = requesting.start("b", hosts=REQUEST, queue=queue)
    requesting.wait_noted(4)
    (job,) = requesting.allocations()
    nodes = requesting.cluster.run("squeue", f"--jobs={job}", "--noheader", "--format=%N").strip()
    requesting.cluster.run("scancel", job)
    done = running.wait(LIMIT_OF_RUN)
    assert done.status in {1, 2}, done.stderr
    assert done.stderr.count("lost: the Slurm allocation") >= 2
    assert "(cancelled)" not in done.stderr
    (requesting.folder / "go").touch()
    hosts = f"- slurm: {{nodes: 2, time: 10m, nodelist: '{nodes}'}}\n"
    done = requesting.run("b", "--resume", hosts=hosts)
    assert done.status == 0, done.stderr
    counts = Counter(line.rpartition("-")[0] for line in requesting.noted())
    assert counts == {"one": 2, "two": 4, "three": 2}
    requesting.wait_for_none()
