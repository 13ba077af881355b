"""Errors of the command line -> messages for users.

Rule 1: each names what was typed, what belongs there, and where to read more.
"""

from __future__ import annotations

import types
from typing import Literal, Union, get_args, get_origin

from cyclopts import CycloptsError
from cyclopts.exceptions import (
    CoercionError,
    CombinedShortOptionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from pegasus.cli.hints import (
    hint_for_argument,
    hint_for_command,
    hint_for_number,
    hint_for_option,
    is_run_twice,
)

_KINDS: dict[object, str] = {int: "a whole number", float: "a number", bool: "yes or no"}


def fault_words(error: CycloptsError) -> str:
    """Return the message for an error of the command line; it ends with the next step."""
    command = " ".join(["pegasus", *(error.command_chain or ())])
    return f"{what_is_wrong(error, command)} See `{command} --help`."


def what_is_wrong(error: CycloptsError, command: str = "pegasus") -> str:  # noqa: PLR0911 -- one for each kind
    """Return what is wrong, in sentences.

    Args:
        error: the error.
        command: the command, for an argument that it does not take.
    """
    match error:
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            return _too_many(error, first, command)
        case UnknownCommandError() | UnknownOptionError():
            return _unknown(error)
        case CoercionError(msg=None):
            return _not_converted(error)
        case CoercionError(token=token):
            words = _sentence(f"Invalid value for {_name(error)}: {error.msg}")
            return f"{words} {hint_for_number(error, token.value if token else '')}".rstrip()
        case ValidationError():
            typed = error.argument.tokens[0].value if error.argument else ""
            reason = error.exception_message.replace("Must be >= ", "it must be at least ")
            return _sentence(f"Invalid value for {_name(error)}: {typed!r}: {reason}")
        case MissingArgumentError():
            return f"{_name(error)} needs a value."
        case RepeatArgumentError():
            return f"{_name(error)} is given twice. Give it once."
        case CombinedShortOptionError():
            return "An option that needs a value cannot stand among others. Write it apart."
        case _:
            return _sentence(str(error))


def _unknown(error: UnknownCommandError | UnknownOptionError) -> str:
    if isinstance(error, UnknownCommandError):
        typed = next(iter(error.unused_tokens or ()), "")
        if hint := hint_for_command(typed):
            return f'Unknown command "{typed}". {hint}'
        return _sentence(str(error).partition(" Available commands")[0])
    typed = error.token.keyword or error.token.value
    if len(typed) > len("-x") and not typed.startswith("--"):  # several short options in one
        return _sentence(str(error))
    return f"Unknown option: {typed}. {hint_for_option(error)}".rstrip()


def _too_many(error: CycloptsError, typed: str, command: str) -> str:
    if is_run_twice(error):
        return f'The run is given twice: as "{typed}" and with --run. Give it once.'
    words = f'"{typed}" is one argument too many for `{command}`.'
    return f"{words} {hint_for_argument(error, typed)}".rstrip()


def _not_converted(error: CoercionError) -> str:
    token, kind = error.token, error.target_type
    typed = token.value if token is not None else ""
    if kind is bool:
        return f"{_name(error)} takes no value. Leave out {typed!r}."
    if choices := _choices(kind):
        listed = ", ".join(choices[:-1]) + (" or " if choices[1:] else "") + choices[-1]
        return f"Invalid value for {_name(error)}: {typed!r} is not {listed}."
    expected = _KINDS.get(kind, "what belongs there")
    return f"Invalid value for {_name(error)}: {typed!r} is not {expected}."


def _choices(kind: object) -> list[str]:
    """Give the texts that a type permits; none if these are not all that it permits."""
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    if get_origin(kind) in {Union, types.UnionType}:
        return [word for each in get_args(kind) for word in _choices(each)]
    return []


def _name(error: CycloptsError) -> str:
    """Give the option or the argument, as the help names it."""
    token = getattr(error, "token", None)
    keyword = getattr(token, "keyword", None) or getattr(error, "keyword", None)
    if keyword:
        return str(keyword)
    if error.argument is None:
        return "an argument"
    tokens = error.argument.tokens
    if tokens and tokens[0].keyword:
        return tokens[0].keyword
    name = error.argument.name
    return name if name.startswith("-") else name.upper()


def _sentence(words: str) -> str:
    words = words.strip()
    return words if words.endswith((".", "?")) else f"{words}."
