"""Who runs what, and when: the queue's jobs and the sub-nodes' free hands.

Rule 1: take only what can be started.
Rule 2: this room knows no file, no ssh and no screen; it is handed a queue and sessions, and tells
a listener what happens.
"""

from pegasus.dispatch.modes import run_broadcast, run_queue
from pegasus.dispatch.run import Batch, Drain, Queue, Run, Running, Session, Shell

__all__ = [
    "Batch",
    "Drain",
    "Queue",
    "Run",
    "Running",
    "Session",
    "Shell",
    "run_broadcast",
    "run_queue",
]
