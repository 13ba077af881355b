"""What the tests of dispatch share: a run on fakes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from pegasus.dispatch import BroadcastDispatcher, Dispatcher, QueueDispatcher, Run
from pegasus.errors import TemplateFault
from pegasus.events import Ended, Noted, RunPaused, RunResumed, Started, Taken
from pegasus.model import Assignment, Command, Job, Outcome, SlotsHeld, SubNode
from pegasus.share import Share
from tests.fake_queue import FakeQueue, Listening
from tests.fakes import FakeNodes

T = TypeVar("T")


async def run_queue(bench: Bench) -> None:
    """Run each job once."""
    bench.dispatcher = QueueDispatcher(bench.run)
    await bench.dispatcher.run_all()


async def run_broadcast(bench: Bench) -> None:
    """Run each job on every sub-node."""
    bench.dispatcher = BroadcastDispatcher(bench.run)
    await bench.dispatcher.run_all()


def only_on(*names: str) -> Callable[[Job, SubNode], Command]:
    """Fill in ``{{ x }}`` on some sub-nodes only."""

    def fill(job: Job, sub_node: SubNode) -> Command:
        if "{{ x }}" in job.command and sub_node.hostname not in names:
            raise TemplateFault(1, 1, "unknown name x")
        return Command(job.command.replace("{{ x }}", "7"))

    return fill


class Bench:
    """A run on fakes: three nodes by default."""

    def __init__(
        self,
        *commands: str,
        nodes: int = 3,
        daemon: bool = False,
        error_aborts: bool = False,
        max_failures: Share | None = None,
        retries: int = 0,
        retries_after: Callable[[Assignment, Outcome], bool] = lambda *_: True,
        timeout: float = math.inf,
        fill: Callable[[Job, SubNode], Command] | None = None,
    ) -> None:
        self.nodes = FakeNodes()
        self.listening = Listening()
        self.queue = FakeQueue(commands, self.listening)
        self.dispatcher: Dispatcher | None = None
        self._given_fill = fill
        self.run = Run(
            name="test",
            sub_nodes=[SubNode(number, f"n{number}") for number in range(nodes)],
            open_session=self.nodes.open_session,
            queue=self.queue,
            fill=self.fill,
            listener=self.listening,
            daemon=daemon,
            max_failures=Share(1) if error_aborts else max_failures,
            known_jobs=lambda: len(self.listening.taken) + len(self.queue.jobs),
            retries=retries,
            retries_after=retries_after,
            timeout=timeout,
        )

    def fill(self, job: Job, sub_node: SubNode, slots: SlotsHeld = (), /) -> Command:
        if self._given_fill is not None:
            return self._given_fill(job, sub_node)
        if "{{" in job.command:
            raise TemplateFault(1, 1, "unknown name")
        return Command(job.command)

    def follow(self) -> trio.MemorySendChannel[Sequence[SubNode]]:
        """Let the sub-nodes change; give the channel by which they do."""
        send, receive = trio.open_memory_channel[Sequence[SubNode]](1)
        object.__setattr__(self.run, "sub_node_updates", receive)
        return send

    def events(self, kind: type[T]) -> list[T]:
        """Give all events of a kind, in order."""
        return [event for _, event in self.listening.told if isinstance(event, kind)]

    @property
    def finals(self) -> list[tuple[int, str, str]]:
        """Job, sub-node and outcome of all final ends, in order."""
        return [
            (each.assignment.number, str(each.assignment.sub_node), str(each.outcome))
            for each in self.events(Ended)
            if not each.again
        ]

    @property
    def most_at_once(self) -> int:
        """The most commands that this run had at a time on one sub-node."""
        running: Counter[SubNode] = Counter()
        most = 0
        for _, event in self.listening.told:
            if isinstance(event, Started):
                running[event.assignment.sub_node] += 1
                most = max(most, *running.values())
            elif isinstance(event, Ended):
                running[event.assignment.sub_node] -= 1
        return most

    @property
    def commands_run(self) -> Counter[str]:
        return Counter(command for node in self.nodes.by_name.values() for command in node.ran)

    @property
    def notes(self) -> list[str]:
        return [event.text for _, event in self.listening.told if isinstance(event, Noted)]


def check_pauses(bench: Bench) -> None:
    """Check that nothing was taken and nothing started during a pause."""
    is_paused = False
    for _, event in bench.listening.told:
        match event:
            case RunPaused() | RunResumed():
                assert is_paused != isinstance(event, RunPaused), "each pause is told once"
                is_paused = isinstance(event, RunPaused)
            case Taken() | Started():
                assert not is_paused
