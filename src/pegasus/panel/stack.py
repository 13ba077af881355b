"""Several panels, one below the other: of a run, and of the runs whose commands it follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pegasus.panel.lines import LivePanel

LEAST_PANEL = 3
"""Lines below which a further panel shows too little: its numbers, its bar and a row."""


@dataclass(frozen=True, slots=True)
class PanelStack:
    """Panels that share an area, as a function of its size.

    Attributes:
        first: is always shown, if it is there.
        others: are shown while commands of theirs run, as far as there is room.
    """

    first: LivePanel | None
    others: Sequence[LivePanel]

    def __call__(self, width: int, height: int, colour: bool) -> list[str]:  # noqa: FBT001 -- as the screen calls it
        """Lay out the panels; the last ones get the room that the ones before leave."""
        others = [panel for panel in self.others if panel.has_open_jobs]
        panels = [self.first, *others] if self.first is not None else others
        panels = panels[: max(1, height // LEAST_PANEL)]
        lines: list[str] = []
        for index, panel in enumerate(panels):
            share = (height - len(lines)) // (len(panels) - index)
            lines += panel(width, share, colour)
        return lines
