"""The panel: the lines that show how far a run is, in the live area and in ``status --watch``.

A line of numbers with the elapsed and the remaining time, a bar, and a row for each busy sub-node.

Rule 1: pure: the state of a run, the time and the size of the area give the lines.
Rule 2: no line is wider than the area, there are never more than fit, and no text of a job or a
node can do anything but be shown.
"""

from __future__ import annotations

from pegasus.panel.head import numbers_words
from pegasus.panel.lines import ESTIMATE_PERIOD, LivePanel, panel_lines
from pegasus.panel.pieces import cut
from pegasus.panel.stack import PanelStack
from pegasus.panel.view import PanelView

__all__ = [
    "ESTIMATE_PERIOD",
    "LivePanel",
    "PanelStack",
    "PanelView",
    "cut",
    "numbers_words",
    "panel_lines",
]
