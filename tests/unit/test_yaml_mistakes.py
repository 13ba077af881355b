"""Where YAML cannot read a file the message is about the file, in the words of its user.

The same with both parsers: libyaml, and the one in Python for machines without it.
"""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pegasus.queue_file import check_text
from pegasus.yaml_text import events
from tests.examples import examples

QUOTE = "Quote the command, or use `|` and write it on the next line."
COLUMN = "Begin it in the column of the names above it, or quote the text"
LIBRARY = ("did not find", "expected", "could not find", "token", "scalar", "not allowed in this")
"""Words of the two parsers."""

MISTAKES = [
    # brackets
    (
        "- [a, b",
        '1:3: YAML cannot read `- [a, b`: "]" or a comma is missing after the "[" in line 1',
    ),
    ("- command: a\n  n: [1, 2\n  m: 3", '3:4: YAML cannot read `m: 3`: "]" or a comma is missing'),
    ("- command: a\n  n: {from: 1\n  m: 2", '"}" or a comma is missing after the "{" in line 2.'),
    ("- command: a\n  n: [1: 2: 3]", 'Add it, or quote the text if "[" is a part of it.'),
    (
        "- command: a\n  n: {",
        '2:6: YAML cannot read `n: {`: "}" or a comma is missing after the "{"',
    ),
    ("- command: a\n  n: [\n- b", '"]" or a comma is missing after the "[" in line 2.'),
    ("- [a,", '1:3: YAML cannot read `- [a,`: "]" or a comma is missing after the "[" in line 1.'),
    ("- [::1]:22", 'Add it, or quote the text if "[" is a part of it.'),
    ("- command: a\n  n: [1, , 2]", "a value is missing before a comma. Write it, or remove the"),
    ("- command: a\n  n: [- 1, - 2]", "a list in brackets has no dashes. Remove the dashes."),
    ("- command: a\n  n: [1, 2],", 'a comma follows the closing "]". Remove the comma.'),
    # quotes
    ('- "a" b', f'1:7: YAML cannot read `- "a" b`: text follows the closing quote. {QUOTE}'),
    ("- command: 'a' b", "1:16: YAML cannot read `- command: 'a' b`: text follows the closing"),
    ('- "echo a\n- "echo b"', "the quote that is opened in line 1 ends here. Close it in line 1."),
    (
        '- command: "a\n  n: "3"',
        '2:7: YAML cannot read `n: "3"`: the quote that is opened in line 1',
    ),
    ("- 'a\n---\n- b", "1:3: a quote is opened here and never closed: `- 'a`. Close it, or use"),
    ('- b\n- "a\n...', '2:3: a quote is opened here and never closed: `- "a`. Close it, or use'),
    ("- [ -f x ] && y", '1:13: YAML cannot read `- [ -f x ] && y`: text follows the closing "]".'),
    (
        "- {{ x }} run",
        f'YAML cannot read `- {{{{ x }}}} run`: text follows the closing "}}". {QUOTE}',
    ),
    # the first character
    *(
        (f"- {each}x", f'1:3: YAML cannot read `- {each}x`: a text that begins with "{each}" needs')
        for each in "@`%,]}"
    ),
    ("- command: @x", f'a text that begins with "@" needs quotes. {QUOTE}'),
    (
        "- command: a\n  n: @x",
        'a text that begins with "@" needs quotes. Quote the text, or use `|`',
    ),
    ("- *.sh", f'a text that begins with "*" needs quotes. {QUOTE}'),
    ("- & x", 'a text that begins with "&" needs quotes.'),
    ("- *a b", 'a text that begins with "*" needs quotes.'),
    ("- !x! y", 'a text that begins with "!" needs quotes.'),
    ("- > x", "a line ends after `|` or `>`, and the text begins on the next one."),
    # escapes
    ('- "a\\q"', "between double quotes, \\q does not stand for a character. Use single"),
    ('- "\\x1"', "between double quotes, \\x does not stand for a character. Use single"),
    # names and values
    (
        "- command: a\n  lr:1\n  n: 2",
        "2:3: YAML cannot read `lr:1`: a name needs a colon and a blank",
    ),
    ("- command: a\n  lr = 1\n  n: 2", "Write `lr: 1`."),
    ("- command: a\n  lr 1e-3\n- b", "Write `lr: 1e-3`."),
    ("- command: a\n  n:[1, 2]\n- b", "Write `n: [1, 2]`."),
    ("- command: a\n  needs: gpu: 1", '"needs" has names with values. Write `needs: {gpu: 1}`.'),
    ("- command:a\n  n: 1", '1:1: a blank is missing after "command:". Write `- command: a`.'),
    # columns
    ("- command: a\n n: 2", "2:2: YAML cannot read `n: 2`: it is not indented like the"),
    ("- command: a\n  n: 2\n   m: 3", "3:5: YAML cannot read `m: 3`: it is not indented like the "),
    ("- command: 'x'\n n: 1", COLUMN),
    (
        "- command: a\n\u00a0\u00a0n: 3",
        "it begins with the blank U+00A0. Use spaces for indentation.",
    ),
    (
        "  - a\n- b",
        "2:1: YAML cannot read `- b`: its dash is not in the column of the other dashes.",
    ),
    ("- command: a\n  n:\n    - 1\n  - 2", "4:3: YAML cannot read `- 2`: its dash is not in the"),
    ("- command: |\n  a\n  b\n  n: 1", "2:3: YAML cannot read `a`: the text below `|` or `>` is"),
    (
        "- command: |\n    a\n   b\n  n: 1",
        "3:4: YAML cannot read `b`: the text below `|` or `>` is",
    ),
    ("- |\necho a\n- b", "2:1: YAML cannot read `echo a`: the text below `|` or `>` is indented"),
    ("- command: 'x'\n  foo", "2:3: YAML cannot read `foo`: it continues nothing that stands"),
    ("- command: a \\\n  --lr 3\n  lr: 3", f"it continues nothing that stands above it. {QUOTE}"),
    ("- command: - x", "a list with dashes begins below its name. Begin a line with"),
    # lines that are no entries
    ("- a\n-b\n- c", '2:1: YAML cannot read `-b`: a blank is missing after the dash. Write "- ".'),
    ("- a\n-b: 1", '2:1: YAML cannot read `-b: 1`: a blank is missing after the dash. Write "- ".'),
    ("- a\necho b", '2:1: YAML cannot read `echo b`: an entry begins with a dash. Write "- "'),
    ("- a\n\necho b\n- c", "3:1: YAML cannot read `echo b`: an entry begins with a dash."),
    (
        "- a\n* echo b",
        '2:2: YAML cannot read `* echo b`: an entry begins with a dash. Write "-" instead',
    ),
    (
        "- a\n// b\n- c",
        '2:1: YAML cannot read `// b`: a comment begins with "#". Write "#" instead',
    ),
    ("- a\n<<<<<<< HEAD\n- b", "2:1: YAML cannot read `<<<<<<< HEAD`: a merge has left this line."),
    ("- a\n...\n- b", "3:1: YAML cannot read `- b`: the list ends before it. Remove the lines"),
    ("%YAML 3.0\n---\n- a", '1:1: YAML cannot read `%YAML 3.0`: "%" begins a directive of YAML'),
]


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two parsers."""
    if request.param == "python":
        monkeypatch.setattr(events, "LOADER", yaml.BaseLoader)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake(text: str, message: str) -> None:
    """The message says what is wrong with the text, where, and what to write."""
    said = "\n".join(map(str, check_text("q.yaml", f"{text}\n".encode()).faults))
    assert message in said
    assert not [word for word in LIBRARY if word in said]


PIECES = [*"a-[]{},'\"\\|&*#!%@\n", "- ", ": ", "  ", "n: 1", "...", "---"]


@pytest.mark.parametrize("loader", [events.LOADER, yaml.BaseLoader])
@given(text=st.lists(st.sampled_from(PIECES)).map("".join))
@settings(max_examples=examples(2000))
@example(text="- '")
@example(text="- a\n- [")
def test_any_mistake(loader: type[yaml.BaseLoader], text: str) -> None:
    """A message never quotes the parser, and names lines that exist, whatever the mistake."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "LOADER", loader)
        said = "\n".join(map(str, check_text("q.yaml", text.encode()).faults))
    assert not [word for word in LIBRARY if word in said]
    lines = [int(number) for number in re.findall(r"in line (\d+)", said)]
    assert all(number <= len(text.splitlines()) for number in lines)
    assert set(re.findall(r'missing after the "(.*?)"', said)) <= {"[", "{"}
