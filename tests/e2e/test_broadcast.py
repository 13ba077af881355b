"""Broadcast mode: every job on every sub-node, in lockstep."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.on_slurm import OWN_ENTRIES, not_on_slurm
from tests.e2e.runner import Pegasus

STEPS = 20


def test_lockstep_by_the_nodes_own_clocks(pegasus: Pegasus) -> None:
    """No step starts on any sub-node before the previous one has ended on all of them."""
    seeds = random.sample(range(1, 1000), 3)
    hosts = f"- hostname: [node-1, node-2, node-3]\n  seed: {seeds}\n"
    pause = "0.0$(( {{ seed }} * ($PEGASUS_SUB_NODE + 2) * {{ step }} % 97 % 10 ))"
    queue = (
        f'- command: date "+{{{{ step }}}} start %s.%N"; sleep {pause};'
        ' date "+{{ step }} end %s.%N"\n'
        f"  step: [{', '.join(map(str, range(STEPS)))}]\n"
    )
    done = pegasus.run("b", hosts=hosts, queue=queue, limit=60)
    assert done.status == 0, done.stderr
    starts: dict[int, list[float]] = defaultdict(list)
    ends: dict[int, list[float]] = defaultdict(list)
    acts = re.findall(r"^\[.*?\] (\d+) (start|end) ([\d.]+)$", done.stdout, re.MULTILINE)
    for step, word, at in acts:
        (starts if word == "start" else ends)[int(step)].append(float(at))
    assert all(len(starts[step]) == len(ends[step]) == 9 for step in range(STEPS)), seeds
    gaps = [min(starts[step + 1]) - max(ends[step]) for step in range(STEPS - 1)]
    assert min(gaps) > 0, seeds
    assert f"{9 * STEPS} commands: {9 * STEPS} succeeded." in done.stderr


def table(folder: str) -> tuple[str, str]:
    """Return hosts and queue of the table: a fast one, one that fails in command 2, a slow one."""
    hosts = (
        "- hostname: node-1\n  second: 'true'\n"
        "- hostname: node-2\n  second: exit 3\n"
        f"- hostname: localhost\n  second: until [ -e {folder}/go ]; do sleep 0.02; done\n"
    )
    queue = (
        "- echo one\n"
        "- echo begin two; {{ second }}; echo end two\n"
        "- echo three # and a comment\n"
        "- echo four\n"
    )
    return hosts, queue


def said_by(stdout: str) -> Iterator[tuple[str, str]]:
    """Yield what each host printed, in order."""
    yield from re.findall(r"^\[(\S+?)(?: \(.*?\))?\] (.*)$", stdout, re.MULTILINE)


@not_on_slurm(OWN_ENTRIES)
def test_error_aborts(pegasus: Pegasus) -> None:
    """With ``-e`` the step that fails ends on the other sub-nodes, and no more is taken."""
    hosts, queue = table(str(pegasus.folder))
    running = pegasus.start("b", "-e", hosts=hosts, queue=queue)
    running.wait_for("=== done (exit status: 3) ===")
    running.wait_for("A job failed: nothing more is taken.")
    running.wait_for("] begin two", on="stdout", times=3)
    (pegasus.folder / "go").touch()
    done = running.wait()
    assert done.status == 1
    assert pegasus.queue_file.read_text() == "- echo three # and a comment\n- echo four\n"
    assert "three" not in done.stdout
    assert Counter(said_by(done.stdout)) == Counter(
        [(host, "one") for host in ("node-1", "node-2", "localhost")]
        + [(host, "begin two") for host in ("node-1", "node-2", "localhost")]
        + [(host, "end two") for host in ("node-1", "localhost")]
    )
    assert "6 commands: 5 succeeded, 1 failed." in done.stderr
    failed = "job 2 on node-2 (second=exit 3): exit status: 3"
    assert re.search(rf"{re.escape(failed)}, .*: echo begin two; exit 3; echo end two", done.stderr)


@not_on_slurm(OWN_ENTRIES)
def test_errors_do_not_abort_by_themselves(pegasus: Pegasus) -> None:
    """Without ``-e`` all continue in step, and the summary names what failed."""
    hosts, queue = table(str(pegasus.folder))
    (pegasus.folder / "go").touch()
    done = pegasus.run("b", hosts=hosts, queue=queue)
    assert done.status == 1
    words: dict[str, list[str]] = defaultdict(list)
    for host, line in said_by(done.stdout):
        words[host].append(line)
    two = ["one", "begin two", "end two", "three", "four"]
    assert words == {"node-1": two, "localhost": two, "node-2": [w for w in two if w != "end two"]}
    order = [line for _, line in said_by(done.stdout)]
    assert [line for line in order if line in {"one", "three", "four"}] == [
        *["one"] * 3,
        *["three"] * 3,
        *["four"] * 3,
    ]
    assert "12 commands: 11 succeeded, 1 failed." in done.stderr
    assert "job 2 on node-2 (second=exit 3): exit status: 3" in done.stderr
    assert not yaml.safe_load(pegasus.queue_file.read_text())


def test_a_step_for_each_combination(pegasus: Pegasus) -> None:
    """A command with parameters is one step for each combination, rendered for each sub-node."""
    hosts = "- hostname: [node-1, node-2]\n  gpu: [0, 1]\n"
    queue = (
        "- command: ['echo {{ hostname }} {{ gpu }} a{{ x }}{{ y }}', 'echo b{{ x }}']\n"
        "  x: [1, 2]\n  y: [p, q]\n"
    )
    done = pegasus.run("b", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    lines = re.findall(r"^\[(.*?) \(gpu=(.)\)\] (.*)$", done.stdout, re.MULTILINE)
    assert len(lines) == 8 * 4
    steps = [lines[4 * number : 4 * number + 4] for number in range(8)]
    places = [(host, gpu) for host in ("node-1", "node-2") for gpu in "01"]
    for step, name in zip(steps[:4], ("1p", "1q", "2p", "2q"), strict=True):
        assert sorted(step) == [(host, gpu, f"{host} {gpu} a{name}") for host, gpu in places]
    for step, name in zip(steps[4:], ("1", "1", "2", "2"), strict=True):
        assert sorted(step) == [(host, gpu, f"b{name}") for host, gpu in places]
    assert len(yaml.safe_load(pegasus.consumed_file.read_text())) == 8


def test_every_last_word_arrives(pegasus: Pegasus) -> None:
    """The last output of a command is shown, on both streams, however soon it ends after that."""
    numbers = range(50)
    hosts = "- hostname: [localhost, node-1, node-2]\n  place: [a, b]\n"
    queue = (
        "- command: printf 'out {{ n }}'; printf 'err {{ n }}' >&2\n"
        f"  n: [{', '.join(map(str, numbers))}]\n"
    )
    done = pegasus.run("b", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    said = [re.findall(r"\] (out \d+)$", done.stdout, re.MULTILINE)]
    said += [re.findall(r"\] (err \d+)$", done.stderr, re.MULTILINE)]
    for word, lines in zip(("out", "err"), said, strict=True):
        assert Counter(lines) == Counter({f"{word} {number}": 6 for number in numbers})


@pytest.mark.parametrize("hosts", ["- node-1\n- node-that-is-not\n", "- node-that-is-not\n"])
def test_nothing_is_taken_before_all_are_connected(pegasus: Pegasus, hosts: str) -> None:
    """One unreachable sub-node: status 2, ssh's own message, and an unchanged queue."""
    queue = "# mine\n- echo hello\n- {command: echo x, n: [1, 2]}\n"
    done = pegasus.run("b", hosts=hosts, queue=queue)
    assert done.status == 2
    assert "node-that-is-not" in done.stderr
    assert "Could not resolve hostname" in done.stderr
    assert "=== run" not in done.stderr
    assert pegasus.queue_file.read_text() == queue
    assert not pegasus.consumed_file.exists()


def test_a_job_that_cannot_be_filled_in_everywhere_is_not_taken(pegasus: Pegasus) -> None:
    """A template that cannot be rendered for one sub-node stays in the queue, and runs nowhere."""
    hosts = "- hostname: localhost\n  gpu: 0\n- hostname: node-1\n"
    done = pegasus.run("b", hosts=hosts, queue="- echo fine\n- echo {{ gpu }}\n")
    assert done.status == 2
    assert "queue.yaml:1:8" in done.stderr
    assert done.stdout.count("fine") == 2
    assert pegasus.queue_file.read_text() == "- echo {{ gpu }}\n"
