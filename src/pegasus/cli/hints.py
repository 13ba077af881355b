"""What somebody probably meant who typed a command, an option or an argument that there is not.

Rule 1: an option of another command is named with that command, before a similar one.
Rule 2: a hint is one sentence with what to type; where nothing is likely it is empty.
Rule 3: it is imported with the settings, so it imports what it needs when there is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cyclopts import ArgumentCollection, CycloptsError
from cyclopts.exceptions import UnknownOptionError

from pegasus.cli.app import app

_END_A_JOB = "`pegasus stop JOB` ends a running job; `pegasus lock` edits the jobs that wait."
_RUN_JOBS = "`pegasus q` runs each job once, `pegasus b` runs each job on every sub-node."
_SHOW = "`pegasus status` shows what runs, `pegasus check` lists the jobs that wait."
_HELP = "`pegasus --help` lists the commands, `pegasus COMMAND --help` the options of one."
_SHOW_VERSION = "`pegasus --version` shows the version."
_ADD = "`pegasus add COMMAND` adds a job to the queue."
_CHECK = "`pegasus check` lists what would run, and runs nothing."
_AGAIN = "`pegasus retry` puts jobs that did not succeed back into the queue."
_OUTPUT = "`pegasus logs JOB` shows what a job printed."

OTHER_COMMANDS = {
    **dict.fromkeys(("kill", "cancel", "abort", "end", "rm", "remove", "delete"), _END_A_JOB),
    **dict.fromkeys(("run", "start", "exec", "execute", "go"), _RUN_JOBS),
    **dict.fromkeys(("ls", "list", "ps", "top", "show", "jobs", "info", "watch"), _SHOW),
    **dict.fromkeys(("submit", "enqueue", "push", "append"), _ADD),
    **dict.fromkeys(("validate", "lint", "test", "plan", "dry-run", "hosts", "nodes"), _CHECK),
    **dict.fromkeys(("rerun", "redo", "restart"), _AGAIN),
    **dict.fromkeys(("log", "output", "tail", "cat"), _OUTPUT),
    "help": _HELP,
    "version": _SHOW_VERSION,
    "-v": _SHOW_VERSION,
    "edit": "`pegasus lock` edits the queue file while nothing is taken from it.",
    "drain": "`pegasus stop` lets running jobs end and takes nothing more.",
    "continue": "`pegasus resume` lets a paused run take jobs again.",
}
"""Words of other programs, each with the command that does this here."""

OTHER_OPTIONS = {
    **dict.fromkeys(("--dry-run", "--dryrun", "--noop", "--plan", "--check"), _CHECK),
    **dict.fromkeys(("--retry", "--tries", "--max-retries"), "--retries"),
    **dict.fromkeys(("--host", "--node", "--nodes"), "--limit"),
    **dict.fromkeys(("--hosts", "--inventory", "--hostfile"), "--hosts-file"),
    **dict.fromkeys(("--queue", "--file", "--jobfile"), "--queue-file"),
    **dict.fromkeys(("--cwd", "--workdir"), "--chdir"),
    "--time-limit": "--timeout",
}
"""Options of other programs, each with the option here or with a sentence."""

_OF_ITS_OWN = 0.6
"""How similar an option of the command must be, from 0 to 1: as ``difflib`` finds good."""

_OF_ANOTHER = 0.85
"""How similar an option of another command must be: its own are more likely."""

_MOST_OWNERS = 3
"""Commands that a message names."""

MEANING_ALL = {
    "retry": "Without numbers, `pegasus retry` takes all jobs that did not succeed.",
    "stop": "Without a number, `pegasus stop` drains the run, and --now also ends all its jobs.",
    "logs": "Without a number, `pegasus logs` lists all jobs.",
    "wait": "Without a number, `pegasus wait` waits for the run; --all is for all runs.",
    "attach": "Without numbers, all jobs are meant.",
}
"""What to type for all jobs, for each command that takes numbers of jobs."""


_TAKE_A_RUN = frozenset({"results", "report"})
"""Commands with a run as their argument."""


def hint_for_command(typed: str) -> str:
    """Give what to type instead of a command that there is not."""
    return OTHER_COMMANDS.get(typed.lower(), "")


def hint_for_option(error: UnknownOptionError) -> str:
    """Give what to type instead of an option that a command does not have."""
    typed = (error.token.keyword or error.token.value).partition("=")[0]
    own = set(_names(error.argument_collection))
    if owners := [name for name in _commands() if typed in _names_of(name)]:
        *others, last = [f"`pegasus {name}`" for name in owners[:_MOST_OWNERS]]
        return f"It is an option of {', '.join(others)}{' and ' if others else ''}{last}."
    other = OTHER_OPTIONS.get(typed.lower(), "")
    if other in own:
        return f"Did you mean {other}?"
    if other.endswith("."):
        return other
    near = nearest(typed, own)
    likely = {option: name for name in _commands() for option in _names_of(name)}
    far = nearest(typed, set(likely) - own, _OF_ANOTHER)
    if far and _similarity(typed, far) > _similarity(typed, near):
        return f"Did you mean {far} of `pegasus {likely[far]}`?"
    return f"Did you mean {near}?" if near else ""


def hint_for_argument(error: CycloptsError, typed: str) -> str:
    """Give what to type instead of an argument that is one too many."""
    command, own = _command_of(error), _options_of(error)
    if "/" in typed or typed.endswith((".yaml", ".yml")):
        is_hosts = "host" in typed.rpartition("/")[2].lower()
        option = "--hosts-file" if is_hosts else "--queue-file"
        return f"Write `{option} {typed}` for this file." if option in own else ""
    if typed.isdecimal() and "--run" in own and command not in {*MEANING_ALL, *_TAKE_A_RUN}:
        return f"Write `--run {typed}` for this run."
    return ""


def is_run_twice(error: CycloptsError) -> bool:
    """Tell whether a run is named by an argument and by ``--run``."""
    given = any(each.partition("=")[0] == "--run" for each in error.root_input_tokens or ())
    return given and _command_of(error) in _TAKE_A_RUN


def hint_for_number(error: CycloptsError, typed: str) -> str:
    """Give what to type instead of a word where the number of a job belongs."""
    if typed.lower() in {"all", "*"}:
        return MEANING_ALL.get(_command_of(error), "")
    return hint_for_argument(error, typed)


def _command_of(error: CycloptsError) -> str:
    """Give the full name of the command; empty where there is none."""
    first = next(iter(error.command_chain or ()), "")
    return app[first].name[0] if first in app else ""


def _options_of(error: CycloptsError) -> set[str]:
    command = _command_of(error)
    return _names_of(command) if command else set()


def _commands() -> Iterator[str]:
    """Give the names of the commands that a user may type, without aliases."""
    for name in app:
        if not name.startswith("-") and app[name].name[0] == name and app[name].show:
            yield name


def _names_of(command: str) -> set[str]:
    arguments = app[command].assemble_argument_collection(default_parameter=app.default_parameter)
    return set(_names(arguments))


def _names(arguments: ArgumentCollection) -> Iterator[str]:
    return (name for each in arguments if each.parse for name in each.names if name[:1] == "-")


def nearest(typed: str, known: Iterable[str], least: float = _OF_ITS_OWN) -> str:
    """Give what is most similar to a word; empty where nothing is."""
    import difflib

    return "".join(difflib.get_close_matches(typed, sorted(known), 1, least))


def _similarity(typed: str, name: str) -> float:
    import difflib

    return difflib.SequenceMatcher(None, typed, name).ratio()
