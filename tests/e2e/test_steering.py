"""A run that is controlled from another terminal, in another directory, by ``--queue-file``."""

from __future__ import annotations

import re

import pytest

from tests.e2e.leftovers import Traces
from tests.e2e.run_desk import RunDesk, gated, kinds, localhosts, quoted, wait_for


def test_a_job_added_at_the_top_runs_next(run_desk: RunDesk) -> None:
    """``add --top`` puts a job before all waiting jobs, ``add`` after them."""
    queue = gated("a") + "- echo waits\n"
    running = run_desk.there.start("q", hosts=localhosts(1), queue=queue)
    running.wait_for("a begins", on="stdout")
    assert run_desk.tell("add", "echo last").status == 0
    assert run_desk.tell("add", "--top", "echo next {{ x }}", "--param", "x=1,2").status == 0
    assert run_desk.status()["waiting"] == 4
    run_desk.open("a")
    done = running.wait()
    said = re.findall(r"\] (next .|waits|last)$", done.stdout, re.MULTILINE)
    assert said == ["next 1", "next 2", "waits", "last"]


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_one_job_is_stopped(run_desk: RunDesk, host: str) -> None:
    """``stop N`` ends one job with all its processes: cancelled; the others continue."""
    gate = run_desk.there.folder if host == "localhost" else run_desk.there.nodes[host].home
    gate /= "steering-gate"
    gate_job = quoted(wait_for(gate))
    queue = f"- sleep 1000; echo never\n- {gate_job}\n- echo after\n"
    running = run_desk.there.start("q", hosts=f"- {host}\n- {host}\n", queue=queue)
    running.wait_for("=== run", times=2)
    assert kinds(run_desk.run()) == {1: None, 2: None}
    stopped = run_desk.tell("stop", "1")
    assert stopped.status == 0
    assert "Job 1 is being ended on " in stopped.stderr
    running.wait_for("=== done (cancelled) ===", on="stderr")
    running.wait_for("=== done (exit status: 0) ===", on="stderr")
    assert kinds(run_desk.run()) == {1: "cancelled", 2: None, 3: "exited"}
    again = run_desk.tell("stop", "1")
    assert (again.status, "Job 1 does not run now." in again.stderr) == (1, True)
    assert "Job 1 has ended already (cancelled)." in again.stderr
    unknown = run_desk.tell("stop", "99")
    assert (unknown.status, "no job 99: it has taken jobs 1 to 3." in unknown.stderr) == (1, True)
    gate.touch()
    done = running.wait()
    gate.unlink()
    assert done.status == 1
    assert "never" not in done.stdout
    assert "3 commands: 2 succeeded, 1 cancelled." in done.stderr


def test_the_run_is_drained(run_desk: RunDesk) -> None:
    """After ``stop`` returns, the queue is not changed; running jobs end; exit status 130."""
    running = run_desk.there.start(
        "q", hosts=localhosts(1), queue=gated("a") + "- echo later # !\n"
    )
    running.wait_for("a begins", on="stdout")
    stopped = run_desk.tell("stop")
    assert stopped.status == 0
    assert "Nothing more is taken; what runs goes on to its end." in stopped.stderr
    queue = run_desk.there.queue_file
    before = queue.stat(), queue.read_bytes()
    assert running.status is None
    run_desk.open("a")
    done = running.wait()
    assert done.status == 130
    assert "] a ends\n" in done.stdout
    assert "later" not in done.stdout
    assert before[1] == queue.read_bytes() == b"- echo later # !\n"
    assert before[0].st_mtime_ns == queue.stat().st_mtime_ns
    assert (run := run_desk.run())["how"] == "drained"
    assert (run["state"], run["exit_status"], kinds(run)) == ("ended", 130, {1: "exited"})


def test_the_run_is_aborted(run_desk: RunDesk, nothing_left: Traces) -> None:
    """``stop --now``: running jobs are cancelled with all their processes, the rest stays."""
    running = run_desk.there.start(
        "q",
        hosts="- localhost\n- node-1\n",
        queue="- (sleep 1000; echo no) & wait\n- sleep 1000\n- echo later\n",
    )
    running.wait_for("=== run", times=2)
    stopped = run_desk.tell("stop", "--now")
    assert (stopped.status, "What runs is being ended." in stopped.stderr) == (0, True)
    done = running.wait()
    assert done.status == 130
    assert "2 commands: 2 cancelled." in done.stderr
    assert run_desk.queue() == ["echo later"]
    assert (run := run_desk.run())["how"] == "aborted"
    assert kinds(run) == {1: "cancelled", 2: "cancelled"}
    assert nothing_left.wait_until_gone() == []


def test_two_runs_on_one_queue(run_desk: RunDesk) -> None:
    """Two runs on one queue: ``status`` shows both, ``stop`` requires a choice or ``--all``."""
    one = run_desk.there.start("q", hosts=localhosts(1), queue=gated("a", "b") + "- echo c\n")
    one.wait_for("a begins", on="stdout")
    two = run_desk.there.start("q")
    two.wait_for("b begins", on="stdout")
    runs = run_desk.status()["runs"]
    assert [run["pid"] for run in runs] == [one.pid, two.pid]
    assert [len(run["jobs"]) for run in runs] == [1, 1]
    text = run_desk.tell("status").stdout
    assert all(f"Run {run['run']} (queue): for " in text for run in runs)
    which = run_desk.tell("stop")
    assert which.status == 2
    assert "2 runs of this queue go on" in which.stderr
    assert all(run["run"] in which.stderr for run in runs)
    assert one.status is two.status is None
    # With its dash: a number below a thousand is that of a run.
    assert run_desk.tell("stop", "--now", f"--run=-{two.pid}").status == 0
    assert two.wait().status == 130
    assert one.status is None
    three = run_desk.there.start("q", queue=gated("d") + "- echo c\n")
    three.wait_for("d begins", on="stdout")
    assert run_desk.tell("stop", "--all").status == 0
    run_desk.open("a")
    run_desk.open("d")
    assert (one.wait().status, three.wait().status) == (130, 130)
    assert run_desk.queue() == ["echo c"]
    listed = run_desk.tell("status", "--runs").stdout
    assert listed.count("drained") == 2
    assert listed.count("aborted") == 1
    assert len(run_desk.status("--runs")["runs"]) == 3


def test_runs_on_neighbouring_queues(run_desk: RunDesk) -> None:
    """Two queue files in one folder have their own runs, which commands address separately."""
    one = run_desk.there.start("q", hosts=localhosts(1), queue=gated("a") + "- echo later\n")
    one.wait_for("a begins", on="stdout")
    other = run_desk.there.folder / "other.yaml"
    other.write_text("- echo other\n")
    arguments = [f"--hosts-file={run_desk.there.hosts_file}", f"--queue-file={other}"]
    assert run_desk.there.start_bare("q", *arguments).wait().status == 0
    assert run_desk.run()["pid"] == one.pid
    assert run_desk.elsewhere.start_bare("stop", f"--queue-file={other}").wait().status == 1
    assert run_desk.tell("stop").status == 0
    run_desk.open("a")
    assert one.wait().status == 130


def test_the_hosts_file_changes(run_desk: RunDesk) -> None:
    """During a run, a sub-node that is added joins, and one that is removed leaves."""
    queue = gated("a", "b", "c")
    running = run_desk.there.start("q", hosts="- hostname: localhost\n  i: [old]\n", queue=queue)
    running.wait_for("a begins", on="stdout")
    run_desk.there.hosts_file.write_text("- hostname: localhost\n  i: [old, new]\n")
    assert running.wait_for("b begins", on="stdout").startswith("[localhost (i=new)]")
    run = run_desk.run()
    assert [node["params"] for node in run["sub_nodes"]] == [{"i": "old"}, {"i": "new"}]
    assert run["jobs"][1]["executions"][0]["sub_node"] == 1
    run_desk.there.hosts_file.write_text("- hostname: [localhost\n")
    running.wait_for("The nodes stay as they were.", on="stderr")
    assert kinds(run_desk.run()) == {1: None, 2: None}
    run_desk.there.hosts_file.write_text("- hostname: localhost\n  i: [new]\n")
    run_desk.open("b")
    assert running.wait_for("c begins", on="stdout").startswith("[localhost (i=new)]")
    run_desk.there.hosts_file.write_text("- hostname: localhost\n  i: [new, third]\n")
    run_desk.tell("add", "echo d", "--top")
    assert running.wait_for("] d", on="stdout").startswith("[localhost (i=third)]")
    run_desk.open("a")
    running.wait_for("a ends", on="stdout")
    run_desk.tell("add", "echo e {{ x }}", "--param", "x=1,2,3,4,5,6")
    running.wait_for("] e ", on="stdout", times=6)
    assert running.stdout.count("[localhost (i=third)] e ") == 6
    run_desk.open("c")
    done = running.wait()
    assert done.status == 0
    assert "10 commands: 10 succeeded." in done.stderr
