"""Settings: values of options from the environment, and from the files ``pegasus.toml``.

Rule 1: the command line comes first, then the environment, then the file in the working directory,
then the user's own file. Within each of them, what is meant for one command comes before what is
meant for all.
Rule 2: only options that say how something is done can be set. What asks for one action, such as
``--now`` or ``--forget``, and what chooses a run or a job, stands on the command line.
Rule 3: the names of variables begin with PEGASUS_OPTION_. Jobs and notifiers get variables such as
PEGASUS_RUN and PEGASUS_QUEUE_FILE, and may themselves call ``pegasus``: none of these is an option.
Rule 4: what has an effect on a run is told: a run notes it, other commands write it to standard
error. What only changes the looks is not told.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cyclopts import App, ArgumentCollection, CycloptsError, Token
from cyclopts.argument import Argument

from pegasus.cli.app import app
from pegasus.cli.faults import what_is_wrong
from pegasus.errors import PegasusError
from pegasus.options import SHOWN
from pegasus.ownership import is_strangers

ENVIRONMENT_PREFIX = "PEGASUS_OPTION_"
SETTINGS_FILE = "pegasus.toml"

SETTABLE = frozenset(
    {
        *("hosts-file", "queue-file", "ssh-config", "limit", "print-period", "color", "no-live"),
        *("daemon", "error-aborts", "retries", "timeout", "detach", "give-up", "retry-on"),
        *(
            "chdir",
            "max-failures",
            "quiet",
            "shell",
            "gpu-busy",
            "stall",
            "notify",
            "gather",
            "batch",
            "max-unreachable",
            "editor",
        ),
    }
)
"""The options that can be set, without ``--``."""

_REPLACED_BY = {"error-aborts": "ignore-errors"}
"""An option of the command line that takes back what a setting says."""

_NOTING = frozenset({"queue", "broadcast"})
"""The commands that note what is set."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """One value.

    Attributes:
        command: the command that it is meant for; empty for all commands with this option.
        option: without ``--``.
        values: as they would stand on the command line.
        place: the file or the environment, for messages.
        key: how it is called there.
    """

    command: str
    option: str
    values: tuple[str, ...]
    place: str
    key: str

    def __str__(self) -> str:
        """Give it with its place, for people."""
        where = self.key if self.place == _ENVIRONMENT else self.place
        return f"{self.option} = {', '.join(self.values)} ({where})"


_ENVIRONMENT = "environment"


class SettingsSource:
    """Adds settings to the arguments of a command, as cyclopts asks for them.

    Attributes:
        noted: a sentence about what this command line has from settings, for a run to note; empty
            if there is nothing to tell.
    """

    def __init__(self) -> None:
        self.noted: tuple[str, ...] = ()

    def __call__(
        self, command: App, _commands: tuple[str, ...], arguments: ArgumentCollection
    ) -> None:
        """Add what the command line does not say.

        Raises:
            PegasusError: a setting is unknown or has a wrong value, or a file cannot be read.
        """
        there = {option: each for each in arguments if (option := _option_of(each))}
        if SETTABLE.isdisjoint(there):
            return
        name, told = command.name[0], []
        for layer in _layers():
            for setting in sorted(layer, key=lambda each: not each.command):
                argument = there.get(setting.option)
                if argument is None or setting.command not in {"", name} or argument.tokens:
                    continue
                replacing = there.get(_REPLACED_BY.get(setting.option, ""))
                if replacing is not None and replacing.tokens:
                    continue
                _set(argument, setting)
                if not _changes_looks_only(argument):
                    told.append(str(setting))
        self._tell(name, told)

    def _tell(self, name: str, told: list[str]) -> None:
        words = f"Settings: {'; '.join(told)}."
        self.noted = (words,) if told and name in _NOTING else ()
        if told and name not in _NOTING:
            from pegasus.standard_streams import write_error
            from pegasus.terminal_text import visible

            write_error(f"[Pegasus] {visible(words)}\n")


SETTINGS = SettingsSource()
"""The settings of this process."""

app.config = (SETTINGS,)


def _option_of(argument: Argument) -> str:
    """Give the long name of an option without ``--``; empty for what is none."""
    return next((name[2:] for name in argument.names if name.startswith("--")), "")


def _changes_looks_only(argument: Argument) -> bool:
    groups = argument.parameter.group
    return isinstance(groups, tuple) and SHOWN in groups


def _set(argument: Argument, setting: _Setting) -> None:
    _, is_list = argument.token_count()
    if len(setting.values) > 1 and not is_list:
        raise PegasusError(f"{setting.place}: {setting.key}: this option has one value, no list.")
    for index, value in enumerate(setting.values):
        argument.append(Token(keyword=setting.key, value=value, source=setting.place, index=index))
    try:
        argument.convert_and_validate()
    except CycloptsError as error:
        raise PegasusError(f"{setting.place}: {what_is_wrong(error)}") from error


# Where settings come from.


def _layers() -> Iterator[list[_Setting]]:
    """Yield the settings of each place, the strongest place first."""
    yield [
        _of_variable(name, value)
        for name, value in sorted(os.environ.items())
        if name.startswith(ENVIRONMENT_PREFIX)
    ]
    yield from (_of_file(path) for path in settings_files(os.environ) if path.is_file())


def settings_files(environ: Mapping[str, str]) -> list[Path]:
    """Give the paths of the settings files, the strongest first; they need not exist."""
    config = environ.get("XDG_CONFIG_HOME", "")
    if not config.startswith("/"):  # the XDG specification ignores a relative path
        config = os.path.expanduser("~/.config")  # noqa: PTH111 -- Path raises without a home
    return [Path(SETTINGS_FILE), Path(config, "pegasus", SETTINGS_FILE)]


def _of_variable(name: str, value: str) -> _Setting:
    words = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-")
    command, option = "", words
    if words not in SETTABLE:
        command, _, option = words.partition("-")
    _refuse_unknown(command, option, _ENVIRONMENT, name)
    return _Setting(command, option, (value,), _ENVIRONMENT, name)


def _of_file(path: Path) -> list[_Setting]:
    """Read a settings file.

    Raises:
        PegasusError: it belongs to a stranger, cannot be read, or has an unknown key.
    """
    import tomllib

    try:
        if is_strangers(path):
            raise PegasusError(
                f"{path}: another user wrote this file, so its settings are not used. Remove it, "
                "or work in another folder."
            )
        data = tomllib.loads(path.read_bytes().decode())
    except (OSError, ValueError) as error:
        raise PegasusError(f"{path}: this is no readable TOML file: {error}.") from error
    found = []
    for key, value in data.items():
        if isinstance(value, dict):
            found += [_of_key(path, key, option, each) for option, each in value.items()]
        else:
            found.append(_of_key(path, "", key, value))
    return found


def _of_key(path: Path, command: str, option: str, value: object) -> _Setting:
    key = f"{command}.{option}" if command else option
    _refuse_unknown(command, option, str(path), key)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str | int | float) for each in values):
        raise PegasusError(f"{path}: {key}: write a text, a number, true, false, or a list.")
    return _Setting(command, option, tuple(map(_as_typed, values)), str(path), key)


def _as_typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# What there is.


def _refuse_unknown(command: str, option: str, place: str, key: str) -> None:
    """Refuse what no command has, or what stands on the command line only.

    Raises:
        PegasusError: it is neither an option nor a command with one.
    """
    known = _settable_of(command) if command else SETTABLE
    if known is None:
        raise PegasusError(
            f"{place}: {key}: no such option can be set, and there is no such command."
            f"{_near(f'{command}-{option}', SETTABLE)}"
        )
    if option not in known:
        whose = f" for `pegasus {command}`" if command else ""
        raise PegasusError(
            f"{place}: {key}: no such option can be set{whose}.{_near(option, known)}"
        )


def _near(option: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(option.replace("_", "-"), known, 1)
    listed = "docs/reference/settings.md lists them."
    return f' Is "{near[0]}" meant?' if near else f" {listed}"


@cache
def _settable_of(name: str) -> frozenset[str] | None:
    """Give the options of a command that can be set; None where there is no such command."""
    if name not in app or name.startswith("-") or app[name].name[0] != name:
        return None
    arguments = app[name].assemble_argument_collection(default_parameter=app.default_parameter)
    return SETTABLE & {_option_of(each) for each in arguments}
