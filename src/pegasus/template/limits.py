"""The limits of rendering: a text that no node accepts is not built first.

Rule 1: a text is measured before or while it grows, never only afterwards.
Rule 2: a limit is a fault with a position, like every other fault of a template.
"""

from __future__ import annotations

import time

from pegasus.template.value import Refusal

LONGEST_TEXT = 128 * 1024 - 1
"""Characters of a command: as many as Linux accepts bytes in one argument (MAX_ARG_STRLEN includes
the NUL). A helper may read a longer text, such as a JSON document, but not create one."""

LONGEST_ARGUMENT = 10_000
"""Characters for helpers that convert case or number: their time grows with the square of it."""

MOST_SECONDS = 5.0
"""Seconds of processor time for one command; most need some twenty microseconds."""

USE_A_SCRIPT = "Put it into a script on the node, and run that"


def refuse_growth(helper: str, length: int, longest_given: int) -> None:
    """Refuse a text that a helper creates, or would create.

    Args:
        helper: its name.
        length: characters of the new text.
        longest_given: characters of its longest argument; a text that is not longer costs no more
            than what exists already.

    Raises:
        Refusal: the text is longer than a command can be.
    """
    if length > max(LONGEST_TEXT, longest_given):
        raise Refusal(
            f'"{helper}" would make a text of {length:,} characters here, and a command can have '
            f"{LONGEST_TEXT:,}",
            USE_A_SCRIPT,
        )


def refuse_long(helper: str, text: str) -> None:
    """Refuse a text that is too long to be processed word by word.

    Raises:
        Refusal: it is too long.
    """
    if len(text) > LONGEST_ARGUMENT:
        raise Refusal(
            f'"{helper}" takes at most {LONGEST_ARGUMENT:,} characters, and got {len(text):,}',
            "Write the result into the file instead",
        )


class Spending:
    """The remaining characters and time while one command is rendered."""

    def __init__(self) -> None:
        self._characters = LONGEST_TEXT
        self._until = time.thread_time() + MOST_SECONDS

    def print(self, text: str) -> str:
        """Count the text of a tag, and give it.

        Raises:
            Refusal: all tags so far give more characters than a command can have.
        """
        self._characters -= len(text)
        if self._characters < 0:
            raise Refusal(
                f"with this tag the command, filled in, is longer than the {LONGEST_TEXT:,} bytes "
                "that a node can be given",
                USE_A_SCRIPT,
            )
        return text

    def go_on(self) -> None:
        """Check the time before a helper is called.

        Raises:
            Refusal: the rendering has taken too long.
        """
        if time.thread_time() > self._until:
            raise Refusal(
                f"filling this command in takes more than {MOST_SECONDS:g} seconds",
                "Use shorter texts, or fewer helpers",
            )
