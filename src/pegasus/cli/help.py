"""The layout of help texts: groups of commands and options, in two columns without frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import Group

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

RUN = Group("Run", sort_key=1)
STEER = Group("Steer", sort_key=2)
LOOK = Group("Look", sort_key=3)
PREPARE = Group("Prepare", sort_key=4)
OTHER = Group("Other", sort_key=9)

ARGUMENTS = Group("Arguments", sort_key=1)
OPTIONS = Group("Options", sort_key=2)

WIDEST = 100
"""Columns of a help text: longer lines are hard to read."""


class PlainHelp:
    """Prints the groups one after the other: a title, then names and what they mean."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one group."""
        if not panel.entries:
            return
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=0)
        table.add_column(no_wrap=True)
        table.add_column()
        for entry in panel.entries:
            label = _label(entry, is_command=panel.format == "command")
            table.add_row("", Text(label, "bold"), entry.description or "")
        console.print(Text(f"{panel.title}:", "bold"))
        console.print(table, width=min(options.max_width, WIDEST))
        console.print()


def _label(entry: HelpEntry, *, is_command: bool) -> str:
    if is_command:
        return ", ".join([*entry.positive_names, *entry.positive_shorts])
    return ", ".join(entry.display_labels_with_metavar)
