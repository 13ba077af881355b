"""The user's editor in the foreground of the terminal, and questions to the user.

Rule 1: the terminal belongs to the editor while it runs. The editor is a child process in Pegasus's
own process group, with Pegasus's own standard streams, so that Ctrl-C and Ctrl-Z work as usual.
Rule 2: afterwards the terminal is as it was, however the editor ended.
Rule 3: nothing here depends on queues or locks.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

from pegasus.errors import PegasusError
from pegasus.terminal_modes import in_foreground, never_stopped

DEFAULT_EDITOR = "vim"
"""The editor where neither ``--editor`` nor ``EDITOR`` is given."""

EDITOR_END_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for an editor: it has to keep what was not saved."""

_TERMINAL_IN, _TERMINAL_OUT = 0, 2
"""The file descriptors of standard input and standard error, on which questions are asked."""


def find_editor(editor: str | None, environ: Mapping[str, str]) -> list[str]:
    """Give the words of the editor's command line, without the file.

    An empty ``EDITOR`` counts as not set. The words are split as a shell splits them. A ``~`` at
    the beginning is expanded, since no shell expands it in ``--editor=~/bin/edit``.

    Args:
        editor: the value of ``--editor``.
        environ: the environment, for ``EDITOR`` and ``PATH``.

    Raises:
        PegasusError: there is no such program.
    """
    asked_by = "--editor" if editor is not None else "$EDITOR"
    text = editor if editor is not None else environ.get("EDITOR", "")
    if editor is None and not text.strip():
        asked_by, text = "", DEFAULT_EDITOR
    said = f"{asked_by}: " if asked_by else ""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise PegasusError(
            f"{said}`{text}` is no command: {error}. Look after its quotes."
        ) from error
    if not words:
        raise PegasusError(f"{said}this names no editor. Name one: --editor vim")
    # As text: a Path would drop the "./", with which PATH is not searched.
    program = shutil.which(os.path.expanduser(words[0]), path=environ.get("PATH"))  # noqa: PTH111
    if program is None:
        raise PegasusError(
            f"{said}cannot find the editor `{words[0]}`. Install it, or name another one with "
            "--editor or the environment variable EDITOR."
        )
    return [program, *words[1:]]


async def edit(command: Sequence[str], file: Path) -> int:
    """Run the editor on a file, which need not exist, until it ends.

    When cancelled, the editor gets SIGTERM, and after ``EDITOR_END_GRACE`` SIGKILL.

    Args:
        command: the words of the editor's command line, without the file.
        file: its path.

    Returns:
        The editor's exit status; minus N for a signal N.

    Raises:
        PegasusError: it cannot be started.
    """
    with _terminal_kept(), _keys_left_to_the_editor():
        try:
            done = await trio.run_process(
                [*command, str(file)], stdin=None, check=False, deliver_cancel=_end
            )
        except OSError as error:
            raise PegasusError(
                f"Cannot start the editor `{command[0]}`: {error.strerror or error}. "
                "Choose another one with --editor or $EDITOR. If it is a script, its first line "
                "has to be like #!/bin/sh."
            ) from error
    return done.returncode


async def _end(process: trio.Process) -> None:
    """End the editor only: its process group is Pegasus's own, and perhaps that of a caller."""
    process.terminate()
    process.send_signal(signal.SIGCONT)  # a stopped process does not handle SIGTERM
    await trio.sleep(EDITOR_END_GRACE)
    process.kill()


@contextmanager
def _keys_left_to_the_editor() -> Iterator[None]:
    r"""Ignore the signals that Ctrl-C and Ctrl-\ send to the whole process group, editor included.

    The handlers do nothing. The editor would inherit SIG_IGN, but does not inherit handlers.
    """
    numbers = (signal.SIGINT, signal.SIGQUIT)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _terminal_kept() -> Iterator[None]:
    """Restore the terminal's modes and its foreground process group after the block.

    When Pegasus runs in the background, the terminal belongs to another group, and nothing is
    done.
    """
    fd = next((fd for fd in (_TERMINAL_IN, 1, _TERMINAL_OUT) if os.isatty(fd)), None)
    if fd is None or not in_foreground(fd):
        yield
        return
    modes = termios.tcgetattr(fd)
    try:
        yield
    finally:
        # A terminal that is gone has no modes.
        with suppress(OSError, termios.error), never_stopped():
            if _take_back(fd) and termios.tcgetattr(fd) != modes:
                termios.tcsetattr(fd, termios.TCSANOW, modes)


def _take_back(fd: int) -> bool:
    """Take the terminal back from a process group that is dead; report whether it is ours.

    Some editors (Emacs) make a group of their own, and do not give the terminal back when they are
    killed. A group that is alive is the shell's, which has put Pegasus in the background.
    """
    if in_foreground(fd):
        return True
    group = os.tcgetpgrp(fd)
    try:
        if group > 0:
            os.killpg(group, 0)
            return False
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    os.tcsetpgrp(fd, os.getpgrp())
    return True


def can_ask() -> bool:
    """Report whether a person can read a question and type an answer."""
    return os.isatty(_TERMINAL_IN) and os.isatty(_TERMINAL_OUT)


def forget_typed() -> None:
    """Drop the input that was typed so far: it was for the editor, and is no answer."""
    with suppress(termios.error):
        termios.tcflush(_TERMINAL_IN, termios.TCIFLUSH)


async def read_line(fd: int = _TERMINAL_IN) -> str | None:
    """Wait for a typed line; None for Ctrl-D, or when the terminal has hung up."""
    data = b""
    while not data.endswith(b"\n"):
        await trio.lowlevel.wait_readable(fd)
        try:
            typed = os.read(fd, 1024)
        except OSError:  # the terminal has hung up
            typed = b""
        if not typed:
            break
        data += typed
    return data.decode(errors="replace") if data else None
