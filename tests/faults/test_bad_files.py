"""Files of any bytes, given to the commands: an error message at most, and no job lost.

The tests of the parts cover such files for each part; this covers all parts
together. The commands are not executed: a program that only records them replaces `sh`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus.commands.check import CheckSettings, check
from pegasus.commands.run import run
from pegasus.commands.run_settings import RunSettings
from pegasus.demand import fits_on
from pegasus.destination import spell
from pegasus.errors import ExitStatus, FileFault, PegasusError
from pegasus.hosts_file import find_hosts
from pegasus.model import Job, SubNode
from pegasus.queue_file import QueueFile
from pegasus.queue_file.job_source import fill
from tests.unit.queue_texts import queue_texts
from tests.unit.test_queue_file_fuzz import PATCHWORK, damaged, good_jobs

EXAMPLES = int(os.environ.get("PEGASUS_FUZZ", "25"))
LIMIT = 60.0  # seconds; a run of four jobs takes 0.1
HERE = SubNode(0, "localhost")

SHELL = """\
#!/bin/sh
if [ "$1 $2" = "-c --" ]; then printf '%s\\0' "$3" >>"$COMMANDS"; exit 0; fi
exec /bin/sh "$@"
"""

HOST_PIECES = [
    "- ",
    "\n",
    "\n- ",
    "- hostname: ",
    "\n  i: [1, 2]",
    "localhost",
    "node-{{ i }}",
    "{{ ",
    "}}",
    "ssh://",
    "me@",
    "%2d",
    "%00",
    "%0a",
    "[::1]",
    ":22",
    ":99999",
    "/",
    "-o",
    "$(x)",
    "`",
    "'",
    '"',
    "\\",
    "\t",
    "\u202e",
    "\x85",
    "é",
    "🐎",
    "\udcff",
    "\x00",
    "[",
    "]",
    "#",
    "*",
    "&a ",
    "! ",
]
HOSTS = st.lists(st.sampled_from(HOST_PIECES), max_size=10).map(
    lambda pieces: ("- " + "".join(pieces)).encode("utf-8", "surrogateescape")
)
QUEUES = st.one_of(
    queue_texts().map(lambda text: text.data), damaged(), PATCHWORK, st.binary(max_size=60)
)


@dataclass(frozen=True)
class Files:
    """The files of one example, in a folder of their own."""

    folder: Path

    @property
    def hosts(self) -> Path:
        return self.folder / "hosts.yaml"

    @property
    def queue(self) -> Path:
        return self.folder / "queue.yaml"

    def jobs(self, name: str) -> list[Job]:
        """Return the jobs before the first error of a file that may be missing."""
        path = self.folder / name
        return good_jobs(path) if path.exists() else []


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    """A file of the commands that would have run."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        shell = Path(folder, "sh")
        shell.write_text(SHELL)
        shell.chmod(0o755)
        noted = Path(folder, "commands")
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        patch.setenv("COMMANDS", str(noted))
        yield noted


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    """Yield the files, which each example writes anew."""
    with tempfile.TemporaryDirectory() as folder:
        yield Files(Path(folder))


def begin(files: Files, hosts: bytes, queue: bytes) -> None:
    """Start with these files and no others."""
    for path in files.folder.iterdir():
        if path.is_file():
            path.unlink()
    files.hosts.write_bytes(hosts)
    files.queue.write_bytes(queue)


async def run_queue(files: Files) -> ExitStatus:
    """Do the work of ``pegasus queue``."""
    with trio.fail_after(LIMIT):
        return await run(RunSettings(hosts_file=files.hosts, queue_file=files.queue))


def can_be_rendered(job: Job) -> bool:
    """Return whether a job can be rendered for localhost."""
    try:
        return bool(fill(job, HERE).strip())
    except PegasusError:
        return False


def taken_from(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that are taken.

    A job whose demands localhost cannot meet, or that cannot be rendered, stays with the rest of
    its entry; the entries behind it run.
    """
    taken, refused = [], set()
    for job in jobs:
        if job.position not in refused and fits_on(job.demand, HERE) and can_be_rendered(job):
            taken.append(job)
        else:
            refused.add(job.position)
    return taken


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=QUEUES)
def test_a_queue_of_any_bytes_is_run_up_to_its_first_fault(
    files: Files, commands: Path, data: bytes
) -> None:
    """What is taken runs, once and in order; the rest stays; an error is only a message."""
    begin(files, b"- localhost\n", data)
    commands.write_bytes(b"")
    before = files.jobs("queue.yaml")
    faulty = any(isinstance(entry, FileFault) for entry in QueueFile(files.queue).entries())
    expected = taken_from(before)
    status = trio.run(run_queue, files)
    taken = files.jobs("consumed.yaml")
    assert taken == expected
    left = before.copy()
    for job in taken:
        left.remove(job)
    assert files.jobs("queue.yaml") == left
    ended = len(taken) == len(before) and not faulty
    assert status == (ExitStatus.SUCCESS if ended else ExitStatus.USAGE)
    assert commands.read_bytes() == b"".join(fill(job, HERE).encode() + b"\0" for job in taken)
    for journal in files.folder.glob(".pegasus/*/journal.jsonl"):
        assert [json.loads(line) for line in journal.read_bytes().splitlines()]


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(hosts=st.one_of(HOSTS, st.binary(max_size=40)), queue=QUEUES)
def test_whatever_the_files_are_they_can_be_checked(
    files: Files, hosts: bytes, queue: bytes
) -> None:
    """`pegasus check` lists or refuses, and ssh can be given what it accepts."""
    begin(files, hosts, queue)
    status = trio.run(check, CheckSettings(hosts_file=files.hosts, queue_file=files.queue))
    assert status in {ExitStatus.SUCCESS, ExitStatus.USAGE}
    assert files.queue.read_bytes() == queue
    for sub_node in find_hosts(files.hosts)[0]:
        words = spell(sub_node.hostname)
        assert all(word.isprintable() for word in words)
        assert not words[-1].startswith("-")


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(hosts=st.one_of(HOSTS, st.binary(max_size=40)))
def test_a_run_with_bad_hosts_takes_nothing(files: Files, hosts: bytes) -> None:
    """A hosts file of any bytes is either valid or an error before a run begins."""
    begin(files, hosts, b"- echo x\n")
    if find_hosts(files.hosts)[1]:
        with pytest.raises(PegasusError):
            trio.run(run_queue, files)
        assert files.queue.read_bytes() == b"- echo x\n"


def test_what_comes_out_of_a_grid_is_what_is_run(files: Files, commands: Path) -> None:
    """The replacement of `sh` works as these tests assume."""
    begin(files, b"- localhost\n", b"- command: 'a {{ x }}'\n  x: ['1 ', \"\\u202e\\n\"]\n- b\n")
    commands.write_bytes(b"")
    assert trio.run(run_queue, files) == ExitStatus.SUCCESS
    assert commands.read_text() == "a 1 \0a \u202e\n\0b\0"
    assert files.jobs("queue.yaml") == []
