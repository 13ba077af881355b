"""``python -m tests.nodes.guard FOLDER``: remove a run of test nodes as soon as its owner is gone.

Standard input ends when the owner closes it, exits or is killed.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.nodes.run import remove


def main() -> None:
    """Wait for the end of standard input, then remove the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its owner, and only after its work
    sys.stdin.buffer.read()
    folder = Path(sys.argv[1])
    if folder.exists():
        remove(folder)


if __name__ == "__main__":
    main()
