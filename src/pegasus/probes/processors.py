"""The processors of a node: the question, and how its answer is read."""

from __future__ import annotations

from pegasus.events import SlotSeen
from pegasus.model import Slot
from pegasus.probes.answer import ProbeAnswer, RawAnswer, failure, invalid, is_decimal

PROCESSORS_QUESTION = """unset OMP_NUM_THREADS OMP_THREAD_LIMIT
nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || sysctl -n hw.ncpu
"""
"""The command for a node. ``nproc`` counts those that Pegasus may use there, but believes the two
variables first."""

_MOST = 65_536
"""Processors of a node: more are an error of its answer."""


def read_processors(raw: RawAnswer) -> ProbeAnswer:
    """Read the answer to ``PROCESSORS_QUESTION``; see ``read_answer``."""
    if raw.status != 0:
        return failure("nproc", raw)
    number = raw.text.strip()
    if not is_decimal(number) or not 0 < int(number) <= _MOST:
        return invalid("nproc", number)
    return ProbeAnswer(tuple(SlotSeen(Slot(str(each))) for each in range(int(number))))
