"""AMD's GPUs: the question to a node, and how its answer is read.

``amd-smi`` and ``rocm-smi`` number the GPUs by their buses, and the variable ROCR_VISIBLE_DEVICES
by the driver's own order, which may be the reverse. So a GPU is named by its unique ID there, or by
the number that ``amd-smi`` gives for that order.

Rule 1: memory decides whether a GPU is in use: both programs hide the processes of other users.
Rule 2: fields that are missing, or have another form, concern their GPU only.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import cast

from pegasus.events import SlotSeen
from pegasus.model import Pool, Slot
from pegasus.probes.answer import (
    WRITE_IDS,
    ProbeAnswer,
    RawAnswer,
    failure,
    in_use,
    invalid,
    is_decimal,
    without,
)

# `list -e`, which gives the unique IDs, is as new as ROCm 6.4; before that rocm-smi gives them.
AMD_QUESTION = r"""PATH=$PATH:/opt/rocm/bin
a() { command -v amd-smi >/dev/null; }
r() { command -v rocm-smi >/dev/null; }
if a && l=$(amd-smi list -e --json 2>/dev/null </dev/null) || { a && ! r; }; then
  [ "$l" ] || l='[]'
  m=$(amd-smi metric --mem-usage --json </dev/null); s=$?
  printf 'amd-smi\n%s\n====\n%s\n' "$l" "$m"
  exit $s
elif r; then
  echo rocm-smi
  exec rocm-smi --showuniqueid --showmeminfo vram --json </dev/null
fi
exit 127
"""
"""The command for a node. Its first line names the program that answered."""

_DIVIDER = "\n====\n"
_UNIQUE_ID = re.compile(r"GPU-[0-9a-fA-F]{8,32}|[0-9]{1,3}")
_MIB = 1024 * 1024
_MEMORY_UNITS = {"B": 1 / _MIB, "KB": 1 / 1024, "MB": 1.0, "GB": 1024.0, "TB": 1024.0**2}
"""Units of memory in MiB: what these programs call MB is 2 ** 20 bytes."""

_BEGINNING = re.compile(r"^[\[{]", re.MULTILINE)
_WARNINGS_LIMIT = 10
"""Lines that could be the beginning of an answer, of which all but one are warnings."""

_CARD = re.compile(r"card([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class _Card:
    """What a node says about one GPU.

    Attributes:
        index: its number.
        device: as ROCR_VISIBLE_DEVICES takes it.
        memory_mib: in use; None where it is not known.
    """

    index: str
    device: str
    memory_mib: float | None

    def seen(self, busy_limit: int) -> SlotSeen:
        slot = Slot(self.index, self.device)
        if self.memory_mib is None:
            return SlotSeen(slot, "its memory in use is not known")
        busy = self.memory_mib > busy_limit
        return SlotSeen(slot, in_use(int(self.memory_mib)) if busy else "")


def read_amd(pool: Pool, raw: RawAnswer, busy_limit: int) -> ProbeAnswer:
    """Read the answer to ``AMD_QUESTION``; see ``read_answer``."""
    if raw.status == 127:
        words = f"the node has no amd-smi and no rocm-smi in its PATH: {WRITE_IDS}"
        return ProbeAnswer(words=words)
    program, _, rest = raw.text.partition("\n")
    what = program if program in {"amd-smi", "rocm-smi"} else "amd-smi"
    if raw.status != 0:
        return failure(what, raw)
    cards = _read_amd_smi(rest) if what == "amd-smi" else _read_rocm_smi(rest)
    if cards is None:
        return invalid(what, next((line for line in rest.splitlines() if line.strip()), ""))
    cards.sort(key=lambda card: int(card.index))
    for name in ("index", "device"):
        if len({getattr(card, name) for card in cards}) < len(cards):
            return ProbeAnswer(words=f"{what} lists two GPUs with the same {name}")
    wanted = [card for card in cards if not pool.ids or card.index in pool.ids]
    if not wanted:
        return without(pool.ids, [card.index for card in cards], what)
    return ProbeAnswer(tuple(card.seen(busy_limit) for card in wanted))


def _read_amd_smi(text: str) -> list[_Card] | None:
    listed, _, metrics = text.partition(_DIVIDER)
    devices = {index: _device(each) for index, each in _by_index(listed)}
    found = _by_index(metrics)
    if not found and not _is_json_list(metrics):
        return None
    return [_Card(i, devices.get(i) or i, _used_vram(each)) for i, each in found]


def _device(listed: dict[str, object]) -> str:
    """Return the unique ID of a GPU, else its number in the driver's order; else nothing."""
    for name in ("hip_uuid", "hip_id"):
        value = str(listed.get(name, ""))
        if _UNIQUE_ID.fullmatch(value):
            return value
    return ""


def _used_vram(metric: dict[str, object]) -> float | None:
    usage = metric.get("mem_usage")
    used = cast("dict[str, object]", usage).get("used_vram") if isinstance(usage, dict) else None
    if isinstance(used, dict):
        pair = cast("dict[str, object]", used)
        return _memory(pair.get("value"), str(pair.get("unit", "MB")))
    number, _, unit = str(used).partition(" ")
    return _memory(number, unit or "MB")


def _read_rocm_smi(text: str) -> list[_Card] | None:
    # Warnings may precede the object, which is on one line.
    for line in text.splitlines():
        found = _parsed(line)
        if isinstance(found, dict):
            cards = cast("dict[str, object]", found)
            return [
                _rocm_card(name[1], cast("dict[str, object]", each))
                for key, each in cards.items()
                if (name := _CARD.fullmatch(key)) and isinstance(each, dict)
            ]
    return None


def _rocm_card(index: str, card: dict[str, object]) -> _Card:
    unique = str(card.get("Unique ID", "")).lower().removeprefix("0x")
    device = f"GPU-{unique.zfill(16)}"
    known = unique.strip("0") != "" and _UNIQUE_ID.fullmatch(device)
    used = _memory(card.get("VRAM Total Used Memory (B)"), "B")
    return _Card(str(int(index)), device if known else str(int(index)), used)


def _memory(value: object, unit: str) -> float | None:
    """Return an amount of memory in MiB; None where it is none."""
    text = str(value)
    if unit.upper() not in _MEMORY_UNITS or not is_decimal(text.partition(".")[0]):
        return None
    try:
        return float(text) * _MEMORY_UNITS[unit.upper()]
    except ValueError:
        return None


def _by_index(text: str) -> list[tuple[str, dict[str, object]]]:
    """Return the objects of a list by their ``gpu``, also where the list is inside an object."""
    objects = [
        cast("dict[str, object]", each) for each in _list_in(text) or [] if isinstance(each, dict)
    ]
    numbered = [(str(each.get("gpu")), each) for each in objects]
    return [(str(int(number)), each) for number, each in numbered if is_decimal(number)]


def _is_json_list(text: str) -> bool:
    return _list_in(text) is not None


def _list_in(text: str) -> list[object] | None:
    # Warnings may precede the list or the object.
    starts = [match.start() for match in _BEGINNING.finditer(text)]
    for start in starts[:_WARNINGS_LIMIT]:
        found = _parsed(text[start:])
        if isinstance(found, dict):
            found = cast("dict[str, object]", found).get("gpu_data")
        if isinstance(found, list):
            return found
    return None


def _parsed(text: str) -> object:
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return None
