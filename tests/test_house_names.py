"""Enforces one meaning for each name and plain words, in the source and the documents."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from tests.house import modules, names_of, other_modules, prose_of, shown, texts

KNOWN_DOUBLES: set[str] = {
    "ANSWER_LIMIT",
    "Answer",
    "BREAK",
    "COMMAND_LIMIT",
    "COMMENT",
    "DIGITS",
    "Drain",
    "END_GRACE",
    "ESCAPE",
    "FAILURE",
    "FILE_MODE",
    "File",
    "Found",
    "GATHER",
    "GUARD",
    "Key",
    "LAST_WORDS",
    "LATEST",
    "LONGEST",
    "LONGEST_COMMAND",
    "LONGEST_WORDS",
    "LOOK_AGAIN",
    "Lines",
    "LockedQueue",
    "MARK",
    "MOST_SECONDS",
    "NAMES",
    "NEW",
    "NUMBER",
    "ONE_WRITE",
    "Opened",
    "PATIENCE",
    "PLAIN",
    "POLL",
    "Params",
    "Patience",
    "Place",
    "QueueFile",
    "SAY_AFTER",
    "SCRIPT",
    "Session",
    "Shell",
    "Source",
    "Taken",
    "Value",
    "WORDS",
    "WORDS_LIMIT",
    "Waiting",
    "Writer",
}
"""Names with several meanings that are still to be replaced."""

WORDS_NO_LONGER_USED = (
    "behind itself",
    "came to nothing",
    "comes to nothing",
    "death of pegasus",
    "for ever",
    "hurry",
    "its pegasus died",
    "its pegasus has",
    "mind:",
    "nobody's business",
    "everybody hopes",
    "to its fate",
    "whoever asks",
    "whom it may concern",
)
"""Phrases that have a standard term or a plain word: "permanently", "failed", "kill now",
"warning", "the process that asks"."""

KNOWN_TEXTS: set[str] = {
    "docs/how-to/add-and-retry.md",
    "docs/how-to/nodes-that-fail.md",
    "docs/reference/record.md",
    "docs/why/interrupts.md",
    "src/pegasus/commands/logs.py",
    "src/pegasus/commands/run.py",
    "src/pegasus/commands/stages.py",
    "src/pegasus/commands/status.py",
    "src/pegasus/commands/tables.py",
    "src/pegasus/model.py",
    "src/pegasus/orders.py",
    "src/pegasus/queue_file/consumed.py",
    "src/pegasus/queue_file/content.py",
    "src/pegasus/record/reading.py",
    "src/pegasus/record/writer.py",
    "src/pegasus/screen/output.py",
    "src/pegasus/summary.py",
    "src/pegasus/transport/__init__.py",
    "src/pegasus/transport/local.py",
    "src/pegasus/transport/script.py",
    "src/pegasus/transport/shell.py",
    "src/pegasus/transport/ssh.py",
    "tests/e2e/test_root_and_users.py",
    "tests/unit/test_command_line.py",
    "tests/unit/test_dispatch.py",
    "tests/unit/test_queue_file_meanwhile.py",
    "tests/unit/test_queue_file_strangers.py",
    "tests/unit/test_shell_promises.py",
}
"""Files that still contain such a phrase."""

HERE = Path(__file__).resolve()


def doubles() -> dict[str, list[str]]:
    """Return the names that more than one module defines, each with the places."""
    places: defaultdict[str, dict[Path, int]] = defaultdict(dict)
    for path in modules():
        for name, line in names_of(path):
            places[name].setdefault(path, line)
    return {
        name: [f"{shown(path)}:{line}" for path, line in found.items()]
        for name, found in places.items()
        if len(found) > 1
    }


def test_no_name_has_two_meanings() -> None:
    """A class, type alias or constant has its name alone in the source."""
    found = {name: places for name, places in doubles().items() if name not in KNOWN_DOUBLES}
    assert not found, "\n".join(f"{name}: {', '.join(at)}" for name, at in sorted(found.items()))


def test_known_doubles_are_doubles() -> None:
    """KNOWN_DOUBLES contains no name that has one meaning by now."""
    assert sorted(KNOWN_DOUBLES - set(doubles())) == []


def phrases_of(path: Path) -> list[str]:
    """Return the phrases of WORDS_NO_LONGER_USED that a file contains."""
    prose = prose_of(path)
    return [
        each
        for each in WORDS_NO_LONGER_USED
        if re.search(rf"(?<!\w){re.escape(each)}(?!\w)", prose)
    ]


def test_plain_words() -> None:
    """Comments, docstrings, messages and documents use standard terms."""
    paths = [path for path in (*modules(), *other_modules(), *texts()) if path != HERE]
    found = {shown(path): phrases for path in paths if (phrases := phrases_of(path))}
    assert {path: found[path] for path in found if path not in KNOWN_TEXTS} == {}
    assert sorted(KNOWN_TEXTS - set(found)) == [], "remove them from KNOWN_TEXTS"
