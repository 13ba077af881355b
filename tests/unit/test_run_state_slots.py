"""The state of a run whose nodes have slots: who holds and who uses them, and how busy they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

from pegasus.events import (
    Awaited,
    BarrierPassed,
    Event,
    Probed,
    RunEnded,
    SlotSeen,
    TakenOver,
    WaitingFor,
)
from pegasus.model import Barrier, Slot, SubNode
from pegasus.record import slots_data
from pegasus.record.decoding import data_of, event_of
from pegasus.record.encoding import line_of
from pegasus.run_state import PoolUse, RunState, remaining_of
from tests.unit.slots import (
    ASKED,
    EIGHT,
    FIXED,
    GPUS,
    begins,
    ends,
    held,
    holds,
    run_with,
    told_of_slots,
)

OTHERS = "1,234 MiB in use by others"


def numbers_of(use: PoolUse) -> tuple[list[str], list[str], list[str]]:
    """Give the slots that are held, used by others and free."""
    lists = (use.held, use.used, use.free)
    held_, used, free = ([each.slot.id for each in found] for found in lists)
    return held_, used, free


def gpu_of(state: RunState) -> PoolUse:
    """Give the first pool."""
    return state.pool_uses()[0]


def test_who_holds_which_slot() -> None:
    """Several commands run on a sub-node at once; each slot is held until its command ends."""
    one, two = holds(1, FIXED, held("gpu", 2, 3)), holds(2, FIXED, held("gpu", 5))
    state = run_with([FIXED], *begins(one), *begins(two))
    assert numbers_of(gpu_of(state)) == (["2", "3", "5"], [], ["0", "1", "4", "6", "7"])
    assert [each.job for each in gpu_of(state).held] == [1, 1, 2]
    state.apply(ends(one), 9.0)
    assert [each.job for each in gpu_of(state).held] == [2]
    state.apply(RunEnded(0, "done"), 10.0)
    assert not gpu_of(state).held


def test_a_detached_command_holds_its_slots_after_its_pegasus() -> None:
    """A command that still runs on its node keeps its slots, whoever follows it."""
    left = replace(holds(1, FIXED, held("gpu", 2)), key="key")
    state = run_with([FIXED], *begins(left), RunEnded(None, "left"))
    assert [each.slot.id for each in gpu_of(state).held] == ["2"]


def test_who_uses_the_rest() -> None:
    """What a node says of a slot counts while no command of the run holds it."""
    job = holds(1, ASKED, replace(held(), slots=GPUS[2:3]))
    seen = tuple(SlotSeen(each, OTHERS if each in GPUS[2:4] else "") for each in GPUS[:4])
    state = run_with([ASKED])
    assert (gpu_of(state).is_known, gpu_of(state).slots) == (False, ())
    for event in (*begins(job), Probed(ASKED, "gpu", seen)):
        state.apply(event, 5.0)
    assert numbers_of(gpu_of(state)) == (["2"], ["3"], ["0", "1"])
    assert gpu_of(state).at == 5.0
    state.apply(ends(job), 9.0)  # its own memory was not that of others
    assert numbers_of(gpu_of(state)) == ([], ["3"], ["0", "1", "2"])


def test_a_node_that_does_not_answer() -> None:
    """None of its slots counts as free; how many there are is known from the answer before."""
    seen = tuple(map(SlotSeen, GPUS[:4]))
    state = run_with([ASKED], Probed(ASKED, "gpu", seen), Probed(ASKED, "gpu", (), "no answer"))
    use = gpu_of(state)
    assert (len(use.slots), use.free, use.words, use.is_known) == (4, [], "no answer", True)


def test_a_slot_that_disappears_while_it_is_held() -> None:
    """A command goes on to hold it."""
    job = holds(1, ASKED, replace(held(), slots=(Slot("9", "GPU-gone"),)))
    state = run_with([ASKED], *begins(job), Probed(ASKED, "gpu", tuple(map(SlotSeen, GPUS[:2]))))
    assert numbers_of(gpu_of(state)) == (["9"], [], ["0", "1"])


def test_sub_nodes_of_one_machine_share_their_slots() -> None:
    """A slot that is held on one of them is held on the other."""
    twins = [SubNode(number, "node-1", (("x", str(number)),), pools=(EIGHT,)) for number in (0, 1)]
    job = holds(1, twins[1], held("gpu", 0, 1))
    state = run_with(twins, *begins(job))
    (use,) = state.pool_uses()
    assert (use.name, len(use.held), len(use.free), state.places) == ("node-1", 2, 6, 8)


def test_what_waits_and_which_barriers_were_passed() -> None:
    """The last word on what waits counts."""
    waits = WaitingFor("queue.yaml:3:1", "train", "needs 4 slots of gpu")
    events: list[Event] = [Awaited((waits,)), BarrierPassed(Barrier("succeeded"))]
    state = run_with([FIXED], *events)
    assert (state.waiting_for, state.barriers_passed) == ((waits,), 1)
    for event in (Awaited(()), TakenOver(7, "there", "0002-run")):
        state.apply(Awaited((waits,)), 8.0)
        state.apply(event, 9.0)
        assert state.waiting_for == ()


def test_a_wide_command_makes_its_sub_node_as_busy_as_its_slots() -> None:
    """Seconds are counted for each slot of the first pool."""
    job = holds(1, FIXED, held("gpu", 0, 1, 2, 3))
    assert run_with([FIXED], *begins(job), ends(job)).sub_nodes[1].busy == 40.0


def places_in(value: Any) -> Iterator[tuple[Any, ...]]:
    """Give the path to each field of a JSON value, however deep."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (key,)
        if isinstance(inner, dict | list):
            yield from ((key, *rest) for rest in places_in(inner))


def test_damaged_fields_of_slots() -> None:
    """A line with another value in a field is no event, or one that breaks no reader."""
    told = told_of_slots()
    lines = [data_of(line_of(event, 1.0)) for event in told]
    for index, line in enumerate(lines):
        for (*path, key), bad in product(places_in(line), (None, "\ud800", [1], {})):
            damaged = json.loads(json.dumps(line))
            inner = damaged
            for step in path:
                inner = inner[step]
            inner[key] = bad
            state = run_with([FIXED])
            for each in [*lines[:index], damaged, *lines[index + 1 :]]:
                with suppress(ValueError, KeyError):
                    if event := event_of(data_of(json.dumps(each).encode()), state):
                        state.apply(event, 1.0)
            assert all(len(use.held) <= 1 for use in state.pool_uses())
            assert state.barriers_passed <= 1
            assert remaining_of(state, 9.0, 1).seconds is None
            json.dumps([slots_data(each.assignment.slots) for _, each in state.running()])


def remaining_with(width: int, waiting: int, *events: Event) -> float | str:
    """Estimate a run of eight slots: its jobs took ten seconds, and two before the next began."""
    done: list[Event] = []
    for number in range(1, 9):
        job = holds(number, FIXED, held("gpu", *range(width)))
        done += [*begins(job), ends(job)]
    remaining = remaining_of(run_with([FIXED], *done, *events), 100.0, waiting)
    return remaining.why if remaining.seconds is None else remaining.seconds


def test_the_remaining_time_counts_on_all_slots() -> None:
    """As many commands run at once as fit in the slots, by the width of those before."""
    assert remaining_with(1, 80) == 120.0
    assert remaining_with(2, 80) == 240.0
    assert remaining_with(8, 80) == 960.0
    assert remaining_with(3, 80) == 480.0


def test_slots_that_others_use_do_not_count() -> None:
    """They take part in the remaining time only once they are free."""
    pool = EIGHT.ids
    used = Probed(FIXED, "gpu", tuple(SlotSeen(Slot(each), OTHERS * (each < "4")) for each in pool))
    assert remaining_with(1, 80, used) == 240.0
    assert remaining_with(8, 80, used) == "no slot is free"


def test_running_commands_count_though_they_are_wider_than_usual() -> None:
    """A command that runs has its place, whatever the mean says."""
    running = begins(holds(9, FIXED, held("gpu", 0)))
    gone = Probed(FIXED, "gpu", (), "no answer")
    seconds = remaining_with(1, 2, *running, gone)
    assert isinstance(seconds, float)
    assert 10.0 <= seconds <= 120.0
