"""A line of numbers each minute, where the log of commands is not shown (``--quiet``).

Rule 1: a run in which nothing runs and nothing changes says so once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NoReturn

import trio

from pegasus.panel import PanelView, numbers_words
from pegasus.run_state import RunState

DIGEST_PERIOD = 60.0
"""Seconds between two lines: a log of a whole night has some hundred of them."""


async def say_numbers(
    state: RunState,
    waiting: Callable[[], int | None],
    stage: Callable[[], str],
    say: Callable[[str], None],
) -> NoReturn:
    """Say the numbers of a run each minute, until cancelled.

    Args:
        state: of the run.
        waiting: gives how many jobs are in the queue file; None: not counted yet.
        stage: gives what is said about the end of the run; empty before that.
        say: shows a message.
    """
    said = None
    while True:
        await trio.sleep(DIGEST_PERIOD)
        view = PanelView(state, time.time(), waiting(), lambda _: b"", stage())
        numbers = view.totals, view.waiting, view.notice
        if view.running or numbers != said:
            said = numbers
            say(f"{numbers_words(view)}.")
