"""Detached commands on real nodes: they outlive connections, Pegasus, and the user's patience."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.detached import (
    GATED,
    LINES,
    STEADY,
    counts,
    ends,
    go_away,
    kill,
    left_folders,
    outputs,
    starts,
    tell,
)
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes, wait_until

MakeNodes = Callable[..., Nodes]

BOTH = pytest.mark.parametrize("mode", ["q", "b"])


@BOTH
def test_a_node_goes_away_and_comes_back(
    pegasus: Pegasus, make_nodes: MakeNodes, mode: str
) -> None:
    """Each job starts once, ends with its real status, and its output is complete."""
    nodes = make_nodes(2)
    queue = STEADY * 2
    running = pegasus.on(nodes).start(mode, "--detach", queue=queue)
    running.wait_for("line 5", times=2)
    for node in nodes:
        go_away(node)
    running.wait_for("the connection broke", times=2)
    running.wait_for("cannot be reached", times=2)
    for node in nodes:
        node.start()
    done = running.wait()
    assert done.status == 1
    assert [end["status"] for end in ends(pegasus, 0)] == [3] * (2 if mode == "q" else 4)
    assert sum(map(starts, nodes)) == (2 if mode == "q" else 4)
    found = outputs(pegasus)
    assert all(text == LINES for name, text in found.items() if name.endswith("stdout"))
    assert all(
        text == LINES.replace(b"line", b"error")
        for name, text in found.items()
        if name.endswith("stderr")
    )
    assert len(found) == (4 if mode == "q" else 8)
    assert done.stdout.count("] line 7\n") == (2 if mode == "q" else 4)
    assert not [left for node in nodes for left in left_folders(pegasus, node)]


def test_pegasus_is_killed_and_the_next_run_finds_the_end(
    pegasus: Pegasus, make_nodes: MakeNodes
) -> None:
    """The end is reported in the record of the first run, and then the next job is taken."""
    nodes = make_nodes(1)
    there = pegasus.on(nodes)
    running = there.start("q", "--detach", queue=STEADY + "- echo next\n")
    running.wait_for("line 3")
    kill(running)
    assert counts(pegasus) == {"detached": 1}
    wait_until(
        lambda: "20" in nodes[0].run("cat /var/tmp/pegasus-$(id -u)/*/out; true"), what="its end"
    )
    done = there.run("q")
    assert done.status == 1
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 3}]
    assert ends(pegasus, 1) == [{"kind": "exited", "status": 0}]
    assert outputs(pegasus)["1.stdout"] == LINES
    assert starts(nodes[0]) == 1
    assert "Taken over from run " in done.stderr
    assert not left_folders(pegasus, nodes[0])
    assert counts(pegasus, "--run", "1") == {"failed": 1}


def test_pegasus_is_killed_and_the_command_still_runs(
    pegasus: Pegasus, make_nodes: MakeNodes
) -> None:
    """A new run follows it to its end; its sub-node takes nothing meanwhile."""
    nodes = make_nodes(1)
    there = pegasus.on(nodes)
    running = there.start("q", "--detach", queue=GATED + "- echo next\n")
    running.wait_for("begun", on="stdout")
    kill(running)
    again = there.start("q")
    again.wait_for("following 'echo begun")
    (nodes[0].home / "go-on").touch()
    done = again.wait()
    assert re.findall(r"\] (ended|next)$", done.stdout, re.MULTILINE) == ["ended", "next"]
    assert outputs(pegasus)["1.stdout"] == b"begun\nended\n"
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 4}]
    assert not left_folders(pegasus, nodes[0])


def test_leaving_and_attaching(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """``stop --leave`` ends Pegasus; ``attach`` follows the commands and takes nothing."""
    nodes = make_nodes(1)
    there = pegasus.on(nodes)
    running = there.start("q", "--detach", queue=GATED + "- echo next\n")
    running.wait_for("begun", on="stdout")
    left = tell(there, "stop", "--leave")
    assert left.status == 0, left.stderr
    assert running.wait().status == 130
    listed = tell(there, "attach", "--list")
    assert "node-1" in listed.stdout
    attached = there.start_bare("attach", *[each for each in there.files() if "hosts" not in each])
    attached.wait_for("following 'echo begun")
    (nodes[0].home / "go-on").touch()
    done = attached.wait()
    assert done.status == 1
    assert "] ended\n" in done.stdout
    assert pegasus.queue_file.read_text() == "- echo next\n"
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 4}]
    assert not left_folders(pegasus, nodes[0])


def test_an_abort_while_a_node_is_away(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """What can be reached ends; the rest ends in the next run that reaches it."""
    nodes = make_nodes(2)
    there = pegasus.on(nodes)
    hang = "- touch ~/begun; trap '' TERM; sleep 1000 & echo on; wait; sleep 1000\n"
    running = there.start("q", "--detach", queue=hang * 2)
    running.wait_for("on", on="stdout", times=2)
    go_away(nodes[1])
    running.wait_for("the connection broke")
    running.signal()
    running.wait_for("nothing more is taken")
    running.signal()
    running.wait_for("The next `pegasus queue`", limit=15)
    done = running.wait(15)
    assert done.status == 130
    assert not nodes[0].living()
    nodes[1].start()
    again = there.run("q")
    assert [end["kind"] for end in ends(pegasus, 0)] == ["cancelled", "cancelled"]
    assert again.status == 1
    wait_until(lambda: not nodes[1].living(), what="the end on the node")
    assert not [left for node in nodes for left in left_folders(pegasus, node)]


def test_a_stop_for_a_node_that_is_away(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """It is stored, and delivered when the node is back."""
    nodes = make_nodes(1)
    there = pegasus.on(nodes)
    running = there.start("q", "--detach", queue="- echo on; sleep 1000\n- echo next\n")
    running.wait_for("on", on="stdout")
    go_away(nodes[0])
    running.wait_for("the connection broke")
    stop = tell(there, "stop", "1")
    assert "as soon as" in stop.stderr
    nodes[0].start()
    done = running.wait()
    assert "next" in done.stdout
    assert [end["kind"] for end in ends(pegasus, 0)] == ["cancelled", "exited"]


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_the_time_limit_holds_without_pegasus(pegasus: Pegasus, host: str) -> None:
    """``--timeout`` ends a command on its node while nobody is connected."""
    home = Path(pegasus.environment["HOME"]) if host == "localhost" else pegasus.nodes[0].home
    mark = home / "stopped"
    queue = f"- trap 'touch {mark}; exit 9' TERM; echo on; sleep 1000 & wait\n"
    running = pegasus.start("q", "--detach", "--timeout=2", hosts=f"- {host}\n", queue=queue)
    running.wait_for("on", on="stdout")
    kill(running)
    wait_until(mark.exists, what="the time limit")
    done = pegasus.run("q")
    assert done.status == 1
    assert [end["kind"] for end in ends(pegasus, 0)] == ["timed_out"]
    mark.unlink()


def test_a_node_is_restarted(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """What ran there is lost, and the run goes on."""
    nodes = make_nodes(1)
    there = pegasus.on(nodes)
    running = there.start("q", "--detach", queue="- echo on; sleep 1000\n- echo next\n")
    running.wait_for("on", on="stdout")
    nodes[0].pause()  # so that nothing notices the end of anything else
    nodes[0].kill()
    nodes[0].start()
    done = running.wait()
    assert "] next" in done.stdout
    assert [end["kind"] for end in ends(pegasus, 0)] == ["lost", "exited"]
    assert not left_folders(pegasus, nodes[0])
