"""Programs that write to the queue file while its jobs run, on one sub-node and on several."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import writers
from tests.e2e.runner import Pegasus, Running
from tests.nodes import Nodes, wait_until

SECONDS = float(os.environ.get("PEGASUS_TEST_WRITING", "3"))
"""Seconds during which a program writes; ten and more for a thorough test."""

LIMIT = 30.0 + 10 * SECONDS
ONE = "- localhost\n"
EIGHT = "- hostname: localhost\n  place: [a, b, c, d, e, f, g, h]\n"
WIDTHS = pytest.mark.parametrize("hosts", [ONE, EIGHT], ids=["one", "eight"])
OLD = "".join(f"- echo 'old-{n}'\n" for n in range(40))

COMMANDS = {
    **{manner: "{python} {writers} " + manner + " {queue} {seconds}" for manner in writers.MANNERS},
    "loop": "for i in $(seq 0 {last}); do echo \"- echo 'job-$i tail-$i'\"; sleep 0.1; done"
    " >> {queue}",
    "tee": "for i in $(seq 0 {last}); do echo \"- echo 'job-$i tail-$i'\"; sleep 0.1; done"
    " | tee -a {queue} > /dev/null",
}


@contextmanager
def writing(pegasus: Pegasus, manner: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that writes to the queue."""
    command = COMMANDS[manner].format(
        python=shlex.quote(sys.executable),
        writers=shlex.quote(writers.__file__),
        queue=shlex.quote(str(pegasus.queue_file)),
        seconds=SECONDS,
        last=int(SECONDS / writers.PACE) - 1,
    )
    process = subprocess.Popen(["sh", "-c", command], cwd=pegasus.folder)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def ran(running: Running) -> list[str]:
    """Return the output of the jobs, line by line."""
    lines = [line.partition("] ")[2] for line in running.stdout.splitlines()]
    return [line for line in lines if not line.startswith("===")]


def expected() -> list[str]:
    """Return the entries of all jobs of a program."""
    return [f"job-{n} tail-{n}" for n in range(int(SECONDS / writers.PACE))]


def nothing_hidden(folder: Path) -> list[Path]:
    """Return the files beside the queue that a run should have removed."""
    return [path for path in folder.iterdir() if path.name.startswith(".queue.yaml")]


@WIDTHS
@pytest.mark.parametrize("manner", [m for m in COMMANDS if m not in {"in-place", "over"}])
def test_what_is_written_while_jobs_are_taken(pegasus: Pegasus, manner: str, hosts: str) -> None:
    """Every entry runs once and as a whole, while the file stays open for writing."""
    running = pegasus.start("q", "--daemon", hosts=hosts, queue="")
    with writing(pegasus, manner) as process:
        assert process.wait(LIMIT) == 0
    wait_until(lambda: len(ran(running)) >= len(expected()), limit=LIMIT)
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    assert sorted(ran(running)) == sorted(expected())
    assert nothing_hidden(pegasus.folder) == []


@WIDTHS
@pytest.mark.parametrize("manner", ["in-place", "over"])
def test_a_file_that_is_overwritten_in_place(pegasus: Pegasus, manner: str, hosts: str) -> None:
    """The new entries of a file that is overwritten run once each, without mixtures."""
    running = pegasus.start("q", "--daemon", hosts=hosts, queue=OLD)
    running.wait_for("=== done")
    with writing(pegasus, manner) as process:
        assert process.wait(LIMIT) == 0
    new = expected()
    wait_until(lambda: set(new) <= set(ran(running)), limit=LIMIT)
    running.signal(signal.SIGINT)
    running.wait()
    lines = ran(running)
    assert sorted(line for line in lines if not line.startswith("old-")) == sorted(new)
    assert len(set(lines)) == len(lines)
    assert {line for line in lines if line.startswith("old-")} <= {f"old-{n}" for n in range(40)}


@WIDTHS
def test_jobs_are_added_while_a_program_writes(pegasus: Pegasus, hosts: str) -> None:
    """`pegasus add` beside a program that writes parts of lines damages and loses nothing."""
    running = pegasus.start("q", "--daemon", hosts=hosts, queue="")
    added: list[str] = []
    with writing(pegasus, "parts") as process:
        while process.poll() is None:
            added.append(f"added-{len(added)}")
            where = f"--queue-file={pegasus.queue_file}"
            assert pegasus.start_bare("add", where, f"echo {added[-1]}").wait().status == 0
    wanted = sorted(expected() + added)
    wait_until(lambda: len(ran(running)) >= len(wanted), limit=LIMIT)
    running.signal(signal.SIGINT)
    running.wait()
    assert sorted(ran(running)) == wanted


@pytest.mark.parametrize("beginning", ["- echo fir", "- |\n  echo fir\n", "- command: echo fir\n"])
def test_a_run_waits_for_the_end_of_an_entry(pegasus: Pegasus, beginning: str) -> None:
    """An incomplete entry does not run, and a run does not end before it is complete."""
    end = {"- echo fir": "st\n", "- |\n  echo fir\n": "  echo st\n"}.get(beginning, "  x: [1]\n")
    pegasus.queue_file.write_text("- echo zeroth\n")
    with pegasus.queue_file.open("a") as file:
        file.write(beginning)
        file.flush()
        running = pegasus.start("q", hosts=ONE)
        running.wait_for("] zeroth")
        running.wait_for("has this file open for writing")
        assert "] fir" not in running.stdout
        assert running.status is None
        file.write(end)
    done = running.wait()
    assert done.status == 0
    assert done.stderr.count("=== run") == 2
    assert "2 commands: 2 succeeded" in done.stderr
    assert nothing_hidden(pegasus.folder) == []


def test_a_line_is_run_while_the_file_stays_open(pegasus: Pegasus) -> None:
    """Lines that are typed into `cat >> queue.yaml` run a second later, one by one."""
    running = pegasus.start("q", "--daemon", hosts=ONE, queue="")
    with pegasus.queue_file.open("a") as file:
        for n in range(3):
            file.write(f"- echo typed-{n}\n")
            file.flush()
            running.wait_for(f"] typed-{n}", on="stdout")
    running.signal(signal.SIGINT)
    assert running.wait().stderr.count("=== run") == 3


def test_what_comes_after_a_run_is_for_the_next(pegasus: Pegasus) -> None:
    """A program may keep the file open between runs; `check` and `status` report it."""
    with pegasus.queue_file.open("a") as file:
        file.write("- echo early\n- echo next\n")
        file.flush()
        first = pegasus.run("q", hosts=ONE)
        assert first.stderr.count("=== run") == 2
        file.write("- echo late\n")
        file.flush()
        assert "echo late" in pegasus.run("check").stdout
        second = pegasus.run("q")
        assert "] late" in second.stdout
        assert second.stderr.count("=== run") == 1
    pegasus.run("q")
    assert nothing_hidden(pegasus.folder) == []


def test_scp_over_the_queue(pegasus: Pegasus, make_nodes: Callable[..., Nodes]) -> None:
    """A file that scp copies over the queue, slowly, runs as it was."""
    nodes = make_nodes(1)
    source = pegasus.folder / "source.yaml"
    filler = "".join(f"# {n} is a line that has to be copied\n" for n in range(10_000))
    text = "".join(writers.entry(n) for n in range(8))
    source.write_text(text.replace("\n- ", f"\n{filler}- ", 1))
    running = pegasus.start("q", "--daemon", hosts=EIGHT, queue="")
    target = f"node-1:{pegasus.queue_file}"
    if nodes.way == "docker":
        pytest.skip("the node has files of its own")
    command = ["scp", "-O", "-q", "-l", "4000", "-F", str(nodes.ssh_config), str(source), target]
    subprocess.run(command, check=True, timeout=LIMIT)
    wanted = [f"job-{n} tail-{n}" for n in range(8)]
    wait_until(lambda: len(ran(running)) >= 8, limit=LIMIT)
    running.signal(signal.SIGINT)
    running.wait()
    assert sorted(ran(running)) == wanted


def test_a_take_that_fails_while_an_entry_waits(pegasus: Pegasus) -> None:
    """A run does not wait for an entry that it could not take: it ends with the reason."""
    pegasus.queue_file.write_text("- echo first\n")
    with pegasus.queue_file.open("a") as file:
        file.write("- |\n  echo inc")
        file.flush()
        running = pegasus.start("q", hosts=ONE)
        running.wait_for("has this file open for writing")
        pegasus.consumed_file.unlink()
        pegasus.consumed_file.mkdir()
        file.write("omplete\n")
    done = running.wait()
    assert done.status == 2
    assert "the queue cannot be rewritten: Is a directory" in done.stderr


def test_an_addition_that_is_interrupted_while_it_waits(pegasus: Pegasus) -> None:
    """`pegasus add` reports what it waits for; ended by a signal, it adds nothing."""
    pegasus.queue_file.write_text("- echo first\n")
    with pegasus.queue_file.open("r+") as file:
        adding = pegasus.start_bare("add", "echo x", f"--queue-file={pegasus.queue_file}")
        adding.wait_for("writes into this file")
        adding.signal(signal.SIGTERM)
        assert adding.wait().status == 130
        file.seek(0)
        assert file.read() == "- echo first\n"
