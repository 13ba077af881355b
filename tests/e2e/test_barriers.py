"""Barriers of a queue: first this, then that, for all runs of the queue together."""

from __future__ import annotations

import re
import signal

import pytest

from tests.e2e.detached import kill
from tests.e2e.journals import events
from tests.e2e.run_desk import RunDesk, localhosts
from tests.e2e.runner import Pegasus, Running
from tests.nodes import wait_until

WORK = """\
- command: |
    [ -e never-fail ] || [ {{{{ n }}}} != 3 ] || {{ echo failed {{{{ n }}}} >> {log}; exit 7; }}
    echo ok {{{{ n }}}} >> {log}
  n: {numbers}
"""
"""Jobs that note their success; one of them fails until a file is there."""

BELOW = "- echo below >> {log}\n"


class Stages:
    """A queue with a barrier, and what its jobs have noted.

    Args:
        desk: where the runs are started.
    """

    def __init__(self, desk: RunDesk) -> None:
        self.desk = desk
        self.folder = desk.there.folder  # where jobs run on this machine
        self.log = self.folder / "log"

    def queue(self, numbers: list[int], barrier: str = "succeeded", more: str = "") -> str:
        """Return a queue of jobs, a barrier and a job below it."""
        work = WORK.format(log="log", numbers=numbers)
        return f"{work}{more}- barrier: {barrier}\n{BELOW.format(log='log')}"

    def start(self, *arguments: str, queue: str | None = None) -> Running:
        """Start a run with two sub-nodes."""
        return self.desk.there.start("q", *arguments, hosts=localhosts(2), queue=queue)

    def gate(self, name: str) -> str:
        """Return an entry of a job that waits for a gate."""
        return (
            f"- echo begins {name} >> log; until [ -e gate-{name} ]; do sleep 0.05; done; "
            f"echo ok {name} >> log\n"
        )

    def open(self, name: str) -> None:
        """Open a gate."""
        (self.folder / f"gate-{name}").touch()

    def mend(self) -> None:
        """Let no job fail any more."""
        (self.folder / "never-fail").touch()

    def lines(self) -> list[str]:
        """Read what the jobs have noted."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def wait_for(self, line: str, times: int = 1) -> None:
        """Wait until jobs have noted something."""
        wait_until(lambda: self.lines().count(line) >= times, what=line, limit=40)

    def wait_at_the_barrier(self, run: int = 0) -> None:
        """Wait until a run has recorded that it waits for the barrier."""

        def waits() -> bool:
            journals = sorted(self.desk.there.folder.glob(".pegasus/0*/journal.jsonl"))
            return len(journals) > run and '"text":"barrier: ' in journals[run].read_text()

        wait_until(waits, what="a run that waits at the barrier", limit=40)


@pytest.fixture
def stages(run_desk: RunDesk) -> Stages:
    """A folder for a queue with a barrier."""
    return Stages(run_desk)


def retry(stages: Stages, *words: str) -> None:
    """Put back what has failed."""
    done = stages.desk.tell("retry", *words)
    assert done.status == 0, done.stderr


def test_everything_above_succeeds(stages: Stages) -> None:
    """What is below starts after the last end above; the barrier is consumed like a job."""
    stages.mend()
    done = stages.start(queue=stages.queue([1, 2, 3, 4, 5], more=stages.gate("a")))
    stages.wait_for("begins a")
    stages.open("a")
    assert done.wait().status == 0
    assert stages.lines()[-1] == "below"
    assert len(stages.lines()) == 8
    assert stages.desk.queue() == []
    assert "- barrier: succeeded\n" in stages.desk.there.consumed_file.read_text()


def test_a_failure_above(stages: Stages) -> None:
    """After a failure ``succeeded`` stays closed, and the run says why; ``retry`` opens it."""
    done = stages.start(queue=stages.queue([1, 2, 3, 4])).wait()
    assert done.status == 1
    assert "this barrier stays closed. Job 3 failed (exit status: 7)" in done.stderr
    assert "`pegasus retry 3 --run " in done.stderr
    assert "below" not in stages.lines()
    assert stages.desk.queue()[0] == {"barrier": "succeeded"}
    stages.mend()
    retry(stages)
    assert stages.start().wait().status == 0
    assert stages.lines()[-2:] == ["ok 3", "below"]


def test_only_the_end_counts(stages: Stages) -> None:
    """``ended`` opens after a failure, and so does the next barrier, since nothing failed there."""
    queue = stages.queue([1, 2, 3], "ended") + "- barrier: succeeded\n- echo last >> log\n"
    done = stages.start(queue=queue).wait()
    assert done.status == 1
    assert sorted(stages.lines()[:3]) == ["failed 3", "ok 1", "ok 2"]
    assert stages.lines()[3:] == ["below", "last"]
    assert stages.desk.queue() == []


def test_retries_are_waited_for(stages: Stages) -> None:
    """A job that will be tried again has not ended: the barrier waits for its success."""
    first = "[ -e tried ] || { touch tried; echo once >> log; exit 1; }; echo ok >> log"
    queue = f"- '{first}'\n- barrier: succeeded\n- echo below >> log\n"
    done = stages.start("--retries=1", queue=queue).wait()
    assert done.status == 0, done.stderr
    assert stages.lines() == ["once", "ok", "below"]


def test_a_retry_while_a_run_waits(stages: Stages) -> None:
    """A run that waits at a closed barrier takes what is put back, and then opens it."""
    running = stages.start("--daemon", queue=stages.queue([1, 2, 3]))
    running.wait_for("this barrier stays closed")
    stages.mend()
    retry(stages)
    stages.wait_for("below")
    assert stages.lines()[-2:] == ["ok 3", "below"]
    running.signal(signal.SIGINT)
    running.wait()


def test_the_line_is_deleted(stages: Stages) -> None:
    """Deleting the line of a closed barrier lets the jobs below it run."""
    running = stages.start("--daemon", queue=stages.queue([1, 2, 3]))
    running.wait_for("this barrier stays closed")
    queue = stages.desk.there.queue_file
    queue.write_text(queue.read_text().replace("- barrier: succeeded\n", ""))
    stages.wait_for("below")
    running.signal(signal.SIGINT)
    running.wait()


@pytest.mark.parametrize("barrier", ["succeeded", "ended"])
def test_a_second_run_waits_for_the_first(stages: Stages, barrier: str) -> None:
    """A run that has nothing to do waits for what another one has taken, and then opens it."""
    stages.mend()
    first = stages.start(queue=stages.gate("a") + f"- barrier: {barrier}\n- echo below >> log\n")
    stages.wait_for("begins a")
    second = stages.start()
    stages.wait_at_the_barrier(1)
    assert stages.lines() == ["begins a"]
    stages.open("a")
    assert {first.wait().status, second.wait().status} == {0}
    assert stages.lines() == ["begins a", "ok a", "below"]


def test_a_barrier_that_is_added_during_a_run(stages: Stages) -> None:
    """What runs when a barrier is added counts as above it, also after all were killed."""
    first = stages.start(queue="- 'echo begins >> log; until [ -e gate ]; do sleep 0.05; done'\n")
    stages.wait_for("begins")
    for words in (["--barrier", "succeeded"], ["echo below >> log"]):
        assert stages.desk.tell("add", *words).status == 0
    stages.wait_at_the_barrier()
    kill(first)
    done = stages.start().wait(limit=60)
    assert done.status == 1
    assert "this barrier stays closed. Job 1 of run 0001-" in done.stderr
    assert stages.lines() == ["begins"]


def test_failures_retries_a_second_run_and_a_kill(stages: Stages) -> None:
    """In the middle of a grid: it never opens early, and opens once all has succeeded.

    Two runs work on the grid; one of them is killed while it runs a job. The other one waits until
    that job is gone, and says that it is lost. After everything was put back it opens.
    """
    queue = stages.queue([1, 2, 3, 4, 5, 6], more=stages.gate("a") + stages.gate("b"))
    first = stages.start(queue=queue)
    stages.wait_for("begins b")  # both sub-nodes of the first run are busy
    stages.desk.tell("add", "--top", "echo ok 7 >> log")
    second = stages.start("--retries=1")
    stages.wait_for("ok 7")
    stages.wait_at_the_barrier(1)
    kill(first)
    done = second.wait(limit=60)
    assert done.status == 1
    assert "this barrier stays closed." in done.stderr
    assert "below" not in stages.lines()
    assert stages.lines().count("failed 3") == 1  # by the first run, which does not try again

    third = stages.start("--retries=1", "--daemon")
    third.wait_for("this barrier stays closed.")
    stages.mend()
    for name in ("a", "b"):
        stages.open(name)
    retry(stages, "--run", re.findall(r"--run (0001-[^` ]*)", done.stderr)[0])
    stages.wait_for("below")
    assert stages.lines()[-1] == "below"
    assert {f"ok {name}" for name in (*range(1, 8), "a", "b")} <= set(stages.lines())
    assert stages.lines().count("below") == 1
    third.signal(signal.SIGINT)
    third.wait()


@pytest.mark.parametrize("barrier", ["succeeded", "ended"])
def test_detached_commands_of_a_killed_run(stages: Stages, barrier: str) -> None:
    """A barrier waits for the detached commands of a killed run, which the next run follows."""
    queue = stages.gate("a") + f"- barrier: {barrier}\n- echo below >> log\n"
    first = stages.start("--detach", queue=queue)
    stages.wait_for("begins a")
    kill(first)
    second = stages.start()
    stages.wait_at_the_barrier(1)
    assert "below" not in stages.lines()
    stages.open("a")
    assert second.wait().status == 0
    assert stages.lines() == ["begins a", "ok a", "below"]


def test_a_detached_run_that_is_killed_while_another_one_waits(stages: Stages) -> None:
    """``succeeded`` waits until somebody has followed the commands; Pegasus says who can."""
    queue = stages.gate("a") + "- barrier: succeeded\n- echo below >> log\n"
    first = stages.start("--detach", queue=queue)
    stages.wait_for("begins a")
    second = stages.start()
    stages.wait_at_the_barrier(1)
    kill(first)
    wait_until(
        lambda: any("pegasus attach" in str(each) for each in events(_there(stages), "awaited")),
        what="words on attach",
        limit=40,
    )
    stages.open("a")
    assert stages.desk.tell("attach").status == 0
    assert second.wait().status == 0
    assert stages.lines() == ["begins a", "ok a", "below"]


def _there(stages: Stages) -> Pegasus:
    return stages.desk.there


def test_a_broadcast(stages: Stages) -> None:
    """A broadcast passes a barrier when each sub-node has succeeded, and stops at a failure."""
    queue = "- echo up >> log\n- barrier: succeeded\n- echo below >> log; exit 1\n"
    queue += "- barrier: succeeded\n- echo never >> log\n"
    done = stages.desk.there.run("b", hosts=localhosts(2), queue=queue)
    assert done.status == 1
    assert stages.lines() == ["up", "up", "below", "below"]
    assert "this barrier stays closed. Job 2 failed" in done.stderr
