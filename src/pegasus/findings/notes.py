"""What both files may hold, and what is probably a mistake in them.

Rule 1: a note is no fault: a run does the same with it and without it.
Rule 2: a parameter that a command uses is meant as a parameter. One that none uses may be meant as
well: it repeats a job. Its name has to say that something else was meant.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pegasus.errors import FileFault
from pegasus.hosts_file import find_notes, may_have_notes, mentions
from pegasus.model import SubNode
from pegasus.queue_file import (
    WRITE_A_BARRIER,
    QueueReader,
    Written,
    WrittenBarrier,
    doubtful_params,
)
from pegasus.yaml_text import Listing, Mapping, Scalar

OPTIONS_WITH_VALUE = frozenset(
    {
        *("retries", "retry-on", "timeout", "give-up", "stall", "notify", "gpu-busy"),
        *("max-failures", "max-unreachable", "batch", "shell", "chdir"),
    }
)
"""Options of a run that a parameter may be named after, and that have a value."""

OPTIONS_WITHOUT_VALUE = frozenset({"detach", "error-aborts", "ignore-errors", "daemon", "gather"})
"""Likewise, those without one."""

OPTIONS_OF_BROADCAST = frozenset({"batch", "max-unreachable", "gather"})
"""Those of both kinds that only a broadcast has."""

_POOLS = {
    **dict.fromkeys(("gpu", "gpus", "ngpus", "num-gpus"), "gpu"),
    **dict.fromkeys(("cpu", "cpus", "ncpus", "num-cpus"), "cpu"),
}
"""Names that look like a number of slots, with the usual name of these."""

_KEYS_OF_RUN = frozenset({"shell", "chdir"})
_OTHER_WORDS = {"retry": "retries"}
_NUMBER_TEXT = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_LISTED_NUMBERS = re.compile(rf"{_NUMBER_TEXT}(?:,[ ]+{_NUMBER_TEXT})+")
_COUNT_TEXT = re.compile("[1-9][0-9]{0,3}")
"""What may be a number of slots: no node has ten thousand GPUs or processors."""

_BARRIER_AS_COMMAND = re.compile("barrier(?: (?:succeeded|ended))?")


class EntryNote(NamedTuple):
    """A note, with what it is about: one of the same subject is given once."""

    subject: str
    start: int
    what: str
    step: str


def notes_on_entries(
    reader: QueueReader, entries: Sequence[Written | WrittenBarrier]
) -> list[FileFault]:
    """Give notes on what entries of a queue file hold, each subject once, in their order."""
    notes: dict[str, FileFault] = {}
    for each in entries:
        for note in _of_entry(each) if isinstance(each, Written) else ():
            position = reader.source.position(note.start)
            notes.setdefault(note.subject, FileFault(position, note.what, note.step))
    return sorted(notes.values(), key=lambda note: (note.position.line, note.position.column))


def _of_entry(written: Written) -> Iterator[EntryNote]:
    node = written.item.node
    if isinstance(node, Scalar):
        if not node.style and _BARRIER_AS_COMMAND.fullmatch(node.text):
            yield EntryNote(
                "a barrier",
                node.start,
                f'note: "{node.text}" is a command here, and no barrier',
                WRITE_A_BARRIER,
            )
        return
    for name, step in doubtful_params(node):
        if not _is_used(written, name):
            yield EntryNote(
                f"demand {name.text}",
                name.start,
                f'note: "{name.text}" is a parameter for templates here',
                step,
            )
    for name, value in node.pairs:
        if name.text != "command" and not isinstance(value, Mapping):
            yield from _of_param(written, name, value)


def _of_param(written: Written, name: Scalar, value: Scalar | Listing) -> Iterator[EntryNote]:
    option = _option_named(name.text)
    if option and not _is_used(written, name):
        yield EntryNote(
            f"option {name.text}",
            name.start,
            f'note: "{name.text}" is a parameter for templates here, and sets nothing',
            _step_to_option(option, value),
        )
    pool = _POOLS.get(name.text.lower().replace("_", "-"))
    count = value.text if isinstance(value, Scalar) and _COUNT_TEXT.fullmatch(value.text) else ""
    if pool and count and written.entry.demand.needs is None and not _is_used(written, name):
        yield EntryNote(
            f"demand {name.text}",
            name.start,
            f'note: "{name.text}" is a parameter for templates here',
            f"If it is not meant as one, write `needs: {{{pool}: {count}}}`",
        )
    if isinstance(value, Scalar) and not value.style and _LISTED_NUMBERS.fullmatch(value.text):
        yield EntryNote(
            f"list {name.text}",
            value.start,
            f'note: the value of "{name.text}" is one text, no list',
            f"For a list write `[{value.text}]`, else quote the text",
        )
    for command in written.commands:
        if _has_single_braces(command.text, name.text):
            yield EntryNote(
                f"braces {name.text}",
                command.start,
                f'note: "{name.text}" stands in single braces here, which are plain text',
                f"For its value write `{{{{ {name.text} }}}}`",
            )
            return


def _is_used(written: Written, name: Scalar) -> bool:
    return any(mentions(command.text, name.text) for command in written.commands)


def _option_named(name: str) -> str:
    """Give the option of a run with the name of a parameter; empty if there is none."""
    plain = name.lower().replace("_", "-").removeprefix("--")
    plain = _OTHER_WORDS.get(plain, plain)
    return plain if plain in OPTIONS_WITH_VALUE | OPTIONS_WITHOUT_VALUE else ""


def _step_to_option(option: str, value: Scalar | Listing) -> str:
    typed = f"--{option}"
    if option in OPTIONS_WITH_VALUE:
        text = value.text if isinstance(value, Scalar) else ""
        typed += f" {shlex.quote(text)}" if text.isprintable() and text else " ..."
    mode = "b" if option in OPTIONS_OF_BROADCAST else "q"
    words = f"If it is not meant as one, write `pegasus {mode} {typed}`"
    return f"{words}, or in the entry `run: {{{option}: ...}}`" if option in _KEYS_OF_RUN else words


def _has_single_braces(command: str, name: str) -> bool:
    """Tell whether a command has ``{ name }`` and no tag with the name.

    ``${name}`` is a variable of the shell. A program within the command may use such braces for
    what a tag has set.
    """
    single = rf"(?<![${{\\]){{[ ]*{re.escape(name)}[ ]*}}(?!}})"
    return re.search(single, command) is not None and not mentions(command, name)


def notes_on(
    hosts_file: Path, sub_nodes: Sequence[SubNode], queue_file: Path
) -> tuple[FileFault, ...]:
    """Give notes on parameters of sub-nodes that are probably a mistake, each name once.

    A parameter that a command or a ``where`` uses is meant as a parameter. The queue file is only
    read where there is such a name.
    """
    if not any(map(may_have_notes, sub_nodes)):
        return ()
    try:
        queue = queue_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        queue = ""
    return find_notes(hosts_file, lambda name: mentions(queue, name) or _is_asked_for(queue, name))


def _is_asked_for(queue: str, name: str) -> bool:
    """Tell whether a ``where`` in a queue file seems to have a name."""
    return re.search(rf"\bwhere:[^#]*?\b{re.escape(name)}\s*:", queue) is not None
