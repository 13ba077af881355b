"""Decides which sub-node runs which job, and when.

Rule 1: only a job that can be started is taken from the queue.
Rule 2: this package depends on no file, no SSH and no screen: it gets a queue and sessions through
protocols, and reports events to a listener.
"""

from pegasus.dispatch.broadcast import BroadcastDispatcher
from pegasus.dispatch.detached import Inherited, Owner, Stray
from pegasus.dispatch.dispatcher import Dispatcher
from pegasus.dispatch.ending import EndedBy, Ending, Stage
from pegasus.dispatch.modes import AttachDispatcher, NoQueue, QueueDispatcher
from pegasus.dispatch.ports import Batch, Fill, Queue, ResumedStep, ResumedSteps, Session, Shell
from pegasus.dispatch.results import StoppedJob
from pegasus.dispatch.run import Run

__all__ = [
    "AttachDispatcher",
    "Batch",
    "BroadcastDispatcher",
    "Dispatcher",
    "EndedBy",
    "Ending",
    "Fill",
    "Inherited",
    "NoQueue",
    "Owner",
    "Queue",
    "QueueDispatcher",
    "ResumedStep",
    "ResumedSteps",
    "Run",
    "Session",
    "Shell",
    "Stage",
    "StoppedJob",
    "Stray",
]
