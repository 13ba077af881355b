"""How many examples a property is tried on: a few in the default run, all with PEGASUS_EXAMPLES=1.

``nox -s unit_thorough`` tries all.
"""

from __future__ import annotations

import os

SHARE = float(os.environ.get("PEGASUS_EXAMPLES", "0.2"))
"""The share that is tried."""

FEWEST = 10


def examples(number: int) -> int:
    """Give the number of examples to try, of those that a thorough run tries."""
    return max(min(number, FEWEST), round(number * SHARE))
