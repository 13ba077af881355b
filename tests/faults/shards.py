"""Parallel trials: some processes, each with test nodes of its own, and one list of trials.

Rule 1: a shard has one set of nodes at a time; no other trial can disturb it, and there
are at most two containers for each shard.
Rule 2: nodes on which something went wrong are not used again.
Rule 3: if a shard fails, its trial is accounted for: it counts as stuck.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TypeAlias

from tests.faults.ledger import Account
from tests.faults.scenarios import CRASHES, DETACHED, SCENARIOS, Option, Scenario, make_trial
from tests.faults.stage import trial_folder
from tests.nodes import Nodes, NodesFault, WaysToAsk, start_nodes

TRIAL_LIMIT = 900.0
"""Seconds after which a trial is ended; all its waits have limits of their own."""

ENDING = 120.0
"""Seconds for a shard to remove its nodes."""

BY_NAME = {scenario.name: scenario for scenario in (*SCENARIOS, *CRASHES, *DETACHED)}


@dataclass(frozen=True, slots=True)
class Task:
    """A trial to run.

    Attributes:
        name: of its scenario.
        seed: determines what is random.
        way: how nodes are made.
        keep: the folder for the files of a trial with a violation.
    """

    name: str
    seed: str
    way: WaysToAsk
    keep: Path


@dataclass(slots=True)
class Result:
    """The result of a trial.

    Attributes:
        account: of its jobs.
        seconds: how long it took.
        left_out: why it was not run; empty if it was.
        kept: the folder of its files.
    """

    account: Account = field(default_factory=Account)
    seconds: float = 0.0
    left_out: str = ""
    kept: str = ""


class Shard:
    """Runs trials one after the other, with nodes that are kept as long as they fit."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._nodes: Nodes | None = None
        self._key: tuple[WaysToAsk, tuple[Option, ...]] = ("auto", ())

    def make(self, task: Task) -> Result:
        """Run a trial; its errors become results, not exceptions."""
        began, scenario, result = time.monotonic(), BY_NAME[task.name], Result()
        with trial_folder() as home:
            try:
                nodes = self._nodes_for(scenario, scenario.way(task.way))
                result.left_out = scenario.why_not(nodes)
                if not result.left_out:
                    result.account = make_trial(scenario, nodes, home, task.seed)
            except Exception:  # noqa: BLE001 -- whatever it is, it is told, and others go on
                result.account.stuck.append(f"the trial itself: {traceback.format_exc()}")
            if result.account.faults:
                result.kept = self._keep(home, task)
                self.close()
        result.seconds = time.monotonic() - began
        return result

    def close(self) -> None:
        """Remove the nodes."""
        self._nodes = None
        self._stack.close()

    def _nodes_for(self, scenario: Scenario, way: WaysToAsk) -> Nodes:
        if self._nodes is None or self._key != (way, scenario.options):
            self.close()
            wanted = start_nodes(2, way=way, options=dict(scenario.options), say=lambda _: None)
            self._nodes = self._stack.enter_context(wanted)
            self._key = (way, scenario.options)
        return self._nodes

    def _keep(self, home: Path, task: Task) -> str:
        """Keep the evidence: the files, the outputs of runs, the logs of sshd."""
        place = task.keep / task.seed.replace("/", "-")
        with suppress(OSError, shutil.Error):
            shutil.copytree(home, place, ignore_dangling_symlinks=True)
        for node in self._nodes or ():
            with suppress(OSError):
                (place / f"{node.name}.log").write_text(node.log(), encoding="utf-8")
        return str(place)


def work(connection: Connection) -> None:
    """Run the tasks that arrive over the connection, until it ends."""
    shard = Shard()
    try:
        with suppress(EOFError, OSError, KeyboardInterrupt):
            while True:
                connection.send(shard.make(connection.recv()))
    finally:
        with suppress(NodesFault):
            shard.close()


Work: TypeAlias = Callable[[Connection], None]


@dataclass(slots=True)
class Hand:
    """A shard, for the parent process.

    Attributes:
        task: its current task.
        deadline: when the task is ended.
    """

    process: SpawnProcess
    connection: Connection
    task: Task | None = None
    deadline: float = 0.0

    @classmethod
    def hire(cls, work: Work) -> Hand:
        """Start a shard."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there,), daemon=True)
        process.start()
        there.close()
        return cls(process, here)

    def give(self, task: Task) -> None:
        """Start a trial in it."""
        self.task, self.deadline = task, time.monotonic() + TRIAL_LIMIT
        self.connection.send(task)

    def dismiss(self) -> None:
        """Make it remove its nodes and end."""
        self.connection.close()
        self.process.join(ENDING)
        self.process.kill()


def make_all(tasks: Iterable[Task], jobs: int, work: Work = work) -> Iterator[tuple[Task, Result]]:
    """Run trials, several in parallel; yield each result as soon as it is there."""
    waiting = deque(tasks)
    hands = [Hand.hire(work) for _ in range(min(jobs, len(waiting)))]
    try:
        while waiting or any(hand.task for hand in hands):
            for hand in hands:
                if hand.task is None and waiting:
                    hand.give(waiting.popleft())
            for number, hand in enumerate(hands):
                if hand.task is not None and (result := _result_of(hand)) is not None:
                    task, hand.task = hand.task, None
                    if not hand.process.is_alive() and waiting:
                        hands[number] = Hand.hire(work)
                    yield task, result
            if all(hand.task or not waiting for hand in hands):
                wait([hand.connection for hand in hands if hand.task], timeout=1)
    finally:
        for hand in hands:
            hand.connection.close()
        for hand in hands:
            hand.dismiss()


def _result_of(hand: Hand) -> Result | None:
    """Return the result of a shard's trial, if there is one; also after it died or hung."""
    if time.monotonic() > hand.deadline:
        hand.process.kill()
        hand.process.join()
    elif not hand.connection.poll():
        return None
    try:
        result: Result = hand.connection.recv()
    except (EOFError, OSError):
        hand.process.join(ENDING)
        result = Result()
        result.account.stuck.append(f"the trial's process ended: {hand.process.exitcode}")
    return result
