"""What a terminal may be sent, and in which colours."""

from __future__ import annotations

import re
from collections import deque

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from pegasus.colour import PALETTE, in_colour_of, wants_colour
from pegasus.events import Connected, Noted, Unreachable
from pegasus.lines import LONGEST_LINE, block_of
from pegasus.model import Lost, SubNode
from pegasus.screen import messages
from pegasus.terminal_text import (
    INDENT,
    LONGEST_QUOTE,
    NARROWEST_TEXT,
    fit,
    on_one_line,
    own_rows,
    visible,
)

SGR = re.compile(r"\x1b\[[0-9;:]*m")

FAMILY = "👩\u200d👩\u200d👧"
HEART = "❤\ufe0f"

texts = ["a", "word ", "日本", "e\u0301", FAMILY, HEART, "\u200b", "[bold]"]
colours = ["\x1b[31m", "\x1b[0m", "\x1b[1;38;5;9m"]
controls = ["\t", "\n", "\x1b[2J", "\x1b]0;title\x07", "\x1b(B", "\x07", "\x1b", "\x9b", "\x00"]
bits = st.sampled_from([*texts, *colours, *controls])
blocks = st.lists(bits | st.text(max_size=3)).map(
    lambda parts: ("".join(parts).replace("\r", "") + "\n").encode("utf-8", "replace")
)


def rows(text: str | bytes, columns: int | None = None, *, colour: bool = True) -> list[str]:
    """Give the rows in which a terminal is sent a line."""
    data = text if isinstance(text, bytes) else text.encode()
    return fit(data + b"\n", columns, colour=colour).decode().split("\n")[:-1]


@given(st.lists(st.text("abc ~\n", max_size=9)), st.integers(2, 5))
def test_plain_text_is_chopped(texts: list[str], columns: int) -> None:
    """What has no colours, tabs or wide characters is cut where a row is full, and nowhere else."""
    block = "".join(f"{text}\n" for text in texts) or "\n"
    expected = [
        line[start : start + columns]
        for line in block[:-1].split("\n")
        for start in range(0, max(len(line), 1), columns)
    ]
    shown = fit(block.encode(), columns, colour=True)
    assert shown.decode().split("\n")[:-1] == expected
    with_colour = fit(f"{block}\x1b[0m\n".encode(), columns, colour=True)
    assert with_colour.startswith(shown)  # no other way than that of all other text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold]markup[/bold] :smile:", "plain [bold]markup[/bold] :smile:"),
        ("\x1b[2J\x1b[H\x1b[3A\x1b[2Kcleared", "cleared"),
        ("\x1b]0;evil title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[?1049h\x1b[?25l\x1b[>4;2m\x1b[?4m\x1b[6nmodes", "modes"),
        ("\x1b(B\x1b)0\x1bc\x1b7\x1b8\x1b=\x1bMescapes", "escapes"),
        ("\x1bP1$tx\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\strings", "strings"),
        ("\x1b]0;never ended", "^[]0;never ended"),
        ("\x1b[12;", "^[[12;"),
        ("lone \x1b", "lone ^["),
        ("bell \x07 back\x08space \x00 \x7f", "bell ^G back^Hspace ^@ ^?"),
        ("\x9b2J \x85 \x90", "\\x9b2J \\x85 \\x90"),
        (b"not \xff\x9b UTF-8 \xe6\x97", "not \\xff\\x9b UTF-8 \\xe6\\x97"),
        ("a\tb\tc", "a       b       c"),
        ("日\tb", "日      b"),
        ("", ""),
    ],
)
def test_only_harmless_text_reaches_a_terminal(text: str | bytes, shown: str) -> None:
    """A job cannot clear the screen, set a title or switch a mode; odd bytes become visible."""
    assert rows(text) == [shown]


@pytest.mark.parametrize("colour", [True, False])
def test_colours_of_jobs(colour: bool) -> None:  # noqa: FBT001
    """A job's colours pass where colours are wanted, and end with the line."""
    shown = ["\x1b[31mred\x1b[0m"] if colour else ["red"]
    assert rows("\x1b[31mred", colour=colour) == shown


@pytest.mark.parametrize(
    ("before", "carried"),
    [
        ("\x1b[1;31m", "\x1b[1;31m"),
        ("\x1b[38;5;208m\x1b[48;2;1;2;3m", "\x1b[38;5;208;48;2;1;2;3m"),
        ("\x1b[38:2::1:2:3m", "\x1b[38:2::1:2:3m"),
        ("\x1b[31m\x1b[32m", "\x1b[32m"),
        ("\x1b[31;4m\x1b[39m", "\x1b[4m"),
        ("\x1b[31m\x1b[m", ""),
        ("\x1b[31m\x1b[00m", ""),
        ("\x1b[31;0m", ""),
        ("\x1b[0;01;34m", "\x1b[01;34m"),
        ("\x1b[38;5m", "\x1b[38;5;m"),
        ("\x1b[73m", ""),
        ("\x1b[38:" + "1" * 5000 + "m", ""),
        ("\x1b[" + "9" * 5000 + "m", ""),
    ],
)
def test_colours_are_carried_over(before: str, carried: str) -> None:
    """A long line has its colours in each of its rows; each row ends without any."""
    first, second = rows(before + "x" * 15, 10)
    assert first == before + "x" * 10 + "\x1b[0m"
    assert second == carried + "x" * 5 + ("\x1b[0m" if carried else "")


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abcdefghij", 5, ["abcde", "fghij"]),
        ("abcdefghijk", 5, ["abcde", "fghij", "k"]),
        ("日本語", 5, ["日本", "語"]),
        ("a日本語", 4, ["a日", "本語"]),
        ("e\u0301" * 4, 2, ["e\u0301" * 2] * 2),
        ("ab" + FAMILY + "c", 4, ["ab" + FAMILY, "c"]),
        ("abc\tdef", 5, ["abc  ", "def"]),
        ("ab\x1b[31mcd\x1b[0mef", 3, ["ab\x1b[31mc\x1b[0m", "\x1b[31md\x1b[0mef\x1b[0m"]),
        ("\u0301\u0301", 2, ["\u0301\u0301"]),
    ],
)
def test_wrapping(text: str, columns: int, shown: list[str]) -> None:
    """Rows are as wide as they may be in the terminal's cells, and characters stay whole."""
    assert rows(text, columns) == shown


@given(blocks, st.integers(2, 30), st.booleans())
def test_rows_fit(block: bytes, columns: int, colour: bool) -> None:  # noqa: FBT001
    """No row is wider than the terminal, none has a control character but colours."""
    for row in fit(block, columns, colour=colour).decode().split("\n")[:-1]:
        text = SGR.sub("", row) if colour else row
        assert cell_len(text) <= columns
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", text)
        assert text == row or row.endswith("\x1b[0m")


@given(blocks.filter(lambda block: b"\t" not in block), st.integers(2, 30))
def test_wrapping_loses_nothing(block: bytes, columns: int) -> None:
    """What is shown in rows is what is shown without wrapping."""
    wrapped = fit(block, columns, colour=False).replace(b"\n", b"")
    assert wrapped == fit(block, None, colour=False).replace(b"\n", b"")


@given(st.text().map(visible), st.integers(NARROWEST_TEXT, 90))
@example(" " * 100_000, 20)
@example("a" * 100_000, 20)
@example("a " * 50_000, 20)
@example("aa " + "b" * 66 + " cc", 70)
def test_own_rows(line: str, columns: int) -> None:
    """The rows of a message fit, have all its words, and divide those only that fit no row."""
    first, *others = own_rows(line, columns)
    room = columns - INDENT
    assert cell_len(first) <= columns
    assert all(row.startswith(" " * INDENT) and cell_len(row) <= columns for row in others)
    parts = deque(word for row in (first, *others) for word in row.split())
    for word in line.split():
        shown = parts.popleft()
        may_be_divided = bool(others) and cell_len(word) > room
        while may_be_divided and shown != word:
            shown += parts.popleft()
        assert shown == word
    assert not parts


def test_plain_text_is_left_alone() -> None:
    """Lines of plain text that fit are sent as they are."""
    block = b"one\n\ntwo [x]\n"
    assert fit(block, 10, colour=True) is block


def test_names_stay_in_one_line() -> None:
    """A name with a newline or an escape in it is shown in one line, without effects."""
    assert visible("a\nb\x1b[2J\t\x9b\u2028é") == "a\\nb\\x1b[2J\\t\\x9b\\u2028é"


@pytest.mark.parametrize(
    ("choice", "environ", "terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"TERM": "xterm-256color"}, False, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_whether_there_are_colours(
    choice: str,
    environ: dict[str, str],
    terminal: bool,  # noqa: FBT001
    wanted: bool,  # noqa: FBT001
) -> None:
    """``--color`` beats ``NO_COLOR``, which beats ``FORCE_COLOR``, which beats the terminal."""
    assert wants_colour(choice, environ, terminal=terminal) is wanted  # type: ignore[arg-type]


def luminance(colour: int) -> float:
    """As WCAG defines it, of one of the colours 16 to 231."""
    levels = (0, 95, 135, 175, 215, 255)
    parts = [levels[(colour - 16) // 6**power % 6] / 255 for power in (2, 1, 0)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", PALETTE)
def test_names_can_be_read_on_any_background(colour: int) -> None:
    """Each colour stands out from white and from black by 3:1 at least."""
    light = luminance(colour) + 0.05
    assert 1.05 / light >= 3.0
    assert light / 0.05 >= 3.0


def test_a_sub_node_keeps_its_colour() -> None:
    """Colours depend on the sub-node's number alone; neighbours differ."""
    painted = [in_colour_of(number, "x") for number in range(2 * len(PALETTE))]
    assert painted[: len(PALETTE)] == painted[len(PALETTE) :]
    assert len(set(painted)) == len(PALETTE)


ANY_TEXT = st.text(st.characters(categories=None))
LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_a_message_is_one_line_whatever_is_in_it(one: str, two: str, three: str) -> None:
    """No text of a node, a file or a user begins a line of Pegasus's, or is a control character."""
    node = SubNode(0, one, ((two, three),))
    own = messages.OwnMessages()
    trouble = own.about(Unreachable(node, three, None))
    again = own.about(Connected(node))
    note = own.about(Noted(one))
    lines = [trouble, again, note, messages.own_lines(two), messages.ended(Lost(one))]
    for line in lines:
        assert line is not None
        assert not LINE_ENDS.search(line)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", line)
    several = messages.own_lines(one, two, three)
    assert len(several.split("\n")) == 3


@pytest.mark.parametrize("character", ["x", "\n", "\x1b", "é", "日", "\U0001f600", "\udc80"])
def test_messages_are_bounded(character: str) -> None:
    """However long a text is, its message stays one line; a node's words are cut earlier."""
    block = bytes(block_of(messages.own_lines(character * 1_000_000)))
    assert block.count(b"\n") == 1
    assert len(block) <= LONGEST_LINE
    assert len(on_one_line("a" + character * 1_000_000)) <= LONGEST_QUOTE + 3


def test_words_of_a_node_are_on_one_line() -> None:
    """Lines are joined, blanks are single, and control characters are visible."""
    assert on_one_line(" a\r\n\n  b\t c \x1b[2J\x85d\n") == r"a; b c \x1b[2J; d"
    assert on_one_line("") == on_one_line("\n") == ""
    longest = "a" * LONGEST_QUOTE
    assert on_one_line(longest) == longest
    half = LONGEST_QUOTE // 2
    assert on_one_line(f"{longest}the end") == f"{'a' * half} … {'a' * (half - 7)}the end"
