"""A browser that reads one report, without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.invented import RunShape, invent
from tests.browser.needs import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESK, PHONE = (1280, 900), (360, 740)
"""Widths and heights of windows."""


def write_report(folder: Path, shape: RunShape) -> Path:
    """Invent a run, and write its report as a user does; return the path of the page."""
    queue, page = invent(folder, shape), folder / "report.html"
    argv = [sys.executable, "-m", "pegasus", "report", f"--queue-file={queue}", f"-o{page}"]
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "TZ": "UTC"})
    return page


@contextmanager
def opened_browser() -> Iterator[Browser]:
    """Start Chromium.

    Raises:
        RuntimeError: there is none.
    """
    from playwright.sync_api import sync_playwright

    program = browser()
    if program is None:
        raise RuntimeError("no Chromium is installed here: run `python -m tests.browser.needs`")
    # Chromium's own sandbox does not work for root, and only our own pages are opened.
    args = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=args)
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened_page(
    started: Browser,
    path: Path,
    size: tuple[int, int] = DESK,
    *,
    scripts: bool = True,
    dark: bool = False,
) -> Iterator[Page]:
    """Open a report in a window of a size; no script fails, and nothing else is requested."""
    context = started.new_context(
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=scripts,
        color_scheme="dark" if dark else "light",
        offline=True,
    )
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("requestfailed", lambda request: faults.append(request.url))
    try:
        page.goto(path.as_uri())
        yield page
        assert faults == []
    finally:
        context.close()
