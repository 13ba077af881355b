"""A job and a sub-node -> the command: rendered and checked. No other module makes a Command.

Rule 1: every command comes from ``render``: in a take, a retry, a broadcast and ``pegasus check``.
Rule 2: a command that no node can run is refused when it is rendered, so it is never started.
"""

from __future__ import annotations

from pegasus.errors import TemplateFault
from pegasus.model import Command, Job, SubNode
from pegasus.template import USE_A_SCRIPT, parse

LONGEST_COMMAND = 128 * 1024 - 1
"""Bytes of UTF-8: the limit of Linux for one argument (MAX_ARG_STRLEN) without the NUL."""


class Values(dict[str, str]):
    """The values of a job on a sub-node; records which of them were looked up.

    The order is: parameters of the job, ``hostname``, parameters of the sub-node. If several have
    one name, the last one counts.
    """

    def __init__(self, job: Job, sub_node: SubNode) -> None:
        super().__init__(job.params)
        self["hostname"] = sub_node.hostname
        self.update(sub_node.params)
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)


def render(job: Job, sub_node: SubNode) -> Command:
    """Render the command of a job for a sub-node.

    Raises:
        TemplateFault: the template cannot be rendered, or gives a command that no node can run.
    """
    return render_with(job.command, Values(job, sub_node))


def render_with(template: str, values: Values) -> Command:
    """Render a command with values that the caller keeps, to see which of them were looked up.

    Raises:
        TemplateFault: see ``render``.
    """
    command = parse(template).fill(values)
    wrong = wrong_with(command, "this command, filled in,")
    if wrong is not None:
        raise TemplateFault(1, 1, *wrong)
    return Command(command)


def as_recorded(text: str) -> Command:
    """Give a command that a journal recorded as rendered."""
    return Command(text)


def wrong_with(command: str, name: str = "this command") -> tuple[str, str] | None:
    """Find why no node can run a command, rendered or not.

    Args:
        command: the command.
        name: its name in the message.

    Returns:
        The fault and the next step, as two sentences without full stops; None if it is valid.
    """
    if not command.strip():
        return f"{name} is empty", "Write a command, or remove the entry"
    if "\0" in command:
        return f"{name} has a NUL in it, which no program can be given", "Remove the NUL"
    length = len(command) if command.isascii() else len(command.encode("utf-8", "surrogatepass"))
    if length > LONGEST_COMMAND:
        what = f"{name} is {length:,} bytes long, and a node can be given {LONGEST_COMMAND:,}"
        return what, USE_A_SCRIPT
    return None
