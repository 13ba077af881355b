"""``--notify``: runs a command on this machine for what a person should know of a run.

Rule 1: nothing that the command does delays a job, a take or another task. Only the end of Pegasus
waits for it, for a time with a limit.
Rule 2: what is documented in ``docs/reference/notifications.md`` and in ``event.schema.json`` is a
promise: a field may be added, but one that is renamed, removed or given another meaning makes a new
NOTIFY_VERSION.
"""

from __future__ import annotations

from pegasus.notifier.delivery import Notifier, open_notifier

__all__ = ["Notifier", "open_notifier"]
