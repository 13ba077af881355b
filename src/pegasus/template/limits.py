"""What filling a template in may cost: a text that no node accepts is not built first.

Rule 1: what grows is measured before it grows, or while it does; never only afterwards.
Rule 2: a limit is an error with a place, as every other fault of a template is.
"""

from __future__ import annotations

import time

from pegasus.template.value import Refusal

LONGEST_TEXT = 128 * 1024 - 1
"""Characters of a command, as many as Linux accepts bytes in one argument (MAX_ARG_STRLEN, with its
NUL). A helper may read a longer text, such as a JSON document, but not make one."""

LONGEST_ARGUMENT = 10_000
"""Characters that are put into another case or number: the time for it grows with their square."""

MOST_SECONDS = 5.0
"""Seconds of processor time for one command; most take some twenty microseconds."""

USE_A_SCRIPT = "Put it into a script on the node, and run that"


def refuse_growth(helper: str, length: int, longest_given: int) -> None:
    """Refuse a text that a helper makes, or would make.

    Args:
        helper: its name.
        length: characters of the text that it makes.
        longest_given: characters of the longest text that it was given; a text that is no longer
            costs no more than what is there already.

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
    """Refuse a text that is too long to be looked at word by word.

    Raises:
        Refusal: it is.
    """
    if len(text) > LONGEST_ARGUMENT:
        raise Refusal(
            f'"{helper}" takes at most {LONGEST_ARGUMENT:,} characters, and got {len(text):,}',
            "Write the result into the file instead",
        )


class Spending:
    """What is left, of characters and of time, while one command is filled in."""

    def __init__(self) -> None:
        self._characters = LONGEST_TEXT
        self._until = time.thread_time() + MOST_SECONDS

    def print(self, text: str) -> str:
        """Pass a tag's text on.

        Raises:
            Refusal: all tags so far have given more than a command can have.
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
        """Let one more helper work.

        Raises:
            Refusal: those so far have taken too long.
        """
        if time.thread_time() > self._until:
            raise Refusal(
                f"filling this command in takes more than {MOST_SECONDS:g} seconds",
                "Use shorter texts, or fewer helpers",
            )
