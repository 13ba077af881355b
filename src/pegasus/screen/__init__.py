"""Events -> the terminal: who says what, in which colour, how wide, and without ever waiting.

Rule 1: nothing else in Pegasus writes to standard output or standard error during a run.
Rule 2: a line is written whole, behind the name of whoever says it; lines never mix.
Rule 3: a job's output is never left out; it waits, and so does the job. Telling never waits;
what there is no room for is counted, and the count is told.
Rule 4: no reader that stalls or leaves, no full disk and no terminal that is gone ends a run.

The parts: ``listener`` (the screen that a run talks to), ``words`` (what Pegasus says of an
event), ``layout`` (lines -> the bytes for one output) and ``output`` (bytes -> one file).
"""

from __future__ import annotations

from pegasus.screen.listener import Screen, open_screen

__all__ = ["Screen", "open_screen"]
