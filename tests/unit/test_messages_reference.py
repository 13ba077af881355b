"""Every message of an error: in plain words, and with what to do next."""

from __future__ import annotations

import re

import pytest

from tests.manual.messages import Message, messages

FOUND = list(messages())

GONE = ("unable to convert", "Unused Tokens", "sorry", "oops", "illegal", "abort:", "bogus")
"""Words that say nothing to a user; a test of all texts has a list for the style."""


def shown(message: Message) -> str:
    """Name a message in a failure."""
    return f"{message.place}: {message.what}"


def test_messages_are_found() -> None:
    """The reading of the code finds what there is: a change of its form would hide it."""
    assert len(FOUND) > 170
    assert any(
        "this list is empty" in message.what or "has faults" in message.what for message in FOUND
    )


@pytest.mark.parametrize("word", GONE)
def test_plain_words(word: str) -> None:
    """No message has a word of this list."""
    found = [
        shown(each)
        for each in FOUND
        if re.search(rf"\b{re.escape(word)}", each.what, re.IGNORECASE)
    ]
    assert found == []


def test_a_fault_has_a_next_step() -> None:
    """Each fault in a file says what to write instead."""
    missing = [shown(each) for each in FOUND if each.step == ""]
    assert missing == []
