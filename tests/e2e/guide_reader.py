"""Does what a guide says: writes its files, and runs its commands."""

from __future__ import annotations

import os
import re
import subprocess

from tests.blocks import Block
from tests.e2e.runner import Pegasus

LIMIT_OF_BLOCK = 120.0  # seconds: a block starts up to five programs, also on a busy machine

WITH_CONFIG = """\
#!/bin/sh
case $1 in
  q|b|check) exec {program} "$@" --ssh-config={config};;
esac
exec {program} "$@"
"""
"""A ``pegasus`` that reaches the test nodes."""

PYTHON = """\
#!/bin/sh
printf '%s\\n' "$0 $*" >>"$HOME/started"
"""


class Reader:
    """Somebody who does what a guide says.

    Args:
        pegasus: knows the nodes, and has a folder for the files of the guide.
    """

    def __init__(self, pegasus: Pegasus) -> None:
        self._pegasus = pegasus
        own = pegasus.folder / "bin"
        own.mkdir()
        program = own / "pegasus"
        words = {"program": " ".join(pegasus.program), "config": pegasus.nodes.ssh_config}
        program.write_text(WITH_CONFIG.format(**words), encoding="utf-8")
        program.chmod(0o755)
        python = pegasus.folder / "home" / "python"  # jobs on localhost
        python.parent.mkdir()
        python.write_text(PYTHON, encoding="utf-8")
        python.chmod(0o755)
        path = f"{own}:{python.parent}:{os.environ['PATH']}"
        self._environment = {**pegasus.environment, "PATH": path}
        pegasus.write_hosts("- hostname: [node-1, node-2]\n")

    def do(self, block: Block) -> None:
        """Write the file that a block shows, and run a queue, or run its commands."""
        if block.language == "yaml" and "hostname:" in block.text:
            self._pegasus.write_hosts(block.text)
        elif block.language == "yaml":
            done = self._pegasus.run("q", queue=block.text)
            assert done.status == 0, f"{block.place}\n{done.stderr}"
            self._pegasus.queue_file.write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self.run(block, block.text)
        else:
            self._compare(block)

    def run(self, block: Block, commands: str, status: int = 0) -> str:
        """Run lines of a shell, and give what they print."""
        done = subprocess.run(
            ["sh", "-ec", commands],
            cwd=self._pegasus.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT_OF_BLOCK,
        )
        assert done.returncode == status, f"{block.place}\n{done.stdout}"
        return done.stdout

    def _compare(self, block: Block) -> None:
        commands = re.findall(r"^\$ (.*)$", block.text, re.MULTILINE)
        printed = self.run(block, "\n".join(commands))
        shown = re.split(r"^(?:\$ .*| *…)\n", block.text, flags=re.MULTILINE)
        expected = ".*".join(re.escape(part) for part in shown)
        assert re.search(expected, printed, re.DOTALL), f"{block.place}\n{printed}"
