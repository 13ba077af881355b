"""The expression inside a tag: ``replace model "/" (first_non_empty a "b")``.

Rule 1: an expression is parsed once, into frozen types, and evaluated for each rendering.
Rule 2: a name is looked up only in the values that the caller gives.
Rule 3: an unknown name is refused, except in a condition (``lenient``), where it is null.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pegasus.template.examples import example_words
from pegasus.template.helpers import HELPERS, call
from pegasus.template.limits import Spending
from pegasus.template.value import Refusal, TagValue

MAX_DEPTH = 50  # nested brackets: more than a person writes, less than the stack of Python allows

LITERAL_HINT = r"Write \{{ where {{ is plain text"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the template itself."""

    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A helper and its arguments; the helper exists and takes that number of arguments."""

    helper: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Literal | Name | Call


@dataclass(frozen=True, slots=True)
class Word:
    """A bare word, or with ``bracketed`` a name written ``[like this]``."""

    text: str
    bracketed: bool = False


@dataclass(frozen=True, slots=True)
class Quoted:
    """A text in quotes, without them."""

    text: str


@dataclass(frozen=True, slots=True)
class Bracket:
    """``(`` or ``)``."""

    text: str


Token: TypeAlias = Word | Quoted | Bracket

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<quoted>"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')
    | \[(?P<name>[^\]]*)\]
    | (?P<bracket>[()])
    | (?P<word>[^\s"'(){}\[\]=|~]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTED_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {
    "\\": "\\",
    '"': '"',
    "'": "'",
    "/": "/",
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
}
_NUMBER_LITERAL = re.compile(r"[-+]?\.?[0-9][0-9._]*(?:[eE][-+]?[0-9]+)?")
_PIPED = re.compile(r"\|\s*(\w+)")
_PLAIN_WORD = re.compile(r"\w[\w.-]*")
_HELPER_FIRST = "{{ to_upper_case model }}"
_WORD_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def read_tokens(
    text: str, start: int, closing: re.Pattern[str]
) -> tuple[list[Token], re.Match[str]]:
    """Read the tokens of a tag, up to its closing braces; braces inside quotes do not close it.

    Returns:
        The tokens, and the closing braces as ``closing`` matched them.

    Raises:
        Refusal: the tag is never closed, or holds what no tag can hold.
    """
    tokens: list[Token] = []
    while not (closed := closing.match(text, start)):
        match = _TOKEN.match(text, start)
        if match is None:
            raise _unreadable(text, start, closing)
        if match.lastgroup != "space":
            tokens.append(_token(match))
        start = match.end()
    return tokens, closed


def _token(match: re.Match[str]) -> Token:
    kind = match.lastgroup or ""
    text = match[kind]
    match kind:
        case "quoted":
            return Quoted(_QUOTED_ESCAPE.sub(_unescaped, text[1:-1]))
        case "bracket":
            return Bracket(text)
        case _:
            return Word(text, bracketed=kind == "name")


def _unescaped(match: re.Match[str]) -> str:
    try:
        return _ESCAPES[match[1]]
    except KeyError:
        raise Refusal(
            f"a text in quotes has no escape {match[0]}", r"A backslash is written \\"
        ) from None


def _unreadable(text: str, start: int, closing: re.Pattern[str]) -> Refusal:
    wrong = text[start : start + 1]
    match wrong:
        case "":
            return Refusal("this tag is never closed with }}", LITERAL_HINT)
        case '"' | "'":
            return Refusal(f"the quote {wrong} in this tag is never closed", LITERAL_HINT)
        case "=":
            return Refusal("named arguments (name=value) are not supported in a tag", LITERAL_HINT)
        case "}":
            step = f"Close it with {'}}' if closing.match('}}') else '}}}'}"
        case "|":
            named = _PIPED.match(text, start)
            meant = _like(named[1], HELPERS) if named else ""
            step = _hints(meant, f"A helper comes first: {_HELPER_FIRST}")
        case _:
            step = ""
    return Refusal(f'this tag has a "{wrong}" where none can stand', _hints(step, LITERAL_HINT))


def parse_value(tokens: list[Token]) -> Expression:
    """Parse a tag that renders a value: a name, a helper with arguments, or a literal.

    Raises:
        Refusal: it is none of these.
    """
    match tokens:
        case []:
            raise Refusal("this tag is empty", LITERAL_HINT)
        case [Word(text)]:  # alone, even "5" and "true" are names: a parameter may have that name
            return Name(text)
        case [Word(text), *_]:
            return _call(text, _arguments(tokens[1:]), _as_name(tokens))
        case _:
            return parse_condition(tokens, "this tag")


def parse_condition(tokens: list[Token], where: str) -> Expression:
    """Parse the one argument of a block.

    Args:
        tokens: what follows the word of the block.
        where: the name of the block in a message.

    Raises:
        Refusal: it is no argument, or more than one.
    """
    arguments = _arguments(tokens)
    if not arguments:
        raise Refusal(f"{where} has no condition", 'Name a parameter, or write (eq gpu "0")')
    if len(arguments) > 1:
        raise Refusal(
            f"{where} takes one value, and got {len(arguments)}",
            'A helper goes into brackets: (eq gpu "0")',
        )
    return arguments[0]


def _arguments(tokens: Iterable[Token]) -> tuple[Expression, ...]:
    """Parse arguments with a stack of open brackets instead of recursion."""
    stack: list[list[Expression]] = [[]]
    helpers: list[str | None] = []
    for token in tokens:
        match token:
            case Bracket("("):
                if len(helpers) == MAX_DEPTH:
                    raise Refusal(f"more than {MAX_DEPTH} brackets stand in one another here")
                stack.append([])
                helpers.append(None)
            case Bracket():
                if not helpers:
                    raise Refusal("a ) closes no (", LITERAL_HINT)
                arguments = tuple(stack.pop())
                stack[-1].append(_bracketed(helpers.pop(), arguments))
            case Word(text) if helpers and helpers[-1] is None:
                helpers[-1] = text
            case _ if helpers and helpers[-1] is None:
                raise Refusal('a helper must follow a "("', 'For example (eq gpu "0")')
            case _:
                stack[-1].append(_single(token))
    if helpers:
        raise Refusal("a ( is never closed with )", LITERAL_HINT)
    return tuple(stack[0])


def _bracketed(helper: str | None, arguments: tuple[Expression, ...]) -> Expression:
    if helper is None:
        raise Refusal("these brackets are empty", 'A helper goes into them: (eq gpu "0")')
    return _call(helper, arguments)


def _single(token: Token) -> Expression:
    match token:
        case Quoted(text):
            return Literal(text)
        case Word(text, bracketed=False) if text in _WORD_LITERALS:
            return Literal(_WORD_LITERALS[text])
        case Word(text, bracketed=False) if _NUMBER_LITERAL.fullmatch(text):
            return Literal(_number(text))
        case _:
            return Name(token.text)


def _number(text: str) -> float:
    """Read a number that renders as it was typed; 0.10 or 1e-4 would render as another text."""
    try:
        value: float = json.loads(text)
        if json.dumps(value) == text:
            return value
    except ValueError:
        pass
    raise Refusal(
        f"the number {text} would not be printed as it is typed",
        f'Write it as a text, "{text}", or if it is a name in square brackets, [{text}]',
    )


def _as_name(tokens: Sequence[Token]) -> str:
    """Give the hint how a name with blanks is written; empty if the tokens cannot be one."""
    words = [each.text for each in tokens if isinstance(each, Word) and not each.bracketed]
    if len(words) < len(tokens) or not all(map(_PLAIN_WORD.fullmatch, words)):
        return ""
    name = " ".join(words)
    return f"A name with a blank is written {{{{ [{name}] }}}}" if name == shown(name) else ""


def _call(helper: str, arguments: tuple[Expression, ...], as_name: str = "") -> Call:
    if helper not in HELPERS:
        hints = _hints(_like(helper, HELPERS), as_name, LITERAL_HINT)
        raise Refusal(f'there is no helper "{shown(helper)}"', hints)
    wants = HELPERS[helper]
    if not wants.counts(len(arguments)):
        what = f'"{helper}" takes {wants.wants}, and got {len(arguments)}'
        raise Refusal(what, example_words(helper))
    if helper in {"eq", "ne"}:
        _refuse_hopeless(helper, arguments)
    return Call(helper, arguments)


def _refuse_hopeless(helper: str, arguments: tuple[Expression, ...]) -> None:
    """Refuse ``eq gpu 0``: a parameter is a text, so the comparison would always be false."""
    match arguments:
        case (Name(name), Literal(float() | int() as value)) | (
            Literal(float() | int() as value),
            Name(name),
        ):
            text = json.dumps(value)
            raise Refusal(
                f'"{helper}" compares {name}, which is text, with {text}, which is not',
                f'Write "{text}" in quotes',
            )
        case _:
            return


def evaluate(
    expression: Expression, values: Mapping[str, str], spending: Spending, *, lenient: bool
) -> TagValue:
    """Evaluate an expression.

    Args:
        expression: the parsed expression.
        values: the text for each name.
        spending: what is left for helpers to spend.
        lenient: whether an unknown name is null, as in a condition.

    Raises:
        Refusal: a name is unknown, a helper cannot take what it is given, or nothing is left.
    """
    match expression:
        case Literal(value):
            return value
        case Name(name):
            if name in values:
                return values[name]
            if lenient:
                return None
            raise _unknown(name, values)
        case Call(helper, arguments):
            given = [evaluate(each, values, spending, lenient=lenient) for each in arguments]
            spending.go_on()
            return call(helper, given, lenient=lenient)


def _unknown(name: str, values: Mapping[str, str]) -> Refusal:
    if name in HELPERS:
        return Refusal(
            f'"{name}" is a helper that takes {HELPERS[name].wants}, and got none',
            _hints(example_words(name), LITERAL_HINT),
        )
    known = _listed(values)
    names = f"The names known here are {known}" if known else "No name is known here"
    hints = _hints(close(name, values), names, LITERAL_HINT)
    return Refusal(f'there is no parameter "{shown(name)}"', hints, unknown=name)


def close(name: str, known: Iterable[str]) -> str:
    """Suggest the most similar known name; empty if none is similar."""
    near = [each for each in itertools.islice(known, MAX_COMPARED) if len(each) <= 2 * MAX_SHOWN]
    likely = difflib.get_close_matches(name[:MAX_SHOWN], near, 1)
    return f'Did you mean "{likely[0]}"?' if likely else ""


def _like(name: str, known: Iterable[str]) -> str:
    """Suggest the most similar known name, or else one with this word in it."""
    word = f"_{name.lower()}_"
    part = next((each for each in known if word in f"_{each}_"), "")
    return close(name, known) or (f'Did you mean "{part}"?' if part else "")


def _listed(names: Iterable[str]) -> str:
    """List names for a message, at most MAX_LISTED."""
    known = sorted(names)
    some = ", ".join(map(shown, known[:MAX_LISTED]))
    return some if len(known) <= MAX_LISTED else f"{some}, and {len(known) - MAX_LISTED:,} more"


MAX_SHOWN = 60  # characters of the user's text in a message, which should fit on a line
MAX_LISTED = 30  # names in a message
MAX_COMPARED = 1_000  # names with which a wrong one is compared


def shown(text: str) -> str:
    """Cut a text for a message."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _hints(*sentences: str) -> str:
    """Join hints into one text without its last full stop."""
    return " ".join(
        sentence if sentence.endswith("?") else f"{sentence}." for sentence in sentences if sentence
    ).removesuffix(".")
