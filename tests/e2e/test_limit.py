"""`--limit` and sets of hosts, from the command line to the nodes."""

from __future__ import annotations

import re

import pytest

from tests.e2e.journals import events
from tests.e2e.runner import Pegasus

HOSTS = "- hostname: localhost\n  rack: [1, 2, 3, 4]\n- hostname: node-[1-3]\n  rack: [9]\n"
NUMBERED = "- echo $PEGASUS_SUB_NODE\n"


def test_a_set_of_hosts(pegasus: Pegasus) -> None:
    """``node-[1-3]`` in the hosts file is three nodes, each reached by its own name."""
    done = pegasus.run("b", hosts="- node-[1-3]\n", queue="- echo {{ hostname }}\n")
    assert done.status == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"[node-{i}] node-{i}" for i in (1, 2, 3)]


def test_a_broadcast_on_some_sub_nodes(pegasus: Pegasus) -> None:
    """Only what is chosen is connected to and runs the job; numbers are those of the file."""
    words = ["--limit", "node-[2-3],rack=[1-2]", "--limit", "!rack=1"]
    done = pegasus.run("b", *words, hosts=HOSTS, queue=NUMBERED)
    assert done.status == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "[localhost (rack=2)] 1",
        "[node-2 (rack=9)] 5",
        "[node-3 (rack=9)] 6",
    ]
    assert {each["sub_node"] for each in events(pegasus, "connected")} == {1, 5, 6}
    assert "3 commands: 3 succeeded." in done.stderr


def test_a_queue_on_some_sub_nodes(pegasus: Pegasus) -> None:
    """Each job runs once, on a chosen sub-node; a name that does not exist is noted."""
    queue = f"- command: echo\n  n: {list(range(9))}\n"
    done = pegasus.run("q", "--limit", "rack=[3-5]", hosts=HOSTS, queue=queue)
    assert done.status == 0, done.stderr
    assert set(re.findall(r"rack=(\d)", done.stdout)) <= {"3", "4"}
    assert "9 commands: 9 succeeded." in done.stderr
    assert f"[Pegasus] --limit rack=[3-5]: {pegasus.hosts_file} has no rack=5." in done.stderr


def test_a_file_that_changes_during_a_run(pegasus: Pegasus) -> None:
    """A new node that the limit chooses joins the run, and another one does not."""
    running = pegasus.start(
        "q",
        "-d",
        "--limit",
        "rack=2",
        hosts=HOSTS,
        queue=f"- until [ -e {pegasus.folder}/end ]; do sleep 0.1; done\n",
    )
    running.wait_for("=== run")
    pegasus.hosts_file.write_text(f"{HOSTS}- hostname: localhost\n  rack: [2, 3]\n  new: [yes]\n")
    with pegasus.queue_file.open("a") as queue:
        queue.write("- echo joined; exit 4\n")
    running.wait_for("[localhost (rack=2, new=yes)] joined")
    pegasus.hosts_file.write_text("- localhost\n")
    running.wait_for("--limit rack=2: this leaves no sub-node. The hosts are localhost. The nodes")
    running.signal()
    (pegasus.folder / "end").touch()
    running.wait()
    assert "rack=3" not in running.stderr


@pytest.mark.parametrize("mode", ["q", "b"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["node-7"], "has no such host. It has localhost,node-[1-3]. Write a host, a set such as"),
        ([""], "--limit '': a name is missing here."),
        (["node-[1-"], 'has a "[" without its "]". Write a set as in node-[1-9,11].'),
        (["node-1", "!rack=9"], "this leaves no sub-node. The hosts are localhost,node-[1-3]."),
    ],
)
def test_a_limit_that_chooses_nothing(
    pegasus: Pegasus, mode: str, words: list[str], message: str
) -> None:
    """It is an error with the next step; nothing is taken and nothing is connected to."""
    options = [f"--limit={word}" for word in words]
    done = pegasus.run(mode, *options, hosts=HOSTS, queue="- true\n")
    assert done.status == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert pegasus.queue_file.read_text() == "- true\n"
    assert not (pegasus.folder / ".pegasus").exists()


def test_check_connects_to_what_is_chosen(pegasus: Pegasus) -> None:
    """``check --connect`` lists and tries only what is chosen."""
    done = pegasus.run("check", "--connect", "--limit=node-[2-3]", hosts=HOSTS, queue=NUMBERED)
    assert done.status == 0, done.stderr
    assert (
        f"{pegasus.hosts_file}: 2 of 7 sub-nodes\n  5  node-2 (rack=9)\n  6  node-3" in done.stdout
    )
    assert "localhost" not in done.stdout
    assert done.stdout.endswith("2 of 2 sub-nodes can be used.\n")
