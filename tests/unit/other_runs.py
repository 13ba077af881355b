"""What another run of the queue holds, and what its node says of it: fakes."""

from __future__ import annotations

from collections.abc import Callable, Collection

import trio

from pegasus.holds import DoubtfulHold, Hold
from pegasus.model import Exited, Outcome

LOOKS = 4


class OtherRun:
    """Another run that holds each slot of a node: for some looks, or until it is known to be over.

    Attributes:
        holds: what it holds.
        killed_at_look: if it is over, the look before which it goes on.
        told: how many holds this run told the others, by each call.
    """

    problems = ()

    def __init__(self, *, is_over: bool, refused: int = 0) -> None:
        self.told: list[int] = []
        self._refused = refused  # so many of the first calls
        self.holds = {Hold("n0:22", "gpu", str(number), "run-0", 7, "") for number in range(2)}
        self._is_over = is_over
        self._looks = 0
        self.killed_at_look = 0

    def others(self) -> Collection[Hold]:
        self._looks += 1
        if not self._is_over and self._looks > LOOKS:
            self.holds.clear()
        return frozenset(self.holds)

    def doubtful(self) -> Collection[DoubtfulHold]:
        if not self._is_over or self._looks < self.killed_at_look:
            return ()
        return [
            DoubtfulHold(hold, is_detached=False, seconds_over=float(self._looks))
            for hold in self.holds
        ]

    def forget(self, holds: Collection[Hold]) -> None:
        self.holds -= set(holds)

    def write(self, holds: Collection[Hold]) -> bool:
        """Know nothing of the others."""
        self.told.append(len(holds))
        return len(self.told) > self._refused

    def release_of(self, run: str, job: int) -> None:
        """Keep what it has."""


def living(*lines: str) -> Callable[[str], object]:
    """Answer that these commands live."""

    async def answer(_question: str) -> tuple[Outcome, bytes]:
        await trio.lowlevel.checkpoint()
        return Exited(0), "".join(f"{line}\n" for line in (*lines, "end")).encode()

    return answer
