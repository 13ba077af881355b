"""The browser and the reports that the tests read, each made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.invented import RunShape
from tests.browser.reader import opened_browser, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Give a browser; without one the tests fail with what to install."""
    with opened_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the report of a run of an evening."""
    shape = RunShape(nodes=8, jobs=150, seconds=600.0, failing=9)
    return write_report(tmp_path_factory.mktemp("evening"), shape)


@pytest.fixture(scope="session")
def killed_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the report of a run whose Pegasus was killed."""
    shape = RunShape(nodes=3, jobs=20, failing=30, ended=False)
    return write_report(tmp_path_factory.mktemp("killed"), shape)


@pytest.fixture(scope="session")
def long_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the report of 10,000 jobs on 64 sub-nodes."""
    return write_report(tmp_path_factory.mktemp("long"), RunShape())
