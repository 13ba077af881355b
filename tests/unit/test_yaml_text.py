"""Promises of the YAML that people's texts are read from and written to."""

from __future__ import annotations

import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus.errors import FileFault
from pegasus.yaml_text import Item, ListReader, Scalar, SourceText, Words, events, literal, one_line
from tests.examples import examples
from tests.unit.queue_texts import BROKEN_UP, LINES, WORDS, queue_texts

QUICK = settings(max_examples=examples(150), deadline=None)
SEVERAL = settings(max_examples=examples(60), deadline=None)

A_WORD = Words("command", "a queue", "Quote it", "Write one", ("hostname", ""), spaces=True)

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(string.printable),
    st.text("-?:,[]{}#&*!|>'\"%@`~<=. ab"),
    st.from_regex(r"[-+0-9_.:xbe<=]{1,5}", fullmatch=True),
    st.sampled_from(BROKEN_UP + LINES + WORDS),
)


def items(data: bytes) -> list[Item | FileFault]:
    """Read all items of a file."""
    return list(ListReader(SourceText("f.yaml", data), A_WORD))


def test_the_head_of_a_long_file_is_read_without_the_rest() -> None:
    """Reading the first items of a file costs the same, however long the file is."""
    source = SourceText("f.yaml", b"- echo hi\n" * 1_000_000 + b"\xff")
    found = iter(ListReader(source, A_WORD))
    for _ in range(10):
        assert isinstance(next(found), Item)
    assert len(source.text) < 100_000


def test_places_count_characters_and_lines_as_editors_do() -> None:
    """Only a line feed ends a line, and a character is one column, whatever its bytes are."""
    source = SourceText("f.yaml", "\ufeffä\r\n🐎\u2028ü\n".encode())
    source.decode_all()
    places = [(i, source.position(i)) for i in (0, 1, 3, 5, 3)]
    assert [(i, place.line, place.column) for i, place in places] == [
        (0, 1, 1), (1, 1, 2), (3, 2, 1), (5, 2, 3), (3, 2, 1),
    ]  # fmt: skip
    assert source.data[source.offset(5) :].decode() == "ü\n"


def test_bad_bytes_are_kept_and_found() -> None:
    """What is not UTF-8 is remembered with its place, and is given back as it was."""
    source = SourceText("f.yaml", b"ab\xff\xc3")
    source.decode_all()
    assert source.bad_character(0, 2) is None
    assert str(source.bad_character(0, 9)) == (
        "f.yaml:1:3: the byte 0xff is not UTF-8. Save the file as UTF-8."
    )
    assert source.offset(3) == 3


@SEVERAL
@given(queue_texts())
def test_both_parsers_read_the_same(file: object) -> None:
    """With libyaml or without it, items have the same texts and the same places."""
    data: bytes = getattr(file, "data")  # noqa: B009 - a strategy's value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "LOADER", yaml.BaseLoader)
        pure = [
            (found.start, found.end) if isinstance(found, Item) else str(found)
            for found in items(data)
        ]
    assert pure == [
        (found.start, found.end) if isinstance(found, Item) else str(found) for found in items(data)
    ]


@pytest.mark.parametrize("loader", [yaml.BaseLoader, yaml.CBaseLoader])
@pytest.mark.parametrize(
    ("text", "place", "step"),
    [
        ("- echo one\n  lr: [1, 2]\n", "2:3", "`- command: echo one` in line 1."),
        ("- a\n- echo one # c\n\n  # d\n  lr: 1\n  wd: 2\n", "5:3", "echo one` in line 2."),
        ("- 'echo: 1'\n  lr:\n    - 1\n", "2:3", "`- command: 'echo: 1'` in line 1."),
        ("- --flag http://x\r\n  lr: 1\r\n", "2:3", "`- command: --flag http://x` in line 1."),
        ("- x\n    lr: 1\n", "2:5", 'line 1, and begin "lr" right below "command".'),
        ("- x\nlr: 1\n", "2:1", 'line 1, and begin "lr" right below "command".'),
    ],
)
def test_a_forgotten_key_above_a_parameter(
    monkeypatch: pytest.MonkeyPatch, loader: type, text: str, place: str, step: str
) -> None:
    """A parameter below an entry that is a text: the same words from both parsers."""
    monkeypatch.setattr(events, "LOADER", loader)
    fault = str(items(text.encode())[-1])
    what = 'a parameter such as "lr" needs a mapping, and the entry above it is only a text.'
    assert fault.startswith(f"f.yaml:{place}: {what} Write `- command: ")
    assert fault.endswith(step)


@pytest.mark.parametrize(
    "text",
    ["- command: x\n y: 1\n", "- |\n    x\n  y: 1\n", "- [a]\n  y: 1\n", "- x\n  b\n  y: 1\n"],
)
def test_other_lines_with_a_colon(text: str) -> None:
    """Where the line above is no text on one line, the key was not forgotten."""
    assert "needs a mapping" not in str(items(text.encode())[-1])


@QUICK
@given(TEXTS, st.booleans())
def test_any_text_on_one_line_reads_back_as_it_was(text: str, flow: bool) -> None:  # noqa: FBT001
    """Plain or quoted, in a list of dashes or in brackets: no text is changed by writing it."""
    written = one_line(text, flow=flow)
    assert "\n" not in written
    data = f"[{written}, {written}]" if flow else f"- {written}\n- {written}\n"
    for loader in (yaml.BaseLoader, yaml.CBaseLoader):
        assert yaml.load(data, Loader=loader) == [text, text]


@QUICK
@given(st.lists(st.sampled_from(LINES + WORDS), min_size=2).map("\n".join))
def test_several_lines_read_back_as_they_were(text: str) -> None:
    """A literal block is written only where it says the very text."""
    lines = literal(text, "  ")
    if lines is not None:
        data = "- " + "\n".join(lines) + "\n- next\n"
        assert yaml.load(data, Loader=yaml.CBaseLoader) == [text, "next"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("echo hi", "echo hi"),
        ("--flag", "--flag"),
        ("1e-4", "1e-4"),
        ("", "''"),
        ("a: b", "'a: b'"),
        ("it's a: b", '"it\'s a: b"'),
        ("a\\b: c", "'a\\b: c'"),
        ("a\n", '"a\\n"'),
        ("- a", "'- a'"),
        ("- ", "'- '"),
        ("=", "'='"),
        ("<<", "'<<'"),
        ("2026-02-30", "'2026-02-30'"),
        ("0x_", "'0x_'"),
        ("010", "010"),
        ("-1.5e+3", "-1.5e+3"),
        ("yes", "yes"),
    ],
)
def test_quotes_are_only_where_they_are_needed(text: str, written: str) -> None:
    """A text that needs no quotes gets none, and a quoted one as few escapes as can be."""
    assert one_line(text) == written


def test_a_scalar_ends_where_its_last_line_ends() -> None:
    """The blank lines after a block scalar are not the item's."""
    [first, second] = items(b"- |+\n  a\n\n\n- b\n")
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert (first.end, second.start) == (9, 11)
    assert first.node == Scalar("a\n\n\n", 2, 9, "|")
