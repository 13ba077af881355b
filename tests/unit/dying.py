"""Crashes on the spot, for tests of what is left behind."""

from __future__ import annotations

import os
from collections.abc import Callable


def crash(run: Callable[[], object]) -> None:
    """Run something in a process of its own that dies on the way."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9, "it did not die where it should"
