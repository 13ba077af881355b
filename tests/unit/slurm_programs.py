"""Programs of Slurm that keep their allocations in files, for tests of what asks them."""

from __future__ import annotations

from pathlib import Path

_SILENT = """#!/bin/sh
cd "$FAKE_SLURM" || exit
[ ! -e silent ] || {
  echo "${0##*/}: error: Unable to contact slurm controller (connect failure)" >&2; exit 1
}
"""

SQUEUE = f"""{_SILENT}
for each; do case $each in --name=*) name=${{each#*=}};; --jobs=*) job=${{each#*=}};; esac; done
echo "$@" >>asked
for file in jobs/*; do
  [ -e "$file" ] || continue
  id=${{file#jobs/}}
  {{ read -r given; read -r line; }} <"$file"
  [ "${{name-$given}}" = "$given" ] && [ "${{job-$id}}" = "$id" ] || continue
  echo "$id|$line"; found=1
done
[ -n "$found" ] || [ -z "$job" ] || {{
  echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1
}}
"""

SBATCH = f"""{_SILENT}
printf '%s\\n' "$@" >options
cat >script
[ ! -e refusal ] || {{ cat refusal >&2; exit 1; }}
for each; do case $each in
  --job-name=*) name=${{each#*=}};;
  --test-only)
    echo "sbatch: Job 9 to start at 2030-01-01T00:00:00 using 4 processors on nodes c1" >&2; exit;;
esac; done
id=1; while [ -e "jobs/$id" ]; do id=$((id + 1)); done
printf '%s\\n' "$name" 'PENDING|1:00:00|1:00:00|gpu||Priority' >"jobs/$id"
[ ! -e loses_answers ] || {{
  echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
  exit 1
}}
echo "$id;main"
"""

SCANCEL = f"""{_SILENT}
[ -e "jobs/$1" ] || {{
  echo "scancel: error: Kill job error on job id $1: Invalid job id specified" >&2; exit 1
}}
read -r name <"jobs/$1"
printf '%s\\n' "$name" 'CANCELLED|0:00|1:00:00|gpu|c[1-2]|None' >"jobs/$1"
"""

SINFO = f"""{_SILENT}
printf '%s\\n' 'c1|a100,nvme' 'c2|(null)' 'c1|a100,nvme'
"""


class SlurmPrograms:
    """A folder with the programs of Slurm, and what they know.

    Args:
        folder: an empty folder, which has to be first in the PATH, and in FAKE_SLURM.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "jobs").mkdir()
        named = {"squeue": SQUEUE, "sbatch": SBATCH, "scancel": SCANCEL, "sinfo": SINFO}
        for name, text in named.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a program."""
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def _set(self, job: str, line: str) -> None:
        path = self.folder / "jobs" / job
        path.write_text(f"{path.read_text().splitlines()[0]}\n{line}\n")

    def start(self, job: str) -> None:
        """Give an allocation its nodes."""
        self._set(job, "RUNNING|59:30|1:00:00|gpu|c[1-2]|None")

    def end(self, job: str, state: str) -> None:
        """End an allocation."""
        self._set(job, f"{state}|0:00|1:00:00|gpu|c[1-2]|None")

    def refuse(self, words: str) -> None:
        """Refuse requests."""
        (self.folder / "refusal").write_text(f"sbatch: error: {words}\n")

    def be_silent(self) -> None:
        """Give no answers."""
        (self.folder / "silent").touch()

    def lose_answers(self) -> None:
        """Submit requests, and lose the answers."""
        (self.folder / "loses_answers").touch()
