"""Which slots a node has and which are free: the questions to it, and how its answers are read.

Rule 1: this room is pure: it knows commands and their output, not sessions, time or tasks.
Rule 2: any bytes give an answer, never an exception; an answer that is not valid offers no slot.
Rule 3: it says what others use. What Pegasus itself gave away is not its business.
"""

from __future__ import annotations

from pegasus.model import Outcome, Pool
from pegasus.probes.amd import AMD_QUESTION, read_amd
from pegasus.probes.answer import LONGEST_ANSWER as LONGEST_ANSWER
from pegasus.probes.answer import ProbeAnswer as ProbeAnswer
from pegasus.probes.answer import RawAnswer
from pegasus.probes.nvidia import QUESTION, read_nvidia
from pegasus.probes.own_probe import read_own_probe
from pegasus.probes.processors import PROCESSORS_QUESTION, read_processors

BUSY_LIMIT = 500
"""MiB of a GPU's memory in use up to which it counts as free, unless ``--gpu-busy`` says otherwise:
a driver, and a desktop on a GPU, take up to some hundreds; a program that computes takes more."""

_FIXED = ProbeAnswer(words="its slots are written in the hosts file")


def is_probed(pool: Pool) -> bool:
    """Return whether a node is asked for the slots of a pool."""
    return pool.kind != "fixed"


def changes(pool: Pool) -> bool:
    """Return whether others may use the slots: the node is then asked before each start.

    A pool of processors is asked for once on each connection.
    """
    return pool.kind in {"nvidia", "amd", "probe"}


def command_of(pool: Pool) -> str:
    """Return the text for ``sh`` that asks a node for the slots of a pool that is probed."""
    match pool.kind:
        case "nvidia":
            return QUESTION
        case "amd":
            return AMD_QUESTION
        case "nproc":
            return PROCESSORS_QUESTION
        case "probe":
            return pool.command
        case "fixed":
            return ":"


def read_answer(
    pool: Pool, outcome: Outcome, stdout: bytes, stderr: bytes, busy_limit: int = BUSY_LIMIT
) -> ProbeAnswer:
    """Read what the command of ``command_of`` has printed; never raises.

    Args:
        pool: what was asked for.
        outcome: how the command ended.
        stdout: what it printed; may be cut off.
        stderr: likewise.
        busy_limit: up to how many MiB of its memory in use a GPU counts as free.
    """
    raw = RawAnswer(outcome, stdout, stderr)
    if raw.status == 0 and raw.is_cut:
        size = f"{LONGEST_ANSWER // 1024} KiB"
        return ProbeAnswer(words=f"the probe printed {size} or more: let it print less")
    match pool.kind:
        case "nvidia":
            return read_nvidia(pool, raw, busy_limit)
        case "amd":
            return read_amd(pool, raw, busy_limit)
        case "nproc":
            return read_processors(raw)
        case "probe":
            return read_own_probe(raw)
        case "fixed":
            return _FIXED
