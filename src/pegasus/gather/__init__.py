"""The outputs of a broadcast, gathered: equal ones are shown once, with their sub-nodes.

Rule 1: a reader like the screen, which it shows on: dispatch and the record do not know it.
Rule 2: memory is bounded, whatever the commands print: see ``kept``.
Rule 3: nothing is lost: what was kept of a step is shown also when the step is aborted.

The parts: ``kept`` (the bytes of one output), ``step`` (the outputs and outcomes of a job on all
sub-nodes, in groups), ``listener`` (events and output -> steps -> the screen), ``difference``
(outputs as differences), ``naming`` (the names of a group).
"""

from __future__ import annotations

from pegasus.gather.listener import GatherKind, open_gathered

__all__ = ["GatherKind", "open_gathered"]
