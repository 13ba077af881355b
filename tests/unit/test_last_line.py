r"""The last line that a command printed, from the last bytes of its output."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from pegasus.last_line import last_line
from tests.examples import examples

ONE_BAR = (
    "\r  0%|          | 0/100 [00:00<?, ?it/s]\r 31%|███       | 31/100 [00:03<00:06, 10.05it/s]"
).encode()
"""What tqdm prints: each state of a bar begins with a carriage return."""

CLOSED_BAR = ONE_BAR + "\r100%|██████████| 100/100 [00:09<00:00, 10.08it/s]\n".encode()
"""A bar that stays when it is closed ends its line."""

LEFT_BAR = ONE_BAR + b"\r                                                   \r"
"""A bar with ``leave=False`` overwrites itself with blanks."""

NESTED = (
    b"\router:   0%|          | 0/3 [00:00<?, ?it/s]\n"
    b"\rinner:   0%|          | 0/5 [00:00<?, ?it/s]\x1b[A\n"
    b"\rinner:  40%|####      | 2/5 [00:00<00:00, 9.9it/s]\x1b[A"
)
"""Two bars with ``position``: the cursor moves down to a bar and up again."""

NESTED_OUTER = NESTED + b"\router:  33%|###3      | 1/3 [00:01<00:02,  1.9s/it]"


@pytest.mark.parametrize(
    ("tail", "shown"),
    [
        (b"", ""),
        (b"\n\r\n  \n", ""),
        (b"one\ntwo\n", "two"),
        (b"one\ntwo", "two"),
        (b"one\r\ntwo\r\n\r\n", "two"),
        (ONE_BAR, "31%|███       | 31/100 [00:03<00:06, 10.05it/s]"),
        (CLOSED_BAR, "100%|██████████| 100/100 [00:09<00:00, 10.08it/s]"),
        (LEFT_BAR, "31%|███       | 31/100 [00:03<00:06, 10.05it/s]"),
        (b"10%\r20%\r", "20%"),
        (NESTED, "inner:  40%|####      | 2/5 [00:00<00:00, 9.9it/s]"),
        (NESTED_OUTER, "outer:  33%|###3      | 1/3 [00:01<00:02,  1.9s/it]"),
        (b"done: 10%\b\b\b20%\b\b\b30%", "done: 30%"),
        (b"\x1b[32mgreen\x1b[0m \x1b]0;title\x07text\x1b[K", "green text"),
        (b"a\x1b[2Jb\x07", "b^G"),
        (b"a\tb", "a       b"),
        (b"\x96\x88 half a character before", "half a character before"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("\u202eevil".encode(), "\\u202eevil"),
    ],
)
def test_the_last_line(tail: bytes, shown: str) -> None:
    """The last line with text counts: of a progress bar its last state, of several the latest."""
    assert last_line(tail, 80) == shown


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.sampled_from([*range(256), *b"\r\n\x1b[A\b\t"])).map(bytes), st.integers(2, 99))
def test_no_output_does_more_than_be_shown(tail: bytes, room: int) -> None:
    """Whatever a command prints, its last line is one line without control characters."""
    line = last_line(tail, room)
    assert line.isprintable() or not set(line) & {chr(code) for code in (*range(32), 127)}


@pytest.mark.parametrize("blank", [b" \n", b"\x1b[0m\n", b"\x1b[K\r"])
def test_blank_lines_cost_little(blank: bytes) -> None:
    """Some blank lines are passed over; how many is limited, as this is done for each frame."""
    assert last_line(b"text\n" + blank * 50, 80) == "text"
    assert last_line(b"text\n" + blank * 800, 80) == ""
