"""A folder in which ``pegasus`` finds settings."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from pegasus.cli.settings import SETTINGS_FILE
from tests.forked import run_forked


class SettingsDesk:
    """A folder with a queue of one job, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder / "work", folder / "config"
        self.folder.mkdir()
        self.environ = {"XDG_CONFIG_HOME": str(self.config)}
        (self.folder / "hosts.yaml").write_text("- localhost\n")
        (self.folder / "queue.yaml").write_text("- echo hello\n")

    def write(self, text: str) -> None:
        """Write the settings of the folder."""
        (self.folder / SETTINGS_FILE).write_text(text)

    def write_own(self, text: str) -> None:
        """Write those of the user."""
        (self.config / "pegasus").mkdir(parents=True)
        (self.config / "pegasus" / SETTINGS_FILE).write_text(text)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return run_forked(list(words), cwd=self.folder, env={**os.environ, **self.environ})

    def told(self, *words: str) -> str:
        """Run a command, and give what it says about settings."""
        return "".join(
            re.findall(r"^\[Pegasus\] Settings: (.*)\n", self.run(*words).stderr, re.MULTILINE)
        )
