"""``resident.py CONFIG JOBS COMMAND NAME...``: the upper bound of the speed.

One ``sh`` stays open on each node, over one ssh; a shell that has answered gets
the next command at once. No record, no queue on disk, no wrapper around a command, no queries: the
rest is the node's own time to start a process and the round trip.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from typing import IO


def main() -> None:
    """Send the commands."""
    config, jobs, command, *names = sys.argv[1:]
    line = f"sh -c {command} </dev/null; echo $?\n".encode()
    left = int(jobs)
    running = 0
    with selectors.DefaultSelector() as selector:
        shells = [open_shell(config, name) for name in names]
        for shell in shells:
            selector.register(output_of(shell), selectors.EVENT_READ, shell)
            feed(shell, line)
            left, running = left - 1, running + 1
        while running:
            for key, _ in selector.select():
                if not os.read(key.fd, 4096):
                    sys.exit("a shell has gone")
                running -= 1
                if left:
                    feed(key.data, line)
                    left, running = left - 1, running + 1
    for shell in shells:
        shell.communicate()


def open_shell(config: str, name: str) -> subprocess.Popen[bytes]:
    """Start a shell on a node."""
    argv = ["ssh", "-F", config, name, "exec sh"]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def output_of(shell: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return the read end of its answers."""
    if shell.stdout is None:
        raise AssertionError
    return shell.stdout


def feed(shell: subprocess.Popen[bytes], line: bytes) -> None:
    """Send a shell a line; it is short enough for any pipe."""
    if shell.stdin is None:
        raise AssertionError
    os.write(shell.stdin.fileno(), line)


if __name__ == "__main__":
    main()
