"""What the runs of one queue share beside its file: slots of nodes, limits of groups, barriers.

Rule 1: each run writes what it holds into a file of its own, and reads those of the others while
it holds the lock of the queue. So no two runs give one slot away.
Rule 2: a run that was killed holds what it held, until the node says that its commands are gone.
Rule 3: a disk that refuses ends no run; what is known counts, and what is amiss is said once.
"""

from __future__ import annotations

from pegasus.shared_slots.barrier_watch import BarrierWatch
from pegasus.shared_slots.slots import SharedSlots

__all__ = ["BarrierWatch", "SharedSlots"]
