"""``--retry-on``: after which outcomes, and after which output, a job is tried again.

Rule 1: an expression is matched against single lines, however the output was divided into reads.
Rule 2: the time of a search is linear in the output. So no expression can stop Pegasus; RE2 is the
library that guarantees this, Python's ``re`` does not.
Rule 3: RE2 is loaded only where an expression is given.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from pegasus.errors import PegasusError
from pegasus.events import Ended, Event, Printed, Returned, Started
from pegasus.lines import Block, LineSplitter
from pegasus.model import Assignment, Exited, Killed, Lost, Outcome, Stream, TimedOut

LONGEST_SEARCHED = 16 * 1024
"""Bytes of a line that are searched as one, and of output that are searched at a time."""

LARGEST_PROGRAM = 1_000
"""The size of a compiled expression, in RE2's instructions. In the worst case each byte
takes up to 4 us with so many, and one piece of output less than a tenth of a second."""

SEARCH_TURN = 0.005
"""Seconds of search after which other tasks have a turn."""

_HIGHEST_STATUS = 255

_BY_LINE = re.compile(r"\\[Az]|\(\?[a-zA-Z]*s")
"""Finds, in an expression, what refers to more than one line of a text: RE2 must then see each line
alone. It may find too much, which costs only time."""

_LINES = "(?m)"
"""Lets ``^`` and ``$`` match at the ends of each line."""

_SYNTAX = "https://github.com/google/re2/wiki/Syntax"


class _Compiled(Protocol):
    def search(self, text: bytes, pos: int = 0, endpos: int | None = None) -> object: ...


@dataclass(frozen=True, slots=True)
class RetryExpression:
    """A regular expression, compiled.

    Attributes:
        text: as the user wrote it.
        by_line: whether lines must be searched one by one.
    """

    text: str
    by_line: bool
    _compiled: _Compiled

    def is_in(self, data: bytes, start: int, end: int) -> bool:
        r"""Tell whether a line matches among whole lines, ``data[start:end]``, all with ``\n``."""
        if not self.by_line:
            return self._compiled.search(data, start, end - 1) is not None
        lines = data[start : end - 1].split(b"\n")
        return any(self._compiled.search(line) is not None for line in lines)


@dataclass(frozen=True, slots=True)
class RetryCauses:
    """The causes after which a job is tried again.

    Attributes:
        statuses: exit statuses.
        signals: numbers of signals that ended the command.
        lost: whether a lost job is tried again.
        timed_out: whether a job that reached its time limit is tried again.
        expressions: a job that printed a line that matches is tried again.
    """

    statuses: frozenset[int] = frozenset()
    signals: frozenset[int] = frozenset()
    lost: bool = False
    timed_out: bool = False
    expressions: tuple[RetryExpression, ...] = ()

    def include(self, outcome: Outcome) -> bool:
        """Tell whether an outcome is one of the causes."""
        match outcome:
            case Exited(status):
                return status in self.statuses
            case Killed(number):
                return number in self.signals
            case Lost():
                return self.lost
            case TimedOut():
                return self.timed_out
            case _:
                return False


def read_causes(texts: Iterable[str]) -> RetryCauses:
    """Read the values of ``--retry-on``.

    Raises:
        PegasusError: one of them is not valid.
    """
    statuses: set[int] = set()
    signals: set[int] = set()
    expressions: list[RetryExpression] = []
    texts = tuple(texts)
    for text in texts:
        kind, colon, rest = text.partition(":")
        if kind == "exit" and colon:
            statuses.update(_statuses_of(text, rest))
        elif kind == "signal" and colon:
            signals.add(_signal_of(text, rest))
        elif text not in {"lost", "timeout"}:
            expressions.append(_compile(rest if kind == "re" and colon else text))
    return RetryCauses(
        frozenset(statuses),
        frozenset(signals),
        "lost" in texts,
        "timeout" in texts,
        tuple(expressions),
    )


def _statuses_of(text: str, rest: str) -> list[int]:
    numbers = [_number(each, _HIGHEST_STATUS) for each in rest.split(",")]
    if 0 in numbers:
        raise PegasusError(
            f"--retry-on {text}: an exit status of a failure is a number from 1 to 255. Write "
            f"exit:137, or exit:1,2 for several. `re:{text}` searches for this text."
        )
    return numbers


def _number(text: str, highest: int) -> int:
    """Read a number from 1 to the highest; give 0 for anything else, of any length."""
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdecimal() and digits) or len(digits) > len(str(highest)):
        return 0
    return int(digits) if int(digits) <= highest else 0


def _signal_of(text: str, rest: str) -> int:
    name = rest.upper().removeprefix("SIG")
    if number := _number(rest, signal.NSIG - 1):
        return number
    if f"SIG{name}" in signal.Signals.__members__:
        return signal.Signals[f"SIG{name}"].value
    raise PegasusError(
        f"--retry-on {text}: there is no such signal. Write signal:9 or signal:KILL; `kill -l` "
        f"lists all. `re:{text}` searches for this text."
    )


def _compile(text: str) -> RetryExpression:
    where = f"--retry-on {text}"
    if not text:
        raise PegasusError(
            "--retry-on: the expression is empty and would match each line. Leave out --retry-on "
            "to try again after each failure."
        )
    try:
        import re2  # noqa: PLC0415 -- see rule 3
    except ImportError as error:
        raise PegasusError(
            f"{where}: the package google-re2 is missing, which searches for expressions. Install "
            "it with `pip install google-re2`. exit:N, signal:N, lost and timeout work without."
        ) from error
    options = re2.Options()
    options.never_nl, options.never_capture, options.log_errors = True, True, False
    try:
        compiled = re2.compile(f"{_LINES}{text}", options)
    except (re2.error, UnicodeEncodeError) as error:
        raise PegasusError(
            f"{where}: this is no valid regular expression: {_words_of(error)}. Correct it; the "
            f"syntax is RE2's, {_SYNTAX}. `\\Q…\\E` takes the text between as it is."
        ) from error
    if compiled.programsize > LARGEST_PROGRAM:
        raise PegasusError(
            f"{where}: this expression is too large: its repetitions are expanded, and it would be "
            "slow. Use smaller numbers in braces, or `*` and `+`."
        )
    return RetryExpression(text, _BY_LINE.search(text) is not None, compiled)


def _words_of(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    if isinstance(first, bytes):  # RE2 names the part that is wrong, and no position
        return first.decode("utf-8", "backslashreplace").replace(_LINES, "")
    return str(error)


@dataclass(slots=True)
class _SearchedOutput:
    """The output of a running command that is not searched yet, and whether a line matched."""

    lines: dict[Stream, LineSplitter] = field(
        default_factory=lambda: {each: LineSplitter(LONGEST_SEARCHED) for each in Stream}
    )
    matches: bool = False


class CauseSearch:
    """A listener that searches the output of commands, and decides whether jobs are tried again.

    It comes after the record in the list of listeners, since it may wait.

    Args:
        causes: the causes; None where each failure is one.
        note: gets a message for each job that is not tried again though it could be.
    """

    def __init__(self, causes: RetryCauses | None, note: Callable[[str], None]) -> None:
        self._causes = causes
        self._expressions = causes.expressions if causes else ()
        self._note = note
        self._running: dict[tuple[int, int], _SearchedOutput] = {}

    def retries_after(self, assignment: Assignment, outcome: Outcome) -> bool:
        """Decide whether a job is tried again; call it once, at the end of a try."""
        if self._causes is None or self._causes.include(outcome) or self._has_printed(assignment):
            return True
        self._note(
            f"Job {assignment.number} on {assignment.sub_node} is not tried again: no --retry-on "
            "applies to "
            f'"{_first_line(str(outcome))}", or to what it printed.'
        )
        return False

    def _has_printed(self, assignment: Assignment) -> bool:
        output = self._running.get(_command_of(assignment))
        if output is None:
            return False
        rests = [bytes(each.finish()) for each in output.lines.values()]
        return output.matches or any(self._is_in(rest, 0, len(rest)) for rest in rests if rest)

    def tell(self, event: Event) -> None:
        """Begin or end the search in a command's output."""
        if not self._expressions:
            return
        if isinstance(event, Started):
            self._running[_command_of(event.assignment)] = _SearchedOutput()
        elif isinstance(event, Ended | Returned):
            self._running.pop(_command_of(event.assignment), None)

    async def show(self, printed: Printed) -> None:
        """Search output; nothing more once a line has matched."""
        output = self._running.get(_command_of(printed.assignment))
        if output is None or output.matches:
            return
        block = output.lines[printed.stream].feed(printed.data)
        if not block:
            return
        turn_ends = time.perf_counter() + SEARCH_TURN
        for data, start, end in _pieces(block):
            if self._is_in(data, start, end):
                output.matches = True
                return
            if time.perf_counter() > turn_ends:
                await trio.lowlevel.checkpoint()
                turn_ends = time.perf_counter() + SEARCH_TURN

    def _is_in(self, data: bytes, start: int, end: int) -> bool:
        return any(each.is_in(data, start, end) for each in self._expressions)


def _pieces(block: Block) -> Sequence[tuple[bytes, int, int]]:
    """Divide a block into pieces of whole lines, none of them longer than LONGEST_SEARCHED + 1.

    Only the first line is copied, where its beginning was read earlier.
    """
    pieces = []
    data, start = block.data, 0
    if block.head:
        start = data.index(b"\n") + 1
        first = block.head + data[:start]
        pieces.append((first, 0, len(first)))
    while start < block.end:
        end = block.end
        if end - start > LONGEST_SEARCHED:
            end = data.rfind(b"\n", start, start + LONGEST_SEARCHED + 1) + 1
        pieces.append((data, start, end))
        start = end
    return pieces


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _command_of(assignment: Assignment) -> tuple[int, int]:
    return assignment.number, assignment.sub_node.number
