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
Rule 5: an error that comes after settings were read is followed by those that may be its cause.
Rule 6: ``pegasus check`` refuses each wrong value, also one that only other commands use.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from cyclopts import App, ArgumentCollection, CycloptsError, Token
from cyclopts.argument import Argument

from pegasus.cli.app import app
from pegasus.cli.faults import what_is_wrong
from pegasus.cli.hints import OTHER_OPTIONS, nearest
from pegasus.cli.settings_file import read_settings_file
from pegasus.errors import PegasusError
from pegasus.options import SHOWN

ENVIRONMENT_PREFIX = "PEGASUS_OPTION_"
SETTINGS_FILE = "pegasus.toml"

SETTABLE = frozenset(
    {
        *("hosts-file", "queue-file", "ssh-config", "limit", "print-period", "color", "no-live"),
        *("quiet", "daemon", "error-aborts", "max-failures", "retries", "retry-on", "timeout"),
        *("shell", "chdir", "detach", "give-up", "gpu-busy", "stall", "notify", "gather", "batch"),
        *("max-unreachable", "editor"),
    }
)
"""The options that can be set, without ``--``."""

_REPLACED_BY = {"error-aborts": "ignore-errors"}
"""An option of the command line that takes back what a setting says."""

_OF_RUNS = frozenset({"shell", "chdir"})
"""Options that say something about a whole run. ``pegasus add`` has them as well, and would write
them into the queue: they cannot be set for it."""

_NOTING = frozenset({"queue", "broadcast"})
"""The commands that note what is set."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """One value.

    Attributes:
        command: the command that it is meant for, by its full name; empty for all commands with
            this option.
        option: without ``--``.
        values: as they would stand on the command line.
        place: the file or the environment, for messages.
        key: how it is called there.
        is_text: whether each value is a text there, and no number or truth value.
    """

    command: str
    option: str
    values: tuple[str, ...]
    place: str
    key: str
    is_text: bool = True

    def __str__(self) -> str:
        """Give it with its place, for people."""
        where = self.key if self.place == _ENVIRONMENT else self.place
        values = ", ".join(each if each.strip() else repr(each) for each in self.values)
        return f"{self.option} = {values} ({where})"


_ENVIRONMENT = "environment"


class SettingsSource:
    """Adds settings to the arguments of a command, as cyclopts asks for them.

    Attributes:
        noted: a sentence about what this command line has from settings, for a run to note; empty
            if there is nothing to tell.
    """

    def __init__(self) -> None:
        self.noted: tuple[str, ...] = ()
        self._for_run: list[tuple[_Setting, bool]] = []

    def __call__(
        self, command: App, _commands: tuple[str, ...], arguments: ArgumentCollection
    ) -> None:
        """Add what the command line does not say.

        Raises:
            PegasusError: a setting is unknown or has a wrong value, or a file cannot be read.
            ExceptionGroup: these, for all wrong values, where the command is ``pegasus check``.
        """
        there = _by_option(arguments)
        if SETTABLE.isdisjoint(there):
            return
        name, layers = command.name[0], list(_layers())
        if name == "check":
            _refuse_wrong([setting for layer in layers for setting in layer])
        added: list[tuple[_Setting, bool]] = []
        settable = _settable_of(name) or ()
        for layer in layers:
            for setting in sorted(layer, key=lambda each: not each.command):
                argument = there.get(setting.option)
                if argument is None or setting.option not in settable:
                    continue
                if setting.command not in {"", name} or argument.tokens:
                    continue
                replacing = there.get(_REPLACED_BY.get(setting.option, ""))
                if replacing is not None and replacing.tokens:
                    continue
                _set(argument, setting)
                added.append((setting, not _changes_looks_only(argument)))
        self._tell(name, added)

    def _tell(self, name: str, added: list[tuple[_Setting, bool]]) -> None:
        words = _words(setting for setting, is_told in added if is_told)
        if name in _NOTING:
            self.noted, self._for_run = words, added
        elif words:
            from pegasus.standard_streams import write_message

            write_message(*words)

    def words_after(self, errors: str, *, named_only: bool = False) -> tuple[str, ...]:
        """Give a sentence about what a refused run had from settings, if anything; once.

        Args:
            errors: what was said. Settings of the looks are given where it has their options.
            named_only: give all others likewise.
        """
        added, self._for_run = self._for_run, []
        named = [setting for setting, _ in added if f"--{setting.option}" in errors]
        told = [] if named_only else [setting for setting, is_told in added if is_told]
        return _words(setting for setting, _ in added if setting in (*named, *told))


def _words(settings: Iterable[_Setting]) -> tuple[str, ...]:
    told = "; ".join(map(str, settings))
    return (f"Settings: {told}.",) if told else ()


SETTINGS = SettingsSource()
"""The settings of this process."""

app.config = (SETTINGS,)


def _by_option(arguments: ArgumentCollection) -> dict[str, Argument]:
    """Give the options by their long names without ``--``."""
    return {name[2:]: each for each in arguments for name in each.names if name.startswith("--")}


def _changes_looks_only(argument: Argument) -> bool:
    groups = argument.parameter.group
    return isinstance(groups, tuple) and SHOWN in groups


def _set(argument: Argument, setting: _Setting) -> None:
    """Give an option the value of a setting.

    Raises:
        PegasusError: the option does not accept it.
    """
    _, is_list = argument.token_count()
    where, kinds = f"{setting.place}: {setting.key}", _kinds(argument.hint)
    if len(setting.values) > 1 and not is_list:
        raise PegasusError(
            f"{where}: this option has one value, and a list is given. Write the value without "
            "brackets."
        )
    if not setting.is_text and not kinds.isdisjoint({str, Path}):
        raise PegasusError(f"{where}: write a text in quotes, not {', '.join(setting.values)}.")
    for index, value in enumerate(setting.values):
        argument.append(Token(keyword=setting.key, value=value, source=setting.place, index=index))
    try:
        argument.convert_and_validate()
    except CycloptsError as error:
        if bool in kinds:
            choices = ["true", "false", *sorted(each for each in kinds if isinstance(each, str))]
            listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise PegasusError(
                f"{where}: {setting.values[0]!r} is not {listed}. Write one of these."
            ) from error
        raise PegasusError(f"{setting.place}: {what_is_wrong(error)}") from error


def _kinds(hint: object) -> set[object]:
    """Give the types of which a value may be, and the texts that it may be."""
    inner = get_args(hint)
    return {kind for each in inner for kind in _kinds(each)} if inner else {hint}


def _refuse_wrong(settings: Iterable[_Setting]) -> None:
    """Refuse what any command would refuse as the value of one of its options.

    Raises:
        ExceptionGroup: the PegasusErrors of these.
    """
    faults = []
    for setting in settings:
        # An option takes the same values in each command that has it; a broadcast has most.
        for name in [setting.command] if setting.command else ["broadcast", *_commands()]:
            there = _by_option(_arguments_of(name).copy(reset_tokens=True))
            if setting.option in there:
                try:
                    _set(there[setting.option], setting)
                except PegasusError as error:
                    faults.append(error)
                break
    if faults:
        raise ExceptionGroup("wrong settings", faults)


# Where settings come from.


def _layers() -> Iterator[list[_Setting]]:
    """Yield the settings of each place, the strongest place first."""
    yield _once_each(
        _of_variable(name, value)
        for name, value in sorted(os.environ.items())
        if name.startswith(ENVIRONMENT_PREFIX)
    )
    yield from (_once_each(_of_file(path)) for path in settings_files(os.environ))


def _once_each(settings: Iterable[_Setting]) -> list[_Setting]:
    """Refuse two values of one option in one place, as under both names of a command.

    Raises:
        PegasusError: there are two.
    """
    found: dict[tuple[str, str], _Setting] = {}
    for each in settings:
        before = found.setdefault((each.command, each.option), each)
        if before is not each:
            raise PegasusError(
                f"{each.place}: {before.key} and {each.key} mean the same. Leave out one of them."
            )
    return [*found.values()]


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
    return _Setting(_full_name(command), option, (value,), _ENVIRONMENT, name)


def _of_file(path: Path) -> list[_Setting]:
    """Read a settings file, if there is one.

    Raises:
        PegasusError: it belongs to a stranger, cannot be read, or has an unknown key.
    """
    found = []
    for key, value in read_settings_file(path).items():
        if isinstance(value, dict) and key not in SETTABLE:
            if _settable_of(key) is None and not value:
                _refuse_unknown(key, "", str(path), key)
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
    typed = tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in values)
    is_text = all(isinstance(each, str) for each in values)
    return _Setting(_full_name(command), option, typed, str(path), key, is_text)


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
            f"{_instead_of(command, option, place)}"
        )
    if option not in known:
        is_word = place == _ENVIRONMENT and not option  # PEGASUS_OPTION_RETRY is none of `retry`
        whose = f" for `pegasus {command}`" if command and not is_word else ""
        step = _instead_of(command, option, place) if is_word else _hint(_near(option, known))
        raise PegasusError(f"{place}: {key}: no such option can be set{whose}.{step}")


def _instead_of(command: str, option: str, place: str) -> str:
    """Give the next step for what is neither a command nor an option."""
    words = f"{command}-{option}".strip("-")
    if place == _ENVIRONMENT:
        longer = {f"{name}-{each}" for name in _commands() for each in _settable_of(name) or ()}
        near = _near(words, SETTABLE | longer).upper().replace("-", "_")
        return _hint(near and f"{ENVIRONMENT_PREFIX}{near}")
    return _hint(_near(command, _commands()) or _near(words, SETTABLE))


def _near(word: str, known: Iterable[str]) -> str:
    """Give what other programs mean by a word, or what is most similar; empty where nothing is."""
    word = word.replace("_", "-")
    meant = OTHER_OPTIONS.get(f"--{word}", "").removeprefix("--")
    return meant if meant in known else nearest(word, known)


def _hint(near: str) -> str:
    return f' Is "{near}" meant?' if near else " Settings have the names of `pegasus q --help`."


def _commands() -> list[str]:
    """Give the names of the commands, without aliases."""
    return [name for name in app if _full_name(name) == name and not name.startswith("-")]


def _full_name(command: str) -> str:
    """Give the name of a command for its name or alias; anything else as it is."""
    return app[command].name[0] if command in app else command


def _settable_of(command: str) -> frozenset[str] | None:
    """Give the options of a command that can be set; None where there is no such command."""
    if command not in app or command.startswith("-"):
        return None
    name = _full_name(command)
    settable = SETTABLE & _by_option(_arguments_of(name)).keys()
    return settable - _OF_RUNS if name == "add" else settable


@cache
def _arguments_of(name: str) -> ArgumentCollection:
    """Give what a command takes, without values."""
    return app[name].assemble_argument_collection(default_parameter=app.default_parameter)
