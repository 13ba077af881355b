"""Decides which sub-node runs which job, and when.

Rule 1: only a job that can be started is taken from the queue.
Rule 2: this package depends on no file, no SSH and no screen: it gets a queue and sessions through
protocols, and reports events to a listener.
"""

from pegasus.dispatch.asking import Answer, Asker, open_asker
from pegasus.dispatch.attach_mode import AttachDispatcher, NoQueue
from pegasus.dispatch.broadcast import BroadcastDispatcher
from pegasus.dispatch.detached import Inherited, Owner, Stray
from pegasus.dispatch.dispatcher import Dispatcher
from pegasus.dispatch.ending import EndedBy, Ending, Stage
from pegasus.dispatch.ports import Batch, Queue, ResumedStep, ResumedSteps, Session, Shell
from pegasus.dispatch.queue_mode import QueueDispatcher
from pegasus.dispatch.results import StoppedJob
from pegasus.dispatch.run import Run
from pegasus.dispatch.trying import TriedPool, try_pools
from pegasus.dispatch.workers import use_of

__all__ = [
    "Answer",
    "Asker",
    "AttachDispatcher",
    "Batch",
    "BroadcastDispatcher",
    "Dispatcher",
    "EndedBy",
    "Ending",
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
    "TriedPool",
    "open_asker",
    "try_pools",
    "use_of",
]
