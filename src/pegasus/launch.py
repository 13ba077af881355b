"""How a command is started on its node: ``run: {shell: bash -lc, chdir: work/project}``.

Rule 1: pure; what is wrong with a text is known before a job is taken.
Rule 2: of several values the one that is nearest to the command counts: that of its entry, of its
node, of the run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

DEFAULT_SHELL = "sh -c"
"""The shell where none is given."""

REFUSED = "refused: "
"""Begins what a node prints where it cannot start a command as it should."""

LONGEST_VALUE = 1_000
"""Characters of a shell or a directory: with its quotes it has to fit into a line for a node."""

WriteExample: TypeAlias = Callable[[str, str], str]
"""Writes a name and its value as an example, as in a file or on a command line."""

_NOT_IN_TEXTS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_OF_ANOTHER_USER = re.compile("~[^/]")


@dataclass(frozen=True, slots=True)
class Launch:
    """How a command is started.

    Attributes:
        shell: the words of the shell that gets the command as its last argument, such as
            ``bash -lc``; empty for ``sh -c``.
        chdir: the directory in which it begins, relative to the home directory; empty for the one
            in which a session begins.
    """

    shell: str = ""
    chdir: str = ""


NO_LAUNCH = Launch()
"""Under ``sh -c``, where a session begins."""


def merged(first: Launch, second: Launch) -> Launch:
    """Give a launch with the values of the first one, and of the second where it has none."""
    return Launch(first.shell or second.shell, first.chdir or second.chdir)


def launch_words(launch: Launch) -> str:
    """Describe what is not usual: ``in work/project, under "bash -lc"``; empty for nothing."""
    parts = [f"in {launch.chdir}"] if launch.chdir else []
    return ", ".join([*parts, f'under "{launch.shell}"'] if launch.shell else parts)


def in_file(name: str, value: str) -> str:
    """Write a value as in a file, for an example."""
    return f"`{name}: {value}`"


def on_command_line(name: str, value: str) -> str:
    """Write a value as on a command line, for an example."""
    return f"`--{name} {shlex.quote(value)}`"


def wrong_with_shell(text: str, written: WriteExample = in_file) -> tuple[str, str] | None:
    """Find what is wrong with a shell.

    Args:
        text: as the user wrote it.
        written: how the next step writes an example.

    Returns:
        The fault and the next step, as two sentences without full stops; None if it is valid.
    """
    example = "Write the shell with its options, as in " + written("shell", "bash -lc")
    try:
        words = shlex.split(text)
    except ValueError:
        return "a quote in this shell is not closed", example
    if not words or not words[0]:
        return "this shell is empty", example
    return _wrong_with(text, "shell")


def wrong_with_chdir(text: str, written: WriteExample = in_file) -> tuple[str, str] | None:
    """Find what is wrong with a directory; see ``wrong_with_shell``."""
    if not text:
        return (
            "this directory is empty",
            f"Write a directory, as in {written('chdir', 'work/project')}",
        )
    if _OF_ANOTHER_USER.match(text):
        return (
            f'"{text}" would be the home directory of another user',
            f"Write its whole path, as in {written('chdir', '/home/user/project')}",
        )
    return _wrong_with(text, "chdir")


def _wrong_with(text: str, name: str) -> tuple[str, str] | None:
    if _NOT_IN_TEXTS.search(text):
        return f'the value of "{name}" has a control character in it', "Write it on one line"
    if len(text) > LONGEST_VALUE:
        what = f'the value of "{name}" has {len(text):,} characters'
        return what, f"Write at most {LONGEST_VALUE:,}"
    if "{{" in text:
        return (
            f'the value of "{name}" is no template',
            "Write the text itself; a command may begin with `cd {{ name }} &&`",
        )
    if name == "chdir" and "$" in text:
        step = "Write the path itself, or begin the command with `cd $NAME &&`"
        return f'variables are not expanded in "{name}"', step
    return None


def start_code(launch: Launch) -> str:
    """Return lines of POSIX sh that change the directory and choose the shell of a command.

    The positional parameters are the shell's words then. Where the node does not have what is
    needed, the lines print REFUSED and the reason, and exit.
    """
    lines = []
    if path := launch.chdir:
        path = path.removeprefix("~/") if path.startswith("~/") else path
        path = "." if path == "~" else path
        target = path if path.startswith("/") else f"./{path}"
        at_home = "" if path.startswith("/") else "cd && "
        home = "" if path.startswith("/") else " in the home directory"
        named = shlex.quote(f"{REFUSED}the directory {launch.chdir} ")
        target = shlex.quote(target)
        lines += [
            f"{{ {at_home}CDPATH= cd -- {target}; }} >/dev/null 2>&1 || {{",
            f"  [ -e {target} ] && set -- 'cannot be entered' || set -- 'does not exist{home}'",
            f"  printf '%s%s\\n' {named} \"$1\" >&2; exit 1; }}",
        ]
    words = shlex.split(launch.shell or DEFAULT_SHELL)
    if launch.shell:
        unfound = f"{REFUSED}there is no shell {words[0]}"
        lines += [
            f"command -v {shlex.quote(words[0])} >/dev/null 2>&1 || {{",
            f"  printf '%s\\n' {shlex.quote(unfound)} >&2; exit 1; }}",
        ]
    lines.append(f"set -- {' '.join(map(shlex.quote, words))}")
    return "\n".join(lines)
