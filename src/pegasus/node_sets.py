"""Sets of names: ``node-[1-9,11]`` -> names, and names -> such a text.

Rule 1: only what is in brackets is read. The text around them is taken as it is, whatever signs a
library would interpret there.
Rule 2: the size of a set is known before it is expanded.
Rule 3: ClusterShell is loaded where there is a set, and not before; its configuration changes
nothing here.
"""

from __future__ import annotations

import configparser
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pegasus.errors import PegasusError
from pegasus.model import SubNode

MOST_NAMES = 10_000
"""Names of one set. No cluster has more nodes, and a mistyped range quickly exceeds it."""

_MOST_GROUPS = 64
"""Groups of names that differ in their last number only, up to which the other numbers are folded
as well. 64 such groups of 150 names take 0.4 seconds; 1,000 names in 800 groups would take 1.3."""

_MOST_NAMED = 10
"""Sub-nodes with parameters that a message names; the record has all of them."""

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_ADDRESS_BEGINS = re.compile(r"ssh://(?:[^@/]*@)?")
"""What is before a bracket around the host of an address: that is never a set."""

_RANGES = re.compile(r"[0-9]{1,18}(?:-[0-9]{1,18}(?:/[0-9]{1,18})?)?", re.ASCII)
_FOLDABLE = re.compile(r"[A-Za-z0-9._/-][A-Za-z0-9._:/@=-]*", re.ASCII)
"""Names in which ClusterShell reads nothing but the numbers."""

_COMMA_OUTSIDE = re.compile(r",(?![^\[\]]*\])")
"""A comma that is in no bracket."""

_LAST_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*\Z)", re.ASCII)


class NoNodeSet(PegasusError):
    """A text with brackets that is no set of names.

    Args:
        what: the fault, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what}. {instead}.")
        self.what = what
        self.instead = instead


def expand(text: str) -> tuple[str, ...]:
    """Give the names of a set, in the order of their numbers; those in the first bracket outermost.

    A text without brackets is one name. Brackets around an IPv6 address, or around the whole host
    of an ``ssh://`` address, are no set.

    Raises:
        NoNodeSet: it is no set, or one of more than ``MOST_NAMES``.
    """
    size(text)
    parts = [_numbers(part) if is_range else (part,) for part, is_range in _parts(text)]
    return tuple(map("".join, itertools.product(*parts)))


def size(text: str) -> int:
    """Count the names of a set without expanding it; one that is listed twice counts twice.

    Raises:
        NoNodeSet: it is no set, or one of more than ``MOST_NAMES``.
    """
    count = math.prod(_size(part, text) for part, is_range in _parts(text) if is_range)
    if count > MOST_NAMES:
        # Python does not write numbers of thousands of digits.
        many = f"{count:,}" if count < MOST_NAMES**3 else f"over {MOST_NAMES**3:,}"
        raise NoNodeSet(
            f'"{text}" stands for {many} names, more than {MOST_NAMES:,}', "Write a smaller range"
        )
    return count


def _parts(text: str) -> list[tuple[str, bool]]:
    """Divide a text into the ranges in its brackets, and the text around them."""
    parts: list[tuple[str, bool]] = []
    end = 0
    for match in _BRACKET.finditer(text):
        before, inside = text[: match.start()], match[1]
        if ":" in inside or _ADDRESS_BEGINS.fullmatch(before):
            continue
        parts += [(_plain(before[end:], text), False), (inside, True)]
        end = match.end()
    return [*parts, (_plain(text[end:], text), False)]


def _plain(part: str, text: str) -> str:
    """Check that there is no single bracket around the sets of a text."""
    addresses = _BRACKET.sub("", part)
    for sign, other in ("[", "]"), ("]", "["):
        if sign in addresses:
            raise NoNodeSet(
                f'"{text}" has a "{sign}" without its "{other}"', "Write a set as in node-[1-9,11]"
            )
    return part


def _size(ranges: str, text: str) -> int:
    return sum(_size_of_range(each, text) for each in ranges.split(","))


def _size_of_range(each: str, text: str) -> int:
    """Count the numbers of ``5``, ``1-9`` or ``0-10/2``."""
    if not _RANGES.fullmatch(each):
        what = f'"{each}" is no range of numbers' if each else "a number is missing"
        raise NoNodeSet(f'in "{text}" {what}', "Write numbers, as in node-[1-9,11] or [0-10/2]")
    ends, _, step = each.partition("/")
    first, _, last = ends.partition("-")
    if step and not int(step):
        raise NoNodeSet(f'in "{text}" the step of "{each}" is 0', "Write a step from 1 on")
    if last and int(last) < int(first):
        raise NoNodeSet(
            f'in "{text}" the range "{each}" begins after its end',
            f'Write "{last}-{first}"',
        )
    if last and len(first) != len(last) and (_is_padded(first) or _is_padded(last)):
        raise NoNodeSet(
            f'in "{text}" the range "{each}" has numbers padded with zeros to different widths',
            "Write both with the same number of digits",
        )
    return len(range(int(first), int(last or first) + 1, int(step or 1)))


def _is_padded(number: str) -> bool:
    return len(number) > 1 and number.startswith("0")


def _numbers(ranges: str) -> tuple[str, ...]:
    from ClusterShell.RangeSet import RangeSet  # noqa: PLC0415 -- rule 3

    return tuple(RangeSet(ranges))


def split(text: str) -> list[str]:
    """Divide a list of sets at its commas; the commas in brackets belong to a set."""
    return _COMMA_OUTSIDE.split(text)


def fold(names: Iterable[str]) -> str:
    """Give a text that stands for names, each counted once: ``node-[1-9,11-12]``.

    Names with signs that mean something in a set stand as they are, after the others.
    """
    kept = dict.fromkeys(names)
    foldable = [name for name in kept if _FOLDABLE.fullmatch(name)]
    others = sorted(kept.keys() - foldable)
    if len(foldable) < 2:
        return ",".join([*foldable, *others])
    return ",".join([*_folded(foldable), *others])


def _folded(names: list[str]) -> list[str]:
    try:
        from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet  # noqa: PLC0415 -- rule 3
    except (configparser.Error, ValueError):  # its configuration on this machine has a fault
        return sorted(names)

    def text_of(group: list[str]) -> str:
        found = NodeSet.fromlist(group, resolver=RESOLVER_NOGROUP)
        found.fold_axis = None  # the configuration may restrict it
        return str(found)

    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_LAST_NUMBER.sub("[]", name)].append(name)
    if len(groups) <= _MOST_GROUPS:
        return [text_of(names)]
    return [text_of(groups[each]) for each in sorted(groups)]


def names_of(sub_nodes: Sequence[SubNode]) -> str:
    """Name sub-nodes in a message: hosts as a set, sub-nodes with parameters one by one."""
    text = fold(each.hostname for each in sub_nodes if not each.params)
    names = [str(each) for each in sub_nodes if each.params]
    more = len(names) - _MOST_NAMED
    shown = [*([text] if text else []), *names[:_MOST_NAMED]]
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
