"""``python -m tests.browser pictures`` or ``measure``: what the documents show of the report.

``pictures`` writes docs/pictures/*.png; ``measure`` prints how long Chromium takes to open the
report of 10,000 jobs on 64 sub-nodes, and how long it takes to write it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.invented import RunShape
from tests.browser.reader import DESK, PHONE, opened_browser, opened_page, write_report

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"

EVENING = RunShape(nodes=8, jobs=150, seconds=600.0, failing=9)
"""A run that a picture can show as a whole."""

HOME = "/home/me/sweep"
"""The folder of the run, as the pictures show it."""

ROUNDS = 5

DRAWN = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
"""Resolves when the page has been drawn."""


def pictures(folder: Path) -> None:
    """Take the pictures."""
    report = write_report(folder, EVENING)
    page_text = report.read_text(encoding="utf-8").replace(str(folder), HOME)
    report.write_text(page_text, encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    with opened_browser() as browser:
        with opened_page(browser, report, (1280, 1180)) as page:
            page.locator(".lane button.F").first.focus()
            page.screenshot(path=PICTURES / "report.png")
        with opened_page(browser, report, (1280, 760), dark=True) as page:
            page.locator("#failures").evaluate("heading => heading.scrollIntoView()")
            page.screenshot(path=PICTURES / "report-failures.png")
        with opened_page(browser, report, PHONE) as page:
            page.locator("#timeline").evaluate("heading => heading.scrollIntoView()")
            page.locator(".lane button.F").last.focus()
            page.screenshot(path=PICTURES / "report-phone.png")
    for path in sorted(PICTURES.glob("report*.png")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


def measure(folder: Path) -> None:
    """Measure a long run."""
    began = time.monotonic()
    report = write_report(folder, RunShape())
    print(f"invented and written in {time.monotonic() - began:.1f} s")
    times = []
    with opened_browser() as browser:
        for _ in range(ROUNDS):
            began = time.monotonic()
            with opened_page(browser, report, DESK) as page:
                page.evaluate(DRAWN)
                times.append(time.monotonic() - began)
    seconds = ", ".join(f"{each:.2f}" for each in sorted(times))
    print(f"{report.stat().st_size:,} bytes, open and drawn after {seconds} s", end="")
    print(f" (median {statistics.median(times):.2f} s)")


def main() -> int:
    """Do what the argument says; return the exit status."""
    tasks = {"pictures": pictures, "measure": measure}
    if sys.argv[1:] not in [[name] for name in tasks]:
        print(f"usage: python -m tests.browser {'|'.join(tasks)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        tasks[sys.argv[1]](Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
