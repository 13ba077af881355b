"""How long a worker waits before it connects again.

Rule 1: only what a sub-node has achieved shortens a wait: a command that ended on it, or a
connection that stood for ``STEADY`` seconds. A login alone proves nothing.
"""

from __future__ import annotations

import random

FIRST_PATIENCE = 1.0
LAST_PATIENCE = 60.0
"""Seconds between tries to reach a node: the first soon, since most failures pass; a minute at the
most, since a node that is back should not idle for longer."""

STEADY = 60.0
"""Seconds after which a connection counts as one to rely on: as long as the longest wait before a
try, so that a node that drops each connection is tried no more often than one that refuses each."""

SEVERAL_LOSSES = 3
"""Jobs that a sub-node may lose in a row before it has to wait for the next one: one loss is an
accident, two may be a reboot and its second half; a third says that the next will be lost too."""

FIRST_LOSS_PATIENCE = 60.0
LAST_LOSS_PATIENCE = 600.0
"""Seconds without a job for a sub-node that loses them, doubled for each further loss. A job that
is lost may have done half its work, so this is dearer than a try to connect; ten minutes at the
most, which is six jobs an hour."""


class Patience:
    """Counts what goes wrong with a sub-node, and says how long to wait because of it.

    Attributes:
        drops: connections in a row that stood, and broke before they were steady.
        losses: jobs in a row that were lost.
        loss_is_new: whether one of them was lost since the last failure.
    """

    def __init__(self) -> None:
        self.drops = 0
        self.losses = 0
        self._next = FIRST_PATIENCE
        self.loss_is_new = False

    def lose(self) -> None:
        """Take note of a lost job."""
        self.losses += 1
        self.loss_is_new = True

    def fail(self, *, stood: bool) -> float:
        """Take note of a try that failed, or of a connection that broke.

        Args:
            stood: whether there was a connection.

        Returns:
            Seconds to wait before the next try. They are jittered, which keeps many sub-nodes of
            one host from knocking in step.
        """
        self.drops += stood
        pause, self._next = self._next, min(2 * self._next, LAST_PATIENCE)
        if self.loss_is_new and self.losses >= SEVERAL_LOSSES:
            doubled = min(self.losses - SEVERAL_LOSSES, 10)  # 2 ** 10 is past the limit
            pause = max(pause, min(FIRST_LOSS_PATIENCE * 2**doubled, LAST_LOSS_PATIENCE))
        self.loss_is_new = False
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 -- no secret

    def steady(self) -> None:
        """Take note that the connection is one to rely on: the next failure is a first one."""
        self.drops = 0
        self._next = FIRST_PATIENCE
