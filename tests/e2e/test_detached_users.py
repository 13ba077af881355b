"""What users do with detached commands: closed terminals, several terminals, several names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.e2e.detached import (
    GATED,
    LINES,
    STEADY,
    ends,
    go_away,
    kill,
    left_folders,
    outputs,
    starts,
)
from tests.e2e.journals import events
from tests.e2e.runner import Pegasus
from tests.e2e.ssh_config import SshConfig
from tests.e2e.terminals import FORKS, Terminal
from tests.nodes import Nodes, wait_until

MakeNodes = Callable[..., Nodes]


@FORKS
def test_a_closed_terminal(pegasus: Pegasus) -> None:
    """SIGHUP of a terminal that is closed ends Pegasus, and the command goes on."""
    pegasus.hosts_file.write_text("- node-1\n")
    pegasus.queue_file.write_text(GATED)
    gate = pegasus.nodes[0].home / "go-on"
    terminal = Terminal.of(pegasus, ["q", *pegasus.files(), "--detach"], 80)
    terminal.wait_for("] begun")
    terminal.hang_up()
    wait_until(lambda: events(pegasus, "run_ended"), what="the end of Pegasus")
    assert events(pegasus, "run_ended")[0]["how"] == "left"
    assert not events(pegasus, "ended")
    gate.touch()
    done = pegasus.run("q")
    gate.unlink()
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 4}]
    assert "] ended\n" in done.stdout
    assert not left_folders(pegasus, pegasus.nodes[0])


def test_a_log_that_is_followed_misses_nothing(pegasus: Pegasus) -> None:
    """``logs -f`` shows each byte once, while Pegasus is killed and another one takes over."""
    running = pegasus.start("q", "--detach", hosts="- node-1\n", queue=STEADY)
    running.wait_for("line 2")
    following = pegasus.start_bare(
        "logs", "-f", "1", "--stdout", f"--queue-file={pegasus.queue_file}"
    )
    following.wait_for("line 3", on="stdout")
    kill(running)
    pegasus.run("q")
    done = following.wait()
    assert done.out == LINES
    (pegasus.nodes[0].home / "starts").unlink()


def test_two_names_for_one_machine(pegasus: Pegasus, ssh: SshConfig) -> None:
    """Each name has its own commands; both are found again under their own names."""
    node = pegasus.nodes[0]
    ssh.like("other", node)
    files = [each for each in pegasus.files() if "ssh-config" not in each]
    pegasus.hosts_file.write_text("- node-1\n- other\n")
    pegasus.queue_file.write_text(STEADY * 2)
    options = [*files, f"--ssh-config={ssh.path}"]
    running = pegasus.start_bare("q", *options, "--detach")
    running.wait_for("line 3", times=2)
    kill(running)
    done = pegasus.start_bare("q", *options).wait()
    assert done.status == 1
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 3}] * 2
    assert set(re.findall(r"^\[(\S+)\] line 20$", done.stdout, re.MULTILINE)) == {"node-1", "other"}
    assert (node.home / "starts").read_text() == "x\nx\n"
    assert not left_folders(pegasus, node)
    (node.home / "starts").unlink()


@pytest.mark.parametrize("others", [2, 3])
def test_several_runs_take_over(pegasus: Pegasus, others: int) -> None:
    """Of several runs that start at once exactly one follows each command."""
    running = pegasus.start("q", "--detach", hosts="- node-1\n", queue=STEADY)
    running.wait_for("line 3")
    kill(running)
    started = [pegasus.start("q") for _ in range(others)]
    done = [each.wait() for each in started]
    assert sum("] line 20\n" in each.stdout for each in done) == 1
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 3}]
    assert len(events(pegasus, "taken_over")) == 1
    (pegasus.nodes[0].home / "starts").unlink()


def test_a_command_of_a_node_that_left_the_hosts_file(pegasus: Pegasus) -> None:
    """It is followed nevertheless, and nothing else runs on that node."""
    running = pegasus.start("q", "--detach", hosts="- node-1\n", queue=STEADY)
    running.wait_for("line 3")
    kill(running)
    done = pegasus.run("q", hosts="- node-2\n", queue="- echo other\n")
    assert "[node-1] line 20\n" in done.stdout
    assert "[node-2] other\n" in done.stdout
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 3}]
    (pegasus.nodes[0].home / "starts").unlink()


def test_cuts_during_ten_jobs(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """Ten jobs that print steadily end with their status and all of their output."""
    nodes = make_nodes(2)
    hosts = "- hostname: [node-1, node-2]\n  place: [a, b, c, d, e]\n"
    queue = STEADY.replace("19 20", "19 20 $(seq 21 100)") * 10
    running = pegasus.on(nodes).start("q", "--detach", hosts=hosts, queue=queue)
    for cut in (1, 2):
        running.wait_for(f"line {cut}2", times=10)
        for node in nodes:
            go_away(node)
        running.wait_for("the connection broke", times=10 * cut)
        for node in nodes:
            node.start()
    done = running.wait(60)
    assert done.status == 1
    assert ends(pegasus, 0) == [{"kind": "exited", "status": 3}] * 10
    expected = "".join(f"line {i}\n" for i in range(1, 101)).encode()
    found = outputs(pegasus)
    assert [found[f"{job}.stdout"] == expected for job in range(1, 11)] == [True] * 10
    errors = expected.replace(b"line", b"error")
    assert [found[f"{job}.stderr"] == errors for job in range(1, 11)] == [True] * 10
    assert sum(map(starts, nodes)) == 10
    assert not [left for node in nodes for left in left_folders(pegasus, node)]
