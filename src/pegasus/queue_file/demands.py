"""``needs``, ``where``, ``at_most``, ``run`` and ``barrier`` of a queue file.

Rule 1: only a mapping demands something; a text or a list of that name is a parameter.
Rule 2: every fault has the position of the name or the value that is wrong.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from collections.abc import Mapping as Names

from pegasus.demand import POOL_NAME
from pegasus.errors import FileFault
from pegasus.launch import NO_LAUNCH
from pegasus.launch_text import LAUNCH_KEY, read_launch
from pegasus.model import AtMost, BarrierKind, Demand, Needs, Where
from pegasus.yaml_text import Listing, Mapping, PairValue, Scalar, SourceText, texts

DEMAND_KEYS = ("needs", "where", "at_most", LAUNCH_KEY)
"""The keys of an entry that demand something where their value is a mapping."""

MOST_NEEDED = 1_000_000
"""Slots that a job may need, and jobs that may run at a time. A greater number is a mistake."""

BARRIER_KINDS: tuple[BarrierKind, ...] = ("succeeded", "ended")

WRITE_A_BARRIER = 'Write "- barrier: succeeded" or "- barrier: ended"'

NEEDS_EXAMPLE = "needs: {gpu: 2}"

_EXAMPLES = {
    "needs": "write `needs: {gpu: 2}`",
    "where": "write `where: {model: a100}`",
    "at_most": "write `at_most: {running: 2}`",
    LAUNCH_KEY: "write `run: {chdir: work/project}`",
    "barrier": 'write "- barrier: succeeded" as an entry of its own',
}
"""What somebody may have meant who wrote a parameter with such a name."""

_PLAIN_NUMBER = re.compile("0|[1-9][0-9]*")
_KEYS_OF_AT_MOST = ("running", "of")


def read_demand(source: SourceText, sections: Names[str, Mapping]) -> Demand:
    """Read what an entry demands.

    Args:
        source: the file.
        sections: the mappings among its values, by their names.

    Raises:
        FileFault: one of them is wrong.
    """
    needs, where, at_most, launch = (sections.get(name) for name in DEMAND_KEYS)
    return Demand(
        _needs(source, needs) if needs else None,
        _where(where) if where else (),
        _at_most(source, at_most) if at_most else None,
        read_launch(source, launch) if launch else NO_LAUNCH,
    )


def read_barrier_kind(source: SourceText, node: Mapping) -> BarrierKind:
    """Read an item that has a ``barrier`` and no ``command``.

    Raises:
        FileFault: it has other keys as well, or it is no kind of barrier.
    """
    for name, _ in node.pairs:
        if name.text != "barrier":
            what = f'a barrier stands alone, and this entry has "{name.text}" as well'
            step = f'{WRITE_A_BARRIER} as an entry of its own, or add a "command"'
            raise FileFault(source.position(name.start), what, step)
    ((_, value),) = node.pairs
    for kind in BARRIER_KINDS:
        if isinstance(value, Scalar) and value.text == kind:
            return kind
    what = 'a barrier is "succeeded" or "ended", and this is neither'
    raise FileFault(source.position(value.start), what, WRITE_A_BARRIER)


def whole(text: str, least: int) -> int | str:
    """Read a whole number; give what is wrong with it, as the end of a sentence, if it is none."""
    if not _PLAIN_NUMBER.fullmatch(text) or int(text[:10]) < least:
        return f"a whole number of at least {least}"
    if len(text) > len(str(MOST_NEEDED)) or int(text) > MOST_NEEDED:
        return f"at most {MOST_NEEDED:,}"
    return int(text)


def _needs(source: SourceText, node: Mapping) -> Needs:
    needs = []
    for name, value in node.pairs:
        if not POOL_NAME.fullmatch(name.text):
            raise FileFault(
                source.position(name.start),
                f'"{name.text}" cannot be the name of slots',
                f"A name is letters, digits, _ and -, as in `{NEEDS_EXAMPLE}`",
            )
        what = f"the number of slots of {name.text}"
        needs.append((name.text, _number(source, value, what, 0, NEEDS_EXAMPLE)))
    return tuple(needs)


def _where(node: Mapping) -> Where:
    return tuple((name.text, texts(_plain(value))) for name, value in node.pairs)


def _at_most(source: SourceText, node: Mapping) -> AtMost:
    values = {name.text: value for name, value in node.pairs}
    for name, _ in node.pairs:
        if name.text not in _KEYS_OF_AT_MOST:
            near = difflib.get_close_matches(name.text, _KEYS_OF_AT_MOST, 1)
            step = f'Did you mean "{near[0]}"? ' if near else ""
            step += "Write `at_most: {running: 2}`"
            raise FileFault(source.position(name.start), f'"at_most" has no "{name.text}"', step)
    if "running" not in values:
        raise FileFault(
            source.position(node.start),
            '"at_most" does not say how many jobs may run',
            "Write `at_most: {running: 2}`",
        )
    what = "the number of jobs that may run"
    running = _number(source, values["running"], what, 1, "at_most: {running: 2}")
    if (value := values.get("of")) is None:
        return AtMost(running)
    text = value.text if isinstance(value, Scalar) else ""
    if not is_group(text):
        raise FileFault(
            source.position(value.start),
            'the value of "of" must be one name',
            "Write the same name in all entries that count together",
        )
    return AtMost(running, text)


def is_group(text: str) -> bool:
    """Tell whether a text can be the name under which entries count together."""
    return text.isprintable() and bool(text) and text.strip() == text


def _number(source: SourceText, value: PairValue, what: str, least: int, example: str) -> int:
    found = whole(value.text, least) if isinstance(value, Scalar) else "one whole number"
    if isinstance(found, int):
        return found
    raise FileFault(source.position(value.start), f"{what} must be {found}", f"Write `{example}`")


def _plain(value: PairValue) -> Scalar | Listing:
    assert not isinstance(value, Mapping)  # noqa: S101 - the reader refuses a second level
    return value


def doubtful_params(node: Scalar | Mapping) -> Iterator[tuple[Scalar, str]]:
    """Give the parameters of an entry that were probably meant as demands, with the next step."""
    for name, value in node.pairs if isinstance(node, Mapping) else ():
        if name.text in _EXAMPLES and not isinstance(value, Mapping):
            yield name, f"If it is not meant as one, {_EXAMPLES[name.text]}"
