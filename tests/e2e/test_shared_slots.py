"""Several runs on one queue share the slots of the nodes, also when one of them is killed."""

from __future__ import annotations

import pytest

from tests.e2e.detached import kill, tell
from tests.e2e.detaching import not_detached
from tests.e2e.journals import outcomes
from tests.e2e.on_slurm import DETACHED, not_on_slurm
from tests.e2e.runner import Pegasus, Running
from tests.e2e.slot_log import slot_log
from tests.nodes import wait_until

HOSTS = "- hostname: {}\n  slots: {{gpu: 0-3}}\n"
BOTH = pytest.mark.parametrize("host", ["localhost", "node-1"])
OWN_RULES = "its commands go on when Pegasus is killed, see test_detached_commands_keep_their_slots"


def files_of_holds(pegasus: Pegasus) -> list[str]:
    """Give the names of the files in which runs say what they hold."""
    return sorted(path.name for path in pegasus.folder.glob(".pegasus/slots/*"))


def is_waiting(pegasus: Pegasus, running: Running) -> bool:
    """Report whether a run has said that a job waits: this run, and no other on its queue."""
    journals = pegasus.folder.glob(f".pegasus/*-{running.pid}/journal.jsonl")
    return any(b'"awaited"' in path.read_bytes() for path in journals)


@BOTH
def test_two_runs_at_once(pegasus: Pegasus, host: str) -> None:
    """Two runs on one folder, jobs of several widths: no slot is held twice, each job runs once."""
    with slot_log(pegasus, host) as log:
        queue = "".join(
            log.entry("sleep 0.02", needs=needs, count=5) for needs in ("1", "2", "4", "3", "1")
        )
        runs = [
            pegasus.start("q", hosts=HOSTS.format(host), queue=queue),
            pegasus.start("q"),
        ]
        for running in runs:
            done = running.wait()
            assert done.status == 0, done.stderr
        assert log.held() == {}
        assert len(log.lines("end")) == 25
        assert {len(line.slots) for line in log.lines("end")} == {1, 2, 3, 4}
    assert outcomes(pegasus) == {"exited": 25}
    assert files_of_holds(pegasus) == []


@not_detached(OWN_RULES)
@BOTH
def test_a_killed_run_holds_its_slots_until_its_commands_are_gone(
    pegasus: Pegasus, host: str
) -> None:
    """After ``kill -9`` of one run, the other one gets its slots when the commands are gone.

    The commands ignore a polite end. One of them ends by itself; the others get SIGKILL from their
    node ten seconds later.
    """
    with slot_log(pegasus, host) as log:
        first = pegasus.start("q", hosts=HOSTS.format(host), queue=log.gated(4))
        log.wait_for("begin", 4)
        second = pegasus.start("q", queue=log.entry(count=4) + log.entry(needs="4"))
        wait_until(lambda: is_waiting(pegasus, second), what="the second run")
        kill(first)
        assert len(log.lines("begin")) == 4
        log.open(2)
        done = second.wait(limit=60)
        assert done.status == 0, done.stderr
        lines = log.lines()
        assert "twice" not in {line.what for line in lines}
        assert lines[4].what == "end"
        assert lines[4].slots == ("2",)
        assert len([line for line in lines if line.what == "end"]) == 6
        assert lines[-1].slots == ("0", "1", "2", "3")
    assert files_of_holds(pegasus) == []


@not_on_slurm(DETACHED)
@BOTH
def test_detached_commands_keep_their_slots(pegasus: Pegasus, host: str) -> None:
    """After ``kill -9`` of a run with --detach, each command keeps its slot to its own end.

    Nobody follows them; the other run finds out from the node which of them are gone.
    """
    with slot_log(pegasus, host) as log:
        first = pegasus.start("q", "--detach", hosts=HOSTS.format(host), queue=log.gated(4))
        log.wait_for("begin", 4)
        second = pegasus.start("q", queue=log.entry(count=2))
        wait_until(lambda: is_waiting(pegasus, second), what="the second run")
        kill(first)
        log.open(2)
        (end, *_) = log.wait_for("end", 3)
        assert end.slots == ("2",)
        assert {line.slots for line in log.lines("begin")[4:]} == {("2",)}
        assert {"0", "1", "3"} == set(log.held())
        log.open(0, 1, 3)
        assert second.wait().status == 0
        assert log.wait_for("end", 6)
        assert log.held() == {}
        ssh_config = f"--ssh-config={pegasus.nodes.ssh_config}"
        assert tell(pegasus, "attach", ssh_config).status == 0
    assert outcomes(pegasus) == {"exited": 6}
    assert files_of_holds(pegasus) == []


@not_on_slurm(DETACHED)
@BOTH
def test_detached_commands_that_are_taken_over(pegasus: Pegasus, host: str) -> None:
    """A run that takes over detached commands gives away their slots when they have ended."""
    with slot_log(pegasus, host) as log:
        first = pegasus.start("q", "--detach", hosts=HOSTS.format(host), queue=log.gated(4))
        log.wait_for("begin", 4)
        kill(first)
        second = pegasus.start("q", queue=log.entry(count=2))
        second.wait_for("Following them")
        log.open(1)
        log.wait_for("end", 3)
        assert {line.slots for line in log.lines("begin")[4:]} == {("1",)}
        assert {"0", "2", "3"} == set(log.held())
        log.open(0, 2, 3)
        done = second.wait()
        assert done.status == 0, done.stderr
        assert log.held() == {}
    assert outcomes(pegasus) == {"exited": 6}
    assert files_of_holds(pegasus) == []


def test_a_limit_of_a_group(pegasus: Pegasus) -> None:
    """``at_most`` counts the jobs of all runs, and of one that was killed until they are gone."""
    entry = "- command: {}  n: {}\n  at_most: {{running: 1}}\n"  # one group: all of the entry
    with slot_log(pegasus, "localhost") as log:
        work = "echo >> ../limit; sleep 0.05"
        queue = entry.format(log.job(work), list(range(6)))
        hosts = (
            "- hostname: localhost\n  slots: {gpu: [a]}\n- hostname: localhost\n  place: [1, 2]\n"
        )
        runs = [pegasus.start("q", hosts=hosts, queue=queue), pegasus.start("q")]
        for running in runs:
            done = running.wait()
            assert done.status == 0, done.stderr
        kinds = [line.what for line in log.lines()]
        assert kinds == ["begin", "end"] * 6
    assert files_of_holds(pegasus) == []
