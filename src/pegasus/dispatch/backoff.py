"""How long a worker waits before it connects again, and when its connection is reported.

Rule 1: only success shortens a wait: a command that ended on the sub-node, or a connection that
lasted ``STEADY`` seconds. A login alone is no success.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_BACKOFF = 1.0
LAST_BACKOFF = 60.0
"""Seconds between tries to connect: the first wait is short, since most failures are short; no wait
exceeds a minute, since a node that works again should not idle for longer."""

STEADY = 60.0
"""Seconds after which a connection counts as steady: as long as the longest wait between tries, so
that a node that drops each connection is tried no more often than one that refuses each."""

SEVERAL_LOSSES = 3
"""Lost jobs in a row after which a sub-node waits longer for the next job. One loss is an accident,
two may be a reboot and its second half; after a third one the next job would probably be lost."""

FIRST_LOSS_BACKOFF = 60.0
LAST_LOSS_BACKOFF = 600.0
"""Seconds without a job for a sub-node that loses jobs, doubled for each further loss. A lost job
may have done half its work, so a loss costs more than a failed try to connect. The limit is ten
minutes: six jobs an hour."""

DROPS_REPORTED = 2
"""Connections in a row that broke before they were steady. From this number on the next one is
reported only once it is steady: otherwise ``connected`` and the same reason would be reported again
and again."""


class Backoff:
    """Counts the failures of a sub-node, and computes the wait before the next try.

    Attributes:
        drops: connections in a row that broke before they were steady.
        losses: jobs in a row that were lost.
        loss_is_new: whether a job was lost since the last failure.
    """

    def __init__(self) -> None:
        self.drops = 0
        self.losses = 0
        self.loss_is_new = False
        self._next = FIRST_BACKOFF

    def lose(self) -> None:
        """Count a lost job."""
        self.losses += 1
        self.loss_is_new = True

    def fail(self, *, was_connected: bool) -> float:
        """Count a try that failed, or a connection that broke.

        Args:
            was_connected: whether there was a connection.

        Returns:
            Seconds to wait before the next try, with a random jitter, so that the sub-nodes of one
            host do not all connect at the same moment.
        """
        self.drops += was_connected
        pause, self._next = self._next, min(2 * self._next, LAST_BACKOFF)
        if self.loss_is_new and self.losses >= SEVERAL_LOSSES:
            doubled = min(self.losses - SEVERAL_LOSSES, 10)  # 2 ** 10 exceeds the limit
            pause = max(pause, min(FIRST_LOSS_BACKOFF * 2**doubled, LAST_LOSS_BACKOFF))
        self.loss_is_new = False
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 -- not for security

    def reset(self) -> None:
        """Record that the connection is steady: the next failure counts as the first one."""
        self.drops = 0
        self._next = FIRST_BACKOFF


@dataclass(frozen=True, slots=True)
class NextTry:
    """What follows from a failure to connect, or from a connection that broke.

    Attributes:
        pause: seconds to wait before the next try.
        losses: the number of jobs lost in a row, where this one first makes the waits longer; else
            None.
    """

    pause: float
    losses: int | None


class ConnectionHistory:
    """What happened to the connections of a sub-node, and what of it is reported.

    Methods that return a bool return whether the sub-node is to be reported as connected now.

    Attributes:
        ever_connected: whether the sub-node was ever connected.
        steady: whether the present connection is steady.
    """

    def __init__(self) -> None:
        self.ever_connected = False
        self.steady = False
        self._backoff = Backoff()
        self._reported_away = False

    def begin(self) -> None:
        """Record a new connection, which is not steady yet."""
        self.steady = False

    def connect(self) -> bool:
        """Record that a shell is ready: a connection without a shell does not count as one."""
        first, self.ever_connected = not self.ever_connected, True
        again = self._reported_away and self._backoff.drops < DROPS_REPORTED
        if again:
            self._reported_away = False
        return first or again

    def become_steady(self) -> bool:
        """Record that the connection is steady."""
        self.steady = True
        self._backoff.reset()
        report, self._reported_away = self._reported_away, False
        return report

    def complete_job(self) -> bool:
        """Record that the node reported the end of a command."""
        self._backoff.losses = 0
        return self.become_steady()

    def lose_job(self) -> None:
        """Record that a job was lost."""
        self._backoff.lose()

    def fail(self, *, was_connected: bool) -> NextTry:
        """Record a try that failed, or a connection that broke; the sub-node is reported away.

        Args:
            was_connected: whether there was a connection.
        """
        self._reported_away = True
        slower = self._backoff.loss_is_new and self._backoff.losses == SEVERAL_LOSSES
        pause = self._backoff.fail(was_connected=was_connected)
        return NextTry(pause, self._backoff.losses if slower else None)
