"""What a user may call a sub-node: its number, its host, its name in messages, a parameter.

Rule 1: pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TypeAlias

from pegasus.destination import host_of
from pegasus.errors import PegasusError
from pegasus.model import SubNode

Labels: TypeAlias = frozenset[str]
"""What a sub-node can be called: its hostname, its host, its name in messages, each NAME=VALUE."""

_MOST_SHOWN = 5
_NUMBER = re.compile("-?[0-9]{1,9}")


def labels_of(sub_node: SubNode) -> Labels:
    """Give what a sub-node can be called beside its number."""
    params = {"hostname": sub_node.hostname, **dict(sub_node.params)}
    values = (f"{name}={value}" for name, value in params.items())
    return frozenset((sub_node.hostname, host_of(sub_node.hostname), str(sub_node), *values))


def number_meant(typed: str | int, sub_nodes: Collection[SubNode]) -> int:
    """Give the number of the one sub-node that ``--sub-node`` means.

    Args:
        typed: a number, or what it can be called; with ``&`` several of these.
        sub_nodes: all that there are.

    Raises:
        PegasusError: it means none, or several.
    """
    text = str(typed).strip()
    if _NUMBER.fullmatch(text):
        return int(text)
    parts = {text} if any(text in labels_of(each) for each in sub_nodes) else set(text.split("&"))
    meant = [each for each in sub_nodes if parts <= labels_of(each)]
    if len(meant) == 1:
        return meant[0].number
    if meant:
        raise PegasusError(
            f"--sub-node {text}: this may be {_listed(meant, ' or ')}. Give a number, or more of "
            "the name, as in 'node-1&gpu=0'."
        )
    have = f"There are {_listed([*sub_nodes], ' and ')}" if sub_nodes else "There is none"
    raise PegasusError(f"--sub-node {text}: there is no such sub-node. {have}.")


def _listed(sub_nodes: Sequence[SubNode], last: str) -> str:
    words = [f"number {each.number} ({each})" for each in sub_nodes[:_MOST_SHOWN]]
    more = len(sub_nodes) - len(words)
    words += [f"{more:,} more"] if more > 0 else []
    return ", ".join(words[:-1]) + (last if words[1:] else "") + words[-1]
