"""The HTML report in Chromium: on a desk and a phone, in print, by keyboard, and read aloud."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.reader import DESK, PHONE, opened_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LARGEST = 10_000_000
"""Bytes of the report of 10,000 jobs."""

CONTRAST = """
selector => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const light = colour => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll(selector)].map(element => {
    const style = getComputedStyle(element);
    const [a, b] = [light(element.tagName === "BUTTON" ? style.borderColor : style.color), paper];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  }).reduce((least, each) => Math.min(least, each), 99);
}
"""
"""Gives the least contrast of elements to the paper, as WCAG computes it."""


EXCESS = """
bars => Math.max(...bars.map(bar => {
  const time = parseFloat(bar.style.width) / 100 * bar.closest("ul").clientWidth;
  return bar.getBoundingClientRect().width - Math.max(3, time);
}))
"""
"""Gives by how many pixels a bar is wider than its time, or than the 3 pixels that can be seen."""


def overflow(page: Page) -> int:
    """Give how many pixels the page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return wide


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("which", ["report", "killed_report", "long_report"])
def test_it_fits_the_window(
    which: str, size: tuple[int, int], chromium: Browser, request: pytest.FixtureRequest
) -> None:
    """On a desk and on a phone nothing is wider than the window; zoomed lanes can be scrolled."""
    with opened_page(chromium, request.getfixturevalue(which), size) as page:
        assert overflow(page) <= 0
        if which == "long_report":
            return  # the zoom is the same
        page.locator("#z16").check()
        assert overflow(page) <= 0
        assert page.evaluate("document.querySelector('.scroll').scrollWidth") > 10 * size[0]


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_bar_is_as_long_as_its_time(
    size: tuple[int, int], long_report: Path, chromium: Browser
) -> None:
    """The length of a bar is its time: short commands do not cover those that follow them."""
    with opened_page(chromium, long_report, size) as page:
        assert page.locator(".lane button").evaluate_all(EXCESS) < 1


def test_what_a_screen_reader_finds(report: Path, chromium: Browser) -> None:
    """The page has landmarks, headings in order, tables with headers, and a name for each bar."""
    with opened_page(chromium, report) as page:
        tree = page.locator("body").aria_snapshot()
        for words in (
            "- banner:",
            "- main:",
            "- contentinfo:",
            'heading "Run 42 ended (done) after',
            'heading "Timeline" [level=2]',
            'heading "Did not succeed" [level=2]',
            'heading "Sub-nodes" [level=2]',
            'heading "node-1 (gpu=0) ',
            'list "node-1 (gpu=0)"',
            'button "Job 1: succeeded, after ',
            'columnheader "Outcome"',
            'rowheader "node-1 (gpu=0)"',
        ):
            assert words in tree, words
        levels = [int(level) for level in re.findall(r"heading .*\[level=(\d)\]", tree)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        bars = page.locator(".lane button")
        names = re.findall(r'button "(Job \d+[^"]*)"', tree)
        assert len(names) == bars.count() >= 150
        assert page.locator(".lane").count() == page.get_by_role("list", name="node-").count() == 8


def test_a_bar_shows_its_command(report: Path, chromium: Browser) -> None:
    """Pointing to a bar shows its command, times and last lines; so do the focus and a tap."""
    with opened_page(chromium, report) as page:
        bar = page.locator(".lane button.F").first
        words = bar.locator("xpath=following-sibling::div")
        assert not words.is_visible()
        bar.hover()
        for text in ("python train.py --lr", "2026-11-2", "CUDA out of memory", "exit status: 1"):
            assert text in words.inner_text()
        assert words.is_visible()
        page.mouse.move(5, 5)
        assert not words.is_visible()
        bar.focus()
        assert words.is_visible()
        lower, upper = words.bounding_box(), bar.bounding_box()
        assert lower
        assert upper
        assert lower["y"] >= upper["y"] + upper["height"]  # it does not cover its bar


def test_the_keyboard(report: Path, chromium: Browser) -> None:
    """The timeline is one stop of Tab; arrows go from bar to bar and to other lanes."""
    with opened_page(chromium, report) as page:
        focused = "document.activeElement.getAttribute('aria-label')"
        page.locator("#z1").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate(focused).startswith("Job 1:")
        page.keyboard.press("ArrowRight")
        assert page.evaluate(focused).startswith("Job 14:")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        assert page.evaluate(focused).startswith("Job 2:")
        page.keyboard.press("End")
        page.keyboard.press("ArrowRight")  # there is none
        assert page.evaluate(focused).startswith("Job 148:")
        assert page.locator(".lane li > div:visible").count() == 1
        page.keyboard.press("Escape")
        assert page.locator(".lane li > div:visible").count() == 0
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.lane')") is None


def test_without_scripts(report: Path, chromium: Browser) -> None:
    """All of it can be read without scripts: bars by focus and pointer, failures, the zoom."""
    with opened_page(chromium, report, scripts=False) as page:
        bar = page.locator(".lane button.F").first
        bar.focus()
        assert page.get_by_text("CUDA out of memory").first.is_visible()
        page.locator("#z4").check()
        wide = page.locator(".wide").bounding_box()
        assert wide
        assert wide["width"] > 3 * DESK[0]
        assert page.get_by_role("columnheader", name="Outcome").is_visible()


def test_print(report: Path, chromium: Browser) -> None:
    """In print the lanes fit the paper, whatever the zoom and the scheme are; tables are whole."""
    paper = (794, 1123)  # A4 at 96 dpi
    with opened_page(chromium, report, paper, dark=True) as page:
        page.locator("#z16").check()
        page.locator(".lane button").first.focus()
        page.emulate_media(media="print")
        assert overflow(page) <= 0
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 252, 253)"
        )
        assert page.locator(".lane li > div:visible").count() == 0
        assert page.locator(".zoom").is_hidden()
        assert page.locator("table.failures").is_visible()
        assert page.locator("th.when").is_visible()
        assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast(dark: bool, report: Path, chromium: Browser) -> None:  # noqa: FBT001
    """Text has a contrast of 4.5 to the paper, the edges of bars one of 3, in light and in dark."""
    with opened_page(chromium, report, dark=dark) as page:
        assert page.evaluate(CONTRAST, "h1, p, td, dt, dd, code, small, .hint, a") >= 4.5
        assert page.evaluate(CONTRAST, ".lane button") >= 3.0


def test_ten_thousand_jobs(long_report: Path, chromium: Browser) -> None:
    """The report of 10,000 jobs on 64 sub-nodes has all of them, and less than 10 MB."""
    assert long_report.stat().st_size < LARGEST
    began = time.monotonic()
    with opened_page(chromium, long_report) as page:
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        print(f"open after {time.monotonic() - began:.2f} s")  # noqa: T201 -- for whoever measures
        assert page.locator(".lane").count() == 64
        labels = page.locator(".lane button").evaluate_all(
            "bars => new Set(bars.map(bar => parseInt(bar.ariaLabel.slice(4)))).size"
        )
        assert labels == 10_000
