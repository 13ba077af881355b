"""The state of a run -> what people and programs read after it or beside it.

Rule 1: readers only: nothing here changes a run, a file or the state.
Rule 2: whatever text of others is shown, it takes one line and no control character.

The parts: ``summary`` (the end of a run), ``tables`` (``pegasus status`` for people) and
``status_json`` (the same for programs).
"""

from __future__ import annotations

from pegasus.report.status_json import REPORT_VERSION, report_of, run_report

__all__ = ["REPORT_VERSION", "report_of", "run_report"]
