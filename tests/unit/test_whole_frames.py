"""The screen of the tests' terminals shows whole frames only."""

from __future__ import annotations

from itertools import combinations

import pyte

from tests.whole_frames import FRAME_BEGINS, FRAME_ENDS, WholeFrames

SENT = b"log " + b"".join(FRAME_BEGINS + text + FRAME_ENDS for text in (b"one ", b"two ")) + b"end"
SHOWN = {"log one", "log one two", "log one two e", "log one two en", "log one two end"}
"""What stands there after the first frame."""


def test_no_part_of_a_frame_is_shown() -> None:
    """Wherever the data are cut into three pieces, a frame is shown whole or not at all."""
    for first, second in combinations(range(len(SENT) + 1), 2):
        screen = pyte.Screen(20, 1)
        stream = WholeFrames(screen)
        for piece in (SENT[:first], SENT[first:second], SENT[second:]):
            stream.feed(piece)
            shown = screen.display[0].rstrip()
            assert "log".startswith(shown) or shown in SHOWN
        assert shown == "log one two end"


def test_what_was_kept_is_shown_at_the_end() -> None:
    """A program that ends within a frame, or within a mark, has sent what it has sent."""
    screen = pyte.Screen(20, 1)
    stream = WholeFrames(screen)
    stream.feed(b"log " + FRAME_BEGINS + b"on")
    assert screen.display[0].rstrip() == "log"
    stream.end()
    assert screen.display[0].rstrip() == "log on"
