"""Promises about bad input: a message with the place, what is wrong and what to write instead.

Nothing is taken from a bad entry, and nothing before it is kept back.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from pegasus.errors import FileFault, TemplateFault
from pegasus.model import Command, Job, SubNode
from pegasus.picker import FirstJobs
from pegasus.queue_file import LONGEST_COMMAND, LockedQueue, QueueFile, TakeResult
from pegasus.rendered import as_recorded, render
from pegasus.yaml_text import events
from tests.unit.taking import unfilled

QUOTE = "Quote the command, or use `|` and write it on the next line."

BAD = [
    # syntax
    ("- *.sh\n", "1:4", "YAML cannot read `- *.sh`: ", QUOTE),
    ("- `date`\n", "1:3", "YAML cannot read `- `date``: ", QUOTE),
    ("- @x\n", "1:3", "YAML cannot read `- @x`: ", QUOTE),
    ("- %x\n", "1:3", "YAML cannot read `- %x`: ", QUOTE),
    ("- > file\n", "1:5", "YAML cannot read `- > file`: ", QUOTE),
    ("- [ -f x ] && y\n", "1:13", "YAML cannot read `- [ -f x ] && y`: ", QUOTE),
    ('- "$A/x" y\n', "1:10", "YAML cannot read `- ", QUOTE),
    ("- {{ x }} run\n", "1:11", "YAML cannot read `- {{ x }} run`: ", QUOTE),
    ("- command: echo a: b\n", "1:18", "YAML cannot read `- command: echo a: b`: ", QUOTE),
    ("- 'it's'\n", "1:7", "YAML cannot read `- 'it's'`: ", QUOTE),
    ("- 'never closed\n\n", "1:3", "a quote is opened here and never closed: ", "Close it, or use"),
    ("[a, b\n", "1:1", "", ""),
    ("-\techo\n", "1:2", "YAML allows no tab here.", "Use spaces for indentation"),
    ("- command: x\n\ty: z\n", "2:1", "YAML allows no tab here.", "Use spaces for indentation"),
    ("- 'a'\n  b\n", "2:3", "YAML cannot read `b`: ", QUOTE),
    ("- command: [x]\n y: 1\n", "2:2", "YAML cannot read `y: 1`: ", "Begin it in the column of"),
    ('- "\\ud800"\n', "1", "", ""),
    ('- "\\UFFFFFFFF"\n', "1", "", ""),
    # what YAML would drop or merge
    ("- ! test -f x\n", "1:3", 'YAML reads "!" as a tag and would drop it.', QUOTE),
    ("- !!str x\n", "1:3", 'YAML reads "!!str" as a tag and would drop it.', QUOTE),
    ("- command: !x y\n", "1:12", 'YAML reads "!x" as a tag and would drop it.', QUOTE),
    ("- &bg sleep 1\n", "1:3", 'YAML reads "&bg" as an anchor.', QUOTE),
    ("- *all\n", "1:3", 'YAML reads "*all" as an alias.', QUOTE),
    ("- command: x\n  <<: y\n", "2:3", '"<<" merges nothing here.', "Write the names"),
    ("- command: x\n  x: 1\n  'x': 2\n", "3:3", '"x" stands in this entry twice.', "Remove one"),
    ("--- !!seq\n- a\n", "1:5", 'YAML reads "!!seq" as a tag', QUOTE),
    # wrong types
    (
        "echo hi\n",
        "1:1",
        "this file is one text, and a queue is a list.",
        'Begin each entry with "- ".',
    ),
    ("command: x\n", "1:1", "this file is a mapping, and a queue is a list.", "Begin each"),
    ("~\n", "1:1", "this file is one text, and a queue is a list.", "Begin each"),
    ("- [a, b]\n", "1:3", "YAML reads this entry as a list.", QUOTE),
    ("- {{ x }}\n", "1:4", "YAML reads these braces as a mapping.", QUOTE),
    ("- command: {{ x }}\n", "1:12", "YAML reads these braces as a mapping.", QUOTE),
    (
        "- command: x\n  y: {a: b}\n",
        "2:6",
        "a value must be a text or a list of texts, and",
        "Quote",
    ),
    (
        "- command: x\n  y: [1, [2]]\n",
        "2:10",
        "a list must hold texts only, and this is a list.",
        "",
    ),
    ("- command: x\n  y: [1, {a: b}]\n", "2:10", "a list must hold texts only, and this is a", ""),
    ("- ? [a]\n  : b\n", "1:5", "a name must be one text, and this is a list.", "Quote it"),
    ("- a\n---\n- b\n", "2:1", "a second YAML document begins here", 'Remove the "---"'),
    # what a command must be
    ("- x: 1\n  y: 2\n", "1:3", 'this entry has no "command".', 'Write "- command: [...]" or a'),
    (
        "- {}\n",
        "1:3",
        'this entry has no "command".',
        'Write "- command: [...]" or a plain string.',
    ),
    ("- hostname: x\n  y: 2\n", "1:3", 'this entry has no "command".', "Hosts belong in the hosts"),
    ("- echo 'a: b'\n", "1:3", "YAML read this command as a mapping, because of the colon", QUOTE),
    ("- echo a: b\n", "1:3", "YAML read this command as a mapping, because of the colon", QUOTE),
    ("- make all:\n", "1:3", "YAML read this command as a mapping, because of the colon", QUOTE),
    ("- ''\n", "1:3", "this command is empty.", "Write a command, or remove the entry."),
    ("- \n- b\n", "1:2", "this command is empty.", "Write a command"),
    ("- '  '\n", "1:3", "this command is empty.", "Write a command"),
    ("- command:\n  x: 1\n", "1:11", "this command is empty.", "Write a command"),
    ("- command: [a, '']\n", "1:16", "this command is empty.", "Write a command"),
    ("- command: []\n", "1:12", "this list is empty.", "Write at least one value in it."),
    ("- command: x\n  y: []\n", "2:6", "this list is empty.", "Write at least one value in it."),
    (
        '- "a\\0b"\n',
        "1:3",
        "this command has a NUL in it, which no program can be given.",
        "Remove",
    ),
    (
        "- " + 131_072 * "x" + "\n",
        "1:3",
        "this command is 131,072 bytes long",
        "Put it into a script",
    ),
    # characters
    ("- über \udcff\n", "1:8", "the byte 0xff is not UTF-8.", "Save the file as UTF-8."),
    ("# \udce4\n- a\n", "1:3", "the byte 0xe4 is not UTF-8.", "Save the file as UTF-8."),
    ("- a # \udce4\n", "1:7", "the byte 0xe4 is not UTF-8.", "Save the file as UTF-8."),
    (
        "- a\x07b\n",
        "1:4",
        "the control character U+0007 cannot stand in a YAML",
        'write it as "\\x07"',
    ),
    ("- a\0b\n", "1:4", "the control character U+0000 cannot stand in a YAML file.", "Remove it."),
    ("\udcff\udcfe-\0", "1:1", "the byte 0xff is not UTF-8.", "Save the file as UTF-8."),
    ("- " + 800 * "[" + "\n", "1", "", ""),
    ("- " + 800 * "[" + 800 * "]" + "\n", "1:3", "YAML reads this entry as a list.", QUOTE),
    ("- a: " + 800 * "{a: " + 800 * "}" + "\n", "1:6", "a value must be a text or a list of", ""),
]


def repr_of(value: str) -> str:
    """Name a case by the beginning of its text."""
    return repr(value)[:40]


def take(path: Path, n: int = 1) -> TakeResult:
    """Take some jobs, without filling them in."""
    return LockedQueue("q.yaml", path).take(FirstJobs([unfilled] * n))


@pytest.fixture(params=["libyaml", "pure"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with libyaml, and again without it."""
    if request.param == "pure":
        monkeypatch.setattr(events, "LOADER", yaml.BaseLoader)
    return str(request.param)


@pytest.mark.parametrize(("text", "place", "what", "instead"), BAD, ids=repr_of)
def test_a_bad_entry_is_told_with_its_place_and_what_to_write(
    tmp_path: Path, text: str, place: str, what: str, instead: str
) -> None:
    """A fault names file, line and column, says what is wrong and what to write instead."""
    queue = tmp_path / "q.yaml"
    data = text.encode("utf-8", "surrogateescape")
    queue.write_bytes(data)
    n = 1 if "---\n- b" not in text else 2
    fault = take(queue, n + 1).fault
    assert isinstance(fault, FileFault)
    assert str(fault).startswith(f"q.yaml:{place}:")
    assert what in str(fault)
    assert str(fault).count(instead) or not instead
    if n == 1 and not text.startswith("[a"):
        assert queue.read_bytes() == data
        assert list(tmp_path.iterdir()) == [queue]


@pytest.mark.parametrize(
    "text", [text for text, *_ in BAD if text.startswith(("- ", "-\t", "#"))], ids=repr_of
)
def test_the_entries_before_a_bad_one_run(tmp_path: Path, text: str, loader: str) -> None:
    """Entries are taken up to the bad one; that one and all behind it stay as they are."""
    queue = tmp_path / "q.yaml"
    rest = text.encode("utf-8", "surrogateescape")
    queue.write_bytes(b"- good\n- command: [fine]\n" + rest)
    taken = take(queue, 9)
    assert [each.job.command for each in taken.jobs][:2] == ["good", "fine"]
    assert taken.fault is not None
    assert not taken.empty
    assert taken.fault.position.line > 2
    if "---\n- b" not in text:
        assert queue.read_bytes() == rest


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"[ ]\n", b"# c\n", b"\n\n", b"---\n", b"--- # c\n", b"...\n",
     b"# ... \n...\n# c\n",
     b"\xef\xbb\xbf", b"%YAML 1.1\n---\n", b"---\n...\n", b"[\n# c\n]\n"],
)  # fmt: skip
def test_a_file_without_an_entry_is_an_empty_queue(
    tmp_path: Path, data: bytes, loader: str
) -> None:
    """Nothing at all, comments, ``[]``, ``---`` and ``...`` are empty queues, and no faults."""
    queue = tmp_path / "q.yaml"
    queue.write_bytes(data)
    assert take(queue) == TakeResult(empty=True)
    assert queue.read_bytes() == data
    assert list(tmp_path.iterdir()) == [queue]


def test_every_fault_of_a_file_is_found(tmp_path: Path) -> None:
    """Reading goes on behind a bad entry, as far as YAML itself can."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- a\n- ''\n- echo a: b\n- &x y\n- b\n- *.sh\n- never reached\n")
    found = list(QueueFile(queue).entries())
    assert ["fault" if isinstance(one, FileFault) else one.commands for one in found] == [
        ("a",), "fault", "fault", "fault", ("b",), "fault",
    ]  # fmt: skip
    assert QueueFile(queue).count() == 2


@pytest.mark.parametrize("second", ["b", "'b'", '["b"]', "{command: b}", "|\n  b"])
@pytest.mark.parametrize("stray", ["no dash", "`x`", "x: y", "x, [ -", "*", "'"])
def test_a_line_without_a_dash_does_not_hold_back_what_is_before_it(
    tmp_path: Path, second: str, stray: str, loader: str
) -> None:
    """A stray line is a fault of its own, not of the entry before it, however that is written."""
    queue = tmp_path / "q.yaml"
    queue.write_text(f"- a\n- {second}\n\n# c\n{stray}\n".replace("- [", "- command: ["))
    taken = take(queue, 9)
    assert [each.job.command.strip() for each in taken.jobs] == ["a", "b"]
    assert taken.fault is not None
    assert queue.read_text() == f"\n# c\n{stray}\n"


def test_values_are_the_users_own_text(tmp_path: Path, loader: str) -> None:
    """What YAML 1.1 makes numbers, booleans, dates and nulls of stays what was typed."""
    queue = tmp_path / "q.yaml"
    queue.write_text(
        "- command: run\n  lr: [1e-4, 0.10, 010, yes, 1:30, null, ~, 2020-01-01]\n  a:\n"
    )
    jobs = take(queue, 20).jobs
    assert [each.job.params for each in jobs] == [
        (("lr", text), ("a", ""))
        for text in ["1e-4", "0.10", "010", "yes", "1:30", "null", "~", "2020-01-01"]
    ]


def faulty(line: int, column: int) -> TemplateFault:
    """Give the fault of a template with an unknown name."""
    return TemplateFault(line, column, "unknown name", "Known are: x")


@pytest.mark.parametrize(
    ("text", "at", "place"),
    [
        ("- echo {{ y }}\n", (1, 6), "1:8"),
        ("- 'echo {{ y }}'\n", (1, 6), "1:9"),
        ('- "echo {{ y }}"\n', (1, 6), "1:9"),
        ('- "echo\\t{{ y }}"\n', (1, 6), "1:3"),
        ("- 'it''s {{ y }}'\n", (1, 6), "1:3"),
        ("- |\n    set -e\n\n    echo {{ y }}\n", (3, 6), "4:10"),
        ("- |  # note\r\n  echo {{ y }}\r\n", (1, 6), "2:8"),
        ("- >\n  a\n  echo {{ y }}\n", (1, 8), "1:3"),
        ("- a\n  b {{ y }}\n", (1, 5), "1:3"),
        ("- command: [ok, 'echo {{ y }}']\n", (1, 6), "1:23"),
        ("- command:\n  - ok\n  - echo {{ y }}\n", (1, 6), "3:10"),
    ],
)
def test_a_template_fault_is_told_where_it_stands_in_the_file(
    tmp_path: Path, text: str, at: tuple[int, int], place: str
) -> None:
    """The tag itself is pointed at, where the text in the file is the text of the command."""
    queue = tmp_path / "q.yaml"
    queue.write_bytes(text.encode())

    def fill(job: Job) -> tuple[Command, ...]:
        if "y" in job.command:
            raise faulty(*at)
        return unfilled(job)

    taken = LockedQueue("q.yaml", queue).take(FirstJobs([fill, fill]))
    assert str(taken.fault) == f"q.yaml:{place}: unknown name. Known are: x."
    assert len(taken.jobs) == ("ok" in text)
    assert not taken.empty


def test_jobs_before_one_that_cannot_be_filled_in_are_taken(tmp_path: Path) -> None:
    """A grid gives up the combinations before the one that its template has no answer for."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- command: echo {{ x }}\n  x: [1, 2, 3, 4]\n- last\n")

    def fill(job: Job) -> tuple[Command, ...]:
        if dict(job.params).get("x") == "3":
            raise faulty(1, 6)
        return (as_recorded("echo " + dict(job.params)["x"]),)

    taken = LockedQueue("q.yaml", queue).take(FirstJobs([fill] * 9))
    assert [each.commands[0] for each in taken.jobs] == ["echo 1", "echo 2"]
    assert str(taken.fault).startswith("q.yaml:1:17: unknown name")
    assert queue.read_text() == "- command: echo {{ x }}\n  x: [3, 4]\n- last\n"


@pytest.mark.parametrize(
    ("filled", "what"),
    [
        ("x" * (LONGEST_COMMAND + 1), "with this tag the command, filled in, is longer than"),
        ("ü" * 65_536, "this command, filled in, is 131,072 bytes long"),
        ("  ", "this command, filled in, is empty"),
        ("a\0b", "this command, filled in, has a NUL in it"),
    ],
)
def test_a_command_no_node_could_be_given_is_not_taken(
    tmp_path: Path, filled: str, what: str
) -> None:
    """A command that is bad only once it is filled in stays in the queue."""
    queue = tmp_path / "q.yaml"
    text = "- '{{ x }}'\n"
    queue.write_text(text)
    node = SubNode(0, "node", (("x", filled),))
    taken = LockedQueue("q.yaml", queue).take(FirstJobs([lambda job: (render(job, node),)]))
    assert str(taken.fault).startswith(f"q.yaml:1:4: {what}")
    assert queue.read_text() == text
    assert not queue.with_name("consumed.yaml").exists()


def test_the_longest_command_a_node_can_be_given_is_taken(tmp_path: Path) -> None:
    """131,071 bytes are not too long."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- " + "x" * LONGEST_COMMAND + "\n")
    assert len(take(queue).jobs) == 1


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    """No file is no queue; whoever waits for one is told so, and nothing is made."""
    queue = tmp_path / "q.yaml"
    taken = take(queue)
    assert taken.missing
    assert taken.empty
    assert str(taken.fault) == "q.yaml:1:1: there is no such file. `pegasus init` makes a starter."
    assert QueueFile(queue).state() is None
    assert [type(found) for found in QueueFile(queue).entries()] == [FileFault]
    assert not list(tmp_path.iterdir())


def test_a_folder_or_a_pipe_is_no_queue(tmp_path: Path) -> None:
    """What is not a file is a sentence, not a traceback, and does not hang."""
    os.mkfifo(tmp_path / "pipe")
    for path in tmp_path, tmp_path / "pipe":
        taken = take(path)
        assert str(taken.fault) == (
            "q.yaml:1:1: this is not a regular file. Give the path of a file."
        )
        assert not taken.missing


def test_an_unreadable_or_read_only_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may not be read or written is a sentence; a read-only queue is respected."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- x\n")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FileFault, match="this file is read-only"):
        take(queue)
    assert queue.read_text() == "- x\n"

    def refuse(*_args: object, **_kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert str(take(queue).fault).startswith("q.yaml:1:1: this file cannot be read.")


def test_the_record_is_no_queue(tmp_path: Path) -> None:
    """Taking from consumed.yaml itself would record its jobs in it again."""
    queue = tmp_path / "consumed.yaml"
    queue.write_text("- a\n")
    with pytest.raises(FileFault, match="this file is where Pegasus records what it takes"):
        take(queue)
    assert queue.read_text() == "- a\n"


@pytest.mark.parametrize("after", ["[b]\n", "---\n- b\n", "\r[(]"])
def test_what_is_no_entry_does_not_become_one(tmp_path: Path, after: str) -> None:
    """What stands behind the last entry and is a fault is one still when that entry is taken."""
    path = tmp_path / "queue.yaml"
    path.write_bytes(f"- a\n{after}".encode())
    assert [each.commands[0] for each in take(path).jobs] == ["a"]
    left = take(path)
    assert (left.jobs, left.empty) == ((), False)
    assert left.fault is not None
    assert path.read_bytes().endswith(after.encode())
