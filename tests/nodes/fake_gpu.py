"""A fake ``nvidia-smi`` for a test node: a script that does what files beside it say.

It knows the questions of Pegasus, and prints what real drivers print. A test changes the GPUs at
any time, also while it runs: each change is one file, written as a whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """\
#!/bin/sh
d=@FOLDER@
echo "$$ $*" >>"$d/calls"
[ -e "$d/hang" ] && exec sleep "$(cat "$d/hang")"
[ -e "$d/instead" ] && { cat "$d/instead"; exit "$(cat "$d/status")"; }
f=
for a; do case $a in --query-*) f=${a#*=};; esac; done
if [ -e "$d/unknown" ]; then
  u=$(cat "$d/unknown")
  case ,$f, in *",$u,"*) echo "Field \\"$u\\" is not a valid field to query."; exit 2;; esac
fi
case $* in
  -L)
    while IFS='|' read -r index uuid memory mig; do
      echo "GPU $index: NVIDIA H100 80GB HBM3 (UUID: $uuid)"
      [ "$mig" = Enabled ] || continue
      echo "  MIG 1g.10gb     Device  0: (UUID: MIG-${uuid#GPU-})"
      echo "  MIG 1g.10gb     Device  1: (UUID: MIG-1${uuid#GPU-0})"
    done <"$d/gpus";;
  *--query-compute-apps*) cat "$d/programs";;
  *--query-gpu*)
    [ -s "$d/gpus" ] || { echo "No devices were found"; exit 6; }
    while IFS='|' read -r index uuid memory mig; do
      r=
      old=$IFS; IFS=,
      for name in $f; do
        case $name in
          index) v=$index;; uuid) v=$uuid;; memory.used) v=$memory;; mig.mode.current) v=$mig;;
          compute_mode) v=Default;; *) v=[N/A];;
        esac
        r="$r${r:+, }$v"
      done
      IFS=$old
      printf '%s\\n' "$r"
    done <"$d/gpus";;
  *) exit 2;;
esac
"""


@dataclass(slots=True)
class Gpu:
    """What the fake says about a GPU.

    Attributes:
        memory: in use: MiB, or words such as ``[N/A]``.
        mig: whether it is split.
        program: what uses it; empty for nothing.
        is_there: whether it is listed.
    """

    memory: str = "0"
    mig: str = "Disabled"
    program: str = ""
    is_there: bool = True


def uuid_of(gpu: int) -> str:
    """Return the UUID of a fake GPU, by its first number."""
    return f"GPU-{gpu:08x}-8528-2223-c907-96c27851e3b7"


class FakeGpus:
    """The GPUs of a test node.

    Args:
        programs: the folder for the fake program; it must be first in the PATH of the node.
        gpus: at first.
    """

    def __init__(self, programs: Path, gpus: list[Gpu]) -> None:
        self.programs = programs
        self._gpus = gpus
        self._folder = programs.parent / f"{programs.name}.state"
        self._folder.mkdir()
        programs.mkdir(exist_ok=True)
        script = programs / "nvidia-smi"
        script.write_text(SCRIPT.replace("@FOLDER@", f"'{self._folder}'"), encoding="utf-8")
        script.chmod(0o755)
        self._show()

    @property
    def calls(self) -> list[str]:
        """The arguments of each call so far."""
        try:
            lines = (self._folder / "calls").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [line.partition(" ")[2] for line in lines]

    def use(self, gpu: int, memory: int, program: str = "") -> None:
        """Let somebody use a GPU; 0 MiB for nobody."""
        self._gpus[gpu].memory, self._gpus[gpu].program = str(memory), program
        self._show()

    def say(self, gpu: int, value: str) -> None:
        """Let the fake print some words instead of the memory in use."""
        self._gpus[gpu].memory = value
        self._show()

    def split(self, gpu: int) -> None:
        """Enable MIG."""
        self._gpus[gpu].mig = "Enabled"
        self._show()

    def remove(self, gpu: int) -> None:
        """Let a GPU disappear: the numbers of those behind it shift."""
        self._gpus[gpu].is_there = False
        self._show()

    def add(self, gpu: int) -> None:
        """Let it appear again."""
        self._gpus[gpu].is_there = True
        self._show()

    def hang(self, seconds: float) -> None:
        """Let each call from now on take this long before it ends without an answer."""
        self._write("hang", str(seconds))

    def print_instead(self, text: str, status: int) -> None:
        """Let each call from now on print a text and exit with a status."""
        self._write("status", str(status))
        self._write("instead", text)

    def unknown_field(self, name: str) -> None:
        """Let the driver not know a field."""
        self._write("unknown", name)

    def recover(self) -> None:
        """End ``hang`` and ``print_instead``, for the calls that begin from now on."""
        for name in ("hang", "instead"):
            (self._folder / name).unlink(missing_ok=True)

    def _show(self) -> None:
        numbered = [(i, gpu) for i, gpu in enumerate(self._gpus) if gpu.is_there]
        rows = [
            f"{index}|{uuid_of(number)}|{gpu.memory}|{gpu.mig}\n"
            for index, (number, gpu) in enumerate(numbered)
        ]
        programs = [
            f"{uuid_of(number)}, {os.getpid()}, {gpu.program}\n"
            for number, gpu in numbered
            if gpu.program
        ]
        self._write("programs", "".join(programs))
        self._write("gpus", "".join(rows))

    def _write(self, name: str, text: str) -> None:
        new = self._folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self._folder / name)
