"""Which commands a stop of one job means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pegasus.dispatch.ending import RunningCommand
from pegasus.dispatch.results import StoppedJob
from pegasus.model import Assignment


def is_meant(assignment: Assignment, number: int, sub_node: int | None) -> bool:
    """Tell whether a stop means an assignment; None stands for all sub-nodes."""
    return assignment.number == number and sub_node in {None, assignment.sub_node.number}


def running_commands(
    running: Iterable[RunningCommand],
    number: int,
    sub_node: int | None,
    run_names: Collection[str | None],
) -> list[RunningCommand]:
    """Give the commands of a job that run.

    Args:
        running: all commands.
        number: of the job in its run.
        sub_node: the number of one sub-node; None for all.
        run_names: the names of its run; None stands for the run that goes on.
    """
    return [
        each
        for each in running
        if is_meant(each.assignment, number, sub_node) and each.run_name in run_names
    ]


def stopped(running: Sequence[RunningCommand], waiting: list[Assignment]) -> StoppedJob:
    """Describe what a stop did."""
    return StoppedJob(
        [command.assignment for command in running if command.is_reached],
        waiting,
        [command.assignment for command in running if not command.is_reached],
    )
