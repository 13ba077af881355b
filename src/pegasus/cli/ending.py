"""A result or an exception -> the exit status, and the message for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from cyclopts import CycloptsError

from pegasus import __version__
from pegasus.cli.app import app
from pegasus.errors import ExitStatus, PegasusError, leaves_of


def main() -> None:
    """Run ``pegasus`` with the arguments of the command line, and exit with its status."""
    from pegasus.standard_streams import open_standard_streams

    open_standard_streams()
    sys.exit(run_safely(_run_app))


def _run_app() -> int:
    first = sys.argv[1] if sys.argv[1:] else ""
    if first.startswith("-") and first not in {"--help", "-h", "--version", "-V", "--"}:
        from pegasus.cli.hints import hint_for_command

        if hint := hint_for_command(first):
            raise PegasusError(f'"{first}" is not a command. {hint}')
        raise PegasusError(
            f'"{first}" is not a command. Write the command first and its options after it: '
            "pegasus COMMAND [OPTIONS]."
        )
    try:
        return int(
            app(
                result_action="return_int_as_exit_code_else_zero",
                exit_on_error=False,
                print_error=False,
                verbose=False,
            )
        )
    except CycloptsError as error:
        from pegasus.cli.faults import fault_words

        raise PegasusError(fault_words(error)) from error


def run_safely(command: Callable[[], int]) -> int:
    """Run a command, and return the exit status for its result or its exception."""
    try:
        return command()
    # The outermost handler: no Trio code is above it that would need the Cancelled exception.
    except BaseException as error:  # noqa: BLE001, ASYNC103
        return _status_of(error)  # noqa: ASYNC104 -- see above


def _status_of(error: BaseException) -> int:
    leaves = list(leaves_of(error))
    if any(isinstance(leaf, FileNotFoundError) for leaf in leaves) and _is_folder_gone():
        say(
            "The folder in which this command was started was removed. Go to a folder that exists, "
            "for example with `cd`."
        )
        return ExitStatus.USAGE
    for leaf in leaves:
        if isinstance(leaf, SystemExit):
            return leaf.code if isinstance(leaf.code, int) else ExitStatus.USAGE
    if all(map(_is_interrupt, leaves)):
        return ExitStatus.INTERRUPTED
    if all(isinstance(leaf, PegasusError) for leaf in leaves):
        for leaf in leaves:
            say(str(leaf))
        _say_settings(leaves)
        return ExitStatus.USAGE
    _report_bug(error)
    return ExitStatus.BUG


def _is_folder_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 -- pathlib would have to be loaded
    except FileNotFoundError:
        return True
    return False


def _say_settings(errors: list[BaseException]) -> None:
    """Name the settings that a refused run had: an error about one names the option only.

    They were correct for the parser of the command line, so its errors are about what was typed.
    """
    from pegasus.cli.settings import SETTINGS

    if not all(isinstance(each.__cause__, CycloptsError) for each in errors):
        for words in SETTINGS.words_after("\n".join(map(str, errors))):
            say(words)


def _is_interrupt(error: BaseException) -> bool:
    """Return whether an error is a Ctrl-C; one that comes while a class is made has another type.

    Python 3.11 turns what is raised in ``__set_name__`` into a RuntimeError.
    """
    cause = error.__cause__ if isinstance(error, RuntimeError) else error
    return isinstance(cause, KeyboardInterrupt)


def say(text: str) -> None:
    """Print a message on one line; control characters in text from other sources become visible."""
    from pegasus.standard_streams import write_message

    write_message(text)


def _report_bug(error: BaseException) -> None:
    import platform
    import traceback

    from pegasus.standard_streams import write_error

    report = "".join(traceback.format_exception(error))
    write_error(
        "[Pegasus] This is a bug in Pegasus. Please paste this report into an issue:\n"
        f"pegasus {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command line: {sys.argv[1:]!r}\n{report}"
    )
