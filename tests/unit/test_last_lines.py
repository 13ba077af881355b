r"""The last lines of an output, as reports show them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegasus.report.last_lines import last_lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n\n  \n", []),
        (b"one\ntwo\nthree\nfour\n", ["two", "three", "four"]),
        (b"no newline at the end", ["no newline at the end"]),
        (b"one\n\n\ntwo\n\n", ["one", "two"]),
        (b"10 %\r50 %\r99 %\r", ["99 %"]),
        (b"windows\r\nlines\r\n", ["windows", "lines"]),
        (b"\x1b[1;31mred\x1b[0m \x1b[Kand black\n", ["red and black"]),
        (b"a\tb\n", ["a       b"]),
        (b"\xff\x00\n", [r"\xff^@"]),
        ("\u202eback\n".encode(), [r"\u202eback"]),
        ("grüße 🦄\n".encode(), ["grüße 🦄"]),
    ],
)
def test_what_is_shown(data: bytes, lines: list[str]) -> None:
    """The last lines with text are shown, as they would look on a screen, without colours."""
    assert last_lines(data, 3, 100) == lines


def test_the_room_is_shared() -> None:
    """Lines are whole: those that have no room are left out, and only the last one is cut."""
    assert last_lines(b"a" * 60 + b"\n" + b"b" * 60, 3, 100) == ["b" * 60]
    assert last_lines(b"a" * 30 + b"\n" + b"b" * 60, 3, 100) == ["a" * 30, "b" * 60]
    assert last_lines(b"a" * 300, 3, 100) == ["a" * 100 + "…"]


def test_a_line_without_its_beginning() -> None:
    """A line whose beginning was not read says so; half of a character is left out."""
    assert last_lines("üx\nend\n".encode()[1:], 3, 100, is_cut=True) == ["…x", "end"]


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes(data: bytes, is_cut: bool) -> None:  # noqa: FBT001
    """Whatever a command prints, the lines are printable text and bounded."""
    found = last_lines(data, 3, 50, is_cut=is_cut)
    assert len(found) <= 3
    for line in found:
        assert line.encode()
        assert not set(line) & set(map(chr, [*range(32), *range(0x7F, 0xA0), 0x202E, 0x2028]))


def test_the_lines_of_a_traceback_keep_their_indentation() -> None:
    """Blanks at the beginning of a line are kept."""
    data = b"Traceback:\n  File x\n\tline\n    10 %\r    20 %\n"
    assert last_lines(data, 4, 100) == ["Traceback:", "  File x", "        line", "    20 %"]
