"""The name of a group of sub-nodes: hosts as a set, with parameters where hosts have several."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pegasus.model import Params, SubNode
from pegasus.node_sets import fold
from pegasus.terminal_text import visible

_NUMBERS_OF_NAME = re.compile(r"([0-9]{1,18})", re.ASCII)


class GroupNames:
    """Names groups of the sub-nodes of a run.

    Args:
        sub_nodes: all of them.
    """

    def __init__(self, sub_nodes: Sequence[SubNode]) -> None:
        self._counts = Counter(each.hostname for each in sub_nodes)

    def add(self, sub_node: SubNode) -> None:
        """Add a sub-node that joins before the first step."""
        self._counts[sub_node.hostname] += 1

    def name_of(self, group: Sequence[SubNode]) -> str:
        """Give the names of a group: ``node-[1-3]``, or ``node-[1-3] (gpu=0)``.

        Parameters are given where the group has some of the sub-nodes of a host, and not all.
        """
        here = Counter(each.hostname for each in group)
        hosts: defaultdict[Params, list[str]] = defaultdict(list)
        for each in group:
            whole = here[each.hostname] == self._counts[each.hostname]
            hosts[() if whole else each.params].append(each.hostname)
        params: defaultdict[str, list[Params]] = defaultdict(list)
        for values, names in hosts.items():
            params[fold(names)].append(values)
        return ", ".join(
            str(SubNode(0, names, values)) for names in params for values in _folded(params[names])
        )

    def with_count(self, group: Sequence[SubNode]) -> str:
        """Give the names of a group and how many they are, as ``clush`` does, on one line."""
        return visible(self.name_of(group)) + (f" ({len(group)})" if len(group) > 1 else "")


def _folded(rows: list[Params]) -> list[Params]:
    """Make one of parameters that differ in the value of one: ``gpu=0`` and ``gpu=1``."""
    columns = [dict.fromkeys(column) for column in zip(*rows, strict=False)]
    varying = [column for column in columns if len(column) > 1]
    alike = len({tuple(name for name, _ in row) for row in rows}) == 1
    if len(rows) == 1 or not alike or len(varying) != 1:
        return rows
    return [tuple((next(iter(each))[0], fold(value for _, value in each)) for each in columns)]


def first_of(hostnames: Iterable[str]) -> str:
    """Give the first name of a set, by which ``clush`` orders groups of the same size."""
    return min(hostnames, key=_by_numbers)


def _by_numbers(name: str) -> list[tuple[str, int]]:
    """Order names by the numbers in them: ``node-9`` comes before ``node-10``."""
    parts = _NUMBERS_OF_NAME.split(name)
    return [
        (text, int(number)) for text, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)
    ]
