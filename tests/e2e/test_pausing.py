"""Runs that are paused, waited for, ended by failures, or watched without a log."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.e2e.run_desk import RunDesk, gated, localhosts, quoted, wait_for


@pytest.mark.parametrize("host", ["localhost", "node-1"])
@pytest.mark.parametrize("mode", ["q", "b"])
def test_a_run_is_paused(run_desk: RunDesk, host: str, mode: str) -> None:
    """After ``pause`` the queue is not changed and nothing starts; after ``resume`` all runs."""
    gate = run_desk.there.folder if host == "localhost" else run_desk.there.nodes[host].home
    gate /= "pausing-gate"
    first = quoted(f"echo first; {wait_for(gate)}")
    queue = f"- {first}\n- echo second  # !\n- echo third\n"
    running = run_desk.there.start(mode, hosts=f"- {host}\n", queue=queue)
    running.wait_for("first", on="stdout")
    paused = run_desk.tell("pause")
    assert paused.status == 0
    assert "Paused: nothing is taken or started until `pegasus resume`" in paused.stderr
    before = run_desk.there.queue_file.read_bytes()
    gate.touch()
    running.wait_for("=== done (exit status: 0) ===", on="stderr")
    again = run_desk.tell("pause")
    assert (again.status, "It is paused already." in again.stderr) == (0, True)
    assert run_desk.there.queue_file.read_bytes() == before == b"- echo second  # !\n- echo third\n"
    assert run_desk.run()["paused_at"] > 0
    assert "nothing is taken or started until `pegasus resume`" in run_desk.tell("status").stdout
    assert running.status is None
    resumed = run_desk.tell("resume")
    assert (resumed.status, "Resumed: it takes jobs again." in resumed.stderr) == (0, True)
    done = running.wait()
    gate.unlink()
    assert done.status == 0
    assert re.findall(r"\] (\w+)$", done.stdout, re.MULTILINE) == ["first", "second", "third"]
    assert "paused_at" not in run_desk.run()
    (journal,) = run_desk.there.folder.glob(".pegasus/*/journal.jsonl")
    events = [json.loads(line)["event"] for line in journal.read_text().splitlines()]
    between = events[events.index("paused") : events.index("resumed")]
    assert not {"taken", "started"} & set(between)


def test_a_run_is_paused_while_it_takes(run_desk: RunDesk) -> None:
    """Whatever a run does when it is paused, the queue stands still, and each job runs once."""
    queue = f"- command: echo job {{{{ x }}}}\n  x: {list(range(80))}\n"
    running = run_desk.there.start("q", hosts=localhosts(2), queue=queue)
    running.wait_for("] job", on="stdout")
    pauses = 0
    while run_desk.tell("pause").status == 0:
        pauses += 1
        before = run_desk.there.queue_file.read_bytes()
        begun = len(run_desk.run()["jobs"])
        assert len(run_desk.run()["jobs"]) == begun
        assert run_desk.there.queue_file.read_bytes() == before
        assert run_desk.tell("resume").status == 0
    done = running.wait()
    said = re.findall(r"\] job (\d+)$", done.stdout, re.MULTILINE)
    assert sorted(map(int, said)) == list(range(80))
    assert (done.status, pauses > 0) == (0, True)


@pytest.mark.parametrize("by_signal", [False, True])
def test_a_paused_run_ends_at_once(run_desk: RunDesk, *, by_signal: bool) -> None:
    """``stop`` and Ctrl-C drain a paused run that has nothing to wait for."""
    running = run_desk.there.start("q", "-d", hosts=localhosts(1), queue="- echo first\n")
    running.wait_for("=== done", on="stderr")
    assert run_desk.tell("pause").status == 0
    assert run_desk.tell("add", "echo second").status == 0
    if by_signal:
        running.signal(signal.SIGINT)
    else:
        assert run_desk.tell("stop").status == 0
    assert running.wait().status == 130
    assert run_desk.queue() == ["echo second"]
    gone = run_desk.tell("resume")
    assert (gone.status, "there is nothing to resume" in gone.stderr) == (1, True)


def test_each_run_is_paused_on_its_own(run_desk: RunDesk) -> None:
    """Of two runs on one queue the other one goes on; ``--all`` means both."""
    one = run_desk.there.start("q", hosts=localhosts(1), queue=gated("a", "b") + "- echo c\n")
    one.wait_for("a begins", on="stdout")
    two = run_desk.there.start("q")
    two.wait_for("b begins", on="stdout")
    which = run_desk.tell("pause")
    assert (which.status, "2 runs of this queue go on" in which.stderr) == (2, True)
    assert run_desk.tell("pause", f"--run=-{one.pid}").status == 0
    assert ["paused_at" in run for run in run_desk.status()["runs"]] == [True, False]
    run_desk.open("b")
    assert "] c\n" in two.wait().stdout
    three = run_desk.there.start("q", "-d")
    run_desk.tell("add", "echo d")
    three.wait_for("] d", on="stdout")
    both = run_desk.tell("pause", "--all")
    assert (both.status, both.stderr.count("aused")) == (0, 2)
    assert run_desk.tell("resume", "--all").status == 0
    assert run_desk.tell("stop", "--all").status == 0
    run_desk.open("a")
    assert (one.wait().status, three.wait().status) == (130, 130)


def test_a_run_is_waited_for(run_desk: RunDesk) -> None:
    """``wait`` ends with the run or the job, with its status; a timeout has its own."""
    running = run_desk.there.start("q", hosts=localhosts(1), queue=gated("a") + "- exit 7\n")
    running.wait_for("a begins", on="stdout")
    late = run_desk.tell("wait", "--timeout", "1s")
    assert (late.status, late.out, "has not ended within" in late.stderr) == (124, b"", True)
    interrupted = run_desk.start("wait")
    interrupted.wait_for("waiting for run", on="stderr")
    interrupted.signal(signal.SIGINT)
    assert interrupted.wait().status == 130
    assert running.status is None
    waits = [run_desk.start("wait", *arguments) for arguments in ([], ["1"], ["2"], ["--all"])]
    for each in waits:
        each.wait_for("waiting for", on="stderr")
    run_desk.open("a")
    ends = [each.wait() for each in waits]
    assert [done.status for done in ends] == [1, 0, 1, 1]
    assert ": exit status: 7 on localhost (i=0) after " in ends[2].stdout
    assert "1 succeeded, 1 failed.\n" in ends[0].stdout
    assert all(done.stdout.count("\n") == 1 for done in ends)
    assert running.wait().status == 1
    assert run_desk.tell("wait").status == 1
    missing = run_desk.tell("wait", "9")
    assert (missing.status, "has taken no job 9" in missing.stderr) == (2, True)


def test_a_killed_run_is_waited_for(run_desk: RunDesk) -> None:
    """A run that is killed has ended: ``wait`` says so, with exit status 1."""
    running = run_desk.there.start("q", hosts=localhosts(1), queue=gated("a"))
    running.wait_for("a begins", on="stdout")
    waiting = run_desk.start("wait")
    waiting.wait_for("waiting for run", on="stderr")
    running.kill()
    done = waiting.wait()
    assert (done.status, "was killed, and last seen after " in done.stdout) == (1, True)


@pytest.mark.parametrize("limit", ["2", "50%"])
def test_too_many_failures(run_desk: RunDesk, limit: str) -> None:
    """With ``--max-failures`` the run takes nothing more once so many jobs have failed."""
    queue = "- exit 1\n- echo good\n- exit 2\n- echo never\n"
    done = run_desk.there.run("q", "--max-failures", limit, hosts=localhosts(1), queue=queue)
    assert done.status == 1
    assert f"2 jobs failed (--max-failures {limit}): nothing more is taken." in done.stderr
    assert run_desk.queue() == ["echo never"]


def test_without_a_log(run_desk: RunDesk) -> None:
    """With ``--quiet`` only messages, failures and the summary are shown; the record has all."""
    queue = "- echo good\n- 'echo bad; exit 3'\n"
    done = run_desk.there.run("q", "-q", hosts=localhosts(1), queue=queue)
    assert (done.status, done.out) == (1, b"")
    assert "===" not in done.stderr
    assert "[Pegasus] job 2 on localhost (i=0): exit status: 3, after " in done.stderr
    assert "2 commands: 1 succeeded, 1 failed." in done.stderr
    assert "good" in run_desk.tell("logs", "1").stdout


@pytest.mark.parametrize(
    "options", [["q", "-e", "--max-failures", "1"], ["b", "-q", "--gather"], ["wait", "1", "--all"]]
)
def test_options_that_exclude_each_other(run_desk: RunDesk, options: list[str]) -> None:
    """A contradiction is refused before anything happens."""
    done = run_desk.tell(*options)
    assert done.status == 2
    assert done.stderr.startswith("[Pegasus] --")
