"""NVIDIA's GPUs: the question to a node, and how its answer is read.

Rule 1: memory decides whether a GPU is in use. Processes only say by whom: in a container their ids
are missing, or are those of the host.
Rule 2: what is wrong with one GPU does not concern the others; what is wrong with the whole answer
concerns all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    quoted,
    without,
)

# Drivers older than MIG do not know its field: status 2. The programs that use a GPU are asked for
# only where some memory is in use (100 MiB): without persistence mode each call takes seconds.
# In a Slurm allocation only the GPUs count that Slurm has assigned; a site need not hide the rest.
QUESTION = r"""PATH=$PATH:/usr/lib/wsl/lib
g=${SLURM_JOB_ID:+$CUDA_VISIBLE_DEVICES}
q() {
  nvidia-smi ${g:+-i "$g"} --query-gpu="index,uuid,memory.used$1" \
    --format=csv,noheader,nounits </dev/null
}
command -v nvidia-smi >/dev/null || exit 127
o=$(q ,mig.mode.current,compute_mode); s=$?
[ $s = 2 ] && { o=$(q ''); s=$?; }
printf '%s\n' "$o"
printf '%s\n' "$o" | ( while IFS=', ' read -r i u m l; do
  case $m in [1-9][0-9][0-9]*) exit 3;; esac
done ); [ $? = 3 ] &&
nvidia-smi --query-compute-apps=gpu_uuid,pid,process_name --format=csv,noheader 2>/dev/null |
while IFS=', ' read -r u p n; do
  printf 'app, %s, %s, %s\n' "$u" "$(ps -o user= -p "$p" 2>/dev/null)" "$n"
done
exit $s
"""
"""The command for a node. It prints a row for each GPU, then one for each program that uses one."""

APP = "app"
"""The first field of a row about a program."""

_ROWS_ARE_VALID = {0, 14, 15}
"""Exit statuses with which nvidia-smi prints rows that count: 14 warns of a damaged infoROM, which
does no harm; 15 says that one GPU is gone, which its own row says too."""

_REMARK = re.compile(r"WARNING:|Unable to determine the device handle for")
"""How lines begin that nvidia-smi prints among the rows."""

_UUID = re.compile(r"GPU-[0-9A-Za-z-]{8,64}")
_USERS_SHOWN = 3
"""Users of one GPU that a message names."""


@dataclass(frozen=True, slots=True)
class _GpuRow:
    """What nvidia-smi says about one GPU."""

    index: str
    uuid: str
    memory: str
    mig: str = ""
    compute_mode: str = ""

    def seen(self, busy_limit: int, who: str) -> SlotSeen:
        """Return whether the GPU can be used.

        Args:
            busy_limit: up to how many MiB in use it counts as free.
            who: who uses it, where that is known.
        """
        if not _UUID.fullmatch(self.uuid):
            return SlotSeen(Slot(self.index), f"nvidia-smi says {quoted(self.uuid)} for it")
        return SlotSeen(Slot(self.index, self.uuid), self._use(busy_limit, who))

    def _use(self, busy_limit: int, who: str) -> str:
        if self.mig == "Enabled":
            return "split by MIG: offer its parts with a probe of your own"
        if self.compute_mode == "Prohibited":
            return "closed to programs: its compute mode is Prohibited"
        if not is_decimal(self.memory):
            return f"nvidia-smi says {quoted(self.memory)} for its memory in use"
        memory = int(self.memory)
        return in_use(memory, who) if memory > busy_limit else ""


def read_nvidia(pool: Pool, raw: RawAnswer, busy_limit: int) -> ProbeAnswer:
    """Read the answer to ``QUESTION``; see ``read_answer``."""
    if raw.status == 127:
        return ProbeAnswer(words=f"the node has no nvidia-smi in its PATH: {WRITE_IDS}")
    if raw.status not in _ROWS_ARE_VALID:
        return failure("nvidia-smi", raw)
    rows: list[_GpuRow] = []
    remarks: list[str] = []
    users: dict[str, list[str]] = {}
    for line in raw.text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if fields[0] == APP:
            _note_user(users, fields[1:])
        elif _REMARK.match(line.strip()):
            remarks.append(line)
        elif line.strip():
            row = _row_of(fields)
            if row is None:
                return invalid("nvidia-smi", line)
            rows.append(row)
    if remarks and not rows:
        return ProbeAnswer(words=f"nvidia-smi: {quoted(remarks[0])}")
    return _answer(pool, rows, users, busy_limit)


def _answer(
    pool: Pool, rows: list[_GpuRow], users: dict[str, list[str]], busy_limit: int
) -> ProbeAnswer:
    rows = [row for row in rows if is_decimal(row.index)]  # one that is lost may have no number
    for name, values in (("number", [r.index for r in rows]), ("UUID", _uuids(rows))):
        if len(set(values)) < len(values):
            return ProbeAnswer(words=f"nvidia-smi lists two GPUs with the same {name}")
    wanted = [row for row in rows if not pool.ids or row.index in pool.ids]
    if not wanted:
        return without(pool.ids, [row.index for row in rows], "nvidia-smi")
    return ProbeAnswer(
        tuple(row.seen(busy_limit, _named(users.get(row.uuid, []))) for row in wanted)
    )


def _uuids(rows: list[_GpuRow]) -> list[str]:
    return [row.uuid for row in rows if _UUID.fullmatch(row.uuid)]


def _row_of(fields: list[str]) -> _GpuRow | None:
    """Read a row about a GPU; None where it is none."""
    if len(fields) not in {3, 5} or not all(fields):
        return None
    index, uuid, memory = fields[:3]
    if not (is_decimal(index) or _is_unknown(index)):
        return None
    if not (_UUID.fullmatch(uuid) or _is_unknown(uuid)):
        return None
    if not (is_decimal(memory) or _is_unknown(memory)):
        return None
    return _GpuRow(*fields)


def _is_unknown(value: str) -> bool:
    """Return whether a value stands for one that is not known: ``[N/A]``, ``ERR!``."""
    return (value.startswith("[") and value.endswith("]")) or value == "ERR!"


def _note_user(users: dict[str, list[str]], fields: list[str]) -> None:
    """Note who uses a GPU, from a row with its UUID, the name of a user and of a program."""
    if len(fields) < 3:
        return
    uuid, user = fields[:2]
    program = ",".join(fields[2:]).rsplit("/", 1)[-1]
    named = quoted(program) if program and not _is_unknown(program) else ""
    one = " of ".join(each for each in (named, quoted(user)) if each)
    if one and one not in users.setdefault(uuid, []):
        users[uuid].append(one)


def _named(users: list[str]) -> str:
    more = len(users) - _USERS_SHOWN
    return ", ".join([*users[:_USERS_SHOWN], *([f"{more} more"] if more > 0 else [])])
