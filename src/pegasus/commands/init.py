"""``pegasus init``: starter files that run at once on localhost; never overwrites."""

from __future__ import annotations

from pathlib import Path

from pegasus.errors import ExitStatus, PegasusError

STARTER_HOSTS = """\
# The nodes: anything that `ssh NAME` reaches without a password. A list of lists stands for each
# combination: the last example is four sub-nodes, that is four commands at a time.
- localhost
# - node-1
# - user@node-2
# - ssh://user@node-3:2222
# - node-[01-12]
# - hostname: [node-4, node-5]
#   gpu: [0, 1]
"""

STARTER_QUEUE = """\
# The jobs, from the top. Each leaves this file when it is started, and goes to consumed.yaml.
# Edit it while Pegasus runs, best with `pegasus l`: what you add is run, what you delete is not.
- echo "Hello from {{ hostname }}!"

# Lists stand for each combination: this is four jobs. `{{ name }}` is a parameter of the job, or
# of the node it runs on.
- command: echo "training with lr={{ lr }} and batch size {{ bs }}"
  lr: [1e-3, 1e-4]
  bs: [8, 16]
"""


def init(directory: Path) -> ExitStatus:
    """Write the starter files into a directory, which is made where it is missing.

    Raises:
        PegasusError: one of the files is there already, or can't be written.
    """
    files = {directory / "hosts.yaml": STARTER_HOSTS, directory / "queue.yaml": STARTER_QUEUE}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in files:
            if path.exists() or path.is_symlink():
                raise PegasusError(f"{path} is there already; nothing was written.")
        for path, text in files.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise PegasusError(f"{error.filename}: {error.strerror}.") from error
    return ExitStatus.SUCCESS
