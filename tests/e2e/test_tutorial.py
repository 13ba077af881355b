"""The tutorial works line by line, for somebody who types what it shows and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.packaging.clean import Clean
from tests.packaging.tutorial import follow_tutorial


def test_the_tutorial(tmp_path: Path) -> None:
    """Each command of tutorial.md succeeds, and prints what the tutorial shows."""
    assert follow_tutorial(Clean(tmp_path), [sys.executable, "-m", "pegasus"]) > 3
