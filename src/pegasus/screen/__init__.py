"""Events and output -> the terminal: prefixes, colours, widths, and bounded waiting.

Rule 1: nothing else in Pegasus writes to standard output or standard error during a run.
Rule 2: a line is written whole, after the name of its source; lines never mix.
Rule 3: a job's output is never left out; where there is no room, the job waits. An event never
waits; lines for which there is no room are counted, and the count is shown later.
Rule 4: no stalled or closed reader, no full disk and no closed terminal ends a run.

The parts: ``listener`` (the screen as a run uses it), ``messages`` (the texts of events),
``layout`` (lines -> the bytes for one output), ``output`` (bytes -> one file), and of the live
screen ``live`` (when the area is drawn), ``area`` (its bytes) and ``tails`` (what commands printed
last).
"""

from __future__ import annotations

from pegasus.screen.area import AreaLines
from pegasus.screen.listener import Screen, open_screen

__all__ = ["AreaLines", "Screen", "open_screen"]
