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


REASON = "a reason, which a message quotes that says what to do"
WHO = "another user has to do it, and the message says who"
CHOICES = "it gives what there is"
SIMILAR = "a similar name is filled in, where there is one"

NEXT_STEP = re.compile(
    r"`(pegasus|sbatch|salloc|ulimit) "  # what to type, or an example of it, or what an option does
    r"|: (?:--[a-z]|pegasus )[^:]*$|--[a-z-]+ (?:names|needs|takes|fits) |must be "
    r"|(?:^|[.:;,…] |\b(?:and|or|then|please) )"
    r"(?:add|allow|ask|change|check|choose|close|correct|create|edit|free|give|have|install|keep"
    r"|leave|look|make|mount|move|name|put|quote|raise|remove|rename|repair|report|run|save|say|see"
    r"|set|start|stop|take|try|use|wait|write)\b",
    re.IGNORECASE,
)

OTHER_STEPS = {
    "Pegasus does not run in a Slurm allocation with this node": REASON,
    "no more commands over this connection: …": REASON,
    "the connection is gone": REASON,
    "the connection is gone (…)": REASON,
    "the shell on the node was not ready in … seconds; the account's start-up files have printed "
    "…": REASON,
    "the connection broke": REASON,
    "commands on Slurm cannot be detached: they end with their step": REASON,
    "…: …. Only a user who may write into the record of a run can stop or pause it.": WHO,
    "…: …. Only its owner can read a record, while it is there.": WHO,
    "Job … of run … did not run on sub-node …; it ran on number …. Sub-nodes are counted from 0, "
    "as in the hosts file.": CHOICES,
    "--sub-node …: … stands for the sub-nodes … to …….": CHOICES,
    "--limit …: this leaves no sub-node. The hosts are ….": CHOICES,
    "--limit …: no sub-node of … fits all parts of this. Parts with & between them must fit the "
    "same sub-node; a comma adds.": "it explains both signs",
    '"…" is not a command. …': "what to type is filled in",
    "…: …: no such option can be set, and there is no such command.…": SIMILAR,
    "…: …: no such option can be set….…": SIMILAR,
}
"""Messages whose next step is not in the text that stands in the code, each with the reason."""


def is_computed(message: Message) -> bool:
    """Return whether the last part of a message is computed elsewhere, by what gives next steps."""
    return message.what.endswith(("…: ….", "…. ….", ". ….", "…: …"))


def test_a_fault_has_a_next_step() -> None:
    """Each fault in a file says what to write instead."""
    missing = [shown(each) for each in FOUND if each.step == ""]
    assert missing == []


def test_an_error_has_a_next_step() -> None:
    """Each error says what to do or to type, or is listed with the reason."""
    errors = [each for each in FOUND if each.step is None and not is_computed(each)]
    missing = {each.what: each.place for each in errors if not NEXT_STEP.search(each.what)}
    assert missing.keys() - OTHER_STEPS == set(), missing
    assert OTHER_STEPS.keys() - missing.keys() == set()
