"""``run: {shell: ..., chdir: ...}`` in a file, and the same on a command line.

Rule 1: only a mapping is ``run``; a text or a list of that name is a parameter.
"""

from __future__ import annotations

import difflib

from pegasus.errors import FileFault, PegasusError
from pegasus.launch import Launch, on_command_line, wrong_with_chdir, wrong_with_shell
from pegasus.yaml_text import Mapping, Scalar, SourceText

LAUNCH_KEY = "run"
"""The key of an item that says how commands are started."""

_CHECKS = {"shell": wrong_with_shell, "chdir": wrong_with_chdir}

_EXAMPLE = "Write `run: {shell: bash -lc, chdir: work/project}`, or one of the two"


def read_launch(source: SourceText, node: Mapping) -> Launch:
    """Read the mapping below ``run``.

    Args:
        source: the file.
        node: the mapping.

    Raises:
        FileFault: it is wrong.
    """
    found: dict[str, str] = {}
    for name, value in node.pairs:
        if name.text not in _CHECKS:
            near = difflib.get_close_matches(name.text, _CHECKS, 1)
            step = f'Did you mean "{near[0]}"? {_EXAMPLE}' if near else _EXAMPLE
            raise FileFault(source.position(name.start), f'"run" has no "{name.text}"', step)
        if not isinstance(value, Scalar):
            what = f'the value of "{name.text}" must be one text'
            raise FileFault(source.position(value.start), what, _EXAMPLE)
        if wrong := _CHECKS[name.text](value.text):
            raise FileFault(source.position(value.start), *wrong)
        found[name.text] = value.text
    return Launch(found.get("shell", ""), found.get("chdir", ""))


def read_typed_launch(shell: str | None, chdir: str | None) -> Launch:
    """Read ``--shell`` and ``--chdir``; None where they are not given.

    Raises:
        PegasusError: one of them is wrong.
    """
    for name, value in (("shell", shell), ("chdir", chdir)):
        if value is not None and (wrong := _CHECKS[name](value, on_command_line)):
            what, step = wrong
            raise PegasusError(f"--{name} {value!r}: {what}. {step}.")
    return Launch(shell or "", chdir or "")
