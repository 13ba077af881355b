"""A job and a sub-node -> the command: rendered and checked. No other module makes a Command.

Rule 1: every command comes from ``render``: in a take, a retry, a broadcast and ``pegasus check``.
Rule 2: a command that no node can run is refused when it is rendered, so it is never started.
"""

from __future__ import annotations

from collections.abc import Iterable

from pegasus.demand import COUNT_SUFFIX
from pegasus.errors import TemplateFault
from pegasus.model import Command, Job, SlotsHeld, SubNode
from pegasus.template import USE_A_SCRIPT, parse

LONGEST_COMMAND = 128 * 1024 - 1
"""Bytes of UTF-8: the limit of Linux for one argument (MAX_ARG_STRLEN) without the NUL."""


class Values(dict[str, str]):
    """The values of a job on a sub-node; records which of them were looked up.

    The order is: parameters of the job, ``hostname``, parameters of the sub-node, the slots that
    the job holds there. If several have one name, the last one counts.

    Args:
        job: the job.
        sub_node: the sub-node.
        slots: what the job holds there.
        pools: names of slots that other sub-nodes have, for messages.
    """

    def __init__(
        self, job: Job, sub_node: SubNode, slots: SlotsHeld = (), pools: Iterable[str] = ()
    ) -> None:
        super().__init__(job.params)
        self["hostname"] = sub_node.hostname
        self.update(sub_node.params)
        for held in slots:
            self[held.pool] = held.text
            self[held.pool + COUNT_SUFFIX] = str(len(held.slots))
        self.asked: set[str] = set()
        self._sub_node = sub_node
        self._pools = {*pools, *(name for name, _ in job.demand.needs or ())}

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return super().__contains__(name)

    def hint(self, name: str) -> str:
        """Say of an unknown name that it stands for slots elsewhere; empty if it does not."""
        pool = name.removesuffix(COUNT_SUFFIX)
        if pool == name and pool not in self._pools:
            return ""
        have = ", ".join(each.name for each in self._sub_node.pools)
        its_own = f"its slots are called {have}" if have else "it has no slots at all"
        return f'The sub-node {self._sub_node} has no slots called "{pool}": {its_own}'


def render(job: Job, sub_node: SubNode, slots: SlotsHeld = ()) -> Command:
    """Render the command of a job for a sub-node.

    Args:
        job: the job.
        sub_node: the sub-node.
        slots: what the job holds there: ``{{ gpu }}`` is ``2,3``, ``{{ gpu.count }}`` is ``2``.

    Raises:
        TemplateFault: the template cannot be rendered, or gives a command that no node can run.
    """
    return render_with(job.command, Values(job, sub_node, slots))


def render_with(template: str, values: Values) -> Command:
    """Render a command with values that the caller keeps, to see which of them were looked up.

    Raises:
        TemplateFault: see ``render``.
    """
    try:
        command = parse(template).fill(values)
    except TemplateFault as fault:
        if fault.unknown and (hint := values.hint(fault.unknown)):
            instead = f"{hint}. {fault.instead}"
            raise TemplateFault(fault.line, fault.column, fault.what, instead) from fault
        raise
    wrong = wrong_with(command, "this command, filled in,")
    if wrong is not None:
        raise TemplateFault(1, 1, *wrong)
    return Command(command)


def as_recorded(text: str) -> Command:
    """Give a command that a journal recorded as rendered."""
    return Command(text)


def as_written(text: str) -> Command:
    """Give a command that is no template: a question of Pegasus itself, or a probe of a user."""
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
