"""What a user is told to type after a login that failed."""

from __future__ import annotations

import pytest

from pegasus.transport.next_steps import next_step

CHANGED = (
    "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!; Offending ED25519 key in /home/u/known:7; "
    "Host key for [node-1]:2222 has changed and you have requested strict checking.; "
    "Host key verification failed."
)
UNKNOWN = (
    "No ED25519 host key is known for node-1 and you have requested strict checking.; "
    "Host key verification failed."
)


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (CHANGED, "`ssh-keygen -R '[node-1]:2222' -f /home/u/known`"),
        ("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", "`ssh-keygen -R node-1`"),
        (UNKNOWN, "Type `ssh u@node-1`"),
        ("u@node-1: Permission denied (publickey).", "type `ssh-add`."),
        ("Received disconnect: 2: Too many authentication failures", "`IdentitiesOnly yes`"),
    ],
)
def test_what_to_type(words: str, typed: str) -> None:
    """Each known failure has a command to type, on at most three lines of 80 columns."""
    step = next_step(words, "u@node-1", has_agent=True)
    assert step is not None
    assert typed in step.words
    assert len(step.words) <= 3 * 80


def test_without_an_agent() -> None:
    """Where no agent runs, the message says how to start one."""
    step = next_step("u@n: Permission denied (publickey,password).", "n", has_agent=False)
    assert step is not None
    assert "`ssh-add` (no agent runs here: `eval $(ssh-agent)` first)" in step.words


@pytest.mark.parametrize("words", ["Connection refused", "Could not resolve hostname x", ""])
def test_nothing_to_type(words: str) -> None:
    """For other failures the words of ssh are enough."""
    assert next_step(words, "n", has_agent=True) is None
