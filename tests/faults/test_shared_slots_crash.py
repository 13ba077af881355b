"""Runs that share slots and are killed with ``kill -9`` at random moments."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pegasus.holds import Hold, gone
from pegasus.shared_slots import SharedSlots
from tests.faults.slot_taker import SLOTS, locked, note
from tests.nodes import wait_until
from tests.unit.shared import Clock, recorded

RUNS_AT_ONCE = 3
KILLS = 5
LINES_BETWEEN = 40
"""Lines of the log between two kills, on average."""

OBSERVER = "0999-observer"


@contextmanager
def taker(queue: Path, run: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run that takes slots; kill it at the end of the block."""
    command = [sys.executable, "-m", "tests.faults.slot_taker", str(queue), run]
    with subprocess.Popen(command, cwd=Path.cwd(), stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_of(queue: Path) -> list[list[str]]:
    """Read the log, but for a line that is being written."""
    log = queue.with_name("log")
    text = log.read_text() if log.exists() else ""
    return [line.split() for line in text.split("\n")[:-1]]


def used_slots(queue: Path) -> set[int]:
    """Give the slots that were used at any time."""
    return {int(slot) for _, slot, _, _ in lines_of(queue)}


def held_at_the_end(queue: Path) -> dict[str, tuple[str, str]]:
    """Replay the log, and check that no slot is held twice; give who holds what."""
    held: dict[str, tuple[str, str]] = {}
    for what, slot, run, job in lines_of(queue):
        if what == "begin":
            assert slot not in held, f"slot {slot} was given to {run}, and {held[slot]} holds it"
            held[slot] = run, job
        else:
            assert held.pop(slot) == (run, job)
    return held


def bury(queue: Path, shared: SharedSlots, clock: Clock, run: str) -> None:
    """Let the commands of a killed run come to their ends one by one, and free their slots."""
    with locked(queue):
        left = {slot for slot, (name, _) in held_at_the_end(queue).items() if name == run}
        doubts = [each for each in shared.doubtful() if each.hold.run == run]
    # What it had told and not begun is in doubt as well; what it had begun is never missing.
    assert left <= {each.hold.slot for each in doubts}
    clock.pass_by(10)
    for doubt in doubts:
        living = frozenset({doubt.command})
        rest = [each for each in shared.doubtful() if each.hold.run == run]
        assert doubt.hold not in [each.hold for each in gone(rest, living)]
        with locked(queue):
            if doubt.hold.slot in left:
                note(queue, "end", doubt.hold)
            ended = [each.hold for each in gone(rest, frozenset()) if each.hold == doubt.hold]
            shared.forget(ended)


def test_no_slot_is_held_twice(tmp_path: Path) -> None:
    """However often runs are killed, no slot is held twice, and each becomes free again."""
    queue, chance, clock = tmp_path / "queue.yaml", random.Random(7), Clock()
    queue.touch()
    shared = SharedSlots(queue, OBSERVER, clock=clock)
    with ExitStack() as stack, recorded(queue, OBSERVER):
        running: dict[str, subprocess.Popen[bytes]] = {}
        for number in range(1, RUNS_AT_ONCE + KILLS + 1):
            name = f"{number:04}-run"
            running[name] = stack.enter_context(taker(queue, name))
            if len(running) < RUNS_AT_ONCE:
                continue
            enough = len(lines_of(queue)) + chance.randint(1, 2 * LINES_BETWEEN)
            _wait_lines(queue, enough, running)
            # On a busy machine the runs may for a while not overlap, and use the first slots only.
            wait_until(lambda: used_slots(queue) == set(SLOTS) or not _all_live(running))
            killed = chance.choice(sorted(running))
            assert _all_live(running)
            running[killed].kill()
            running.pop(killed).wait()
            bury(queue, shared, clock, killed)
        for name, process in running.items():
            process.kill()
            process.wait()
            bury(queue, shared, clock, name)
        assert held_at_the_end(queue) == {}
        assert shared.others() == ()
        assert shared.problems == []
        folder = queue.parent / ".pegasus" / "slots"
        assert list(folder.iterdir()) == []


def _wait_lines(queue: Path, count: int, running: dict[str, subprocess.Popen[bytes]]) -> None:
    wait_until(lambda: len(lines_of(queue)) >= count or not _all_live(running))


def _all_live(running: dict[str, subprocess.Popen[bytes]]) -> bool:
    return all(each.poll() is None for each in running.values())


def test_the_observer_sees_whole_files_only(tmp_path: Path) -> None:
    """Who reads while others write sees what they hold at some moment, never a part of it."""
    queue = tmp_path / "queue.yaml"
    queue.touch()
    shared = SharedSlots(queue, OBSERVER)
    seen: set[tuple[Hold, ...]] = set()
    with recorded(queue, OBSERVER), taker(queue, "0001-run"):
        wait_until(lambda: len(lines_of(queue)) > 1)

        def look() -> bool:
            seen.add(shared.others())
            return len(seen) > 100

        wait_until(look)
    assert {len(each) for each in seen} <= {0, 1, 2}
    assert shared.problems == []
