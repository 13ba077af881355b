"""The slots that a command holds -> the variables that tell it.

Rule 1: pure; only text.
Rule 2: a value is one word of a line that goes to a shell, which never interprets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from pegasus.model import HeldSlots, PoolKind, SlotsHeld

Environment: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of variables."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")

_NOT_IN_WORDS = re.compile(r"[\x00-\x20\x7f\x80-\x9f\ud800-\udfff]")
"""What would end the word or the line, or cannot be encoded."""


def slots_environment(slots: SlotsHeld) -> Environment:
    """Return the variables of a command for the slots that it holds.

    There is one for each pool of its sub-node, with the same text as in its template. Where the
    sub-node has a pool of GPUs, the command also gets the variables by which the vendor's libraries
    show it these GPUs and no other; an empty value shows none.

    Args:
        slots: what it holds, also the pools of which it takes nothing; empty on a sub-node without
            pools, where no variable is set.
    """
    variables = [(f"PEGASUS_SLOTS_{_in_name(held.pool)}", held.text) for held in slots]
    if pools := tuple(_of_kind(slots, "nvidia")):
        variables.append(("CUDA_VISIBLE_DEVICES", _joined(pools)))
        variables.append(("CUDA_DEVICE_ORDER", "PCI_BUS_ID"))  # where only numbers are known
    if pools := tuple(_of_kind(slots, "amd")):
        variables.append(("ROCR_VISIBLE_DEVICES", _joined(pools)))
    return tuple((name, _NOT_IN_WORDS.sub("_", value)) for name, value in variables)


def _in_name(pool: str) -> str:
    return _NOT_IN_NAMES.sub("_", pool).upper()


def _of_kind(slots: SlotsHeld, kind: PoolKind) -> Iterator[HeldSlots]:
    return (held for held in slots if held.kind == kind)


def _joined(pools: tuple[HeldSlots, ...]) -> str:
    """Return the GPUs of all pools: a node may have its GPUs in several."""
    return ",".join(slot.key for held in pools for slot in held.slots)
