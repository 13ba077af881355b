"""No process of a command lives on, however the run ends or breaks.

The command is a tree of processes that is hard to kill; the
guarantee is ten seconds for all of it, on nodes and on localhost.
"""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pegasus.transport.folder import FOLDER_SCRIPT
from pegasus.transport.shell import KILL_GRACE
from tests.e2e.leftovers import Traces
from tests.e2e.on_slurm import OVER_SSH, STEP_ALONE, not_on_slurm
from tests.e2e.runner import Pegasus, Running
from tests.faults.trial import obeys_signals, pass_time
from tests.nodes import Node, Nodes, Process, wait_until

TREE = """\
- |
  # The tree: one that ignores SIGTERM, a family, a process group of its own, and a waiting parent.
  (trap '' TERM; while :; do sleep 1; done) &
  sh -c 'sleep 1000 & sleep 1000 & wait' &
  timeout 1000 sh -c 'sleep 1000; exit' &
  echo planted
  wait
"""
SIZE = 8
"""The minimum of processes of the tree, with the shell of the job itself."""

PROMISE = 10.0
"""Seconds after which nothing may live any more."""

SLACK = 2.0
"""Additional seconds for a busy machine, where the SIGKILL itself comes after ten."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Process trees on sub-nodes, and queries of them."""

    running: Running
    traces: Traces

    def processes(self) -> list[Process]:
        """Return the living processes of the trees, here and on the nodes, and Pegasus's shells."""
        here = [p for p in self.traces.processes() if p.session != p_session(self.running)]
        here = [p for p in here if not is_ssh(p)]
        return here + [p for node in self.traces.nodes for p in node.living()]

    def seconds_to_die(self, limit: float) -> float:
        """Wait until nothing lives; return how long that took."""
        began = time.monotonic()
        wait_until(lambda: not self.processes(), limit=limit, what=f"{self.processes()} to end")
        return time.monotonic() - began


def p_session(running: Running) -> int:
    """Return the session of Pegasus itself, which it leads."""
    return running.pid


def is_ssh(process: Process) -> bool:
    """Return whether it is Pegasus's own ssh, or the guard of one."""
    return process.name == "ssh" or "/pgs-" in process.command


def plant(pegasus: Pegasus, traces: Traces, hosts: str) -> Planted:
    """Start a run with a tree on each sub-node, and wait until all of them are complete."""
    running = pegasus.start("q", hosts=hosts, queue=TREE * hosts.count("\n"))
    running.wait_for("planted", on="stdout", times=hosts.count("\n"))
    planted = Planted(running, traces)
    size = SIZE * hosts.count("\n")
    wait_until(lambda: len(planted.processes()) >= size, what="the trees to grow")
    return planted


def interrupt(running: Running, times: int) -> None:
    """Press Ctrl-C a number of times, each after the message about the one before."""
    for answer in ("nothing more is taken", "ending what runs", "killing what runs")[:times]:
        running.signal(signal.SIGINT)
        running.wait_for(answer, on="stderr")


EVERYWHERE = "- localhost\n- node-1\n"


def test_the_second_interrupt(pegasus: Pegasus, nothing_left: Traces) -> None:
    """The second Ctrl-C: SIGTERM for the whole tree, and SIGKILL ten seconds later."""
    planted = plant(pegasus, nothing_left, EVERYWHERE)
    interrupt(planted.running, 2)
    seconds = planted.seconds_to_die(KILL_GRACE + SLACK)
    assert seconds > KILL_GRACE - 1  # one of them ignores SIGTERM, and had its time
    done = planted.running.wait()
    assert done.status == 130
    assert done.stderr.count("=== done (cancelled) ===") == 2
    assert "2 commands: 2 cancelled." in done.stderr


def test_the_third_interrupt(pegasus: Pegasus, nothing_left: Traces) -> None:
    """The third Ctrl-C: SIGKILL for the whole tree, at once."""
    planted = plant(pegasus, nothing_left, EVERYWHERE)
    interrupt(planted.running, 3)
    assert planted.seconds_to_die(PROMISE) < KILL_GRACE / 2
    done = planted.running.wait()
    assert done.status == 130
    assert "2 commands: 2 cancelled." in done.stderr


def test_sigkill_of_pegasus(pegasus: Pegasus, nothing_left: Traces) -> None:
    """``kill -9`` of Pegasus: ten seconds later no command, ssh, socket or file is left."""
    planted = plant(pegasus, nothing_left, EVERYWHERE)
    planted.running.kill()
    assert not nothing_left.wait_until_gone(PROMISE)


def test_sigkill_of_pegasus_at_any_moment(pegasus: Pegasus, nothing_left: Traces) -> None:
    """``kill -9`` while Pegasus starts and connects leaves nothing either."""
    started: list[Running] = []
    for tenths, hosts in itertools.product(range(4), (EVERYWHERE, "- localhost\n")):
        folder = pegasus.folder / str(len(started))
        folder.mkdir()
        one = replace(pegasus, folder=folder)
        running = one.start("q", hosts=hosts, queue="- sleep 1000\n- sleep 1000\n")
        wait_until(partial(obeys_signals, running), what="pegasus to listen")
        pass_time(tenths / 10)
        running.kill()
        started.append(running)
    assert not nothing_left.wait_until_gone(PROMISE)
    assert all(running.status == -signal.SIGKILL for running in started)


def test_sigkill_of_pegasus_before_it_hears_of_its_folder(tmp_path: Path) -> None:
    """The keeper of the control sockets removes their folder also when its output is closed."""
    keeper = subprocess.Popen(
        ["sh", "-c", FOLDER_SCRIPT, "pegasus", str(tmp_path / "sockets-XXXXXX")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert keeper.stdin
    assert keeper.stdout
    keeper.stdout.close()
    keeper.stdin.close()
    assert keeper.wait(PROMISE) == 0
    assert list(tmp_path.glob("sockets*")) == []


@not_on_slurm(OVER_SSH)
def test_sigkill_of_pegasus_while_a_node_does_not_answer(
    pegasus: Pegasus, nothing_left: Traces, make_nodes: Callable[..., Nodes]
) -> None:
    """``kill -9`` during a connection attempt ends its ssh, and removes the sockets."""
    nodes = make_nodes(1)
    nodes[0].pause()
    try:
        running = pegasus.on(nodes).start("q", queue="- exit 0\n")
        wait_until(lambda: any(is_master(p) for p in nothing_left.processes()), what="ssh")
        assert nothing_left.socket_folders()
        running.kill()
        assert not nothing_left.wait_until_gone(PROMISE)
    finally:
        nodes[0].resume()


def is_master(process: Process) -> bool:
    """Return whether it is the ssh that holds a connection."""
    return process.name == "ssh" and " -M -N " in process.command


@not_on_slurm(OVER_SSH)
def test_sigkill_of_a_master(pegasus: Pegasus, nothing_left: Traces) -> None:
    """``kill -9`` of an ssh: its command is lost and ends, the others continue."""
    pegasus.queue_file.write_text(TREE)
    planted = plant(pegasus, nothing_left, "- node-1\n")
    master = next(p for p in nothing_left.processes() if is_master(p))
    master.signal(signal.SIGKILL)
    assert not wait_for_the_tree(planted)
    done = planted.running.wait()
    assert_lost(done.status, done.stderr)


@not_on_slurm(STEP_ALONE)
def test_sigkill_of_sshd(pegasus: Pegasus, nothing_left: Traces) -> None:
    """``kill -9`` of the sshd of a connection: its command is lost, and ends."""
    planted = plant(pegasus, nothing_left, "- node-1\n")
    pegasus.nodes["node-1"].kill_sessions()
    assert not wait_for_the_tree(planted)
    done = planted.running.wait()
    assert_lost(done.status, done.stderr)


def wait_for_the_tree(planted: Planted) -> list[Process]:
    """Wait until the first tree has ended; return what is left of it after ten seconds.

    The connection is opened again, with a shell that waits for a command and does not count.
    """
    tree = planted.processes()
    born = {(p.host_pid, p.born) for p in tree}

    def left() -> list[Process]:
        return [p for p in planted.processes() if (p.host_pid, p.born) in born]

    began = time.monotonic()
    for _ in itertools.takewhile(
        lambda _: left(), iter(lambda: time.monotonic() - began < PROMISE, False)
    ):
        pass_time(0.05)
    return left()


def assert_lost(status: int, stderr: str) -> None:
    """A command whose connection broke is reported as lost, and as a failure."""
    assert status == 1
    assert re.search(r"^\[node-1\] === done \(lost: .+\) ===$", stderr, re.MULTILINE)
    assert "1 command: 1 lost." in stderr
    assert re.search(r"job 1 on node-1: lost: ", stderr)


LAST_WORDS = """\
- |
  trap 'sleep 2; echo last words; echo and errors >&2; exit 0' TERM
  echo ready
  while :; do sleep 0.1; done
"""


def test_a_polite_command_has_the_last_word(pegasus: Pegasus, nothing_left: Traces) -> None:
    """A command that handles SIGTERM has its ten seconds; its output during them is shown."""
    running = pegasus.start("q", hosts=EVERYWHERE, queue=LAST_WORDS * 2)
    running.wait_for("ready", on="stdout", times=2)
    interrupt(running, 2)
    done = running.wait()
    assert done.status == 130
    for name in ("localhost", "node-1"):
        assert f"[{name}] last words\n" in done.stdout
        assert f"[{name}] and errors\n" in done.stderr
        assert f"[{name}] === done (cancelled) ===\n" in done.stderr


def test_half_a_command_never_runs(pegasus: Pegasus) -> None:
    """A long command that is aborted while it is sent has not run, not even in part."""
    command = f"echo begun; : '{'é' * 60_000}'; echo whole"
    for hosts in ("- localhost\n", "- node-1\n"):
        running = pegasus.start("q", hosts=hosts, queue=f"- |\n  {command}\n" * 2)
        running.wait_for("=== run", on="stderr")
        running.signal(signal.SIGTERM)
        running.signal(signal.SIGINT)  # signals of one kind may be merged
        done = running.wait()
        assert done.status == 130
        assert done.stdout.count("begun") == done.stdout.count("whole")
        assert "rror" not in done.stderr  # no shell met half a command


def sleeping(node: Node) -> list[Process]:
    """Return the processes on a node that sleep for long."""
    return [p for p in node.living() if p.command == "sleep 1000"]


def test_a_session_of_its_own_escapes(pegasus: Pegasus, nothing_left: Traces) -> None:
    """A process in a session of its own is not found: as with ``ssh`` and ``nohup``."""
    queue = "- setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo planted; sleep 1000\n"
    running = pegasus.start("q", hosts="- node-1\n", queue=queue)
    running.wait_for("planted", on="stdout")
    node = pegasus.nodes["node-1"]
    wait_until(lambda: len(sleeping(node)) == 2, what="both to sleep")
    (escaped,) = (p for p in sleeping(node) if p.session == p.host_pid)
    running.kill()
    numbers = [escaped.host_pid]
    wait_until(lambda: [p.host_pid for p in node.living()] == numbers, what="the others to end")
    node.end_commands()


def test_a_reader_that_stalls_does_not_hold_the_third_interrupt(pegasus: Pegasus) -> None:
    """Three Ctrl-C end Pegasus also if the output of its commands is not read."""
    fifo = pegasus.folder / "stalled"
    program = ("sh", "-c", f'mkfifo {fifo}; exec 9<>{fifo}; exec "$@" >&9 9<&-', "sh")
    stalled = replace(pegasus, program=(*program, *pegasus.program))
    queue = "- printf '%0200000d\\n' 0; echo printed >&2; sleep 1000\n"  # more than a pipe holds
    running = stalled.start("q", hosts="- localhost\n", queue=queue)
    running.wait_for("[localhost] printed", on="stderr")
    interrupt(running, 3)
    assert running.wait(PROMISE).status == 130
