"""The application that the commands are registered with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cyclopts import App, Parameter

from pegasus import __version__
from pegasus.cli.help import ARGUMENTS, OPTIONS, OTHER, PlainHelp

app = App(
    name="pegasus",
    help="Run a list of jobs (queue.yaml) on a list of nodes (hosts.yaml) over SSH.",
    help_epilogue=(
        "Start here: `pegasus init try && cd try && pegasus q`. `pegasus COMMAND --help` shows the "
        "options of a command and an example."
    ),
    usage="Usage: pegasus COMMAND [OPTIONS]",
    version=__version__,
    version_flags=["--version", "-V"],
    default_parameter=Parameter(negative="", show_default=False),
    help_on_error=False,
    help_formatter=PlainHelp(),
    group_arguments=ARGUMENTS,
    group_parameters=OPTIONS,
)
app["--help"].group = OTHER
app["--version"].group = OTHER
app["--help"].help = "Show this text."
app["--version"].help = "Show the version."


def run_in_trio(command: Callable[[], Awaitable[int]]) -> int:
    """Run a command that may wait, and return its exit status."""
    import trio

    return trio.run(command)
