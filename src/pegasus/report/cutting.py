"""Long commands in little room: what distinguishes them stays, what they share is left out.

Rule 1: pure.
Rule 2: wherever something was left out there is a sign, also at the beginning.
"""

from __future__ import annotations

import os.path
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size

from pegasus.terminal_text import visible

CUT_SIGN = "…"

JobParams: TypeAlias = Sequence[tuple[str, str]]
"""Names and values of the parameters of a job."""

_WORD_START = re.compile(r"[^\s/=]*\Z")
"""What follows the last blank, slash or equals sign."""

_WORD_END = re.compile(r"[^\s/=]*")
"""What precedes the first blank, slash or equals sign."""

_LEAST_BESIDE = 8
"""Cells for a command beside its parameters: fewer do not tell anything."""

_VALUE_START = 200
"""Characters of the value of a parameter that are looked at."""

_CUT_PASSES = 2
"""How often texts that look alike are shortened anew: a new form may look like one of another."""


def shared_start(texts: Sequence[str]) -> int:
    """Count the characters with which all texts begin, up to the start of a word.

    It is 0 for texts that do not differ.
    """
    if len(set(texts)) < 2:
        return 0
    common = os.path.commonprefix(list(texts))  # noqa: RUF071 -- of texts, not of paths
    return len(_WORD_START.sub("", common))


def shared_end(texts: Sequence[str]) -> int:
    """Count the characters with which all texts end, from the end of a word.

    It is 0 for texts that do not differ.
    """
    if len(set(texts)) < 2:
        return 0
    common = os.path.commonprefix([text[::-1] for text in texts])[::-1]  # noqa: RUF071 -- as above
    return len(_WORD_END.sub("", common, count=1))


def cut_middle(text: str, width: int, shared: int = 0) -> str:
    """Shorten a text to a number of cells; its end stays.

    Args:
        text: without control characters.
        width: cells, at least 1.
        shared: characters at its start that others have as well: these are left out first.
    """
    if cell_len(text) <= width:
        return text
    end = text[shared:]
    room = width - cell_len(end) - 1
    if shared and room >= 0:
        return set_cell_size(text, room).rstrip() + CUT_SIGN + end
    if width <= 1:
        return CUT_SIGN[:width]
    if shared and width > 2:
        return CUT_SIGN + cut_middle(end, width - 1)
    before = (width - 1) // 2
    after = width - 1 - before
    tail = text[-after:]
    while cell_len(tail) > after:  # a character may take two cells
        tail = tail[1:]
    return set_cell_size(text[:width], before) + CUT_SIGN + tail


def cut_together(texts: Sequence[str], width: int, params: Sequence[JobParams] = ()) -> list[str]:
    """Shorten texts that are shown below each other, so that those that differ look different.

    Of texts that would look alike, the part in which they differ is shown. Where it has no room,
    the parameters in which their jobs differ precede the text.

    Args:
        texts: without control characters.
        width: cells, at least 1.
        params: the parameters of the job of each text; empty where they are not known.
    """
    shared = shared_start(texts)
    shown = [cut_middle(text, width, shared) for text in texts]
    known = params or [()] * len(texts)
    for _ in range(_CUT_PASSES):
        for group in _alike(texts, shown, known):
            alike = [texts[place] for place in group]
            forms = [
                [shown[place] for place in group],
                _without_end(alike, width, shared),
                _without_end(alike, width, shared_start(alike)),
                _with_params(alike, width, [known[place] for place in group]),
            ]
            best = max(forms, key=lambda form: len(set(form)))
            for place, form in zip(group, best, strict=True):
                shown[place] = form
    return shown


def _alike(
    texts: Sequence[str], shown: Sequence[str], params: Sequence[JobParams]
) -> Iterator[list[int]]:
    """Find the texts that were cut, differ, and look alike."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for place, form in enumerate(shown):
        if CUT_SIGN in form:  # also one that was cut before
            groups[form].append(place)
    for group in list(groups.values()):
        if len(group) > 1 and len({(texts[place], tuple(params[place])) for place in group}) > 1:
            yield group


def _without_end(texts: Sequence[str], width: int, shared: int) -> list[str]:
    """Shorten texts to the end of the last part in which they differ."""
    end = shared_end(texts)
    if not end or width < 2:
        return [cut_middle(text, width, shared) for text in texts]
    return [cut_middle(text[:-end], width - 1, shared) + CUT_SIGN for text in texts]


def _with_params(texts: Sequence[str], width: int, params: Sequence[JobParams]) -> list[str]:
    """Put the parameters in which jobs differ before their commands: ``(lr=1e-3) train…``."""
    given = [dict(each) for each in params]
    names = [
        name
        for name in dict.fromkeys(name for each in given for name in each)
        if len({each.get(name) for each in given}) > 1
    ]
    said = [
        " ".join(visible(f"{name}={each[name][:_VALUE_START]}") for name in names if name in each)
        for each in given
    ]
    shared = shared_start(said)
    found = []
    for text, words in zip(texts, said, strict=True):
        head = f"({words}) " if words else ""
        room = width - cell_len(head)
        if words and room < _LEAST_BESIDE:
            found.append(cut_middle(words, width, shared))
        else:
            found.append(head + cut_middle(text, room))
    return found
