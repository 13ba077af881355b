"""A person edits a file: their editor in the foreground of the terminal, and what they answer.

Rule 1: the terminal is the editor's while it runs. It is a child in Pegasus's own process group,
with Pegasus's own standard streams, so that Ctrl-C and Ctrl-Z do in it what they always do.
Rule 2: the terminal is afterwards as it was, however the editor ended.
Rule 3: this room knows neither queues nor locks.
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

DEFAULT = "vim"
"""What edits where nobody says what."""

END_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for an editor: it has to write down what was not saved."""

STDIN, STDERR = 0, 2


def find_editor(editor: str | None, environ: Mapping[str, str]) -> list[str]:
    """Give the words of the editor's command line, up to the file.

    An empty ``EDITOR`` is one that is not set. The words are split as a shell splits them, and
    nothing else is done to them but for a ``~`` in front, which no shell has seen in
    ``--editor=~/bin/edit``.

    Args:
        editor: what ``--editor`` says.
        environ: where ``EDITOR`` and ``PATH`` are looked up.

    Raises:
        PegasusError: there is no such program.
    """
    asked_by = "--editor" if editor is not None else "$EDITOR"
    text = editor if editor is not None else environ.get("EDITOR", "")
    if editor is None and not text.strip():
        asked_by, text = "", DEFAULT
    said = f"{asked_by}: " if asked_by else ""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise PegasusError(
            f"{said}`{text}` is no command: {error}. Look after its quotes."
        ) from error
    if not words:
        raise PegasusError(f"{said}this names no editor. Name one: --editor vim")
    # As text: a Path would drop the "./" that says not to look anywhere else.
    program = shutil.which(os.path.expanduser(words[0]), path=environ.get("PATH"))  # noqa: PTH111
    if program is None:
        raise PegasusError(
            f"{said}cannot find the editor `{words[0]}`. Install it, or name another one with "
            "--editor or the environment variable EDITOR."
        )
    return [program, *words[1:]]


async def edit(command: Sequence[str], file: Path) -> int:
    """Let a person edit a file, which need not exist, until the editor ends.

    When cancelled, the editor is asked to end (SIGTERM), and killed after ``END_GRACE``.

    Args:
        command: the words of the editor's command line, up to the file.
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
                f"cannot start the editor `{command[0]}`: {error.strerror or error}. "
                "If it is a script, its first line has to be like #!/bin/sh."
            ) from error
    return done.returncode


async def _end(process: trio.Process) -> None:
    """End the editor, and only it: its process group is Pegasus's own, and its callers'."""
    process.terminate()
    process.send_signal(signal.SIGCONT)  # a stopped one would not hear of it
    await trio.sleep(END_GRACE)
    process.kill()


@contextmanager
def _keys_left_to_the_editor() -> Iterator[None]:
    r"""Let what Ctrl-C and Ctrl-\ send to the whole process group be the editor's alone.

    The handlers do nothing. SIG_IGN would be no handler, and be the editor's as well.
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
    """Leave the terminal as it was found: its modes, and whose it is.

    In the background it is somebody else's, and so are its modes: then nothing is done.
    """
    fd = next((fd for fd in (STDIN, 1, STDERR) if os.isatty(fd)), None)
    if fd is None or not _in_foreground(fd):
        yield
        return
    modes = termios.tcgetattr(fd)
    try:
        yield
    finally:
        # A terminal that is gone has no modes.
        with suppress(OSError, termios.error), _never_stopped():
            if _take_back(fd) and termios.tcgetattr(fd) != modes:
                termios.tcsetattr(fd, termios.TCSANOW, modes)


def _in_foreground(fd: int) -> bool:
    """Tell whether the terminal is ours; one that is not our session's has no say in that."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def _take_back(fd: int) -> bool:
    """Take the terminal back from a process group that is dead; tell whether it is ours.

    Some editors (Emacs) make a group of their own, and being killed do not give the terminal back.
    A group that lives is the shell's, which has us in the background.
    """
    if _in_foreground(fd):
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


@contextmanager
def _never_stopped() -> Iterator[None]:
    """Be allowed to set up the terminal from the background."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def can_ask() -> bool:
    """Tell whether there is a person: who can type, and sees what is asked."""
    return os.isatty(STDIN) and os.isatty(STDERR)


def forget_typed() -> None:
    """Drop what was typed so far: it was for the editor, and is no answer."""
    with suppress(termios.error):
        termios.tcflush(STDIN, termios.TCIFLUSH)


async def read_line(fd: int = STDIN) -> str | None:
    """Wait for a line that a person types; None for Ctrl-D, or where nobody is left to type."""
    data = b""
    while not data.endswith(b"\n"):
        await trio.lowlevel.wait_readable(fd)
        try:
            piece = os.read(fd, 1024)
        except OSError:  # the terminal has hung up
            piece = b""
        if not piece:
            break
        data += piece
    return data.decode(errors="replace") if data else None
