"""The cost of the panel: of a frame, and of an estimate of the remaining time.

``python -m benchmarks.panel`` prints, for several numbers of sub-nodes and rows, the processor's
time for a frame and an estimate, and its share of a core at five frames a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from pegasus.events import Connected, Ended, Event, RunBegan, Started, Taken
from pegasus.model import Assignment, Exited, Job, SubNode
from pegasus.panel import ESTIMATE_PERIOD, PanelView, panel_lines
from pegasus.rendered import as_recorded
from pegasus.run_state import RunState, remaining_of

ENDED = 1200
"""Commands that have ended before."""

FRAMES_PER_SECOND = 5
REPEATS = 50
WIDTH = 120

JOB, COMMAND = Job("train"), as_recorded("train")


def run_on(count: int) -> RunState:
    """Give a run on so many sub-nodes, each with a command."""
    nodes = tuple(SubNode(n, f"node-{n // 8}", (("gpu", str(n % 8)),)) for n in range(count))
    state = RunState(keep_successes=False)
    began = RunBegan("run", 1, "queue", "q", "h", nodes, 1, "here", True, 1, "0")
    events: list[Event] = [began, *map(Connected, nodes)]
    for number in range(1, ENDED + count + 1):
        given = Assignment(number, JOB, nodes[number % count], COMMAND)
        events += [Taken(number, JOB), Started(given)]
        if number <= ENDED:
            events.append(Ended(given, Exited(0), 10.0 + number % 7))
    for event in events:
        state.apply(event, 0.0)
    return state


def seconds_of(work: Callable[[], object]) -> float:
    """Measure the processor's time for a piece of work."""
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - began) / REPEATS


def tails() -> Callable[[Assignment], bytes]:
    """Give what commands printed: bars that are new in each frame."""
    states = [f"\r{n:3}%|{'█' * (n // 5)}| {n}/100 [00:10<00:20, 3.4it/s]" for n in range(100)]
    counts = iter(range(10**9))
    return lambda _: "".join(states[: 1 + next(counts) % 100]).encode()[-4096:]


def row_of(state: RunState, height: int) -> str:
    """Measure frames of a height, each of a new view, as in a run."""
    remaining, tail_of = remaining_of(state, 5.0, 500), tails()

    def draw() -> None:
        view = PanelView(state, 5.0, 500, tail_of, remaining=remaining)
        panel_lines(view, WIDTH, height, colour=True)

    frame, estimate = seconds_of(draw), seconds_of(lambda: remaining_of(state, 5.0, 500))
    share = frame * FRAMES_PER_SECOND + estimate / ESTIMATE_PERIOD
    return f"{frame * 1e3:5.2f} ms  {estimate * 1e3:5.2f} ms  {share:.2%}"


def main() -> None:
    """Print a row for each size."""
    sys.stdout.write("sub-nodes  rows  frame     estimate  share of a core\n")
    for count, height in ((8, 8), (64, 16), (64, 66), (1000, 16)):
        sys.stdout.write(f"{count:9}  {height:4}  {row_of(run_on(count), height)}\n")


if __name__ == "__main__":
    main()
