"""The user's own probe: how its answer is read."""

from __future__ import annotations

import re

from pegasus.events import SlotSeen
from pegasus.model import Slot
from pegasus.probes.answer import ProbeAnswer, RawAnswer, failure, quoted

_SLOT = re.compile(r"[A-Za-z0-9._:/-]+")
_MOST_SLOTS = 10_000
"""Slots of a pool: more are an error of the probe."""


def read_own_probe(raw: RawAnswer) -> ProbeAnswer:
    """Read one slot from each line; see ``read_answer``. They exist, and are free now."""
    if raw.status != 0:
        return failure("the probe", raw)
    slots: dict[str, None] = {}
    for line in raw.text.splitlines():
        name = line.strip()
        if not name:
            continue
        if not _SLOT.fullmatch(name):
            return ProbeAnswer(
                words=f"the probe printed {quoted(name)!r}, which is no name of a slot: "
                "letters, digits and . _ : / - make one"
            )
        if name in slots:
            return ProbeAnswer(words=f"the probe printed {quoted(name)!r} twice")
        slots[name] = None
    if len(slots) > _MOST_SLOTS:
        return ProbeAnswer(words=f"the probe printed {len(slots):,} slots")
    return ProbeAnswer(tuple(SlotSeen(Slot(name)) for name in slots))
