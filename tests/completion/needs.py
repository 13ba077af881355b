"""``python -m tests.completion.needs``: install the shells, in the way of ``tests.nodes.needs``."""

from __future__ import annotations

import sys

from tests.nodes.needs import main

PROGRAMS = {"bash": "bash", "zsh": "zsh", "fish": "fish"}
"""Program: Debian package."""

if __name__ == "__main__":
    sys.exit(main(PROGRAMS, "the tests of completion"))
