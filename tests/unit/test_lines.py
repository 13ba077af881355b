"""What users may rely on when bytes become lines."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegasus.lines import LONGEST_LINE, Block, EveryNth, LineSplitter, block_of, prefixed

LONGEST = 8

texts = st.lists(
    st.sampled_from([b"\n", b"\r", b"a", b"\0", b"\xff", "é".encode(), "日".encode(), b"long" * 4])
).map(b"".join)


def lines_of(*reads: bytes, longest: int = LONGEST_LINE) -> list[bytes]:
    """Give the lines that these reads make."""
    lines = LineSplitter(longest)
    block = b"".join(map(bytes, [*map(lines.feed, reads), lines.finish()]))
    assert block.endswith(b"\n") or not block
    return block.split(b"\n")[:-1]


def expected(text: bytes) -> list[bytes]:
    r"""The rule in slow motion: ends are ``\r*\n`` or ``\r+``; an empty line needs an ``\n``."""
    parts = re.split(rb"(\r*\n|\r+)", text)
    shown = [
        line for line, end in zip(parts[::2], parts[1::2], strict=False) if line or b"\n" in end
    ]
    return [*shown, parts[-1]] if parts[-1] else shown


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"\n\na\n\n", [b"", b"", b"a", b""]),
        (b"no end", [b"no end"]),
        (b"dos\r\nlines\r\n\r\n", [b"dos", b"lines", b""]),
        (b"twice translated\r\r\nb\r\r\n", [b"twice translated", b"b"]),
        (b"\r 10%\r 20%\r\r100%\r\ndone\n", [b" 10%", b" 20%", b"100%", b"done"]),
        (b"a\n\rb\r", [b"a", b"b"]),
        (b"NUL \0 and \xff\xfe\n", [b"NUL \0 and \xff\xfe"]),
        (b"\x85\x0b\x0c\x1c are text\n", [b"\x85\x0b\x0c\x1c are text"]),
    ],
)
def test_ends_of_lines(text: bytes, lines: list[bytes]) -> None:
    r"""Lines end with ``\n``, ``\r\n`` or ``\r``, and a progress bar makes no blank lines."""
    assert lines_of(text) == lines == expected(text)


@given(st.lists(texts))
def test_reads_make_no_difference(reads: list[bytes]) -> None:
    """However a connection cuts the bytes into reads, the lines are the same."""
    text = b"".join(reads)
    assert lines_of(*reads) == expected(text)
    assert lines_of(*reads, longest=LONGEST) == lines_of(text, longest=LONGEST)


@given(texts)
def test_nothing_is_lost(text: bytes) -> None:
    """Whatever is no end of a line is there, once and in order."""
    assert b"".join(lines_of(text, longest=LONGEST)) == re.sub(rb"[\r\n]", b"", text)


@given(texts)
def test_lines_are_bounded(text: bytes) -> None:
    """No line is longer than the limit, and only those that are too long are cut."""
    lines = lines_of(text, longest=LONGEST)
    assert all(len(line) <= LONGEST for line in lines)
    if all(len(line) <= LONGEST for line in expected(text)):
        assert lines == expected(text)


@given(st.text(alphabet="aé日😀", min_size=1), st.integers(4, 9))
def test_characters_stay_whole(text: str, longest: int) -> None:
    """A line that is cut is not cut within a character."""
    pieces = lines_of(text.encode(), longest=longest)
    assert "".join(piece.decode() for piece in pieces) == text
    assert all(len(a + b) > longest for a, b in pairwise(pieces))


def test_continuation_bytes_without_a_beginning_are_cut_where_they_must_be() -> None:
    """Bytes that only look like UTF-8 do not make a line longer than the limit."""
    assert lines_of(b"\x80" * 20, longest=8) == [b"\x80" * 8, b"\x80" * 8, b"\x80" * 4]


def test_a_progress_bar_is_shown_as_it_moves() -> None:
    r"""A line that a ``\r`` ends is there at once, and not only when the next one begins."""
    lines = LineSplitter()
    assert bytes(lines.feed(b"10%\r")) == b"10%\n"
    assert bytes(lines.feed(b"\n20%")) == b""
    assert bytes(lines.feed(b"\r")) == b"20%\n"
    assert bytes(lines.feed(b"\r\r")) == b""
    assert bytes(lines.feed(b"\n\n")) == b"\n"
    assert bytes(lines.finish()) == b""


def last_states(*reads: bytes) -> list[bytes]:
    """Give the lines that these reads make where only last states count."""
    lines = LineSplitter(last_state=True)
    return b"".join(map(bytes, [*map(lines.feed, reads), lines.finish()])).split(b"\n")[:-1]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"\r 10%\r 20%\r\r100%\r\ndone\n", [b"100%", b"done"]),
        (b"10%\r20%\r", [b"20%"]),
        (b"dos\r\nlines\r\n\r\n", [b"dos", b"lines", b""]),
        (b"a\n\rb\r", [b"a", b"b"]),
        (b"before\r\r\n10%\rafter", [b"before", b"after"]),
        (b"10%\r    \r", []),
        (b"10%\r    \rdone\n", [b"done"]),
        (b"10%\r\x1b[K", []),
        (b"10%\r\x1b[2K\x1b[?25h", []),
        (b"10%\r\x1b[Kdone\x1b[0m", [b"\x1b[Kdone\x1b[0m"]),
        (b"    ", [b"    "]),
    ],
)
def test_the_last_state_of_a_progress_bar(text: bytes, lines: list[bytes]) -> None:
    r"""Of text that ends with ``\r`` only what is written over it remains, as on a terminal."""
    assert last_states(text) == lines


UPPER_AND_LOWER_BAR = (
    b"\r o0"
    b"\n\r i0\x1b[A\n\r i1\x1b[A\n\r   \x1b[A\r o1"
    b"\n\r i0\x1b[A\n\r i1\x1b[A\n\r   \x1b[A\r o2\n\n"
)
"""What tqdm prints for a loop in a loop: it goes down to the bar of the inner one, and up again."""


@pytest.mark.parametrize("at", range(len(UPPER_AND_LOWER_BAR)))
def test_a_bar_below_another_one(at: int) -> None:
    """The lower bar does not fill the log: only states of the upper one are lines."""
    text = UPPER_AND_LOWER_BAR
    assert last_states(text[:at], text[at:]) == [b" o0", b" o1", b" o2", b""]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"a\n\n\x1b[A\x1b[Ab\nc\n", [b"a", b"", b"\x1b[A\x1b[Ab", b"c"]),
        (b"a\x1b[A\n\nb\n", [b"a", b"b"]),
        (b"a\x1b[A\x1b[A\nb\n", [b"b"]),
    ],
)
def test_ways_up_and_down(text: bytes, lines: list[bytes]) -> None:
    """What leads further down than up ends a line; other ways lead back to a line."""
    assert last_states(text) == lines


@given(st.lists(texts))
def test_reads_make_no_difference_to_last_states(reads: list[bytes]) -> None:
    """However the bytes are cut into reads, the last states are those of each line."""
    *whole, rest = re.sub(rb"\r+\n", b"\n", b"".join(reads)).split(b"\n")
    states = [line.rstrip(b"\r").split(b"\r")[-1] for line in whole]
    rest = rest.rstrip(b"\r").split(b"\r")[-1]
    assert last_states(*reads) == ([*states, rest] if rest else states)


def test_a_bar_that_moves_for_hours_needs_little_memory() -> None:
    """Only the last state is kept."""
    lines = LineSplitter(last_state=True)
    for number in range(10_000):
        assert not lines.feed(b"\r%d%% " % number + b"#" * 50)
        assert len(lines._rest) < 100
    assert bytes(lines.feed(b"\n")) == b"9999% " + b"#" * 50 + b"\n"


def test_a_line_without_end_needs_little_memory() -> None:
    """A 100 MB line passes in pieces, and no more than one of them is held back."""
    lines = LineSplitter()
    read = b"x" * 50_000
    shown = 0
    for _ in range(2000):
        shown += len(bytes(lines.feed(read)).replace(b"\n", b""))
        assert len(lines._rest) <= LONGEST_LINE
    assert shown + len(bytes(lines.finish())) - 1 == 100_000_000


def test_lines_can_be_used_again_after_their_end() -> None:
    """An end forgets everything, also that a return came last."""
    lines = LineSplitter()
    assert bytes(lines.feed(b"a\r")) + bytes(lines.finish()) == b"a\n"
    assert bytes(lines.feed(b"\n")) == b"\n"


@given(st.lists(st.integers(0, 7)), st.integers(0, 5))
def test_every_nth_line(counts: list[int], period: int) -> None:
    """With a period of N the lines N, 2N, 3N are shown, however they come; with 0 none."""
    numbers = iter(range(1, sum(counts) + 1))
    every = EveryNth(period)
    blocks = [Block.of(b"".join(b"%d\n" % next(numbers) for _ in range(count))) for count in counts]
    shown = b"".join(bytes(every.take(block)) for block in blocks).split()
    wanted = range(period, sum(counts) + 1, period) if period else range(0)
    assert [int(line) for line in shown] == list(wanted)


@given(st.lists(texts), st.binary().filter(lambda prefix: b"\n" not in prefix))
def test_behind_a_prefix(reads: list[bytes], prefix: bytes) -> None:
    """Each line has the prefix in front, empty ones too; without it the lines are the same."""
    lines = LineSplitter()
    blocks = [*map(lines.feed, reads), lines.finish()]
    pieces = [piece for block in blocks for piece in prefixed(prefix, block)]
    shown = b"".join(pieces).split(b"\n")[:-1]
    assert all(line.startswith(prefix) for line in shown)
    assert [line.removeprefix(prefix) for line in shown] == expected(b"".join(reads))


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("one", b"one\n"),
        ("one\r\ntwo\n\n", b"one\ntwo\n"),
        ("", b"\n"),
        ("\n", b"\n"),
        ("caf\udce9 \ud83d", b"caf\\udce9 \\ud83d\n"),
    ],
)
def test_words_become_a_block(text: str, block: bytes) -> None:
    """Any text can be said, also one that UTF-8 has no bytes for."""
    assert bytes(block_of(text)) == block
