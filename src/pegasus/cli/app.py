"""The application that the commands are registered with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cyclopts import App, Parameter

from pegasus import __version__

app = App(
    name="pegasus",
    help="Run a list of jobs (queue.yaml) on a list of nodes (hosts.yaml) over SSH.",
    version=__version__,
    version_flags=["--version", "-V"],
    default_parameter=Parameter(negative=""),
    help_on_error=False,
)


def run_in_trio(command: Callable[[], Awaitable[int]]) -> int:
    """Run a command that may wait, and return its exit status."""
    import trio

    return trio.run(command)
