"""Random runs of jobs with needs: what users may rely on holds in each of them.

A seed makes one run. ``PEGASUS_SIMULATIONS`` sets how many there are.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from pegasus.demand import accepts, needs_on
from pegasus.model import NO_DEMAND, AtMost, Demand, Job, Pool, PoolKind, Slot, SubNode
from pegasus.placement import Round
from tests.unit.placement_figures import eights, wide_run
from tests.unit.simulated_placement import Machine, Place, Simulation

SIMULATIONS = int(os.environ.get("PEGASUS_SIMULATIONS", "4"))
CHAOS = 100.0
"""Simulated seconds in which others use slots, probes hang, and connections break."""


def machine_of(chance: random.Random, number: int, kinds: list[PoolKind]) -> Machine:
    """Make a machine with some GPUs and processors."""
    gpus, cpus = chance.choice([1, 2, 4, 8, 8]), chance.choice([4, 16])
    return Machine(
        f"machine-{number}",
        {
            "gpu": tuple(Slot(str(n), f"GPU-{number}-{n}") for n in range(gpus)),
            "cpu": tuple(Slot(str(n)) for n in range(cpus)),
        },
    )


def pools_of(chance: random.Random, machine: Machine, kinds: list[PoolKind]) -> tuple[Pool, ...]:
    """Describe slots of a machine: all of them, or some; or none, for a plain sub-node."""
    if chance.random() < 0.2:
        return ()
    kind = chance.choice(kinds)
    ids = tuple(slot.id for slot in machine.slots["gpu"])
    some = () if kind != "fixed" else ids
    if chance.random() < 0.3 and len(ids) > 1:
        half = len(ids) // 2
        some = chance.choice([ids[:half], ids[half:], ids[: half + 1]])
    cpus = tuple(slot.id for slot in machine.slots["cpu"])
    gpu, cpu = Pool("gpu", kind, some), Pool("cpu", "fixed", cpus)
    return chance.choice([(gpu,), (gpu, cpu), (cpu, gpu)])


def places_of(chance: random.Random, kinds: list[PoolKind]) -> list[Place]:
    """Make sub-nodes; some are on one machine."""
    places: list[Place] = []
    for number in range(chance.randint(1, 5)):
        alone = not places or chance.random() < 0.75
        machine = machine_of(chance, number, kinds) if alone else places[-1].machine
        pools = pools_of(chance, machine, kinds)
        if not alone and chance.random() < 0.4:
            pools = places[-1].sub_node.pools
        params = (("model", chance.choice("ab")),)
        sub_node = SubNode(number, machine.name, params, pools=pools)
        most = chance.choice([8, 30]) if pools else 1
        places.append(Place(sub_node, machine, chance.choice([1, most]), most))
    return places


def demand_of(chance: random.Random) -> Demand:
    """Make what an entry demands; often nothing."""
    if chance.random() < 0.3:
        return NO_DEMAND
    needs = chance.choice(
        [
            None,
            (("gpu", chance.choice([0, 1, 2, 4, 8])),),
            (("cpu", chance.choice([1, 4, 16])),),
            (("gpu", chance.choice([1, 2])), ("cpu", chance.choice([2, 8]))),
        ]
    )
    where = (("model", (chance.choice("ab"),)),) if chance.random() < 0.2 else ()
    at_most = AtMost(chance.randint(1, 3), chance.choice(["", "g"]))
    return Demand(needs, where, at_most if chance.random() < 0.2 else None)


def jobs_of(chance: random.Random) -> Iterator[tuple[Job, int]]:
    """Make the entries of a queue."""
    for number in range(chance.randint(1, 40)):
        yield Job(f"job {number}", demand=demand_of(chance)), chance.choice([1, 1, 1, 2, 10])


def seconds(chance: random.Random, number: int) -> float:
    """Draw a duration."""
    return chance.choice([0.1, 5.0, chance.uniform(1, 60), chance.expovariate(1 / 30)])


def simulation(chance: random.Random, kinds: list[PoolKind], failing: float) -> Simulation:
    """Make a random run."""
    return Simulation(
        places_of(chance, kinds),
        jobs_of(chance),
        chance,
        seconds,
        failing=failing,
        remembers=chance.random() < 0.5,
    )


def stream(chance: random.Random) -> Simulation:
    """Make a run of narrow jobs with some wide ones between them, on nodes of eight slots."""
    jobs = [
        (needing(chance.choice([8, 8, 5, 4])), chance.choice([1, 1, 2]))
        if chance.random() < 0.2
        else (needing(chance.choice([1, 1, 2, 3])), chance.choice([1, 3]))
        for _ in range(60)
    ]
    return Simulation(eights(chance.randint(2, 4)), jobs, chance, seconds)


def needing(count: int) -> Job:
    """Make a job that needs some slots."""
    return Job("x", demand=Demand(needs=(("gpu", count),)))


def hurt(run: Simulation) -> None:
    """Let something happen to a machine now and then, until all is well."""
    chance = run.chance
    if run.now > CHAOS:
        for place in run.places:
            place.machine.foreign.clear()
            place.machine.hangs = False
        return
    place = chance.choice(run.places)
    match chance.randrange(4):
        case 0:
            slot = chance.choice(place.machine.slots["gpu"])
            place.machine.foreign ^= {("gpu", slot.key)}
        case 1:
            place.machine.foreign.clear()
        case 2:
            place.machine.hangs = not place.machine.hangs
        case _:
            run.disconnect(place, chance.expovariate(1 / 20))
    run.at(run.now + chance.expovariate(1 / 5), lambda: hurt(run))


def can_run(run: Simulation, job: Job) -> bool:
    """Tell, from what the machines really have, whether a job can ever run."""
    for place in run.places:
        needs = needs_on(job.demand, place.sub_node)
        if needs is None or not accepts(job.demand.where, place.sub_node):
            continue
        pools = {pool.name: pool for pool in place.sub_node.pools}
        for name, count in needs.items():
            ids = pools[name].ids
            slots = [each for each in place.machine.slots[name] if not ids or each.id in ids]
            if len(slots) < count:
                break
        else:
            return True
    return False


def check_all_ran(run: Simulation) -> None:
    """Each job that can run has run, and the others were refused; nothing is held any more."""
    assert run.waiting == []
    assert not run.retries
    assert not any(place.machine.held for place in run.places)
    assert len(run.done) + sum(line.left for line in run.lines) == run.total
    assert not any(can_run(run, line.job) for line in run.lines)


@pytest.mark.parametrize("seed", range(SIMULATIONS))
def test_every_job_that_can_run_runs(seed: int) -> None:
    """Whatever happens, no slot is held twice or unprobed, and each job that can run runs."""
    chance = random.Random(seed)
    run = simulation(chance, ["fixed", "nvidia", "amd"], chance.choice([0.0, 0.2]))
    run.at(0.0, lambda: hurt(run))
    run.run()
    check_all_ran(run)


def free_on(place: Place, job: Job) -> bool:
    """Tell whether a job fits on what is free on a sub-node, whoever it is kept for."""
    needs = needs_on(job.demand, place.sub_node)
    if needs is None or not accepts(job.demand.where, place.sub_node):
        return False
    if place.running >= place.lanes:
        return False
    held = place.machine.held
    pools = {pool.name: pool for pool in place.sub_node.pools}
    for name, count in needs.items():
        slots = [each for each in place.machine.slots[name] if each.id in pools[name].ids]
        if sum((name, slot.key) not in held for slot in slots) < count:
            return False
    return bool(needs) or not place.sub_node.pools


@pytest.mark.parametrize("seed", range(SIMULATIONS))
def test_only_a_job_above_keeps_a_sub_node_idle(seed: int) -> None:
    """A job that fits waits only if slots of that machine are kept for a job above it."""
    run = simulation(random.Random(seed), ["fixed"], 0.0)

    def check(choice: Round) -> None:
        kept = {number for each in choice._prospects.values() for number in each.kept}
        machines = {each.machine.name for each in run.places if each.sub_node.number in kept}
        for line in run.lines:
            if line.job.demand.at_most is not None:
                continue
            for place in run.places:
                if place.machine.name not in machines:
                    assert not free_on(place, line.job), (run.now, line.job, place)

    run.on_round = check
    run.run()
    check_all_ran(run)


@pytest.mark.parametrize("seed", range(SIMULATIONS))
def test_the_first_job_waits_for_what_runs_at_most(seed: int) -> None:
    """The job at the head starts when the longest of those that ran when it came there ends."""
    chance = random.Random(seed)
    run = stream(chance) if seed % 2 else simulation(chance, ["fixed"], 0.0)
    bounds: dict[int, float] = {}

    def note(choice: Round) -> None:
        head = next(iter(run.waiting), None)
        if head is not None and head.job.demand.at_most is None:
            longest = max((run.tries[each].ends for each in run.running), default=run.now)
            bounds.setdefault(head.number, longest)

    run.on_round = note
    run.run()
    check_all_ran(run)
    shells = 0.2  # a shell that is missing takes 0.05 s to open
    for number, bound in bounds.items():
        assert number not in run.started or run.started[number] <= bound + shells


@pytest.mark.parametrize("seed", range(SIMULATIONS))
def test_without_keys_the_order_is_that_of_the_file(seed: int) -> None:
    """Jobs without ``needs``, ``where`` and ``at_most`` start strictly from the top."""
    chance = random.Random(seed)
    jobs = [(Job(f"job {number}"), chance.choice([1, 3])) for number in range(30)]
    run = Simulation(places_of(chance, ["fixed"]), jobs, chance, seconds)
    run.run()
    check_all_ran(run)
    assert list(run.started) == sorted(run.started)


def test_a_wide_job_between_narrow_ones() -> None:
    """A job of eight slots between 200 of one slot, on two nodes of eight, starts when its node
    has become empty; the other node has no idle slot meanwhile.
    """
    run = wide_run(seed=0)
    assert 0 < run.waited <= run.bound
    assert run.other == pytest.approx(1.0)
