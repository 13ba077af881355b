"""Runs looked at and steered from another terminal, in another directory, by ``--queue-file``."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import pegasus as package
from tests.e2e.leftovers import Traces
from tests.e2e.runner import Done, Pegasus, Running
from tests.nodes import wait_until

SCHEMA = json.loads((Path(package.__file__).parent / "record/status.schema.json").read_text())
LARGE = os.environ.get("PEGASUS_LARGE") == "1"
SIZE = 100_000_000 if LARGE else 3_000_000
"""Bytes that a job prints on each of its outputs."""

GATED = "- echo {name} begins; until [ -e {name} ]; do sleep 0.05; done; echo {name} ends\n"
"""A job that goes on as long as a file is missing."""


@dataclass(frozen=True, slots=True)
class Desk:
    """A run's directory, and a terminal that stands in another one."""

    there: Pegasus
    elsewhere: Pegasus

    def open(self, name: str) -> None:
        """Let a gated job go on."""
        (self.there.folder / name).touch()

    def start(self, *arguments: str) -> Running:
        """Start a command in the other terminal."""
        queue = f"--queue-file={self.there.queue_file}"
        return self.elsewhere.start_bare(*arguments, queue)

    def tell(self, *arguments: str) -> Done:
        """Run a command in the other terminal, to its end."""
        return self.start(*arguments).wait()

    def status(self, *arguments: str) -> dict[str, Any]:
        """Ask for the status as JSON, which follows its schema."""
        done = self.tell("status", "--json", *arguments)
        assert done.status == 0, done.stderr
        data: dict[str, Any] = json.loads(done.out)
        jsonschema.validate(data, SCHEMA, cls=jsonschema.Draft202012Validator)
        return data

    def run(self) -> dict[str, Any]:
        """Give what is said of the one run there is to talk about."""
        (run,) = self.status()["runs"]
        found: dict[str, Any] = run
        return found

    def queue(self) -> list[Any]:
        """Give the entries that wait."""
        found: list[Any] = yaml.load(self.there.queue_file.read_bytes(), yaml.BaseLoader) or []
        return found


def quoted(text: str) -> str:
    """Write a text so that a queue file has it unchanged, emoji included."""
    return json.dumps(text, ensure_ascii=False)


@pytest.fixture
def desk(pegasus: Pegasus) -> Desk:
    """Two directories: the run's, whose name is not easy, and the terminal's."""
    places = [pegasus.folder / name for name in ("it's a run", "elsewhere")]
    for place in places:
        place.mkdir()
    there, elsewhere = (replace(pegasus, folder=place) for place in places)
    return Desk(there, elsewhere)


def wait_for(gate: Path) -> str:
    """Give a command that goes on as long as a file is missing."""
    return f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.05; done"


def gated(*names: str) -> str:
    """Give a queue of gated jobs."""
    return "".join(GATED.format(name=name) for name in names)


def localhosts(count: int) -> str:
    """Give a hosts file of so many sub-nodes on this machine, each with its number."""
    return f"- hostname: localhost\n  i: {list(range(count))}\n"


def kinds(run: dict[str, Any]) -> dict[int, str | None]:
    """Give what became of each job, by number; None for not yet."""
    found = {}
    for job in run["jobs"]:
        (kind,) = [outcome["kind"] for outcome in job["outcomes"]] or [None]
        found[job["job"]] = kind
    return found


# Following and looking.


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_following_a_job(desk: Desk, host: str) -> None:
    """``logs N -f`` shows a job's output as it comes and ends with the job; ``logs N`` does not."""
    home = desk.there.folder if host == "localhost" else desk.there.nodes[host].home
    gate, other = home / "gate-of-it", home / "gate-of-the-other"
    one = f"echo begins; echo bad >&2; {wait_for(gate)}; printf ends"
    two = wait_for(other)
    queue = "".join(f"- {quoted(command)}\n" for command in (one, two))
    running = desk.there.start("q", hosts=f"- {host}\n- {host}\n", queue=queue)
    try:
        running.wait_for("begins", on="stdout")
        running.wait_for("=== run", times=2)
        following = desk.start("logs", "1", "-f")
        following.wait_for("begins", on="stdout")
        now = desk.tell("logs", "1")
        assert (now.status, now.out, now.err) == (0, b"begins\n", b"bad\n")
        assert desk.tell("logs", "2").out == b""
        assert following.status is None
        gate.touch()
        done = following.wait()
        assert (done.status, done.out, done.err) == (0, b"begins\nends", b"bad\n")
        assert running.status is None
        other.touch()
        assert running.wait().status == 0
    finally:
        gate.unlink(missing_ok=True)
        other.unlink(missing_ok=True)


def test_following_the_job_that_runs(desk: Desk) -> None:
    """``logs -f`` follows the job that runs; where several do, it names them."""
    running = desk.there.start("q", hosts=localhosts(2), queue=gated("a"))
    running.wait_for("a begins", on="stdout")
    following = desk.start("logs", "-f")
    following.wait_for("a begins", on="stdout")
    desk.tell("add", GATED.format(name="b")[2:].strip())
    running.wait_for("b begins", on="stdout")
    asked = desk.tell("logs", "-f")
    assert asked.status == 2
    assert "jobs 1 to 2 run" in asked.stderr
    desk.open("a")
    assert following.wait().out == b"a begins\na ends\n"
    desk.open("b")
    assert running.wait().status == 0


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_output_is_kept_byte_for_byte(desk: Desk, host: str) -> None:
    """A job's stored output is what it printed, on both streams; ``logs`` gives these bytes."""
    home = desk.there.folder if host == "localhost" else desk.there.nodes[host].home
    rng = random.Random(7)
    data = {name: rng.randbytes(SIZE) for name in ("stdout", "stderr")}
    files = {name: home / f"steering {name}" for name in data}
    try:
        for name, path in files.items():
            path.write_bytes(data[name])
        paths = {name: shlex.quote(str(path)) for name, path in files.items()}
        job = f"cat {paths['stdout']} & cat {paths['stderr']} >&2; wait"
        queue = f"- {quoted(job)}\n"
        done = desk.there.run("q", "-p", "0", hosts=f"- {host}\n", queue=queue, limit=90)
        assert done.status == 0
    finally:
        for path in files.values():
            path.unlink(missing_ok=True)
    both = desk.tell("logs", "1")
    assert (both.out == data["stdout"], both.err == data["stderr"]) == (True, True)
    for name, bytes_ in data.items():
        one = desk.tell("logs", "1", f"--{name}")
        said = {"stdout": one.out, "stderr": one.err}
        assert said.pop(name) == bytes_
        assert list(said.values()) == [b""]
    (job_report,) = desk.run()["jobs"]
    (execution,) = job_report["executions"]
    for name, bytes_ in data.items():
        assert Path(execution[name]["file"]).read_bytes() == bytes_
        assert execution[name]["bytes"] == SIZE


# Adding and stopping.


def test_a_job_added_at_the_top_runs_next(desk: Desk) -> None:
    """``add --top`` puts a job before all that waits, ``add`` behind it."""
    queue = gated("a") + "- echo waits\n"
    running = desk.there.start("q", hosts=localhosts(1), queue=queue)
    running.wait_for("a begins", on="stdout")
    assert desk.tell("add", "echo last").status == 0
    assert desk.tell("add", "--top", "echo next {{ x }}", "--param", "x=1,2").status == 0
    assert desk.status()["waiting"] == 4
    desk.open("a")
    done = running.wait()
    said = re.findall(r"\] (next .|waits|last)$", done.stdout, re.MULTILINE)
    assert said == ["next 1", "next 2", "waits", "last"]


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_one_job_is_stopped(desk: Desk, host: str) -> None:
    """``stop N`` ends one job with all its processes: cancelled; the others go on."""
    gate = desk.there.folder if host == "localhost" else desk.there.nodes[host].home
    gate /= "steering-gate"
    gate_job = quoted(wait_for(gate))
    queue = f"- sleep 1000; echo never\n- {gate_job}\n- echo after\n"
    running = desk.there.start("q", hosts=f"- {host}\n- {host}\n", queue=queue)
    running.wait_for("=== run", times=2)
    assert kinds(desk.run()) == {1: None, 2: None}
    stopped = desk.tell("stop", "1")
    assert stopped.status == 0
    assert "Job 1 is being ended on " in stopped.stderr
    running.wait_for("=== done (cancelled) ===", on="stderr")
    running.wait_for("after", on="stdout")
    assert kinds(desk.run()) == {1: "cancelled", 2: None, 3: "exited"}
    again = desk.tell("stop", "1")
    assert (again.status, "Job 1 does not run now." in again.stderr) == (1, True)
    gate.touch()
    done = running.wait()
    gate.unlink()
    assert done.status == 1
    assert "never" not in done.stdout
    assert "3 commands: 2 succeeded, 1 cancelled." in done.stderr


def test_the_run_is_drained(desk: Desk) -> None:
    """``stop``: from the answer on the queue is untouched; what runs ends; exit status 130."""
    running = desk.there.start("q", hosts=localhosts(1), queue=gated("a") + "- echo later # !\n")
    running.wait_for("a begins", on="stdout")
    stopped = desk.tell("stop")
    assert stopped.status == 0
    assert "Nothing more is taken; what runs goes on to its end." in stopped.stderr
    queue = desk.there.queue_file
    before = queue.stat(), queue.read_bytes()
    assert running.status is None
    desk.open("a")
    done = running.wait()
    assert done.status == 130
    assert "] a ends\n" in done.stdout
    assert "later" not in done.stdout
    assert before[1] == queue.read_bytes() == b"- echo later # !\n"
    assert before[0].st_mtime_ns == queue.stat().st_mtime_ns
    assert (run := desk.run())["how"] == "drained"
    assert (run["state"], run["exit_status"], kinds(run)) == ("ended", 130, {1: "exited"})


def test_the_run_is_aborted(desk: Desk, nothing_left: Traces) -> None:
    """``stop --now``: what runs is cancelled with all its processes, the rest stays."""
    running = desk.there.start(
        "q",
        hosts="- localhost\n- node-1\n",
        queue="- (sleep 1000; echo no) & wait\n- sleep 1000\n- echo later\n",
    )
    running.wait_for("=== run", times=2)
    stopped = desk.tell("stop", "--now")
    assert (stopped.status, "What runs is being ended." in stopped.stderr) == (0, True)
    done = running.wait()
    assert done.status == 130
    assert "2 commands: 2 cancelled." in done.stderr
    assert desk.queue() == ["echo later"]
    assert (run := desk.run())["how"] == "aborted"
    assert kinds(run) == {1: "cancelled", 2: "cancelled"}
    assert nothing_left.wait_until_gone() == []


# What is said.

ODD = 'printf "%s\\n" "it\'s" \'{"a": "b"}\'   # 🦄 [red] :smile: ✓\nexit {{ status }}'


def test_status_during_a_run_and_after(desk: Desk) -> None:
    """``status`` says what runs where, what waits and what ended how; so does ``--json``."""
    params = "  status: [0, 3]\n  'odd name': ['x, \"y\"']\n"
    queue = f"- command: {quoted(ODD)}\n{params}{gated('a', 'b')}- echo waits\n"
    running = desk.there.start("q", hosts=localhosts(2), queue=queue)
    running.wait_for("begins", on="stdout", times=2)
    wait_until(lambda: desk.run()["counts"] == {"succeeded": 1, "failed": 1, "running": 2})
    data = desk.status()
    (run,) = data["runs"]
    assert (data["waiting"], data["fault"], run["state"]) == (1, None, "running")
    assert (run["pid"], run["exit_status"], run["ended_at"]) == (running.pid, None, None)
    assert data["queue_file"] == str(desk.there.queue_file)
    assert [job["state"] for job in run["jobs"]] == ["ended", "ended", "running", "running"]
    assert kinds(run) == {1: "exited", 2: "exited", 3: None, 4: None}
    for job, status in zip(run["jobs"], ("0", "3"), strict=False):
        assert job["command"] == ODD
        assert job["params"] == {"status": status, "odd name": 'x, "y"'}
        (execution,) = job["executions"]
        assert execution["command"] == ODD.replace("{{ status }}", status)
        assert execution["outcome"] == {"kind": "exited", "status": int(status)}
    where = [job["executions"][0]["sub_node"] for job in run["jobs"]]
    said = re.findall(r"^\[localhost \(i=(\d)\)\] === run", running.stderr, re.MULTILINE)
    assert where == [int(number) for number in said]
    assert sorted(where[2:]) == [0, 1]
    text = desk.tell("status").stdout
    assert "2 running, 1 succeeded, 1 failed." in text
    assert re.search(r"Running\n.*\n +3 +localhost \(i=. *", text)
    assert re.search(r"Failed\n.*\n +2 +localhost \(i=.\) +exit status: 3", text)
    assert "1 job waits in" in text
    desk.open("a")
    desk.open("b")
    assert running.wait().status == 1
    data = desk.status()
    (run,) = data["runs"]
    assert (data["waiting"], run["state"], run["exit_status"]) == (0, "ended", 1)
    assert run["counts"] == {"succeeded": 4, "failed": 1}
    text = desk.tell("status").stdout
    assert "done after" in text
    assert "4 succeeded, 1 failed." in text
    assert "0 jobs wait in" in text


def test_the_summary(desk: Desk) -> None:
    """The end names sub-node, command, outcome and log of what failed, and how to try again."""
    queue = "- echo fine\n- echo said; exit 4\n- kill -9 $$\n"
    done = desk.there.run("q", hosts=localhosts(1), queue=queue)
    assert done.status == 1
    assert "3 commands: 1 succeeded, 1 failed, 1 killed." in done.stderr
    pattern = r"  job (\d) on localhost \(i=0\): (.*), after .*: (.*)  \[(.*)\]$"
    found = re.findall(pattern, done.stderr, re.MULTILINE)
    assert [words[:3] for words in found] == [
        ("2", "exit status: 4", "echo said; exit 4"),
        ("3", "killed by signal 9 (SIGKILL)", "kill -9 $$"),
    ]
    log = desk.there.folder / found[0][3].replace("*", "stdout")
    assert log.read_bytes() == b"said\n"
    assert not list(log.parent.glob("3.*"))  # it printed nothing
    (words,) = re.findall(r"back into the queue: (pegasus retry .*)$", done.stderr, re.MULTILINE)
    program = " ".join(map(str, desk.there.program))
    shell = replace(desk.elsewhere, program=("sh", "-c"))
    assert shell.start_bare(words.replace("pegasus", program, 1)).wait().status == 0
    assert desk.queue() == [{"command": ["echo said; exit 4"]}, {"command": ["kill -9 $$"]}] or (
        desk.queue() == ["echo said; exit 4", "kill -9 $$"]
    )


# Once more.


def commands(entries: Sequence[Any]) -> list[str]:
    """Give the command of each entry that is one job."""
    found: list[str] = []
    for entry in entries:
        command = entry if isinstance(entry, str) else entry["command"]
        found += [command] if isinstance(command, str) else command
    return found


def test_retry(desk: Desk) -> None:
    """``retry`` puts back exactly the jobs that did not end well, as they were, each once."""
    queue = (
        f"- echo fine\n- command: {quoted(ODD)}\n  status: [0, 1]\n"
        "- kill -9 $$\n- sleep 1000\n- sleep 1001\n- echo left\n"
    )
    running = desk.there.start("q", "--timeout=6s", hosts=localhosts(1), queue=queue)
    running.wait_for("=== run 'sleep 1000'")
    assert desk.tell("stop", "5").status == 0
    running.wait_for("=== run 'sleep 1001'")
    early = desk.tell("retry", "6")
    assert (early.status, "job 6 not: it still runs" in early.stderr) == (1, True)
    assert desk.tell("stop").status == 0
    assert running.wait().status == 130
    assert kinds(desk.run())[6] == "timed_out"
    first = desk.tell("retry")
    assert (first.status, "Put 4 jobs of run" in first.stderr) == (0, True)
    assert commands(desk.queue()) == ["echo left", ODD, "kill -9 $$", "sleep 1000", "sleep 1001"]
    assert desk.queue()[1]["status"] in ("1", ["1"])
    data = desk.there.queue_file.read_bytes()
    again = desk.tell("retry")
    assert again.status == 0
    assert "(it succeeded: 2, it was put back before: 4)" in again.stderr
    one = desk.tell("retry", "4", "1", "9")
    assert one.status == 1
    for words in ("4 not: it was put back", "1 not: it succeeded", "9 not: there is no such job"):
        assert f"job {words}" in one.stderr
    assert desk.there.queue_file.read_bytes() == data


def test_retries_elsewhere(desk: Desk) -> None:
    """``--retries 2`` tries a failed job twice more, on other sub-nodes."""
    done = desk.there.run(
        "q", "--retries=2", hosts=localhosts(3), queue="- echo at {{ i }}; exit 5\n"
    )
    assert done.status == 1
    assert sorted(re.findall(r"\] at (.)$", done.stdout, re.MULTILINE)) == ["0", "1", "2"]
    assert "1 command: 1 failed." in done.stderr
    (job,) = desk.run()["jobs"]
    assert [each["again"] for each in job["executions"]] == [True, True, False]
    assert sorted(each["sub_node"] for each in job["executions"]) == [0, 1, 2]
    assert job["outcomes"] == [{"kind": "exited", "status": 5}]
    assert desk.tell("logs", "1").out.startswith(b"at ")


def test_a_job_that_succeeds_elsewhere(desk: Desk) -> None:
    """A job that failed on one sub-node and succeeded on another has succeeded."""
    queue = "- mkdir here || exit 0; exit 1\n"
    done = desk.there.run("q", "--retries=2", hosts=localhosts(2), queue=queue)
    assert done.status == 0
    assert "1 command: 1 succeeded." in done.stderr
    (job,) = desk.run()["jobs"]
    first, second = (each["sub_node"] for each in job["executions"])
    assert first != second


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_a_time_limit(desk: Desk, nothing_left: Traces, host: str) -> None:
    """``--timeout 1s`` ends a command with its whole tree: timed out; the next one runs."""
    queue = "- (sleep 1000; echo no) & sh -c 'sleep 1000; echo no'; echo no\n- echo quick\n"
    done = desk.there.run("q", "--timeout", "1s", hosts=f"- {host}\n", queue=queue)
    assert done.status == 1
    assert "=== done (timed out after 1 s) ===" in done.stderr
    assert "2 commands: 1 succeeded, 1 timed out." in done.stderr
    assert done.stdout == f"[{host}] quick\n"
    assert nothing_left.wait_until_gone() == []
    job = desk.run()["jobs"][0]
    assert job["outcomes"] == [{"kind": "timed_out", "limit": 1.0}]
    assert 1.0 <= job["executions"][0]["seconds"] < 5.0


# Nothing to show.

NO_RECORD = [
    (["status"], 2, "there is no such file, and no run of it is recorded beside it."),
    (["logs"], 2, "No run of .* is recorded beside it"),
    (["logs", "-f"], 2, "No run of .* is recorded beside it"),
    (["retry"], 2, "No run of queue.yaml is recorded in"),
    (["stop"], 1, "No run of this queue goes on: there is nothing to stop."),
    (["status", "--run", "x"], 2, "No run of this queue is recorded."),
]


@pytest.mark.parametrize(("arguments", "status", "words"), NO_RECORD)
def test_nothing_is_recorded(desk: Desk, arguments: list[str], status: int, words: str) -> None:
    """Where there is nothing to show or to stop, one sentence says so, and makes no file."""
    done = desk.tell(*arguments)
    assert (done.status, done.out) == (status, b"")
    assert re.search(words, done.stderr)
    assert done.stderr.count("\n") == 1
    assert list(desk.there.folder.iterdir()) == []


def test_nothing_was_run(desk: Desk) -> None:
    """A queue that never ran has no run, and its jobs wait."""
    desk.there.queue_file.write_text("- a\n- b\n")
    done = desk.tell("status")
    assert (done.status, done.err) == (0, b"")
    assert "No run of this queue is recorded." in done.stdout
    assert "2 jobs wait in" in done.stdout
    data = desk.status()
    assert (data["waiting"], data["runs"]) == (2, [])


PAST = [
    (["logs", "7"], 2, "There is no job 7 in run .*; there are jobs 1 to 2."),
    (["logs", "1", "--sub-node", "3"], 2, "did not run on sub-node 3"),
    (["logs", "-f"], 2, "Which job\\? In run .* none runs"),
    (["retry"], 0, "Nothing of run .* is put back \\(it succeeded: 2\\)"),
    (["stop"], 1, "No run of this queue goes on"),
    (["stop", "1"], 1, "No run of this queue goes on"),
    (["stop", "--run=-"], 1, "That run is over"),
    (["status", "--run", "nope"], 2, "There is no run 'nope'"),
]


def test_nothing_goes_on(desk: Desk) -> None:
    """After a run there is no job of that number, nothing to try again, nothing to stop."""
    desk.there.run("q", hosts=localhosts(1), queue="- echo a\n- exit 0\n")
    for arguments, status, words in PAST:
        done = desk.tell(*arguments)
        assert (done.status, done.out) == (status, b""), arguments
        assert re.search(words, done.stderr), done.stderr
    empty = desk.tell("logs", "2")
    assert (empty.status, empty.out, empty.err) == (0, b"", b"")


# Several runs.


def test_two_runs_on_one_queue(desk: Desk) -> None:
    """Two runs on one queue: ``status`` shows both, ``stop`` wants to know which, or ``--all``."""
    one = desk.there.start("q", hosts=localhosts(1), queue=gated("a", "b") + "- echo c\n")
    one.wait_for("a begins", on="stdout")
    two = desk.there.start("q")
    two.wait_for("b begins", on="stdout")
    runs = desk.status()["runs"]
    assert [run["pid"] for run in runs] == [one.pid, two.pid]
    assert [len(run["jobs"]) for run in runs] == [1, 1]
    text = desk.tell("status").stdout
    assert all(f"Run {run['run']} (queue): for " in text for run in runs)
    which = desk.tell("stop")
    assert which.status == 2
    assert "2 runs of this queue go on" in which.stderr
    assert all(run["run"] in which.stderr for run in runs)
    assert one.status is two.status is None
    assert desk.tell("stop", "--now", "--run", str(two.pid)).status == 0
    assert two.wait().status == 130
    assert one.status is None
    three = desk.there.start("q", queue=gated("d") + "- echo c\n")
    three.wait_for("d begins", on="stdout")
    assert desk.tell("stop", "--all").status == 0
    desk.open("a")
    desk.open("d")
    assert (one.wait().status, three.wait().status) == (130, 130)
    assert desk.queue() == ["echo c"]
    listed = desk.tell("status", "--runs").stdout
    assert listed.count("drained") == 2
    assert listed.count("aborted") == 1
    assert len(desk.status("--runs")["runs"]) == 3


def test_runs_on_neighbouring_queues(desk: Desk) -> None:
    """Two queue files in one folder have their own runs: steering one leaves the other alone."""
    one = desk.there.start("q", hosts=localhosts(1), queue=gated("a") + "- echo later\n")
    one.wait_for("a begins", on="stdout")
    other = desk.there.folder / "other.yaml"
    other.write_text("- echo other\n")
    arguments = [f"--hosts-file={desk.there.hosts_file}", f"--queue-file={other}"]
    assert desk.there.start_bare("q", *arguments).wait().status == 0
    assert desk.run()["pid"] == one.pid
    assert desk.elsewhere.start_bare("stop", f"--queue-file={other}").wait().status == 1
    assert desk.tell("stop").status == 0
    desk.open("a")
    assert one.wait().status == 130


# The hosts file.


def test_the_hosts_file_changes(desk: Desk) -> None:
    """While a run goes on, a sub-node that is added joins, one that is removed leaves."""
    queue = gated("a", "b", "c")
    running = desk.there.start("q", hosts="- hostname: localhost\n  i: [old]\n", queue=queue)
    running.wait_for("a begins", on="stdout")
    desk.there.hosts_file.write_text("- hostname: localhost\n  i: [old, new]\n")
    assert running.wait_for("b begins", on="stdout").startswith("[localhost (i=new)]")
    run = desk.run()
    assert [node["params"] for node in run["sub_nodes"]] == [{"i": "old"}, {"i": "new"}]
    assert run["jobs"][1]["executions"][0]["sub_node"] == 1
    desk.there.hosts_file.write_text("- hostname: [localhost\n")
    running.wait_for("The nodes stay as they were.", on="stderr")
    assert kinds(desk.run()) == {1: None, 2: None}
    desk.there.hosts_file.write_text("- hostname: localhost\n  i: [new]\n")
    desk.open("b")
    assert running.wait_for("c begins", on="stdout").startswith("[localhost (i=new)]")
    desk.there.hosts_file.write_text("- hostname: localhost\n  i: [new, third]\n")
    desk.tell("add", "echo d", "--top")
    assert running.wait_for("] d", on="stdout").startswith("[localhost (i=third)]")
    desk.open("a")
    running.wait_for("a ends", on="stdout")
    desk.tell("add", "echo e {{ x }}", "--param", "x=1,2,3,4,5,6")
    running.wait_for("] e ", on="stdout", times=6)
    assert running.stdout.count("[localhost (i=third)] e ") == 6
    desk.open("c")
    done = running.wait()
    assert done.status == 0
    assert "10 commands: 10 succeeded." in done.stderr
