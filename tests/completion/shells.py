"""Shells at a terminal: each one starts with the script of Pegasus where its users install it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pexpect

PATIENCE = 30.0  # seconds; a completion that asks Pegasus takes 0.4 on an idle machine
READY = "READY:"
SHELLS = ("bash", "zsh", "fish")

_TO_THE_START, _TO_THE_END, _ERASE_THE_LINE = "\x01", "\x05", "\x15"

_BASH = """
bind 'set bell-style none'
. ~/completions/pegasus
"""
_ZSH = """
unsetopt zle_bracketed_paste beep prompt_sp
bindkey -e
fpath=(~/completions $fpath)
autoload -Uz compinit
compinit -u
"""
_FISH = """
set -g fish_greeting
set -g fish_autosuggestion_enabled 0
"""


@dataclass(frozen=True, slots=True)
class _Places:
    """The files of a shell in a home directory.

    Attributes:
        script: where it looks for the script of Pegasus.
        start_up: what it reads when it starts.
        text: the content of this file.
    """

    script: str
    start_up: str
    text: str


_PLACES = {
    "bash": _Places("completions/pegasus", ".bashrc", f"PS1={READY}{_BASH}"),
    "zsh": _Places("completions/_cyclopts_pegasus", ".zshrc", f"PS1={READY}{_ZSH}"),
    "fish": _Places(
        ".config/fish/completions/pegasus.fish",
        ".config/fish/config.fish",
        f"function fish_prompt; printf {READY}; end{_FISH}",
    ),
}


def pegasus(folder: Path, *words: str) -> str:
    """Run a command of Pegasus that succeeds, and give its output."""
    argv = [sys.executable, "-m", "pegasus", *words]
    return subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout


class Terminal:
    """A shell at a terminal."""

    def __init__(self, spawned: pexpect.spawn[str]) -> None:
        self._spawned = spawned

    def completed(self, typed: str) -> str:
        """Type a line and a tab, and give the line that this makes."""
        self._spawned.send(f"{typed}\t{_TO_THE_END} END{_TO_THE_START}printf '<%s>' DONE \r")
        self._spawned.expect(r"<DONE>((<[^<>]*>)*)<END>")
        match = self._spawned.match
        assert isinstance(match, re.Match)
        words = re.findall("<([^<>]*)>", match.group(1))
        self._spawned.expect_exact(READY)
        return " ".join(words)

    def offers(self, typed: str, *offered: str) -> None:
        """Type a line and two tabs, and wait until all of these are offered, in this order."""
        self._spawned.send(f"{typed}\t\t")
        for each in offered:
            self._spawned.expect_exact(each)
        self._spawned.send(f"\x03{_ERASE_THE_LINE}")


@contextmanager
def opened(shell: str, home: Path, folder: Path) -> Iterator[Terminal]:
    """Start a shell in a folder, with a home directory of its own."""
    places, script = _PLACES[shell], pegasus(home, "completion", shell)
    for name, text in ((places.script, script), (places.start_up, places.text)):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TERM": "dumb" if shell != "fish" else "xterm",
        "LC_ALL": "C.UTF-8",
    }
    spawned = pexpect.spawn(
        shell,
        ["-i"],
        cwd=str(folder),
        env=environment,
        encoding="utf-8",
        timeout=PATIENCE,
        dimensions=(50, 200),
        echo=False,
    )
    try:
        spawned.expect_exact(READY)
        yield Terminal(spawned)
    finally:
        spawned.close(force=True)
