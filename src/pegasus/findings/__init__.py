"""The sub-nodes and jobs of the two files together, every fault in them, and their listing.

Rule 1: nothing is taken, locked or written: the files are read as they are.
Rule 2: every fault is found in one pass; a run stops at the first.
Rule 3: jobs are counted by arithmetic. Rendering them takes time, so it has a limit.
"""

from __future__ import annotations

from pegasus.findings.additions import Misfit, find_misfits
from pegasus.findings.finding import Findings, find
from pegasus.findings.listing import (
    FIRST_SHOWN,
    ListingView,
    described,
    laid_out,
    list_findings,
    many,
)
from pegasus.findings.notes import notes_on

__all__ = [
    "FIRST_SHOWN",
    "Findings",
    "ListingView",
    "Misfit",
    "described",
    "find",
    "find_misfits",
    "laid_out",
    "list_findings",
    "many",
    "notes_on",
]
