"""What commands print and do harms neither the terminal nor the record nor their outcome."""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.e2e.runner import Pegasus
from tests.e2e.terminals import Terminal
from tests.faults.hostile import KNOWN, command, random_output
from tests.nodes import Nodes

RANDOM = int(os.environ.get("PEGASUS_FUZZ", "12"))
SEED = os.environ.get("PEGASUS_FUZZ_SEED", "") or secrets.token_hex(4)
EVERYWHERE = "- localhost\n- node-1\n"
COLUMNS = 100
SGR = re.compile(r"\x1b\[[0-9;:]*m")
AREA = re.compile(r"\x1b\[(\?2026[hl]|\?7[hl]|[KJC]|\d+A)")
"""The sequences that draw the area of the live screen."""
PREFIXES = ("[localhost] ", "[node-1] ", "[Pegasus] ")


@dataclass(frozen=True)
class Job:
    """A command, its output on both streams, and its end."""

    command: str
    data: bytes
    status: int


@pytest.fixture
def jobs(pegasus: Pegasus) -> Iterator[list[Job]]:
    """Jobs of every kind; their bytes are in files at a path that exists on the node and here."""
    chance = random.Random(SEED)
    outputs = [*KNOWN.values(), *(random_output(chance) for _ in range(RANDOM))]
    folder = pegasus.nodes["node-1"].home / f"hostile-{secrets.token_hex(4)}"
    folder.mkdir()
    made = []
    for number, data in enumerate(outputs):
        status = chance.choice((0, 0, 1, 42, 137, 255))
        made.append(Job(command(data, folder, number, status), data, status))
    yield made
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def queue_of(jobs: list[Job]) -> str:
    """Write a queue file."""
    return "".join(f"- {job.command}\n" for job in jobs)


def record_of(pegasus: Pegasus) -> tuple[list[dict[str, Any]], Path]:
    """Return the journal of the newest run, and the folder of its outputs."""
    newest = max(pegasus.folder.glob(".pegasus/*-*"), key=lambda path: path.stat().st_mtime)
    lines = (newest / "journal.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines], newest / "output"


def outcomes_of(pegasus: Pegasus) -> dict[tuple[int, int], dict[str, Any]]:
    """Return how each job ended, by its number and its sub-node's."""
    events, _ = record_of(pegasus)
    return {
        (event["job"], event["sub_node"]): event["outcome"]
        for event in events
        if event["event"] == "ended"
    }


def assert_recorded(pegasus: Pegasus, jobs: list[Job], *, places: int) -> None:
    """Check that each job's end and bytes are in the record unchanged."""
    outcomes, (_, output) = outcomes_of(pegasus), record_of(pegasus)
    for number, job in enumerate(jobs, start=1):
        for place in range(places):
            why = f"job {number} on {place}, {job.data[:60]!r}, seed {SEED}"
            assert outcomes[number, place] == {"kind": "exited", "status": job.status}, why
            for stream in ("stdout", "stderr"):
                path = output / f"{number}-{place}.{stream}"
                assert (path.read_bytes() if path.exists() else b"") == job.data, why


def test_in_a_pipe(pegasus: Pegasus, jobs: list[Job]) -> None:
    """Each line of harmful output follows its sub-node's name; nothing is lost or forged."""
    done = pegasus.run("b", hosts=EVERYWHERE, queue=queue_of(jobs), limit=90)
    assert done.status == 1
    assert "Traceback" not in done.stderr
    assert_recorded(pegasus, jobs, places=2)
    for output, prefixes in ((done.out, PREFIXES[:2]), (done.err, PREFIXES)):
        lines = output.split(b"\n")
        assert lines.pop() == b""
        names = tuple(prefix.encode() for prefix in prefixes)
        assert [line[:80] for line in lines if not line.startswith(names)] == [], SEED
    said = [line for line in done.stderr.split("\n") if line.startswith("[Pegasus] ")]
    failed = 2 * sum(job.status != 0 for job in jobs)
    assert (
        f"{2 * len(jobs)} commands: {2 * len(jobs) - failed} succeeded, {failed} failed." in said[0]
    )


@pytest.mark.parametrize("options", [[], ["--no-live"]])
def test_on_a_terminal(pegasus: Pegasus, jobs: list[Job], options: list[str]) -> None:
    """A terminal gets only text, colours and line ends, each row after its sub-node's name.

    With the live screen it also gets the sequences that draw the area, and no other ones.
    """
    pegasus.hosts_file.write_text("- node-1\n")
    pegasus.queue_file.write_text(queue_of(jobs))
    terminal = Terminal.of(pegasus, ["b", *pegasus.files(), *options], COLUMNS)
    try:
        assert terminal.wait() == 1
    finally:
        terminal.close()
    assert_recorded(pegasus, jobs, places=1)
    sent = SGR.sub("", terminal.shown)
    if not options:
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", AREA.sub("", sent)), SEED
        assert not [row for row in terminal.all_rows if not f"{row} ".startswith(PREFIXES)], SEED
    else:
        rows = sent.split("\r\n")
        assert rows.pop() == ""
        assert not [row for row in rows if re.search(r"[\x00-\x1f\x7f-\x9f]", row)], SEED
        assert not [row for row in rows if not row.startswith(PREFIXES)], SEED
    untouched = pyte.Screen(COLUMNS, 24)
    assert (terminal.screen.title, terminal.screen.icon_name) == ("", "")
    assert terminal.screen.mode == untouched.mode
    assert terminal.screen.margins == untouched.margins


def test_every_exit_status(pegasus: Pegasus) -> None:
    """A command's exit status is reported unchanged, for every status."""
    statuses = ", ".join(map(str, range(256)))
    queue = f"- command: exit {{{{ status }}}}\n  status: [{statuses}]\n"
    assert pegasus.run("q", hosts=EVERYWHERE * 3, queue=queue, limit=90).status == 1
    told = {job - 1: outcome for (job, _), outcome in outcomes_of(pegasus).items()}
    expected: dict[int, dict[str, Any]] = {
        status: {"kind": "exited", "status": status} for status in range(256)
    }
    # The message of a shell about a command that SIGINT or SIGPIPE ended, without a name for it.
    expected |= {128 + number: {"kind": "killed", "signal": number} for number in (2, 13)}
    assert told == expected


LOOK_AROUND = r"""
SIGN=$(printf '\036')
session() { IFS= read -r LINE </proc/$1/stat && set -- ${LINE##*") "} && echo $4; }
MINE=$(session $$)
for FOLDER in /proc/[0-9]*; do
  [ "$(session ${FOLDER#/proc/} 2>/dev/null)" = "$MINE" ] || continue
  for FILE in cmdline environ; do
    tr '\000' '\n' <$FOLDER/$FILE 2>/dev/null | grep -q "$SIGN" && echo mark in $FOLDER/$FILE
  done
done
env | grep -q "$SIGN" && echo mark in the environment
for FD in 3 4 5 6 7 8 9; do (eval "echo >&$FD") 2>/dev/null && echo $FD is open; done
env | grep '^[a-z]=' | sort | tr '\n' ' '
"""


def test_the_mark_is_nowhere_to_be_found(
    pegasus: Pegasus, make_nodes: Callable[..., Nodes]
) -> None:
    """No argument, variable or open file of a command contains the mark.

    The variables of an account reach a command unchanged, whatever the names of Pegasus's own.
    """
    letters = {letter: f"the-user-s-{letter}" for letter in string.ascii_lowercase}
    words = " ".join(f"{name}={value}" for name, value in letters.items())
    nodes = make_nodes(1, options={"SetEnv": words})
    queue = f"- {json.dumps(LOOK_AROUND)}\n"
    done = pegasus.on(nodes).run("b", hosts=EVERYWHERE, queue=queue, environment=letters)
    assert done.status == 0
    assert sorted(done.stdout.splitlines()) == [f"[localhost] {words} ", f"[node-1] {words} "]


SABOTAGE: dict[str, dict[str, Any] | None] = {
    "exec >&- 2>&- <&-; exit 7": {"kind": "exited", "status": 7},
    "kill -STOP $PPID; kill -CONT $PPID; exit 8": {"kind": "exited", "status": 8},
    "kill -HUP $PPID; kill -QUIT $PPID; exit 9": {"kind": "exited", "status": 9},
    "kill -9 $PPID; exit 0": {"kind": "killed", "signal": 9},
    "exec 2>/dev/null; for n in 1 2 3 4 5; do echo ' 0' >/proc/$PPID/fd/$n; done; exit 10": None,
    "echo 'run 1 0' >/proc/$PPID/fd/0; exit 14": {"kind": "exited", "status": 14},
    "printf 'job run 1 0' >/proc/$PPID/fd/0; exit 15": {"kind": "exited", "status": 15},
    "unset PEGASUS_JOB PATH; exit 11": {"kind": "exited", "status": 11},
    "exec sh -c 'kill -9 0'": {"kind": "killed", "signal": 9},
    "ulimit -f 0; trap '' XFSZ; exit 12": {"kind": "exited", "status": 12},
    "set -m; sleep 0 & wait; cd /; umask 777; exit 13": {"kind": "exited", "status": 13},
    "echo fine": {"kind": "exited", "status": 0},
}
"""What a command does to its environment, and its outcome; None for any but success."""


def test_sabotage(pegasus: Pegasus) -> None:
    """A command that damages the shells above it does not count as successful by that.

    The next command runs normally.
    """
    queue = "".join(f"- {json.dumps(text)}\n" for text in SABOTAGE)
    done = pegasus.run("b", hosts=EVERYWHERE, queue=queue)
    assert done.status == 1
    assert "Traceback" not in done.stderr
    told = outcomes_of(pegasus)
    for number, (text, expected) in enumerate(SABOTAGE.items(), start=1):
        for place in (0, 1):
            if expected is None:
                assert told[number, place] != {"kind": "exited", "status": 0}, text
            else:
                assert told[number, place] == expected, text
    assert max(done.stdout.splitlines()) == "[node-1] fine"
