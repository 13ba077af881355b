"""Entries and jobs -> the lines of YAML that stand for them.

Rule 1: a text that was on one line is written exactly as the user wrote it.
Rule 2: the caller parses the result, and asks for the strict style if it has another meaning.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass

from pegasus import yaml_text
from pegasus.demand import with_group
from pegasus.launch_text import LAUNCH_KEY
from pegasus.model import NO_DEMAND, AtMost, Barrier, Demand, Entry, Job
from pegasus.queue_file.entries import Written, levels
from pegasus.yaml_text import BREAKS, Listing, Mapping, NodeValue, PairValue, Scalar

LONGEST_KEY = 1000
"""Characters; YAML takes a name only if its colon comes within 1024, else it needs a `?`."""

_UNWRITTEN = "new"
"""The style of a scalar that is not in a file yet."""


@dataclass(frozen=True, slots=True)
class Style:
    """How to write.

    Attributes:
        text: the text of the file, for what is written as it was there.
        flow: whether the list is in brackets.
        strict: whether every text is in double quotes, on one line.
    """

    text: str = ""
    flow: bool = False
    strict: bool = False


def canonical(job: Job | Barrier) -> str:
    """Write a job in the form of consumed.yaml: two lines for a plain command on one line.

    Reading it gives the identical job, whatever its texts are. A barrier is one line.
    """
    if isinstance(job, Barrier):
        return f"- barrier: {job.kind}\n"
    pairs = (("command", job.command), *job.params)
    lists = tuple((_new(name), _listing([value])) for name, value in pairs)
    node = Mapping((*lists, *_demanded(job.demand)), 0, 0, flow=False)
    return "".join(f"{line}\n" for line in _block_entry(node, Style(), one_line=True))


def remaining(
    written: Written, parts: Sequence[tuple[range, ...]], style: Style
) -> list[list[str]]:
    """Write what remains of an entry.

    Args:
        written: the entry as it stands in its file.
        parts: for each entry to write the indexes that remain of each list.
        style: how to write.

    Returns:
        For each entry its lines, beginning with its dash; in a list in brackets one without a dash.
    """
    node = written.item.node
    if isinstance(node, Scalar):
        return [_entry(node, style) for _ in parts]
    order = levels(node)
    group = written.entry.demand.at_most
    entries = []
    for part in parts:
        kept = dict(zip(order, part, strict=True))
        pairs = tuple(
            (name, _grouped(value, group) if name.text == "at_most" else value)
            if isinstance(value, Mapping)
            else (name, _only(value, kept[i]))
            for i, (name, value) in enumerate(node.pairs)
        )
        entries.append(_entry(Mapping(pairs, node.start, node.end, node.flow), style))
    return entries


def added(entry: Entry | Barrier, style: Style) -> list[str]:
    """Write a new entry; a command without anything else is a plain text."""
    if isinstance(entry, Barrier):
        pair = (_new("barrier"), _new(entry.kind))
        return _entry(Mapping((pair,), 0, 0, flow=False), style)
    if not entry.params and len(entry.commands) == 1 and entry.demand == NO_DEMAND:
        return _entry(_new(entry.commands[0]), style)
    pairs = (("command", entry.commands), *entry.params)
    nodes = tuple((_new(name), _new_value(values)) for name, values in pairs)
    demanded = _demanded(with_group(entry).demand)
    return _entry(Mapping((*nodes, *demanded), 0, 0, flow=False), style)


def _demanded(demand: Demand) -> list[tuple[Scalar, Mapping]]:
    """Give the keys that stand for a demand, each on one line."""
    found: list[tuple[str, list[tuple[Scalar, PairValue]]]] = []
    if demand.needs is not None:
        found.append(("needs", [(_new(name), _new(str(n))) for name, n in demand.needs]))
    if demand.where:
        found.append(
            ("where", [(_new(name), _new_value(each, flow=True)) for name, each in demand.where])
        )
    if demand.at_most is not None:
        running: list[tuple[Scalar, PairValue]]
        running = [(_new("running"), _new(str(demand.at_most.running)))]
        found.append(("at_most", running + _of(demand.at_most)))
    launch = (("shell", demand.launch.shell), ("chdir", demand.launch.chdir))
    if given := [(name, text) for name, text in launch if text]:
        found.append((LAUNCH_KEY, [(_new(name), _new(text)) for name, text in given]))
    return [(_new(name), Mapping(tuple(pairs), 0, 0, flow=True)) for name, pairs in found]


def _of(at_most: AtMost) -> list[tuple[Scalar, PairValue]]:
    return [(_new("of"), _new(at_most.of))] if at_most.of else []


def _grouped(at_most: Mapping, group: AtMost | None) -> Mapping:
    """Write down how the jobs of an entry count together, where what remains cannot tell it."""
    if group is None or any(name.text == "of" for name, _ in at_most.pairs):
        return at_most
    return Mapping((*at_most.pairs, *_of(group)), at_most.start, at_most.end, at_most.flow)


def _new(text: str) -> Scalar:
    return Scalar(text, 0, 0, _UNWRITTEN)


def _listing(values: Sequence[str], *, flow: bool = False) -> Listing:
    return Listing(tuple(_new(value) for value in values), 0, 0, flow)


def _new_value(values: Sequence[str], *, flow: bool = False) -> NodeValue:
    """Write one value as a text, several in brackets, unless one needs a literal block."""
    if len(values) == 1:
        return _new(values[0])
    return _listing(values, flow=flow or not any("\n" in value for value in values))


def _only(value: NodeValue, indexes: range) -> NodeValue:
    if isinstance(value, Scalar):
        return value
    values = tuple(value.values[i] for i in indexes)
    return Listing(values, value.start, value.end, value.flow)


def _entry(node: Scalar | Mapping, style: Style) -> list[str]:
    if style.flow:
        return [_one_line(node, style) if isinstance(node, Scalar) else _braces(node, style)]
    if isinstance(node, Scalar):
        return _scalar("- ", node, style)
    if node.flow:
        return [f"- {_braces(node, style)}"]
    return _block_entry(node, style)


def _block_entry(mapping: Mapping, style: Style, *, one_line: bool = False) -> list[str]:
    lines = [line for pair in mapping.pairs for line in _pair(*pair, style, one_line=one_line)]
    return [f"- {lines[0]}", *(f"  {line}" if line else "" for line in lines[1:])]


def _pair(name: Scalar, value: PairValue, style: Style, *, one_line: bool) -> list[str]:
    """Write a name and its value, as lines that begin at the name's column."""
    key = _one_line(name, style)
    head, colon = ([], f"{key}:") if len(key) <= LONGEST_KEY else ([f"? {key}"], ":")
    if isinstance(value, Mapping) and not value.flow:
        pairs = [line for pair in value.pairs for line in _pair(*pair, style, one_line=one_line)]
        return [*head, colon, *(f"  {line}" if line else "" for line in pairs)]
    if isinstance(value, Mapping):
        return [*head, f"{colon} {_braces(value, style)}"]
    if isinstance(value, Listing) and not value.flow:
        indent = "  " if _is_indented(name, value, style) else ""
        dashes = [_dash(each, style, one_line=one_line) for each in value.values]
        lines = [line for each in dashes for line in each]
        return [*head, colon, *(f"{indent}{line}" if line else "" for line in lines)]
    if isinstance(value, Listing):
        return [*head, f"{colon} {_brackets(value, style)}"]
    return [*head, *_scalar(f"{colon} ", value, style)]


def _is_indented(name: Scalar, value: Listing, style: Style) -> bool:
    """Tell whether a list's dashes stood further to the right than its name."""
    return _column(style.text, value.start) > _column(style.text, name.start)


def _column(text: str, index: int) -> int:
    return index - (text.rfind("\n", 0, index) + 1)


def _dash(scalar: Scalar, style: Style, *, one_line: bool) -> list[str]:
    return [f"- {_one_line(scalar, style)}"] if one_line else _scalar("- ", scalar, style)


def _scalar(before: str, scalar: Scalar, style: Style) -> list[str]:
    """Write a text after its introduction; several lines as a literal block, if YAML allows it."""
    if "\n" in scalar.text and not style.strict and not _as_it_stood(scalar, style):
        lines = yaml_text.literal(scalar.text, "  ")
        if lines is not None:
            return [before + lines[0], *lines[1:]]
    return [before + _one_line(scalar, style)]


def _braces(mapping: Mapping, style: Style) -> str:
    inside = Style(style.text, flow=True, strict=style.strict)
    return "{" + ", ".join(_flow_pair(name, value, inside) for name, value in mapping.pairs) + "}"


def _flow_pair(name: Scalar, value: PairValue, style: Style) -> str:
    key = _one_line(name, style)
    colon = f"{key}:" if len(key) <= LONGEST_KEY else f"? {key} :"
    if isinstance(value, Mapping):
        return f"{colon} {_braces(value, style)}"
    written = _one_line(value, style) if isinstance(value, Scalar) else _brackets(value, style)
    return f"{colon} {written}"


def _brackets(listing: Listing, style: Style) -> str:
    inside = Style(style.text, flow=True, strict=style.strict)
    return "[" + ", ".join(_one_line(each, inside) for each in listing.values) + "]"


def _one_line(scalar: Scalar, style: Style) -> str:
    if style.strict:
        return yaml_text.quoted(scalar.text)
    return _as_it_stood(scalar, style) or yaml_text.one_line(scalar.text, flow=style.flow)


def _as_it_stood(scalar: Scalar, style: Style) -> str:
    """Give the text as the user wrote it, quotes included; empty if it was not on one line."""
    if scalar.style == _UNWRITTEN or scalar.block:
        return ""
    written = style.text[scalar.start : scalar.end]
    return "" if any(character in written for character in BREAKS) else written


def emptied(content: bytes) -> bytes:
    """Put an empty list before a content from which the last entry was removed."""
    bom = content[: len(BOM_UTF8)] if content.startswith(BOM_UTF8) else b""
    return bom + b"[]\n" + content[len(bom) :]
