"""``broadcast --resume``: a broadcast that did not finish is continued where it was ended.

``PEGASUS_TRIALS`` sets how many broadcasts are killed at random moments.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.detached import left_folders
from tests.e2e.on_slurm import OWN_ENTRIES, not_on_slurm
from tests.e2e.resumed_trial import ResumedTrial
from tests.e2e.run_desk import RunDesk, gated, localhosts
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes

TRIALS = int(os.environ.get("PEGASUS_TRIALS", "2"))


@not_on_slurm(OWN_ENTRIES)
@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["attached", "detached"])
@pytest.mark.parametrize("seed", range(TRIALS))
def test_killed_at_random_and_continued(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes], seed: int, options: tuple[str, ...]
) -> None:
    """Killed twice among 20 steps on 8 sub-nodes, with changes of the hosts file in between.

    Each step succeeds once on each sub-node, in order. A command whose end no Pegasus saw runs once
    more, but for detached commands, which are followed to their ends.
    """
    trial = ResumedTrial(pegasus.on(make_nodes(3)), seed, options)
    pegasus.queue_file.write_text(trial.queue())
    trial.start_and_kill()
    trial.change_hosts()
    trial.start_and_kill("--resume")
    trial.change_hosts()
    done = trial.finish()
    assert done.status == 0, done.stderr
    trial.check()
    left = [found for node in trial.pegasus.nodes for found in left_folders(pegasus, node)]
    assert left == []
    assert pegasus.run("b", "--resume").status == 2


FAILS_ONCE = """\
- echo one {{ i }}
- echo two {{ i }}; test {{ i }} = 0 || test -e ~/repaired
- echo three
"""


def test_after_a_failure_with_error_aborts(run_desk: RunDesk) -> None:
    """The summary says what is left and how to continue; only what failed runs again."""
    done = run_desk.there.run("b", "-e", hosts=localhosts(3), queue=FAILS_ONCE)
    assert done.status == 1
    rest = "1 step not done on localhost (i=1), localhost (i=2) (2 of 3 sub-nodes), 1 job waits in"
    assert f"The broadcast did not finish: {rest}" in done.stderr
    assert "To continue it: pegasus broadcast --resume '--hosts-file=" in done.stderr  # quoted
    assert "pegasus retry" not in done.stderr
    (Path(run_desk.there.environment["HOME"]) / "repaired").touch()
    done = run_desk.there.run("b", "-e", "--resume")
    assert done.status == 0, done.stderr
    assert sorted(line.split("] ")[1] for line in done.stdout.splitlines()) == [
        *["three"] * 3,
        "two 1",
        "two 2",
    ]
    newest = run_desk.status()["runs"][0]
    before = run_desk.status("--run=1")["runs"][0]
    assert newest["resumes"] == before["run"]
    assert newest["jobs"][0]["resumes"] == {"run": before["run"], "job": 2}
    assert "resumes" not in newest["jobs"][1]


def test_nothing_to_continue(run_desk: RunDesk) -> None:
    """Without a broadcast, or after one that has finished, an error says what to do instead."""
    there = run_desk.there
    done = there.run("b", "--resume", hosts=localhosts(1), queue="- exit 3\n")
    assert done.status == 2
    assert "no broadcast of this queue is recorded" in done.stderr
    assert there.run("b").status == 1
    done = there.run("b", "--resume")
    assert done.status == 2
    assert "has finished: there is nothing to continue" in done.stderr
    assert "pegasus retry" in done.stderr


def test_one_that_goes_on(run_desk: RunDesk) -> None:
    """A broadcast that goes on is not continued by a second process."""
    running = run_desk.there.start("b", hosts=localhosts(1), queue=gated("a"))
    running.wait_for("begins", on="stdout")
    done = run_desk.there.run("b", "--resume")
    assert done.status == 2
    assert f"goes on, process {running.pid}" in done.stderr
    run_desk.open("a")
    assert running.wait().status == 0


def test_a_new_broadcast_names_the_one_before(run_desk: RunDesk) -> None:
    """A broadcast after one that did not finish says how that one is continued."""
    there = run_desk.there
    assert there.run("b", "-e", hosts=localhosts(1), queue="- exit 1\n- echo x\n").status == 1
    done = there.run("b")
    assert done.status == 0
    assert "did not finish. This one begins with the next job in the queue" in done.stderr
    assert "--resume" in done.stderr
    assert "did not finish" not in there.run("b", queue="- echo y\n").stderr


def test_a_new_sub_node_that_cannot_run_a_step(run_desk: RunDesk) -> None:
    """A step that cannot be filled in for a new sub-node: nothing runs, and a message says why."""
    there = run_desk.there
    queue = "- echo {{ i }}\n- exit 1\n"
    assert there.run("b", "-e", hosts=localhosts(1), queue=queue).status == 1
    done = there.run("b", "--resume", hosts=f"{localhosts(1)}- hostname: localhost\n")
    assert done.status == 2
    assert "Job 1 of run 0001-" in done.stderr
    assert "cannot be filled in for localhost, which has not done it yet" in done.stderr
    assert done.stdout == ""
    done = there.run("b", "--resume", hosts=localhosts(2), environment={"X": "1"})
    assert done.stdout == "[localhost (i=1)] 1\n"


def test_what_was_put_back_is_not_continued(run_desk: RunDesk) -> None:
    """A step that ``pegasus retry`` put back into the queue runs from there, and once."""
    there = run_desk.there
    queue = "- echo one; exit 1\n- echo two\n"
    assert there.run("b", "-e", hosts=localhosts(1), queue=queue).status == 1
    assert run_desk.tell("retry").status == 0
    done = there.run("b", "--resume")
    assert [line.split("] ")[1] for line in done.stdout.splitlines()] == ["two", "one"]
