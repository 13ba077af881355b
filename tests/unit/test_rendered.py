"""What every command promises that a sub-node is given, on whatever way it comes there."""

from __future__ import annotations

import math
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from pegasus.dispatch import BroadcastDispatcher, QueueDispatcher, Run
from pegasus.errors import FileFault, TemplateFault, sole_error
from pegasus.model import Demand, Exited, HeldSlots, Job, Pool, Slot, SubNode
from pegasus.queue_file.job_source import fill
from pegasus.rendered import LONGEST_COMMAND, Values, render
from tests.fake_queue import FakeQueue, Listening
from tests.fakes import FakeNodes


def node(number: int, **params: str) -> SubNode:
    """Give a sub-node with parameters."""
    return SubNode(number, f"n{number}", tuple(params.items()))


def test_whose_value_counts() -> None:
    """The sub-node's value counts before the hostname, and that before the job's."""
    job = Job("{{ a }} {{ b }} {{ hostname }}", (("a", "job"), ("b", "job"), ("hostname", "job")))
    assert render(job, node(1)) == "job job n1"
    assert render(job, node(1, b="own")) == "job own n1"


GPUS = (
    HeldSlots("gpu", (Slot("2", "GPU-2"), Slot("5", "GPU-5")), "nvidia"),
    HeldSlots("cpu", ()),
)


def test_slots_are_values() -> None:
    """A command sees the slots that it holds and their number, before any parameter."""
    template = "{{ gpu }};{{ gpu.count }};{{ cpu }};{{ cpu.count }};{{ x }}"
    template += (
        '{{#if (eq gpu.count "2")}} two{{else}} not two{{/if}}{{#unless cpu}} none{{/unless}}'
    )
    job = Job(template, (("gpu", "job"), ("x", "y"), ("gpu.count", "job")))
    assert render(job, node(1), GPUS) == "2,5;2;;0;y two none"
    assert render(Job("--gpus '\"device={{ gpu }}\"'"), node(1), GPUS) == "--gpus '\"device=2,5\"'"


@pytest.mark.parametrize(
    ("template", "pools", "hint"),
    [
        ("{{ gpu }}", (), 'n1 has no slots called "gpu": it has no slots at all'),
        ("{{ gpu.count }}", ("cpu",), 'n1 has no slots called "gpu": its slots are called cpu'),
        ("{{ tpu.count }}", (), 'n1 has no slots called "tpu": it has no slots at all'),
    ],
)
def test_a_name_of_slots_that_are_elsewhere(
    template: str, pools: tuple[str, ...], hint: str
) -> None:
    """The message says that the name is one of slots, and which slots the sub-node has."""
    sub_node = SubNode(1, "n1", (), "ssh", tuple(map(Pool, pools)))
    job = Job(template, (), None, Demand((("gpu", 0),)))
    with pytest.raises(TemplateFault, match="there is no parameter") as caught:
        render(job, sub_node)
    assert f". The sub-node {hint}. " in str(caught.value)
    with pytest.raises(TemplateFault) as caught:
        render(Job("{{ other }}"), sub_node)
    assert "slots" not in str(caught.value)


def test_values_tell_what_was_asked_for() -> None:
    """Whether a command differs between sub-nodes can be told by the names that it asked for."""
    values = Values(Job("x", (("a", "1"), ("b", "2"))), node(1))
    assert "a" in values
    assert "c" not in values
    assert values.asked == {"a", "c"}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("", "this command, filled in, is empty"),
        (" \n\t", "this command, filled in, is empty"),
        ("a\0b", "this command, filled in, has a NUL in it"),
        ("ü" * (LONGEST_COMMAND // 2 + 1), "this command, filled in, is 131,072 bytes long"),
        ("x" * (LONGEST_COMMAND + 1), "with this tag the command, filled in, is longer"),
    ],
)
def test_what_no_node_can_be_given_is_not_made(value: str, what: str) -> None:
    """A command that is empty, too long in bytes, or has a NUL in it is never made."""
    with pytest.raises(TemplateFault) as caught:
        render(Job("{{ x }}"), node(1, x=value))
    assert caught.value.what.startswith(what)


def test_the_longest_command_is_made() -> None:
    """131,071 bytes are not too long."""
    assert len(render(Job("{{ x }}"), node(1, x="x" * LONGEST_COMMAND))) == LONGEST_COMMAND


class Bench:
    """A run on fakes whose commands are rendered as in a real run."""

    def __init__(self, *sub_nodes: SubNode, retries: int = 0, timeout: float = math.inf) -> None:
        self.nodes = FakeNodes()
        self.listening = Listening()
        self.queue = FakeQueue(["{{ pre }}"], self.listening)
        self.run = Run(
            name="test",
            sub_nodes=sub_nodes,
            open_session=self.nodes.open_session,
            queue=self.queue,
            fill=render,
            listener=self.listening,
            retries=retries,
            timeout=timeout,
        )

    @property
    def ran(self) -> list[str]:
        """The commands that ran, on whatever node."""
        return [command for each in self.nodes.by_name.values() for command in each.ran]


async def test_a_retry_never_runs_an_empty_command(autojump_clock: MockClock) -> None:
    """A job that failed is not tried again where it would be nothing: it is where it failed."""
    bench = Bench(node(0, pre="sleep 100"), node(1, pre=""), retries=1, timeout=10)
    empty = bench.nodes["n1 (pre=)"]
    empty.reachable = False  # so that the other one takes the job
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QueueDispatcher(bench.run).run_all)
        await trio.sleep(2)
        empty.reachable = True
    assert bench.ran == ["sleep 100", "sleep 100"]
    assert Exited(0) not in [outcome for *_, outcome in bench.listening.outcomes]


@pytest.mark.parametrize("bad", ["", "ü" * 70_000])
async def test_a_broadcast_checks_every_command(autojump_clock: MockClock, bad: str) -> None:
    """A job that one sub-node cannot be given is not taken; the longest one is not all of them."""
    bench = Bench(node(0, pre="printf " + "x" * 100_000), node(1, pre=bad))
    with pytest.raises(FileFault, match="this command, filled in, is"), sole_error():
        await BroadcastDispatcher(bench.run).run_all()
    assert bench.ran == []
    assert list(bench.queue.jobs) == [Job("{{ pre }}")]


async def test_a_take_that_is_no_longer_wanted_renders_no_more() -> None:
    """Ctrl-C ends a take between two commands, and it has taken nothing then."""
    made = []

    def take(scope: trio.CancelScope) -> None:
        made.append(fill(Job("one"), node(1)))
        trio.from_thread.run_sync(partial(scope.cancel, reason="Ctrl-C"))
        made.append(fill(Job("two"), node(1)))

    with trio.CancelScope() as scope:
        await trio.to_thread.run_sync(take, scope)
    assert scope.cancelled_caught
    assert made == ["one"]
