"""Files that are larger, deeper or longer than anyone's: an error with its place, or no matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import yaml

from pegasus.errors import FileFault, PegasusError
from pegasus.events import Event, Printed
from pegasus.findings import find, trial
from pegasus.hosts_file import find_hosts
from pegasus.model import Command, Entry, Job
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.queue_file.job_source import JobSource
from pegasus.record.recording import open_record
from pegasus.yaml_text import SourceText, events
from tests.unit.taking import unfilled

pytestmark = pytest.mark.timeout(120)

LISTS = "".join(f"  p{n}: [a, b]\n" for n in range(1_000))


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with both of PyYAML's parsers."""
    if request.param == "python":
        monkeypatch.setattr(events, "LOADER", yaml.BaseLoader)
    return str(request.param)


def take(path: Path, n: int = 1) -> list[Job]:
    """Take jobs, not filled in."""
    taken = LockedQueue(str(path), path).take(FirstJobs([unfilled] * n))
    if taken.fault is not None:
        raise taken.fault
    return [each.job for each in taken.jobs]


def test_an_entry_of_too_many_jobs(tmp_path: Path) -> None:
    """A thousand lists of two values stand for more jobs than anyone runs, and are refused."""
    queue = tmp_path / "queue.yaml"
    queue.write_text(f"- echo first\n- command: echo\n{LISTS}")
    assert take(queue) == [Job("echo first")]
    with pytest.raises(FileFault, match=r"queue.yaml:1:1: this entry stands for more than 1,000,0"):
        take(queue)
    entry = Entry(("echo",), tuple((f"p{n}", ("a", "b")) for n in range(1_000)))
    with pytest.raises(PegasusError, match="This entry stands for more than"):
        LockedQueue(str(queue), queue).add([entry], top=True)


def test_a_large_entry_leaves_little_behind(tmp_path: Path) -> None:
    """What is left of the largest entries is at most thirty, however many names they have."""
    queue = tmp_path / "queue.yaml"
    lists = "".join(f"  p{n}: [a, b]\n" for n in range(29))
    queue.write_text(f"- command: echo\n{lists}" + "".join(f"  q{n}: a\n" for n in range(100)))
    assert len(take(queue, 3)) == 3
    assert queue.read_text().count("- command:") <= 30


def test_a_number_of_sub_nodes_that_nobody_can_write(tmp_path: Path) -> None:
    """Thousands of lists in a hosts file are a fault, and no traceback."""
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text("- hostname: a\n" + "".join(f"  p{n}: [a, b]\n" for n in range(15_000)))
    _, (fault,) = find_hosts(hosts)
    assert "hosts.yaml:1:1: up to here the file stands for over 1,000,000,000,000" in str(fault)


def test_a_hostname_that_is_a_book(tmp_path: Path) -> None:
    """A hostname has a limit; else its tags alone would take hours."""
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text('- "' + "{{ hostname }}" * 1_000 + '"\n')
    _, (fault,) = find_hosts(hosts)
    assert fault.what == "this hostname has 14,000 characters"


@pytest.mark.parametrize("deep", ["[" * 1_500, "- " * 1_500, "{a: " * 1_500 + "}" * 1_500])
def test_deep_nesting_is_a_fault(loader: str, deep: str) -> None:
    """Lists in lists in lists are a fault with its place, in either parser."""
    first, fault = QueueReader("q.yaml", f"- echo first\n- {deep}\n".encode())
    assert isinstance(first, Written)
    assert isinstance(fault, FileFault)
    assert fault.position.line == 2
    assert "exceeded maximum nesting depth" in fault.what


@pytest.mark.parametrize(
    "text",
    [
        "# \u2028# a rare line break\n" + f"- echo # {'x' * 200}\n" * 60_000,
        "- b\n" * 20_000 + "- \x01\n" * 60_000,
    ],
)
def test_a_long_file_takes_time_in_proportion(text: str) -> None:
    """What a file has much of is not looked at again for each of its entries."""
    assert sum(1 for _ in QueueReader("q.yaml", text.encode())) >= 60_000


def test_a_piece_of_the_file_at_a_time() -> None:
    """The parser gets small pieces, so that whoever reads can be asked in between to end."""
    asked: list[int] = []
    source = SourceText("q.yaml", b"- echo hi\n" * 100_000, lambda: asked.append(1))
    while piece := source.read():
        assert len(piece) <= 64 * 1024
    assert len(asked) > 10


class _Enough(Exception):
    """Ends a take."""


@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_a_take_can_be_ended_while_it_reads(tmp_path: Path, after: int) -> None:
    """A take of a large entry that is ended in the middle has taken nothing."""
    queue = tmp_path / "queue.yaml"
    queue.write_text(f"- command: echo {{{{ x }}}}\n  x: {list(range(30_000))}\n")
    before = queue.read_bytes()
    left = iter(range(after))

    def pulse() -> None:
        if next(left, None) is None:
            raise _Enough

    with pytest.raises(_Enough):
        LockedQueue("q.yaml", queue).take(FirstJobs([unfilled]), pulse=pulse)
    assert queue.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [queue]


class _Quiet:
    """A listener that needs no word."""

    def tell(self, event: Event) -> None:
        """Hear an event."""

    async def show(self, printed: Printed) -> None:
        """See a line."""


async def test_ctrl_c_while_a_take_reads(tmp_path: Path) -> None:
    """A run's take is ended by a cancellation that comes while it goes on, and takes nothing."""
    queue = tmp_path / "queue.yaml"
    queue.write_text("- echo 1\n- echo 2\n")
    async with open_record(
        queue, "test", mode="queue", hosts_file="", sub_nodes=[], on_trouble=pytest.fail
    ) as record:
        source = JobSource(QueueFile(queue), record, _Quiet(), may_be_missing=False)
        with trio.CancelScope() as scope:

            def fill(job: Job) -> tuple[Command, ...]:
                trio.from_thread.run_sync(scope.cancel)
                trio.from_thread.check_cancelled()
                return unfilled(job)

            await source.take(FirstJobs([fill, fill]))
        assert scope.cancelled_caught
        assert queue.read_text() == "- echo 1\n- echo 2\n"
        assert [
            each.job.command for each in (await source.take(FirstJobs([unfilled] * 2))).jobs
        ] == [
            "echo 1",
            "echo 2",
        ]


def test_check_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check whose time is over says how much it has tried, and still finds what it reads."""
    monkeypatch.setattr(trial, "MOST_RENDER_SECONDS", -1.0)
    (tmp_path / "hosts.yaml").write_text("- a\n- b\n")
    (tmp_path / "queue.yaml").write_text("- echo {{ hostname }}\n- echo {{\n")
    found = find(tmp_path / "hosts.yaml", tmp_path / "queue.yaml")
    assert (found.tried, found.fillings) == (0, 2)
    assert [fault.position.line for fault in found.queue_faults] == [2]


def test_values_of_a_long_list(tmp_path: Path) -> None:
    """A list of many values is read, and gives up one job at a time."""
    queue = tmp_path / "queue.yaml"
    queue.write_text(f"- command: echo {{{{ x }}}}\n  x: {list(range(30_000))}\n")
    assert [job.params for job in take(queue, 2)] == [(("x", "0"),), (("x", "1"),)]
    (left,) = QueueReader("q.yaml", queue.read_bytes())
    assert isinstance(left, Written)
    assert len(left.entry.params[0][1]) == 29_998
