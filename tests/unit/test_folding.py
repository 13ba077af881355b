"""Commands on several lines: YAML makes of them what a shell would, or they are refused."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus.errors import FileFault
from pegasus.hosts_file import find_hosts
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.shell_text import changed_command, ends_in_quotes
from pegasus.yaml_text import Scalar, SourceText, folded
from tests.examples import examples

INSTEAD = "Write it behind `|`, which keeps its lines, or on one line."
BACKSLASH = 'the "\\" at the end of this line becomes part of a word'
COMMENT = 'all that follows this "#" becomes a comment'
DOCUMENT = 'the text behind this "<<" becomes one line'
QUOTES = "the line breaks in these quotes become blanks"

REFUSED = [
    # a backslash at the end of a line
    ("- python t.py \\\n    --lr 0.1\n", "1:15", BACKSLASH),
    ("- 'python t.py \\\n    --lr 0.1'\n", "1:16", BACKSLASH),
    ("- >\n  python t.py \\\n  --lr 0.1\n", "2:15", BACKSLASH),
    ("- >-\n  python t.py \\  \n  --lr 0.1\n", "2:15", BACKSLASH),
    ('- "python t.py \\\\\n    --lr 0.1"\n', "1:4", BACKSLASH),
    ("- a \\\r\n  b\r\n", "1:5", BACKSLASH),
    ("- command: a \\\n    b\n", "1:14", BACKSLASH),
    ("- command:\n  - ok\n  - a\n    b \\\n    c\n", "4:7", BACKSLASH),
    ("- command: [ok, 'a \\\n    b']\n", "1:20", BACKSLASH),
    ("- {command: [ok, 'a \\\n    b']}\n", "1:21", BACKSLASH),
    ("['a \\\n  b']\n", "1:5", BACKSLASH),
    ("- \"a {{ replace x '\\\\' 'y' }} \\\\\n  b\"\n", "1:4", BACKSLASH),
    # a here-document
    ("- cat <<EOF\n  a\n  EOF\n", "1:7", DOCUMENT),
    ("- >\n  cat <<-'EOF' >x\n  a\n  EOF\n", "2:7", DOCUMENT),
    ('- "cat << \\"E F\\"\n\n  a\n  E F"\n', "1:4", DOCUMENT),
    ("- >\n  cat <<EOF; echo $((1 << 2))\n\n  a\n  b\n\n  EOF\n", "2:7", DOCUMENT),
    # a comment
    ("- >\n  echo a # x\n  echo b\n", "2:10", COMMENT),
    ("- '# x\n\n  # y\n  echo b'\n", "3:3", COMMENT),
    ("- >\n  (echo a) #{{ x }}\n  echo b\n", "2:12", COMMENT),
    # a text in quotes
    ("- python -c 'import x\n  print(1)'\n", "1:13", QUOTES),
    ('- >\n  python -c "import x\n  print(1)"\n', "2:13", QUOTES),
    ('- echo "it\'s\n  long"\n', "1:8", QUOTES),
    ("- echo it\\'s 'a\n  b'\n", "1:14", QUOTES),
    # a word that has to begin a command
    ("- for x in 1 2\n  do echo $x; done\n", "2:3", '"do" becomes an argument'),
    ("- >\n  for x in 1 2; do\n  echo $x\n  done\n", "4:3", '"done" becomes an argument'),
    ("- if a\n  then b; fi\n", "2:3", '"then" becomes an argument'),
    ("- if a; then b\n  else c; fi\n", "2:3", '"else" becomes an argument'),
    ("- case a in a) b;;\n  b) c\n  esac\n", "3:3", '"esac" becomes an argument'),
    ("- f() {\n  a\n  }\n", "3:3", '"}" becomes an argument'),
]

ALLOWED = [
    "- python train.py\n  --lr 0.1\n  --name 'a b'\n",
    '- >\n  python train.py   \n  --lr 0.1 &&\n\n  echo "done"  # well\n',
    "- 'cd x &&\n  make'\n",
    "- cd x\n  make\n",
    '- "python t.py \\\n    --lr 0.1"\n',
    '- "cat <<EOF\\n\\\n    a\\n\\\n    EOF\\n"\n',
    '- "python t.py\\ \n  b"\n',
    "- |\n  python t.py \\\n    --lr 0.1  # x\n  cat <<EOF\n  a\n  EOF\n",
    "- >\n  a\n\n    b \\\n    # c\n\n  d\n",
    "- >\n  echo a  # x\n\n  echo b\n",
    "- a \\\\\n  b\n",
    "- echo $((1 <<\n  2)) $# a#b ${x#y}\n  c\n",
    "- cat <<< a\n  b\n",
    "- for x in 1 2; do\n  echo $x;\n  done\n",
    "- if a; then\n  b; fi &&\n  do_it\n",
    "- echo all is\n  done\n",
    "- echo \\{{x}}\n  {{! it's }} {{#if x}}\n  y{{/if}}\n",
    "- echo it\\'s\n  long\n",
    "- command: echo {{ x }}\n  x: >\n    it's a # long\n    \"text\n",
]


@pytest.mark.parametrize(("text", "place", "what"), REFUSED)
def test_a_command_that_joined_lines_change_is_refused(text: str, place: str, what: str) -> None:
    """The fault is where it happens, in every style, and says what to write instead."""
    fault = next(
        each for each in QueueReader("q.yaml", text.encode()) if isinstance(each, FileFault)
    )
    begin = f"q.yaml:{place}: YAML joins the lines of this command with blanks, and {what}"
    assert str(fault).startswith(begin)
    assert str(fault).endswith(INSTEAD)


@pytest.mark.parametrize("text", ALLOWED)
def test_a_command_may_be_folded(text: str) -> None:
    """Words on several lines, line breaks that stay, and escaped ones are no fault."""
    (written,) = QueueReader("q.yaml", text.encode())
    assert isinstance(written, Written)
    assert written.commands[0].text == yaml.load(text, yaml.BaseLoader)[0] or "command:" in text


@pytest.mark.parametrize("style", ["{}", "'{}'", ">\n    {}"])
@pytest.mark.parametrize(
    ("value", "what"),
    [("--a 1 \\\n    --b 2", BACKSLASH), ("cat <<EOF\n    a\n    EOF", DOCUMENT)],
)
def test_a_value_that_would_change_a_command(
    tmp_path: Path, style: str, value: str, what: str
) -> None:
    """Values are looked at for what no prose has, in the queue file and in the hosts file."""
    entry = f"- {{key}}: a\n  x:\n  - ok\n  - {style.format(value)}\n"
    (fault,) = QueueReader("q.yaml", entry.format(key="command").encode())
    assert f"the lines of this value with blanks, and {what}" in str(fault)
    assert isinstance(fault, FileFault)
    assert fault.position.line in {4, 5}
    hosts = tmp_path / "hosts.yaml"
    hosts.write_text(entry.format(key="hostname"))
    _, (of_host,) = find_hosts(hosts)
    assert str(of_host).endswith(str(fault).removeprefix("q.yaml"))


@pytest.mark.parametrize("text", ['- echo "a # b"\n', "- echo 'a\n", "- echo a 'b\n  c # d'\n"])
def test_a_comment_in_quotes(text: str) -> None:
    """What YAML cuts off as a comment is refused where it stands in quotes of the command."""
    (found,) = QueueReader("q.yaml", text.encode())
    if "#" in text:
        column = text.splitlines()[-1].index("#") + 1
        begin = f"q.yaml:{text.count(chr(10))}:"
        assert str(found).startswith((begin + f"{column}: YAML reads all from this", "q.yaml:1:10"))
    else:
        assert isinstance(found, Written)
    (good,) = QueueReader("q.yaml", b'- echo "a b" # it\'s\n')
    assert isinstance(good, Written)


LINES = st.lists(
    st.text(st.sampled_from("ab \\#'\"<{}&ü"), min_size=1, max_size=6)
    .map(lambda text: "x" + text.strip(" \t") + "y")
    .filter(lambda text: " #" not in text),
    min_size=2,
    max_size=5,
)


@given(LINES, st.sampled_from(["{}", "'{}'", ">\n  {}", ">2-\n  {}", '"{}"']), st.data())
def test_where_lines_were_joined(lines: list[str], style: str, data: st.DataObject) -> None:
    """A text, parted where its lines were joined or end, has the lines that were written."""
    breaks = [data.draw(st.sampled_from(["\n  ", " \n  ", "\n\n  "])) for _ in lines[1:]]
    parts = lines
    if style == "'{}'":
        parts = [line.replace("'", "''") for line in lines]
    if style == '"{}"':
        parts = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    inside = parts[0] + "".join(map("".join, zip(breaks, parts[1:], strict=True)))
    text = f"- {style.format(inside)}\n"
    source = SourceText("q.yaml", text.encode())
    (found,) = yaml.load(text, yaml.BaseLoader)
    written = next(iter(QueueReader("q.yaml", text.encode()).list))
    assert not isinstance(written, FileFault)
    assert isinstance(written.node, Scalar)
    source.decode_all()
    where = folded(source, written.node)
    joins = where.joins if where else ()
    assert len(joins) == sum("\n\n" not in each for each in breaks)
    pieces = [found[i:j] for i, j in itertools.pairwise([0, *joins, len(found)])]
    assert [line.strip() for piece in pieces for line in piece.split("\n") if line] == [
        line.strip() for line in lines
    ]
    for join in joins:
        assert where is not None
        index = where.index(join - 1)
        assert style in {'"{}"', "'{}'"} or text[index] == found[join - 1]


COMMANDS = st.lists(
    st.sampled_from(
        ["echo a", "b", "'c", "d'", '"e f"', "# g", "h;", "\\", "\\\\", "echo <<<", "&& echo", "$#"]
    ),
    min_size=2,
    max_size=5,
)


@settings(max_examples=examples(40))
@given(COMMANDS)
def test_no_comment_or_escape_slips_through(words: list[str]) -> None:
    """What is allowed, a real shell reads as the same words as if its lines were one line.

    The lines are joined behind a backslash, as a shell joins them; nothing but a quote, a comment
    or a backslash could make a difference then.
    """
    text = " ".join(words)
    joins = list(itertools.accumulate(len(word) + 1 for word in words[:-1]))
    joins = [join - 1 for join in joins]
    if changed_command(text, joins) is not None or ends_in_quotes(text):
        return
    lines = " \\\n".join(words)
    shown = [
        subprocess.run(["sh", "-c", each], capture_output=True, check=False, text=True)
        for each in (text, lines)
    ]
    assert (shown[0].returncode, shown[0].stdout) == (shown[1].returncode, shown[1].stdout)
