"""Marks: what a command prints comes out untouched, and cannot pass for the shell's own words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus.model import Exited, Killed, Lost, NotStarted
from pegasus.transport.marks import Marks, Phase
from pegasus.transport.script import encode, read_end
from tests.examples import examples

MARK = b"\x1e0123456789abcdef0123456789abcdef"

# Bytes that look like parts of a mark, and any others, but never a whole one: no job knows it.
NASTY = (
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([MARK[:n] for n in (1, 2, 16, 32)]),
            st.sampled_from([b"\x1e", b"r", b"e", b" 0\n", b"\x1e" + b"f" * 32 + b"e 0\n"]),
        ),
        max_size=12,
    )
    .map(b"".join)
    .filter(lambda text: MARK not in text)
)


def feed(marks: Marks, data: bytes, cuts: list[int]) -> bytes:
    """Feed data cut into pieces; give what came out once the shell was ready."""
    output = b""
    begin = 0
    for end in [*sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]:
        piece = marks.feed(data[begin:end])
        if marks.phase is not Phase.STARTING:
            output += piece
        begin = end
    return output


@settings(max_examples=examples(400), deadline=None)
@given(noise=NASTY, output=NASTY, after=NASTY, cuts=st.lists(st.integers(0, 999), max_size=12))
def test_output_comes_out_untouched(
    noise: bytes, output: bytes, after: bytes, cuts: list[int]
) -> None:
    """However the bytes are cut: noise and afterthoughts are dropped, the output is all there."""
    marks = Marks(MARK)
    stream = MARK + b"r" + MARK + b"b" + output + MARK + b"e 0\n" + after
    marks.feed(noise)
    if marks.phase is Phase.STARTING:
        assert feed(marks, stream, cuts) == output
        assert marks.phase >= Phase.ENDED
        assert marks.words == b" 0"


@settings(max_examples=examples(50), deadline=None)
@given(cut=st.integers(1, len(MARK)), before=st.sampled_from([b"", b"\x1e", b"\x1e0123"]))
def test_an_end_within_a_flood(cut: int, before: bytes) -> None:
    """A mark that is cut in two by large reads is found, and the reads around it are untouched."""
    flood = b"a line of many\n" * 20_000
    marks = Marks(MARK)
    marks.feed(MARK + b"r" + MARK + b"b")
    output = marks.feed(flood) + marks.feed(flood + before + MARK[:cut])
    assert marks.phase is Phase.RUNNING
    assert output + marks.feed(MARK[cut:] + b"e 0\n" + flood) == 2 * flood + before
    assert marks.words == b" 0"


@settings(max_examples=examples(200), deadline=None)
@given(output=NASTY)
def test_a_command_cannot_forge_an_end(output: bytes) -> None:
    """Without the mark nothing that a command prints ends it, or gives it an exit status."""
    marks = Marks(MARK)
    marks.feed(MARK + b"r" + MARK + b"b")
    if MARK in output:
        return
    marks.feed(output)
    assert marks.phase is Phase.RUNNING
    assert marks.words is None


@settings(max_examples=examples(300), deadline=None)
@given(st.text())
def test_any_last_words(words: str) -> None:
    """Whatever a shell says at the end is an outcome, and never an error of ours."""
    assert isinstance(read_end(words), Exited | Killed | Lost)


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (" 0", Exited(0)),
        (" 255", Exited(255)),
        (" 137", Exited(137)),
        ("Killed 137", Killed(9)),
        ("sh: line 4: 77 Terminated  ( exec sh ) 143", Killed(15)),
        (" 130", Killed(2)),
        (" 141", Killed(13)),
        (" 265", Killed(9)),
        (" =130", Exited(130)),
        (" =141", Exited(141)),
        (" =258", Killed(2)),
        ("ksh: line 9: 77 Terminated =271", Killed(15)),
        (" =397", Killed(13)),
        (" =", Killed(9)),
        ("", Killed(9)),
    ],
)
def test_last_words(words: str, outcome: object) -> None:
    """A signal is distinguished from an exit status by the shell's message, or ksh's number."""
    assert read_end(words) == outcome


@pytest.mark.parametrize(
    ("words", "said", "outcome"),
    [
        (" 2", "sh: too many open files", NotStarted("sh: too many open files")),
        ("sh: no null device 1", "", NotStarted("sh: no null device")),
        (" =1", "", NotStarted("the shell on the node could not begin the command")),
        ("", "", Killed(9)),
        ("Cannot fork", "", Lost("its shell sent an invalid end message: 'Cannot fork'")),
    ],
)
def test_an_end_without_a_beginning(words: str, said: str, outcome: object) -> None:
    """A command has not started only where the shell saw the end of what would have begun it."""
    assert read_end(words, said) == outcome


def test_a_late_beginning() -> None:
    """A beginning that is reported after the end is seen, and does not undo the end."""
    marks = Marks(MARK)
    assert marks.feed(MARK + b"r" + MARK + b"e" + MARK + b"bout\n") == b""
    assert marks.begun
    assert marks.phase is Phase.ENDED


@settings(max_examples=examples(300), deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_encoding_is_one_plain_line(text: str) -> None:
    """An encoded command is one line of plain characters that no shell touches in quotes."""
    written = encode(text)
    assert "\n" not in written
    assert "'" not in written
    assert '"' not in written
    assert "!" not in written
    assert "%" not in written
    assert written.isascii()


@given(text=NASTY, cuts=st.lists(st.integers(0, 400), max_size=8))
def test_marks_with_line_ends(text: bytes, cuts: list[int]) -> None:
    """Where each mark has a line end, neither it nor a line end of the command is mistaken."""
    marks = Marks(MARK, b"\n")
    stream = MARK + b"r\n" + MARK + b"b\n" + text + MARK + b"e 0\n" + MARK + b"x\n"
    assert feed(marks, stream, cuts) == text
    assert (marks.phase, marks.begun, marks.words) == (Phase.GONE, True, b" 0")
