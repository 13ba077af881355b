"""``pegasus init``: starter files that run at once on localhost; never overwrites."""

from __future__ import annotations

from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.schemas import schema_line

STARTER_HOSTS = """\
# The nodes: anything that `ssh NAME` reaches without a password (`pegasus check --connect`).
# A list of lists stands for each combination: the last example is four sub-nodes, that is four
# commands at a time.
- localhost
# - node-1
# - user@node-2
# - ssh://user@node-3:2222
# - node-[01-12]
# With slots, each command gets one of them, or as many as it needs: here of eight GPUs.
# - hostname: node-6
#   slots: {gpu: 0-7}
# - hostname: [node-4, node-5]
#   container: [gpu0, gpu1]
# Commands run in the home directory on the node (on localhost: where Pegasus was started), under
# `sh -c`, without a login profile. No files are copied there. This changes it:
# - hostname: node-7
#   run: {chdir: work/project, shell: bash -lc}
"""

STARTER_QUEUE = """\
# The jobs, from the top. Each leaves this file when it is started, and goes to consumed.yaml.
# Edit it while Pegasus runs, best with `pegasus l`: what you add is run, what you delete is not.
# A program such as ./train.sh has to be on the node: see the end of hosts.yaml.
- echo "Hello from {{ hostname }}!"

# Lists stand for each combination: this is four jobs. `{{ name }}` is a parameter of the job, or
# of the node it runs on.
- command: echo "training with lr={{ lr }} and batch size {{ bs }}"
  lr: [1e-3, 1e-4]
  bs: [8, 16]

# With slots in hosts.yaml: `needs: {gpu: 4}` in an entry gives each of its jobs four, and
# `{{ gpu }}` is their numbers. Nothing below a barrier starts before all above it has succeeded:
# - barrier: succeeded
"""


def init(directory: Path) -> list[Path]:
    """Write the starter files into a directory, which is made where it is missing.

    A file that is there already stays as it is.

    Returns:
        The files that were written.

    Raises:
        PegasusError: both files are there already, or one can't be written.
    """
    files = {
        directory / "hosts.yaml": schema_line("hosts") + STARTER_HOSTS,
        directory / "queue.yaml": schema_line("queue") + STARTER_QUEUE,
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        there = [path for path in files if path.exists() or path.is_symlink()]
        if len(there) == len(files):
            raise PegasusError(
                f"{there[0]} and {there[1]} are there already; nothing was written. Edit them, or "
                "name another folder: `pegasus init FOLDER`."
            )
        missing = [path for path in files if path not in there]
        for path in missing:
            with path.open("x", encoding="utf-8") as file:
                file.write(files[path])
    except OSError as error:
        raise PegasusError(
            f"{error.filename}: {error.strerror}. Repair that, or name another folder: "
            "`pegasus init FOLDER`."
        ) from error
    return missing
