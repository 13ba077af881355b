"""`pegasus check`: before a run, in a pipe, and with the nodes."""

from __future__ import annotations

import re
import signal
import subprocess

from tests.e2e.runner import Pegasus

QUIZ_HOSTS = """\
- hostname: [node-1, node-2]
  laziness: 1
- hostname: node-3
  laziness: 2
"""

QUIZ_QUEUE = """\
- echo hi from {{ hostname }}
- command: ["run {{ high }}", "walk {{ high }}"]
  high: [1, 2, 3, 4]
"""


def test_the_quiz(pegasus: Pegasus) -> None:
    """It prints the nine jobs of the quiz in their order, and changes no file."""
    done = pegasus.run("check", hosts=QUIZ_HOSTS, queue=QUIZ_QUEUE)
    assert done.status == 0, done.stderr
    listed = [line.split(maxsplit=1)[1] for line in done.stdout.split("\n\n")[1].splitlines()[1:10]]
    assert listed == [
        "echo hi from node-1",
        *(f"{word} {high}" for word in ("run", "walk") for high in (1, 2, 3, 4)),
    ]
    assert done.stderr == ""
    assert pegasus.queue_file.read_text() == QUIZ_QUEUE
    assert sorted(path.name for path in pegasus.folder.iterdir()) == ["hosts.yaml", "queue.yaml"]


def test_what_is_listed_is_what_runs(pegasus: Pegasus) -> None:
    """A check prints the commands of the run that follows, in its order."""
    queue = "- command: ['echo a{{ x }}{{ y }}', echo b]\n  x: [1, 2]\n  y: [é, '0 1']\n- echo c\n"
    checked = pegasus.run("check", hosts="- localhost\n", queue=queue)
    listed = [line[5:] for line in checked.stdout.splitlines() if " echo " in line]
    done = pegasus.run("q")
    ran = [line.split("'", 1)[1] for line in done.stderr.splitlines() if "=== run" in line]
    assert [f"{line}' ===" for line in listed] == ran


def test_every_fault_and_status_2(pegasus: Pegasus) -> None:
    """It exits with status 2 and prints each error at the start of a line, for editors."""
    done = pegasus.run("check", hosts="- -x\n- a\n- 'b c'\n", queue="- [a]\n- echo {{ nope }}\n")
    assert done.status == 2
    places = [line.split(": ")[0] for line in done.stdout.splitlines() if ".yaml:" in line]
    files = [pegasus.hosts_file, pegasus.queue_file]
    assert places == [
        *map(str, files),
        *(f"{files[0]}:{place}" for place in ("1:3", "3:3")),
        *(f"{files[1]}:{place}" for place in ("1:3", "2:8")),
    ]


def test_connect(pegasus: Pegasus) -> None:
    """It distinguishes nodes that answer from those that do not; if any do not, the status is 1."""
    hosts = "- node-1\n- hostname: node-that-is-not\n  gpu: 0\n- localhost\n"
    done = pegasus.run("check", "--connect", hosts=hosts, queue="- exit 3\n")
    assert done.status == 1, done.stderr
    answers = dict(
        line[5:].split(": ", 1) for line in done.stdout.splitlines() if ", after" in line
    )
    assert answers["node-1"].startswith("answers, after ")
    assert answers["localhost"].startswith("answers, after ")
    assert "Could not resolve hostname" in answers["node-that-is-not (gpu=0)"]
    assert done.stdout.endswith("2 of 3 sub-nodes can be used.\n")
    assert pegasus.queue_file.read_text() == "- exit 3\n"
    assert not pegasus.consumed_file.exists()


def test_connect_to_many_on_one_host(pegasus: Pegasus) -> None:
    """All of many sub-nodes on a host answer, however few connections sshd admits at a time."""
    hosts = f"- hostname: node-1\n  slot: {list(range(15))}\n"
    done = pegasus.run("check", "--connect", hosts=hosts, queue="")
    assert done.status == 0, done.stdout
    assert done.stdout.count("answers, after") == 15
    assert "15 of 15 sub-nodes" in done.stdout


def test_slots_that_are_found(pegasus: Pegasus) -> None:
    """It asks for them as a run does, and says what a node has, or why nothing could start."""
    asked = [
        "{disk: {probe: 'echo a; echo b'}, cpu: nproc}",
        "{disk: {probe: 'echo no disks today >&2; exit 3'}}",
        "{disk: 3}",
    ]
    hosts = "".join(f"- hostname: localhost\n  slots: {slots}\n" for slots in asked)
    done = pegasus.run("check", "--connect", hosts=hosts, queue="- exit 3\n")
    assert done.status == 1, done.stderr
    found = dict(
        re.findall(r"^  (\d)  localhost: answers, after [\d.]+ s(.*)$", done.stdout, re.MULTILINE)
    )
    assert re.fullmatch(r"; disk: 2 slots free; cpu: \d+ slots?", found["0"])
    assert "; no disk counts as free: " in found["1"]
    assert "no disks today" in found["1"]
    assert found["2"] == ""
    assert done.stdout.endswith("2 of 3 sub-nodes can be used.\n")


def test_no_node_answers(pegasus: Pegasus) -> None:
    """It exits with status 2, as the run would."""
    done = pegasus.run("check", "--connect", hosts="- node-that-is-not\n", queue="")
    assert done.status == 2
    assert "0 of 1 sub-node can be used" in done.stdout


def test_ctrl_c_while_it_connects(pegasus: Pegasus) -> None:
    """An interrupt ends it at once and leaves no ssh process."""
    config = pegasus.folder / "config"
    config.write_text("Host *\n  ProxyCommand sh -c 'while read -r line; do :; done'\n")
    pegasus.hosts_file.write_text("- localhost\n- somewhere\n")
    pegasus.queue_file.write_text("")
    running = pegasus.start_bare("check", "--connect", f"--ssh-config={config}")
    running.wait_for("answers")
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.status == 130
    assert "Traceback" not in done.stderr


def test_head(pegasus: Pegasus) -> None:
    """``| head`` gets its lines, and there is no error message."""
    pegasus.hosts_file.write_text("- localhost\n")
    pegasus.queue_file.write_text(f"- command: echo {{{{ n }}}}\n  n: {list(range(20_000))}\n")
    program = " ".join([*pegasus.program, "check", "--all", *pegasus.files()])
    done = subprocess.run(
        ["sh", "-c", f"{program} | head -n 5"],
        cwd=pegasus.folder,
        env=pegasus.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.endswith("20,000 jobs\n       1  echo 0\n")
    assert done.stderr == ""
