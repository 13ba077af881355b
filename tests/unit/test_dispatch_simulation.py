"""Random runs: nodes come, go, refuse and drop, jobs are stopped, runs are paused and resumed.

Every job has one outcome, and nothing begins during a pause.

A seed makes one run. ``PEGASUS_SIMULATIONS`` sets how many there are.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from pegasus.dispatch import Stage
from pegasus.errors import FileFault, PegasusError, TemplateFault, sole_error
from pegasus.events import (
    Ended,
    Printed,
    Returned,
    RunBegan,
    RunEnded,
    Started,
    Taken,
)
from pegasus.model import Assignment, Command, Job, NotStarted, Outcome, SubNode
from pegasus.record import RunRecord
from pegasus.record.encoding import FORMAT, line_of
from pegasus.record.folder import RunFolder
from pegasus.report.summary import summary_of
from pegasus.run_state import RunState, word_for
from tests.unit.dispatching import Bench, check_pauses, run_broadcast, run_queue

SIMULATIONS = int(os.environ.get("PEGASUS_SIMULATIONS", "40"))
CHAOS = 300.0
"""Seconds for which things go wrong; they are not real ones."""

END_LIMIT = 20_000.0
"""Seconds in which a run has to end after that: a few waits of ten minutes, and the jobs."""


class Simulation:
    """A run, and what goes wrong in it, by a seed."""

    def __init__(self, seed: int, *, broadcast: bool) -> None:
        self.rng = random.Random(seed)
        self.broadcast = broadcast
        self.retries = self.rng.choice([0, 0, 1, 2, 3])
        self.nodes = [f"n{number}" for number in range(self.rng.randint(1, 4))]
        # Sub-nodes for which some jobs cannot be rendered.
        strange = {f"n{number}" for number in range(6) if self.rng.random() < 0.5}
        self.strange = strange if self.rng.random() < 0.3 and not broadcast else set()
        self.bench = Bench(
            *[self.command(number) for number in range(self.rng.randint(0, 25))],
            nodes=len(self.nodes),
            retries=self.retries,
            error_aborts=self.rng.random() < 0.1,
            timeout=self.rng.choice([float("inf"), 15.0]),
            fill=self.fill,
        )
        self.roster = None if broadcast else self.bench.follow()
        self.rosters = [self.nodes]
        self.aborting = trio.CancelScope()

    def command(self, number: int) -> str:
        text = self.rng.choice(
            ["exit 0", "exit 0", "exit 7", "exit 1", "hang up", "kill -9 $$"]
            + [f"sleep {self.rng.randint(1, 40)}"] * 3
        )
        return f"{text} #{number}{'!' * (self.rng.random() < 0.2)}"

    def fill(self, job: Job, sub_node: SubNode) -> Command:
        if job.command.endswith("!") and sub_node.hostname in self.strange:
            raise TemplateFault(1, 1, "unknown name")
        return Command(job.command)

    async def go(self) -> None:
        """Run it to its end."""
        mode = run_broadcast if self.broadcast else run_queue
        with sole_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.chaos)
                with self.aborting, trio.fail_after(CHAOS + END_LIMIT):
                    await mode(self.bench)
                nursery.cancel_scope.cancel()

    async def chaos(self) -> None:
        ends = self.rng.random()
        while trio.current_time() < CHAOS:
            await trio.sleep(self.rng.expovariate(1 / 6))
            await self.hurt()
        if ends < 0.15:
            self.bench.run.ending.drain()
        if ends < 0.07:
            await trio.sleep(self.rng.random() * 10)
            self.aborting.cancel()
        await self.mend()

    async def hurt(self) -> None:
        """Do one thing that may happen."""
        node = self.bench.nodes[self.rng.choice(self.nodes)]
        match self.rng.randrange(10):
            case 0 | 1:
                node.hang_up()
            case 2:
                node.reachable = not node.reachable
            case 3:
                node.has_shells = not node.has_shells
            case 4:
                node.starts_commands = not node.starts_commands
            case 5:
                node.stands_for = self.rng.choice([0.0, 1.0, 5.0, float("inf")])
                node.next_in = self.rng.choice([0.0, 0.5, 30.0])
            case 6:
                number = self.rng.randint(1, 25)
                assert self.bench.dispatcher is not None
                self.bench.dispatcher.stop_job(number)
            case 7:
                self.bench.queue.add(self.command(self.rng.randint(100, 10**6)))
            case 8:
                await self.pause_or_resume()
            case 9 if self.roster is not None:
                self.nodes = [f"n{number}" for number in range(6) if self.rng.random() < 0.5]
                self.nodes = self.nodes or ["n0"]
                await self.change_hosts()

    async def pause_or_resume(self) -> None:
        """Pause the run, or resume it."""
        assert self.bench.dispatcher is not None
        pausing = self.bench.dispatcher.pausing
        if not pausing.resume() and self.bench.dispatcher.continues:
            assert await pausing.pause()

    async def change_hosts(self) -> None:
        sub_nodes = [SubNode(number, name) for number, name in enumerate(self.nodes)]
        if self.roster is not None:
            with suppress(trio.WouldBlock):
                self.roster.send_nowait(sub_nodes)
                self.rosters.append([each.hostname for each in sub_nodes])

    async def mend(self) -> None:
        """Let one node work from now on, or all that a broadcast needs; the others stay broken."""
        names = self.nodes if self.broadcast else ["works"]
        for name in names:
            node = self.bench.nodes[name]
            node.reachable = node.has_shells = node.starts_commands = True
            node.stands_for = float("inf")
        self.nodes = list(dict.fromkeys([*self.nodes, *names]))
        assert self.bench.dispatcher is not None
        self.bench.dispatcher.pausing.resume()
        while True:  # one that was sent while another waited to be read is not read
            await self.change_hosts()
            await trio.sleep(1)


@pytest.mark.parametrize("mode", ["queue", "broadcast"])
@pytest.mark.parametrize("seed", range(SIMULATIONS))
async def test_every_job_has_one_outcome(
    seed: int, mode: str, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Whatever happens, each job that was taken has one final outcome, and it is the right one.

    None runs again without a retry, one that began is never reported as not started, the run ends
    when there is no more to do, and the journal and the summary have the outcome of each. While it
    is paused nothing is taken and nothing starts.
    """
    simulation = Simulation(seed, broadcast=mode == "broadcast")
    fault: PegasusError | None = None
    try:
        await simulation.go()
    except PegasusError as caught:
        fault = caught
    if isinstance(fault, FileFault):
        # One that was sent may not have been read yet.
        assert any(simulation.strange.issuperset(names) for names in simulation.rosters[-2:])
    elif fault is not None:
        assert "nothing was taken" in str(fault)
        assert not simulation.bench.listening.taken
    check_pauses(simulation.bench)
    check_account(simulation)
    check_record(simulation, tmp_path)


def begun(simulation: Simulation) -> dict[tuple[int, str], list[tuple[Assignment, Outcome]]]:
    """Return the outcomes of all tries that began, by job and, in a broadcast, by sub-node."""
    tries: dict[tuple[int, str], list[tuple[Assignment, Outcome]]] = defaultdict(list)
    running: set[Assignment] = set()
    for _, event in simulation.bench.listening.told:
        match event:
            case Started(assignment):
                assert assignment not in running
                running.add(assignment)
            case Returned(assignment):
                running.discard(assignment)
            case Ended(assignment, outcome) if assignment in running:
                running.remove(assignment)
                if not isinstance(outcome, NotStarted):
                    tries[key_of(simulation, assignment)].append((assignment, outcome))
    assert not running, "what was started has ended, or was returned"
    return tries


def key_of(simulation: Simulation, assignment: Assignment) -> tuple[int, str]:
    """Say whose tries a try is one of."""
    return assignment.number, str(assignment.sub_node) if simulation.broadcast else ""


def check_account(simulation: Simulation) -> None:
    """Check that each job that was taken has one end, and the right one."""
    bench = simulation.bench
    finals: dict[tuple[int, str], Ended] = {}
    for event in bench.events(Ended):
        key = key_of(simulation, event.assignment)
        assert key not in finals, "nothing comes after the end that is final"
        if not event.again:
            finals[key] = event
    names = [str(each) for each in bench.run.sub_nodes] if simulation.broadcast else [""]
    numbers = [event.number for event in bench.events(Taken)]
    assert sorted(finals) == sorted((number, name) for number in numbers for name in names)
    tries = begun(simulation)
    for key, final in finals.items():
        if key in tries:
            assert (final.assignment, final.outcome) == tries[key][-1]
            assert len(tries[key]) <= 1 + simulation.retries
        else:
            assert isinstance(final.outcome, NotStarted)
    ran = Counter(assignment.command for all_ in tries.values() for assignment, _ in all_)
    assert ran == bench.commands_run
    if not any(isinstance(event.outcome, NotStarted) for event in finals.values()):
        left = [job.command for job in bench.queue.jobs]
        assert (
            not left or bench.run.ending.stage > Stage.TAKING or simulation.strange or not numbers
        )


def check_record(simulation: Simulation, folder: Path) -> None:
    """Write the journal of it, and read what it says."""
    bench, state = simulation.bench, RunState(keep_successes=False)
    began = RunBegan(
        name=folder.name,
        format=FORMAT,
        pegasus="",
        mode="broadcast" if simulation.broadcast else "queue",
        queue_file="",
        hosts_file="",
        pid=1,
        host="",
        locked=True,
        sub_nodes=tuple(bench.run.sub_nodes),
        number=1,
    )
    lines = [line_of(began, 0.0)]
    state.apply(began, 0.0)
    for at, event in bench.listening.told:
        if not isinstance(event, Printed):
            lines.append(line_of(event, at))
            state.apply(event, at)
    lines.append(line_of(RunEnded(0, "done"), 0.0))
    RunFolder(folder).journal.write_bytes(b"".join(lines))
    record = RunRecord(RunFolder(folder), began, 0.0)
    record.refresh()
    assert not record.damaged
    finals = [event for event in bench.events(Ended) if not event.again]
    told = Counter((event.assignment.number, event.outcome) for event in finals)
    read = Counter(
        (number, outcome)
        for number, job in record.state.jobs.items()
        for outcome in record.state.outcomes(job)
    )
    assert read == told
    counts = Counter(word_for(event.outcome) for event in finals)
    assert record.state.counts() == state.counts() == counts
    said = summary_of(state, lambda _: None)[0]
    assert all(f"{count} {word}" in said for word, count in counts.items())
