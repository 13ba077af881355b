"""``python -m tests.browser.needs``: install the browser, in the way of ``tests.nodes.needs``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.nodes import needs
from tests.nodes.shells import find

PACKAGE = "chromium-headless-shell"
"""Debian's Chromium without windows."""

BROWSERS = (PACKAGE, "chromium", "chromium-browser", "google-chrome")
"""Programs of which one is sufficient."""


def browser() -> Path | None:
    """Find a browser."""
    return next(filter(None, map(find, BROWSERS)), None)


def main() -> int:
    """Install or name what is missing; return the exit status."""
    return 0 if browser() else needs.main({PACKAGE: PACKAGE}, "the tests of the report")


if __name__ == "__main__":
    sys.exit(main())
