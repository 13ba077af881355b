"""``--notify``: a command of the user hears of failures and of the end; nothing depends on it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.detached import GATED, left_folders, tell
from tests.e2e.detaching import not_detached
from tests.e2e.journals import outcomes
from tests.e2e.notifying import given, kinds_given, saving
from tests.e2e.on_slurm import DETACHED, not_on_slurm
from tests.e2e.run_desk import gated, localhosts
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes, wait_until

MakeNodes = Callable[..., Nodes]

ONE = "- localhost\n"
MIXED = "- echo fine\n- echo said >&2; exit 3\n- kill -9 $$\n- echo fine too\n"
"""Two jobs that succeed, and two that do not."""


def test_failures_and_the_end(pegasus: Pegasus) -> None:
    """The events have what a message needs: job, node, outcome, outputs, counts, exit status."""
    done = pegasus.run("q", "--notify", saving(pegasus), hosts=ONE, queue=MIXED)
    assert done.status == 1
    assert kinds_given(pegasus) == [("job_failed", 2), ("job_failed", 3), ("run_ended", None)]
    failed, _, ended = given(pegasus)
    assert failed["outcome"] == {"kind": "exited", "status": 3}
    assert failed["command"] == "echo said >&2; exit 3"
    assert Path(failed["stderr"]).read_bytes() == b"said\n"
    assert Path(failed["queue_file"]) == pegasus.queue_file
    assert (ended["result"], ended["exit_status"]) == ("done", 1)
    assert ended["counts"] == {"succeeded": 2, "failed": 1, "killed": 1}
    assert "notify" not in done.stderr


def test_a_broadcast(pegasus: Pegasus) -> None:
    """In a broadcast each sub-node on which a step failed is an event."""
    queue = "- test {{ i }} = 1\n"
    done = pegasus.run("b", "--notify", saving(pegasus), hosts=localhosts(3), queue=queue)
    assert done.status == 1
    *failed, ended = given(pegasus)
    assert sorted(each["sub_node"]["params"]["i"] for each in failed) == ["0", "2"]
    assert (ended["mode"], ended["failure_count"]) == ("broadcast", 2)


def test_an_empty_command(pegasus: Pegasus) -> None:
    """An empty command would give no message: this is an error before anything is taken."""
    done = pegasus.run("q", "--notify", " ", hosts=ONE, queue="- echo x\n")
    assert (done.status, done.out) == (2, b"")
    assert "--notify: the command is empty" in done.stderr
    assert pegasus.queue_file.read_text() == "- echo x\n"


def test_the_example_for_scripts(pegasus: Pegasus) -> None:
    """A simple script needs no JSON: the variables have the sentence and the kind."""
    command = 'printf "%s: %s\\n" "$PEGASUS_EVENT" "$PEGASUS_TEXT" >> messages'
    assert pegasus.run("q", "--notify", command, hosts=ONE, queue="- exit 7\n").status == 1
    first, second = (pegasus.folder / "messages").read_text().splitlines()
    assert first.startswith("job_failed: Job 1 on localhost: exit status: 7, after ")
    assert re.fullmatch(r"run_ended: Run \S+: done after .*: 1 failed\.", second)


def test_a_retry_that_succeeds_is_no_failure(pegasus: Pegasus) -> None:
    """Only the last try of a job counts."""
    queue = "- test -e again || { touch again; exit 1; }\n"
    run = ("q", "--retries", "1", "--notify", saving(pegasus))
    done = pegasus.run(*run, hosts=ONE, queue=queue.replace("again", f"{pegasus.folder}/again"))
    assert done.status == 0
    assert kinds_given(pegasus) == [("run_ended", None)]


BAD = [
    ("exit 1", "exit status 1"),
    ("kill -9 $$", "killed by signal 9"),
    ("no-such-program", "exit status 127: .*not found"),
    ("exec <&- >&- 2>&-; exit 2", "exit status 2"),
    ("head -c 300000000 /dev/zero; exit 3", "exit status 3"),
    ("yes | head -c 400000 >&2; echo last words >&2; exit 4", "exit status 4: last words"),
    ("sleep 1 & exit 5", "exit status 5"),
]


@pytest.mark.parametrize(("notifier", "words"), BAD)
def test_a_notifier_that_fails(pegasus: Pegasus, notifier: str, words: str) -> None:
    """It dies, floods, closes everything or is missing: one message, and the jobs are as ever."""
    done = pegasus.run("q", "--notify", notifier, hosts=ONE, queue=MIXED)
    assert done.status == 1
    assert "4 commands: 2 succeeded, 1 failed, 1 killed." in done.stderr
    assert len(re.findall("The command of --notify failed: ", done.stderr)) == 1
    assert re.search(rf"The command of --notify failed: {words}", done.stderr)
    assert outcomes(pegasus) == {"exited": 3, "killed": 1}


HANGING = {
    "hangs": "trap '' TERM INT; while :; do sleep 1; done",
    "floods standard error": "yes >&2",
    "floods standard output": "yes",
    "holds the pipes": "sleep 1000 & cat >/dev/null; wait",
}


@pytest.mark.parametrize("notifier", HANGING.values(), ids=list(HANGING))
def test_a_notifier_that_does_not_end(pegasus: Pegasus, notifier: str) -> None:
    """All jobs run to their ends meanwhile; a further Ctrl-C ends the wait, and nothing is left."""
    queue = "- exit 1\n" + "".join(f"- echo job {n}\n" for n in range(20)) + gated("last")
    running = pegasus.start("q", "--notify", notifier, hosts=ONE, queue=queue)
    running.wait_for("last begins", on="stdout")
    (pegasus.folder / "last").touch()
    running.wait_for("Waiting for the command of --notify, 30 s at most.", on="stderr")
    assert "22 commands: 21 succeeded, 1 failed." in running.stderr
    assert running.status is None
    running.signal()
    done = running.wait()
    assert done.status == 1
    assert done.stdout.count("] job ") == 20


def test_after_a_drain_and_an_abort(pegasus: Pegasus) -> None:
    """The end is an event also after Ctrl-C; a job that a user cancelled is no failure."""
    for signals, result in ((1, "drained"), (2, "aborted")):
        queue = gated("x") + "- echo never\n"
        running = pegasus.start("q", "--notify", saving(pegasus), hosts=ONE, queue=queue)
        running.wait_for("x begins", on="stdout")
        running.signal()
        running.wait_for("nothing more is taken")
        if signals == 1:
            (pegasus.folder / "x").touch()
        else:
            running.signal()
        assert running.wait().status == 130
        (pegasus.folder / "x").unlink(missing_ok=True)
        event = given(pegasus)[-1]
        assert (event["event"], event["result"], event["exit_status"]) == ("run_ended", result, 130)
    assert {event["event"] for event in given(pegasus)} == {"run_ended"}


def test_an_error_that_ends_the_run(pegasus: Pegasus) -> None:
    """A run that fails says so, with the message of its error."""
    queue = "- echo fine\n- [not, valid]\n"
    done = pegasus.run("q", "--notify", saving(pegasus), hosts=ONE, queue=queue)
    assert done.status == 2
    (event,) = given(pegasus)
    assert (event["result"], event["exit_status"]) == ("failed", 2)
    assert "queue.yaml:1:3" in event["error"]


@not_detached("a closed terminal lets detached commands go on, and the event says `left`")
def test_a_closed_terminal(pegasus: Pegasus) -> None:
    """SIGHUP drains, and the notifier still gets the end; the terminal's signals do not end it."""
    running = pegasus.start("q", "--notify", saving(pegasus), hosts=ONE, queue=gated("x"))
    running.wait_for("x begins", on="stdout")
    running.signal(signal.SIGHUP)
    running.wait_for("nothing more is taken")
    (pegasus.folder / "x").touch()
    assert running.wait().status == 130
    assert given(pegasus)[-1]["result"] == "drained"


@not_on_slurm(DETACHED)
def test_a_run_that_is_left(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """``stop --leave`` is an end, too; who follows the commands notifies of their failures."""
    nodes = make_nodes(1)
    there = pegasus.on(nodes)
    running = there.start("q", "--detach", "--notify", saving(pegasus), queue=GATED)
    running.wait_for("begun", on="stdout")
    assert tell(there, "stop", "--leave").status == 0
    assert running.wait().status == 130
    (event,) = given(pegasus)
    assert (event["event"], event["result"]) == ("run_ended", "left")
    again = there.start("q", "--notify", saving(pegasus))
    again.wait_for("following 'echo begun")
    (nodes[0].home / "go-on").touch()
    assert again.wait().status == 1
    _, failed, ended = given(pegasus)
    assert (failed["event"], failed["job"], failed["run"]) == ("job_failed", 1, event["run"])
    assert (ended["event"], ended["result"]) == ("run_ended", "done")
    wait_until(lambda: not left_folders(pegasus, nodes[0]))
