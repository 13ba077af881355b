"""``--notify``: what a notifier gets, and that nothing it does holds anything up."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from pegasus.errors import CannotStart, PegasusError
from pegasus.event_bus import EventBus, LiveState
from pegasus.events import Ended, Missing, RunEnded, Stalled, Started, Taken
from pegasus.model import Cancelled, Exited, Killed, Lost, NotStarted, Outcome, TimedOut
from pegasus.notifier import Notifier, delivery, open_notifier
from pegasus.notifier.delivery import NOTIFY_LIMIT, QUEUE_LIMIT, WAITING_LIMIT
from pegasus.record.recording import Record
from tests.unit.states import began, given_to
from tests.written import check_written

FAILED = Exited(1)


@dataclass
class FakeNotifiers:
    """Stands for the processes: each takes so long, ends so, and prints so much."""

    takes: float = 0.0
    status: int = 0
    error: bytes = b""
    fails: Exception | None = None
    got: list[dict[str, Any]] = field(default_factory=list)
    environs: list[dict[str, str]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    running: int = 0

    async def run_fed(
        self,
        argv: Sequence[str],
        data: bytes,
        take_error: Callable[[bytes], None],
        environ: Mapping[str, str],
    ) -> int:
        assert self.running == 0, "one notifier at a time"
        assert data.count(b"\n") == 1
        event = json.loads(data)
        check_written(event, "notifier/event")
        self.got.append(event)
        self.environs.append(dict(environ))
        self.at.append(trio.current_time())
        if self.fails is not None:
            raise self.fails
        self.running += 1
        try:
            await trio.sleep(self.takes)
        finally:
            self.running -= 1
        take_error(self.error)
        return self.status

    @property
    def events(self) -> list[tuple[str, int | None]]:
        """The kind and the job of each event that was delivered."""
        return [(each["event"], each.get("job")) for each in self.got]


@dataclass
class NotifiedRun:
    """A run with a notifier."""

    notifier: Notifier
    bus: EventBus
    said: list[str]
    is_aborted: bool = False

    def fail(self, number: int, outcome: Outcome = FAILED, *, again: bool = False) -> None:
        """Let a job begin and end."""
        job = given_to(number)
        self.bus.tell(Taken(number, job.job))
        self.bus.tell(Started(job))
        self.bus.tell(Ended(job, outcome, 2.5, again=again))


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> FakeNotifiers:
    """Replace the processes of notifiers."""
    found = FakeNotifiers()
    monkeypatch.setattr(delivery, "run_fed", found.run_fed)
    return found


@asynccontextmanager
async def notified(
    command: str | None = "notify", last: trio.CancelScope | None = None
) -> AsyncIterator[NotifiedRun]:
    """Run with a notifier; at the end of the block the run is over."""
    said: list[str] = []
    runs: list[NotifiedRun] = []
    opened = open_notifier(
        command, said.append, lambda: runs[0].is_aborted, lambda: last or nullcontext()
    )
    async with opened as notifier:
        live = LiveState()
        live.tell(began())
        bus = EventBus(live)
        runs.append(NotifiedRun(notifier, bus, said))
        notifier.begin(bus, Record(began(), None), live.state)
        yield runs[0]


async def test_failures_and_the_end(fakes: FakeNotifiers, autojump_clock: MockClock) -> None:
    """Each job that failed for good is an event, in order, and so is the end with its counts."""
    async with notified() as run:
        run.fail(1, Exited(3))
        run.fail(2, Exited(0))
        run.fail(3, Exited(4), again=True)
        run.fail(4, Cancelled())
        run.fail(5, Killed(9))
        run.fail(6, TimedOut(60.0))
        run.fail(7, Lost("gone"))
        run.fail(8, NotStarted("no such directory"))
        run.notifier.end(RunEnded(1, "done"))
    assert fakes.events == [
        ("job_failed", 1),
        ("job_failed", 5),
        ("job_failed", 6),
        ("job_failed", 7),
        ("job_failed", 8),
        ("run_ended", None),
    ]
    first, end = fakes.got[0], fakes.got[-1]
    assert first["text"] == "Job 1 on node-0: exit status: 3, after 2.5 s"
    assert first["outcome"] == {"kind": "exited", "status": 3}
    assert (first["run"], first["queue_file"]) == ("0001-run", "/q/queue.yaml")
    assert (end["result"], end["exit_status"], end["failure_count"]) == ("done", 1, 6)
    assert end["counts"]["succeeded"] == 1
    assert [each["job"] for each in end["failures"]] == [1, 4, 5, 6, 7, 8]
    assert not run.said


async def test_a_stall(fakes: FakeNotifiers, autojump_clock: MockClock) -> None:
    """A command whose silence is reported is an event, too."""
    async with notified() as run:
        run.bus.tell(Stalled(given_to(1), 1800.0))
        run.notifier.end(RunEnded(0, "done"))
    assert fakes.got[0]["text"] == "Job 1 on node-0 has printed nothing for 30 min 0 s"
    assert fakes.got[0]["seconds"] == 1800


async def test_variables_for_simple_scripts(
    fakes: FakeNotifiers, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment says the same; what it had of another run is gone."""
    monkeypatch.setenv("PEGASUS_JOB", "77")
    monkeypatch.setenv("PEGASUS_RESULT", "other")
    async with notified() as run:
        run.fail(2, Lost("a\x00b\nc\x1b[31m\udc80"))
        run.notifier.end(RunEnded(1, "drained"))
    failed, ended = fakes.environs
    assert (failed["PEGASUS_EVENT"], failed["PEGASUS_JOB"]) == ("job_failed", "2")
    assert (failed["PEGASUS_HOSTNAME"], failed["PEGASUS_SUB_NODE"]) == ("node-0", "0")
    assert "PEGASUS_RESULT" not in failed
    assert failed["PEGASUS_TEXT"].startswith("Job 2 on node-0: lost: a")
    for text in failed.values():
        assert "\0" not in text
        text.encode()
    assert (ended["PEGASUS_RESULT"], ended["PEGASUS_EXIT_STATUS"]) == ("drained", "1")
    assert "PEGASUS_JOB" not in ended
    assert ended["PATH"]


async def test_after_an_abort_only_the_end(fakes: FakeNotifiers, autojump_clock: MockClock) -> None:
    """Jobs that a user's abort kept from starting are no failures that need a note."""
    async with notified() as run:
        run.is_aborted = True
        run.fail(1, NotStarted("aborted before it began"))
        run.notifier.end(RunEnded(130, "aborted"))
    assert fakes.events == [("run_ended", None)]


async def test_a_broadcast_without_a_sub_node(
    fakes: FakeNotifiers, autojump_clock: MockClock
) -> None:
    """The sentence about the end of a broadcast names the sub-nodes that it lacks."""
    async with notified() as run:
        run.bus.tell(Missing(given_to(1).sub_node, "No route to host"))
        run.notifier.end(RunEnded(1, "done"))
    assert fakes.got[-1]["text"].endswith(f": nothing was run, missing: {given_to(1).sub_node}.")


async def test_the_error_that_ended_the_run(
    fakes: FakeNotifiers, autojump_clock: MockClock
) -> None:
    """The end has the message of the error, and a bug of Pegasus is an end as well."""
    async with notified() as run:
        run.notifier.end(RunEnded(2, "failed"), PegasusError("No node can be reached."))
    assert fakes.got[-1]["error"] == "No node can be reached."
    assert fakes.got[-1]["text"].endswith(": No node can be reached.")
    with pytest.raises(ZeroDivisionError):
        async with notified():
            _ = 1 / 0
    assert (fakes.got[-1]["result"], fakes.got[-1]["exit_status"]) == ("failed", None)


async def test_nothing_waits_for_a_notifier(
    fakes: FakeNotifiers, autojump_clock: MockClock
) -> None:
    """A notifier that hangs delays no event; it is ended after its limit, and the next one runs."""
    fakes.takes = math.inf
    async with notified() as run:
        for number in range(1, 4):
            run.fail(number)
        assert trio.current_time() == 0
        await trio.sleep(2.5 * NOTIFY_LIMIT)
        assert fakes.at == [0, NOTIFY_LIMIT, 2 * NOTIFY_LIMIT]
        fakes.takes = 0
        run.notifier.end(RunEnded(1, "done"))
    assert fakes.events[-1] == ("run_ended", None)
    (words, *_) = run.said
    assert f"it ran longer than {NOTIFY_LIMIT:g} s and was ended" in words


async def test_the_end_waits_half_a_minute_at_most(
    fakes: FakeNotifiers, autojump_clock: MockClock
) -> None:
    """Whatever waits and hangs, the end of the run is delivered, and Pegasus ends in time."""
    fakes.takes = math.inf
    async with notified() as run:
        for number in range(1, 11):
            run.fail(number)
        await trio.sleep(1)
        run.notifier.end(RunEnded(1, "done"))
        ended_at = trio.current_time()
    assert trio.current_time() - ended_at == WAITING_LIMIT + NOTIFY_LIMIT
    assert fakes.events == [("job_failed", 1), ("run_ended", None)]
    assert fakes.got[-1]["left_out"] == 9
    assert any("Waiting for the command of --notify, 30 s at most." in each for each in run.said)
    (failed,) = [each for each in run.said if "failed" in each]
    assert "and was ended; 9 events that waited for it were left out. Try it" in failed


async def test_a_signal_ends_the_wait(fakes: FakeNotifiers, autojump_clock: MockClock) -> None:
    """A further Ctrl-C ends the notifier and the wait for it at once."""
    fakes.takes = math.inf
    last = trio.CancelScope()
    async with trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await trio.sleep(3)
            last.cancel()

        nursery.start_soon(interrupt)
        async with notified(last=last) as run:
            run.fail(1)
            run.notifier.end(RunEnded(1, "done"))
    assert trio.current_time() == 3
    assert fakes.running == 0


async def test_too_many_events(fakes: FakeNotifiers, autojump_clock: MockClock) -> None:
    """A bounded number waits; the next one says how many were left out, and memory is bounded."""
    fakes.takes = 0.01
    async with notified() as run:
        await trio.sleep(1)
        for number in range(1, 301):
            run.fail(number)
        await trio.sleep(5)
        run.fail(301)
        run.notifier.end(RunEnded(1, "done"))
    assert len(fakes.got) == QUEUE_LIMIT + 2
    assert sum(each["left_out"] for each in fakes.got) == 300 - QUEUE_LIMIT
    end = fakes.got[-1]
    assert (end["failure_count"], len(end["failures"])) == (301, 20)
    assert end["failures"][-1]["job"] == 301


FAILURES = [
    ({"status": 3, "error": b"one\nlast words.\n\n"}, "exit status 3: last words. Try"),
    ({"status": 127, "error": b"\x1b[31msh: x: not found"}, "exit status 127: "),
    ({"status": -15}, "killed by signal 15."),
    ({"status": 1, "error": b"\xff" * 100_000}, "exit status 1: "),
    ({"fails": CannotStart("sh", OSError(24, "Too many open files"))}, "sh cannot be started"),
]


@pytest.mark.parametrize(("how", "words"), FAILURES)
async def test_a_failing_notifier_is_reported_once(
    fakes: FakeNotifiers, autojump_clock: MockClock, how: dict[str, Any], words: str
) -> None:
    """One message, of one line, has its exit status and its last words; the run goes on."""
    for name, value in how.items():
        setattr(fakes, name, value)
    async with notified() as run:
        for number in range(1, 6):
            run.fail(number)
        await trio.sleep(1)
        run.notifier.end(RunEnded(1, "done"))
    (said,) = run.said
    assert said.startswith("The command of --notify failed: ")
    assert words in said
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) < 400
    assert len(fakes.got) == 6


async def test_without_a_notifier(fakes: FakeNotifiers) -> None:
    """Without ``--notify`` nothing is run, and no event costs anything."""
    async with notified(None) as run:
        run.fail(1)
        run.notifier.end(RunEnded(1, "done"))
    assert not fakes.got
    assert not run.said
