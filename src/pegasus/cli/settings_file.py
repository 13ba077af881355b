"""A file ``pegasus.toml`` -> its keys and values, or what to correct in it.

Rule 1: this module knows TOML and the file; which options there are is known in ``settings``.
Rule 2: most mistakes are texts without quotes, so the message shows the line as it should be.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.ownership import is_strangers

_LINE_OF_ERROR = re.compile(r"\(at line ([0-9]+),")
_KEY_AND_VALUE = re.compile(r"[ \t]*([\w.-]+)(?:[ \t]*[=:][ \t]*|[ \t]+)([^\s=:].*)")
_TRUTH_VALUES = {"true": "true", "yes": "true", "on": "true"} | dict.fromkeys(
    ("false", "no", "off"), "false"
)
_LONGEST_CORRECTED = 60
"""Characters of a value in a message, which should fit on a line."""


def read_settings_file(path: Path) -> dict[str, object]:
    """Read a settings file; it is empty where there is none.

    Raises:
        PegasusError: it belongs to a stranger, cannot be read, or is no TOML.
    """
    if not (text := _text_of(path)):
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE_OF_ERROR.search(str(error))
        lines = text.splitlines()
        number = int(found[1]) if found else 0
        line = lines[number - 1] if 0 < number <= len(lines) else ""
        if better := _corrected(line):
            raise PegasusError(
                f"{path}: line {number} is no TOML: texts stand in quotes, and = follows a name. "
                f"Write `{better}`."
            ) from error
        raise PegasusError(
            f"{path}: this is no readable TOML file: {error}. Texts stand in quotes. Correct or "
            "remove it."
        ) from error


def _corrected(line: str) -> str:
    """Give a line as it was probably meant; empty where that is uncertain."""
    found = _KEY_AND_VALUE.fullmatch(line.partition("#")[0].rstrip())
    if not found or len(found[2]) > _LONGEST_CORRECTED or set(found[2]) & set("\"'\\{}"):
        return ""
    value = found[2]
    if value.startswith("[") and value.endswith("]"):
        parts = [each.strip() for each in value[1:-1].split(",")]
        return f"{found[1]} = [{', '.join(map(_as_value, filter(None, parts)))}]"
    better = f"{found[1]} = {_as_value(value)}"
    return "" if set(value) & set("[]") or better == line.strip() else better


def _as_value(text: str) -> str:
    """Write a value without quotes as a number, a truth value or a text of TOML."""
    return text if text.isdecimal() else _TRUTH_VALUES.get(text.lower(), f'"{text}"')


def _text_of(path: Path) -> str:
    """Read a file; empty where there is none.

    Raises:
        PegasusError: it belongs to a stranger, or cannot be read.
    """
    try:
        if is_strangers(path):
            raise PegasusError(
                f"{path}: another user wrote this file, so its settings are not used. Remove it, "
                "or work in another folder."
            )
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for a writer
            raise PegasusError(f"{path}: this is no ordinary file. Remove or rename it.")
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError) as error:
        if not path.is_symlink():
            return ""
        raise PegasusError(f"{path}: this link leads to nothing. Correct or remove it.") from error
    except OSError as error:
        raise PegasusError(
            f"{path}: this cannot be read: {error.strerror or error}. Make it readable, or remove "
            "it."
        ) from error
    except UnicodeDecodeError as error:
        raise PegasusError(f"{path}: this is not UTF-8. Save it as UTF-8.") from error
