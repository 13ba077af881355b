"""Promises of the generated manuals: they say what the command line says, and are well-formed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.manual.pages import DOCS, PAGES, sections

MAN_PAGE = DOCS / "pegasus.1"
CHECKS = {
    "groff": ["groff", "-man", "-Tutf8", "-ww", "-z"],
    "mandoc": ["mandoc", "-T", "lint", "-W", "warning"],
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_current(path: Path) -> None:
    """A page in the repository is what the command line generates."""
    assert path.read_text(encoding="utf-8") == PAGES[path](), "run `python -m tests.manual`"


@pytest.mark.parametrize("program", CHECKS)
def test_the_man_page_is_well_formed(program: str) -> None:
    """The formatters of man pages have nothing to warn of."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    argv = [*CHECKS[program], str(MAN_PAGE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_options_are_there_with_their_texts() -> None:
    """Each page has an option with the text of the help page, and each command."""
    for path in [each for each in PAGES if each.name != "messages.md"]:
        text = path.read_text(encoding="utf-8").replace("\\-", "-")
        assert "End a command that runs longer: 90, 30s, 5m, 2h, 1d." in text
        for section in sections():
            assert section.splitlines()[0].removeprefix("## ") in text
