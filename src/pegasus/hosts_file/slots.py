"""``slots`` of an item of a hosts file -> the pools of its sub-nodes.

Rule 1: only a mapping is ``slots``; a text or a list of that name is a parameter.
Rule 2: which slots a node has is decided here only where the file names them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from pegasus.demand import COUNT_SUFFIX, POOL_NAME, slots_variable
from pegasus.errors import FileFault
from pegasus.model import Pool, PoolKind
from pegasus.rendered import wrong_with
from pegasus.shell_text import changed_command
from pegasus.yaml_text import Listing, Mapping, PairValue, Scalar, SourceText, refuse_changed

MOST_SLOTS_OF_POOL = 4_096
"""Slots of one pool: more than a machine has processors. A mistyped range quickly exceeds it."""

WRITE_SLOTS = (
    "Write a number (8), ranges (0-3,6), a list of names ([a, b]), nproc, nvidia, amd, or "
    "{probe: COMMAND}"
)

_ASKED_KINDS: dict[str, PoolKind] = {"nproc": "nproc", "nvidia": "nvidia", "amd": "amd"}
_SLOT_NUMBER = "(?:0|[1-9][0-9]{0,8})"
_SLOT_COUNT = re.compile(_SLOT_NUMBER)
_SLOT_RANGE = re.compile(f"({_SLOT_NUMBER})-({_SLOT_NUMBER})")
_SLOT_RANGES = re.compile(
    f"{_SLOT_NUMBER}(?:-{_SLOT_NUMBER})?(?:, *{_SLOT_NUMBER}(?:-{_SLOT_NUMBER})?)*"
)
_SLOT_NAME = re.compile("[A-Za-z0-9._:-]+")


def read_pools(source: SourceText, node: Mapping, params: Sequence[str]) -> tuple[Pool, ...]:
    """Read the pools of an item.

    Args:
        source: the file.
        node: the mapping below ``slots``.
        params: the names of the item's parameters.

    Raises:
        FileFault: there is something wrong with one of them.
    """
    pools: list[Pool] = []
    for name, value in node.pairs:
        _check_name(source, name, params, [pool.name for pool in pools])
        pools.append(_pool(source, name.text, value))
    return tuple(pools)


def _check_name(
    source: SourceText, name: Scalar, params: Sequence[str], others: Sequence[str]
) -> None:
    position = source.position(name.start)
    if others and _SLOT_RANGES.fullmatch(name.text):
        raise FileFault(
            position,
            f'YAML reads the comma before "{name.text}" as the end of a value',
            'Quote the numbers, as in `slots: {gpu: "0-3,6"}`',
        )
    if not POOL_NAME.fullmatch(name.text):
        raise FileFault(
            position,
            f'"{name.text}" cannot be the name of slots',
            "A name is letters, digits, _ and -, as in `slots: {gpu: 0-7}`",
        )
    for taken in ("hostname", *params):
        if taken in {name.text, name.text + COUNT_SUFFIX}:
            raise FileFault(
                position,
                f'"{taken}" would be a parameter and the name of slots, and a template could not '
                "tell them apart",
                "Rename one of them",
            )
    for other in others:
        if slots_variable(other) == slots_variable(name.text):
            raise FileFault(
                position,
                f'the slots "{other}" and "{name.text}" would have the same environment variable, '
                f"{slots_variable(other)}",
                "Rename one of them",
            )


def _pool(source: SourceText, name: str, value: PairValue) -> Pool:
    if isinstance(value, Mapping):
        return Pool(name, "probe", command=_probe(source, value))
    if isinstance(value, Listing):
        return Pool(name, "fixed", _of_list(source, value))
    word, _, rest = value.text.partition(" ")
    if word in _ASKED_KINDS:
        return Pool(name, _ASKED_KINDS[word], _of_kind(source, value, word, rest.strip()))
    if _SLOT_COUNT.fullmatch(value.text):
        return Pool(name, "fixed", _numbers(source, value, 0, int(value.text) - 1))
    if _SLOT_RANGES.fullmatch(value.text):
        return Pool(name, "fixed", _of_ranges(source, value, value.text))
    what = f'"{value.text}" does not say which slots there are'
    if not value.text.strip():
        what = "no slots stand here"
    near = difflib.get_close_matches(word.lower(), _ASKED_KINDS, 1)
    step = f'Did you mean "{near[0]}"? ' if near else ""
    raise FileFault(source.position(value.start), what, step + WRITE_SLOTS)


def _of_kind(source: SourceText, value: Scalar, word: str, rest: str) -> tuple[str, ...]:
    """Read the numbers after ``nvidia`` or ``amd``: only these of the GPUs."""
    if not rest:
        return ()
    if word == "nproc":
        what = '"nproc" stands alone: it is as many slots as the node has processors'
        step = "Write `nproc`, or the number of slots"
        raise FileFault(source.position(value.start), what, step)
    if not _SLOT_RANGES.fullmatch(rest):
        what = f'after "{word}" come numbers of GPUs, and "{rest}" is none'
        raise FileFault(source.position(value.start), what, f"Write `{word}` or `{word} 0-3,6`")
    return _of_ranges(source, value, rest)


def _of_ranges(source: SourceText, value: Scalar, text: str) -> tuple[str, ...]:
    ids: list[str] = []
    for part in text.split(","):
        ids += _of_part(source, value, part.strip())
        _refuse_too_many(source, value, len(ids))
    return _once(source, [(value, each) for each in ids])


def _of_list(source: SourceText, listing: Listing) -> tuple[str, ...]:
    ids: list[tuple[Scalar, str]] = []
    for value in listing.values:
        if value.text in _ASKED_KINDS:
            what = f'"{value.text}" stands alone, and not in a list'
            step = f"Write `{value.text}`"
            step += "" if value.text == "nproc" else f", or `{value.text} 0-3` for some of them"
            raise FileFault(source.position(value.start), what, step)
        if not _SLOT_NAME.fullmatch(value.text):
            raise FileFault(
                source.position(value.start),
                f'"{value.text}" cannot be a slot',
                "A slot is named with letters, digits, and the characters . _ : -",
            )
        ids += [(value, each) for each in _of_part(source, value, value.text)]
        _refuse_too_many(source, value, len(ids))
    return _once(source, ids)


def _of_part(source: SourceText, value: Scalar, text: str) -> tuple[str, ...]:
    """Read a range or a single slot."""
    if not (found := _SLOT_RANGE.fullmatch(text)):
        return (text,)
    first, last = int(found[1]), int(found[2])
    if first > last:
        what = f'the range "{text}" begins after its end'
        raise FileFault(source.position(value.start), what, f'Write "{last}-{first}"')
    return _numbers(source, value, first, last)


def _numbers(source: SourceText, value: Scalar, first: int, last: int) -> tuple[str, ...]:
    if last < first:
        what = "0 slots are none"
        raise FileFault(source.position(value.start), what, "Write at least 1, or leave it out")
    _refuse_too_many(source, value, last - first + 1)
    return tuple(map(str, range(first, last + 1)))


def _refuse_too_many(source: SourceText, value: Scalar, count: int) -> None:
    if count > MOST_SLOTS_OF_POOL:
        what = f"these are {count:,} slots or more, and a pool has at most {MOST_SLOTS_OF_POOL:,}"
        raise FileFault(source.position(value.start), what, "Look for a range that is too long")


def _once(source: SourceText, ids: Sequence[tuple[Scalar, str]]) -> tuple[str, ...]:
    known: set[str] = set()
    for value, each in ids:
        if each in known:
            what = f'the slot "{each}" stands here twice'
            raise FileFault(source.position(value.start), what, "Remove one of them")
        known.add(each)
    return tuple(each for _, each in ids)


def _probe(source: SourceText, node: Mapping) -> str:
    """Read ``{probe: COMMAND}``."""
    for name, _ in node.pairs:
        if name.text != "probe":
            what = f'the only key that can stand here is "probe", and this is "{name.text}"'
            step = "Write `{probe: COMMAND}`, whose output has one slot on each line"
            raise FileFault(source.position(name.start), what, step)
    ((_, value),) = node.pairs
    if not isinstance(value, Scalar):
        what = "a probe is one command, and this is a list"
        raise FileFault(source.position(value.start), what, "Join the commands with `;` or `&&`")
    refuse_changed(source, value, "command", changed_command)
    wrong = wrong_with(value.text, "this probe")
    if wrong is not None:
        raise FileFault(source.position(value.start), *wrong)
    return value.text
