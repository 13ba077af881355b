"""Who listens to a run: order, counted output, progress."""

from __future__ import annotations

from dataclasses import dataclass, field

from pegasus.event_bus import PROGRESS_PERIOD, EventBus, Fanout, LiveState
from pegasus.events import Ended, Event, Printed, Progressed, Returned, Started, Taken
from pegasus.model import Exited, Stream
from tests.unit.states import began, given_to


@dataclass
class Ear:
    """A listener that notes what it hears, in a list that others may share."""

    heard: list[object] = field(default_factory=list)
    name: str = ""

    def tell(self, event: Event) -> None:
        self.heard.append((self.name, event) if self.name else event)

    async def show(self, printed: Printed) -> None:
        self.heard.append((self.name, printed) if self.name else printed)


async def test_the_first_listener_hears_it_first() -> None:
    """What is on the screen is in the record already: listeners receive events in their order."""
    heard: list[object] = []
    fanout = Fanout(Ear(heard, "record"), Ear(heard, "screen"))
    event, printed = Started(given_to(1)), Printed(given_to(1), Stream.STDOUT, b"x")
    fanout.tell(event)
    await fanout.show(printed)
    assert heard == [
        ("record", event),
        ("screen", event),
        ("record", printed),
        ("screen", printed),
    ]


async def test_output_is_counted() -> None:
    """The end of a command says how much it printed; what another printed does not count."""
    ear = Ear()
    bus = EventBus(ear)
    one, two = given_to(1), given_to(2, 1)
    for assignment in one, two:
        bus.tell(Started(assignment))
    await bus.show(Printed(one, Stream.STDOUT, b"abc"))
    await bus.show(Printed(two, Stream.STDOUT, b"x"))
    await bus.show(Printed(one, Stream.STDERR, b"de"))
    bus.tell(Ended(one, Exited(0), 1.0))
    bus.tell(Returned(two, "no shell"))
    ended = next(each for each in ear.heard if isinstance(each, Ended))
    assert ended.printed == {Stream.STDOUT: 3, Stream.STDERR: 2}
    bus.tell(Started(two))
    bus.tell(Ended(two, Exited(0), 1.0))
    assert isinstance(ear.heard[-1], Ended)
    assert not ear.heard[-1].printed


async def test_progress_is_reported_now_and_then() -> None:
    """A command that prints for long is reported each period, and never one that is silent."""
    now = 0.0
    ear = Ear()
    bus = EventBus(ear, clock=lambda: now)
    job = given_to(1)
    bus.tell(Started(job))
    for _ in range(100):
        now += PROGRESS_PERIOD / 10
        await bus.show(Printed(job, Stream.STDOUT, b"line\n"))
    reports = [each.printed for each in ear.heard if isinstance(each, Progressed)]
    assert len(reports) in {9, 10}  # a period may lack the last bit of a float
    assert reports == sorted(reports, key=lambda sizes: sizes[Stream.STDOUT])
    now += 10 * PROGRESS_PERIOD
    bus.tell(Ended(job, Exited(0), now))
    assert isinstance(ear.heard[-1], Ended)


def test_the_live_state() -> None:
    """The state of a run that goes on follows its events, with the time of each."""
    live = LiveState(clock=lambda: 7.0)
    job = given_to(1)
    for event in (began(), Taken(1, job.job), Started(job)):
        live.tell(event)
    assert live.state.counts() == {"running": 1}
    assert live.state.jobs[1].final[0].started_at == 7.0


async def test_one_listener_can_be_left_out() -> None:
    """A listener that has an event already does not receive it again."""
    heard: list[object] = []
    record, screen = Ear(heard, "record"), Ear(heard, "screen")
    event = Taken(1, given_to(1).job)
    EventBus(record, screen).without(record).tell(event)
    assert heard == [("screen", event)]


async def test_output_that_arrives_late() -> None:
    """A command that ended while a listener stalled reports no progress after its end."""
    now, ear = 0.0, Ear()
    job = given_to(1)

    class Stalled(Ear):
        async def show(self, printed: Printed) -> None:
            bus.tell(Ended(job, Exited(0), 1.0))

    bus = EventBus(Stalled(), ear, clock=lambda: now)
    bus.tell(Started(job))
    now += 2 * PROGRESS_PERIOD
    await bus.show(Printed(job, Stream.STDOUT, b"late"))
    assert not any(isinstance(each, Progressed) for each in ear.heard)


async def test_a_command_that_another_pegasus_started() -> None:
    """What is counted of a command that was taken over goes on from what the record has."""
    ear = Ear()
    bus = EventBus(ear)
    job = given_to(1)
    bus.resume(job, {Stream.STDOUT: 5})
    await bus.show(Printed(job, Stream.STDOUT, b"abc"))
    bus.tell(Ended(job, Exited(0), 1.0))
    ended = ear.heard[-1]
    assert isinstance(ended, Ended)
    assert ended.printed == {Stream.STDOUT: 8}
