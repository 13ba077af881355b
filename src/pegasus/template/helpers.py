"""The helpers of a template: ``{{ replace model "/" "--" }}``.

Rule 1: a helper takes values and gives one; it knows no tag, no name and no position.
Rule 2: what a helper cannot take is a Refusal, never a guess.
Rule 3: nothing here touches a file; of the outside world only ``env_var`` sees anything.
Rule 4: a library is imported by the first call that needs it, so that most runs pay for none.
Rule 5: what a helper makes has a limit (``limits``), and so has what it reads word by word.
"""

from __future__ import annotations

import enum
import functools
import json
import os
import pathlib
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pegasus.template.examples import example_words
from pegasus.template.limits import refuse_growth, refuse_long
from pegasus.template.value import Refusal, TagValue, as_text, named, sound, truthy

if TYPE_CHECKING:
    from pluralizer import Pluralizer
    from textcase import Case


class Kind(enum.Enum):
    """The type of an argument of a helper."""

    TEXT = "text"
    SOMETHING = "anything but null"
    ANYTHING = "anything"


@dataclass(frozen=True, slots=True)
class Helper:
    """One helper.

    Attributes:
        run: the function.
        takes: the type of each argument.
        repeats: whether the last place may be filled any number of times more.
    """

    run: Callable[..., TagValue]
    takes: tuple[Kind, ...]
    repeats: bool = False

    def counts(self, given: int) -> bool:
        """Tell whether it takes that number of arguments."""
        return given >= len(self.takes) if self.repeats else given == len(self.takes)

    @property
    def wants(self) -> str:
        """The number of its arguments, for a message."""
        least = len(self.takes)
        plural = "" if least == 1 else "s"
        return f"{'at least ' if self.repeats else ''}{least} argument{plural}"


def call(name: str, arguments: Sequence[TagValue], *, lenient: bool) -> TagValue:
    """Call the helper of that name.

    Args:
        name: one of HELPERS.
        arguments: as many as it takes.
        lenient: whether null, where the helper cannot take it, gives null and no Refusal.

    Raises:
        Refusal: it cannot take these arguments, or would make too much of them.
    """
    helper = HELPERS[name]
    for place, argument in enumerate(arguments):
        kind = helper.takes[min(place, len(helper.takes) - 1)]
        if lenient and argument is None and kind is not Kind.ANYTHING:
            return None
        if not _fits(argument, kind):
            _refuse_kind(name, place, argument, kind)
    try:
        made = sound(helper.run(*arguments))
    except RecursionError:
        raise Refusal(f'"{name}" cannot follow JSON nested as deep as this') from None
    if isinstance(made, str):
        given = (len(argument) for argument in arguments if isinstance(argument, str))
        refuse_growth(name, len(made), max(given, default=0))
    return made


def _fits(value: TagValue, kind: Kind) -> bool:
    match kind:
        case Kind.TEXT:
            return isinstance(value, str)
        case Kind.SOMETHING:
            return value is not None
        case Kind.ANYTHING:
            return True


def _refuse_kind(name: str, place: int, value: TagValue, kind: Kind) -> NoReturn:
    instead = example_words(name)
    if isinstance(value, bool | int | float):
        instead = "A number, true or false is a text only in quotes"
    raise Refusal(
        f'"{name}" takes {kind.value} as argument {place + 1}, and got {named(value)}', instead
    )


# Text.


def _replace(text: str, old: str, new: str) -> str:
    length = len(text) + text.count(old) * (len(new) - len(old))
    refuse_growth("replace", length, max(len(text), len(old), len(new)))
    return text.replace(old, new)


def _unquote(text: str) -> str:
    r"""Remove one pair of quotes; what is inside, ``\n`` too, stays as it is."""
    paired = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`"
    return text[1:-1] if paired else text


def _quote(value: TagValue) -> str:
    return shlex.quote(as_text(value))


def _first_non_empty(*values: TagValue) -> TagValue:
    """Give the first value that is not null, ``""``, ``[]`` or ``{}``; a number or false counts."""
    return next((value for value in values if value not in (None, "", [], {})), "")


def _length(value: TagValue) -> int:
    if value is None:
        return 0
    if isinstance(value, str | list | dict):
        return len(value)
    raise Refusal(f'"len" takes a text, a list or an object, and got {named(value)}')


# Case and number of words.


@functools.cache
def _cases() -> dict[str, Case]:
    # Imported late: see rule 4.
    import textcase  # noqa: PLC0415

    return {
        "camel": textcase.camel,
        "pascal": textcase.pascal,
        "snake": textcase.snake,
        "screaming_snake": textcase.constant,
        "kebab": textcase.kebab,
        "train": textcase.Case("-", lambda words: map(str.capitalize, words)),
        "sentence": textcase.sentence,
        "title": textcase.title,
    }


def _in_case(name: str, text: str) -> str:
    """Write the words of a text in a case.

    The boundaries of textcase drop punctuation, which joins ``meta/llama``, and separate digits
    from letters on both sides (``8b`` would be ``8_b``). In Pegasus a word ends before anything
    but a letter or digit, and digits begin a word.
    """
    refuse_long(f"to_{name}_case", text)
    import textcase  # noqa: PLC0415

    between = textcase.Boundary(match=lambda rest: not rest[:1].isalnum(), length=1)
    boundaries = (
        between,
        textcase.LOWER_UPPER,
        textcase.LOWER_DIGIT,
        textcase.DIGIT_UPPER,
        textcase.ACRONYM,
    )
    return _cases()[name](text, boundaries=boundaries, strip_punctuation=False)


def _case(name: str) -> Helper:
    return Helper(functools.partial(_in_case, name), (Kind.TEXT,))


_REGULAR = r"(epoch|cache|schema|[cgnt]pu)"
_SIBILANT = r"(bias|lens)"
"""Words that pluralizer would turn into ``epoches``, ``gpuses`` and ``bia``."""


@functools.cache
def _pluralizer() -> Pluralizer:
    import pluralizer  # noqa: PLC0415

    # Its constructor has no types.
    words = pluralizer.Pluralizer()  # type: ignore[no-untyped-call]
    words.add_plural_rule(re.compile(_REGULAR + "s?$", re.IGNORECASE), "$1s")
    words.add_singular_rule(re.compile(_REGULAR + "s$", re.IGNORECASE), "$1")
    words.add_plural_rule(re.compile(_SIBILANT + "(?:es)?$", re.IGNORECASE), "$1es")
    words.add_singular_rule(re.compile(_SIBILANT + "(?:es)?$", re.IGNORECASE), "$1")
    words.add_irregular_rule("axis", "axes")
    words.add_irregular_rule("basis", "bases")
    return words


def _plural(text: str) -> str:
    refuse_long("to_plural", text)
    return _pluralizer().plural(text)


def _singular(text: str) -> str:
    refuse_long("to_singular", text)
    return _pluralizer().singular(text)


# Paths: only their text is used; the file, if there is one, is on the node.


def _file_name(path: str) -> str:
    return pathlib.PurePosixPath(path).name


def _parent(path: str) -> str:
    return str(pathlib.PurePosixPath(path).parent)


def _extension(path: str) -> str:
    return pathlib.PurePosixPath(path).suffix[1:]


# Conditions.


def _equal(left: TagValue, right: TagValue) -> bool:
    """Compare as JSON: 1, 1.0, true and "1" are four different values; Python equates three."""
    return _sorted(left) == _sorted(right)


def _sorted(value: TagValue) -> str:
    return json.dumps(value, sort_keys=True)


def _unequal(left: TagValue, right: TagValue) -> bool:
    return not _equal(left, right)


def _and(*values: TagValue) -> bool:
    return all(truthy(value) for value in values)


def _or(*values: TagValue) -> bool:
    return any(truthy(value) for value in values)


def _not(value: TagValue) -> bool:
    return not truthy(value)


# Environment and JSON.


def _env_var(name: str) -> str | None:
    """Read an environment variable of Pegasus; null if it is not set."""
    try:
        return os.environ.get(name)
    except ValueError:  # a name that the encoding of the system cannot represent is not set either
        return None


def _str_to_json(text: str) -> TagValue:
    """Parse JSON; an empty text stays an empty text."""
    if not text:
        return ""
    try:
        value: TagValue = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise Refusal(f"this text is no JSON: {error}") from None
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"it has no word {word}")


def _json_query(expression: str, data: TagValue) -> TagValue:
    if isinstance(data, str) and data:
        raise Refusal(
            '"json_query" takes JSON as argument 2, and got text',
            "Write json_str_query, which reads the text as JSON first",
        )
    return _search(expression, data)


def _json_str_query(expression: str, text: str) -> TagValue:
    return _search(expression, _str_to_json(text))


def _search(expression: str, data: TagValue) -> TagValue:
    from pegasus.template import query  # noqa: PLC0415

    return query.search(expression, data)


_ONE_TEXT = (Kind.TEXT,)
_TWO = (Kind.ANYTHING, Kind.ANYTHING)

HELPERS: dict[str, Helper] = {
    "replace": Helper(_replace, (Kind.TEXT, Kind.TEXT, Kind.TEXT)),
    "trim": Helper(str.strip, _ONE_TEXT),
    "trim_start": Helper(str.lstrip, _ONE_TEXT),
    "trim_end": Helper(str.rstrip, _ONE_TEXT),
    "to_lower_case": Helper(str.lower, _ONE_TEXT),
    "to_upper_case": Helper(str.upper, _ONE_TEXT),
    "to_snake_case": _case("snake"),
    "to_screaming_snake_case": _case("screaming_snake"),
    "to_kebab_case": _case("kebab"),
    "to_camel_case": _case("camel"),
    "to_pascal_case": _case("pascal"),
    "to_train_case": _case("train"),
    "to_sentence_case": _case("sentence"),
    "to_title_case": _case("title"),
    "to_singular": Helper(_singular, _ONE_TEXT),
    "to_plural": Helper(_plural, _ONE_TEXT),
    "first_non_empty": Helper(_first_non_empty, (Kind.ANYTHING,), repeats=True),
    "quote": Helper(_quote, (Kind.SOMETHING,)),
    "unquote": Helper(_unquote, _ONE_TEXT),
    "file_name": Helper(_file_name, _ONE_TEXT),
    "parent": Helper(_parent, _ONE_TEXT),
    "extension": Helper(_extension, _ONE_TEXT),
    "eq": Helper(_equal, _TWO),
    "ne": Helper(_unequal, _TWO),
    "and": Helper(_and, _TWO, repeats=True),
    "or": Helper(_or, _TWO, repeats=True),
    "not": Helper(_not, (Kind.ANYTHING,)),
    "len": Helper(_length, (Kind.ANYTHING,)),
    "env_var": Helper(_env_var, _ONE_TEXT),
    "str_to_json": Helper(_str_to_json, _ONE_TEXT),
    "json_query": Helper(_json_query, (Kind.TEXT, Kind.ANYTHING)),
    "json_str_query": Helper(_json_str_query, (Kind.TEXT, Kind.TEXT)),
}
"""All helpers by their names in templates."""
