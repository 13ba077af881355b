"""``python -m tests.manual``: write the pages that are generated from the command line."""

from __future__ import annotations

from tests.manual.pages import PAGES

for path, generate in PAGES.items():
    path.write_text(generate(), encoding="utf-8")
