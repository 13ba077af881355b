"""A job -> the command that a sub-node is given: rendered and checked, here and nowhere else.

Rule 1: whoever hands a command to a sub-node has it from ``render``: a take, a retry, a broadcast,
and ``pegasus check``, which tries them all.
Rule 2: a command that no node can be given is refused as it is made, so it is never run.
"""

from __future__ import annotations

from pegasus.errors import TemplateFault
from pegasus.model import Command, Job, SubNode
from pegasus.template import USE_A_SCRIPT, parse

LONGEST_COMMAND = 128 * 1024 - 1
"""Bytes of UTF-8: Linux gives a program no argument over MAX_ARG_STRLEN, its NUL included."""


class Values(dict[str, str]):
    """The values that a job has on a sub-node; notes which of them were asked for.

    The job's parameters come first, then ``hostname``, then the sub-node's parameters; where
    several have one name, the last of them counts.
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
    """Give a job's command for a sub-node.

    Raises:
        TemplateFault: the template cannot be filled in, or gives no command that a node can be
            given.
    """
    return render_with(job.command, Values(job, sub_node))


def render_with(template: str, values: Values) -> Command:
    """Give a command for values that the caller keeps, to see which of them were asked for.

    Raises:
        TemplateFault: as ``render`` has it.
    """
    command = parse(template).fill(values)
    wrong = wrong_with(command, "this command, filled in,")
    if wrong is not None:
        raise TemplateFault(1, 1, *wrong)
    return Command(command)


def as_recorded(text: str) -> Command:
    """Give the command that a journal says was rendered and run."""
    return Command(text)


def wrong_with(command: str, name: str = "this command") -> tuple[str, str] | None:
    """Tell why no node can be given a command, rendered or not.

    Args:
        command: the command.
        name: what to call it.

    Returns:
        What is wrong and what to do instead, as two sentences without their full stops; None where
        nothing is.
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
