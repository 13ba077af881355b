"""Filling a command in costs little, whatever stands in it: what would cost much is an error."""

from __future__ import annotations

import pytest

from pegasus.errors import TemplateFault
from pegasus.template import Template, expression, limits

pytestmark = pytest.mark.timeout(60)


def fault(template: str, **values: str) -> TemplateFault:
    """Give the fault that filling a template in runs into."""
    with pytest.raises(TemplateFault) as caught:
        Template(template).fill(values)
    return caught.value


def nested(helper: str, inner: str, times: int) -> str:
    """Give a call of a helper that is given itself, so many times."""
    for _ in range(times):
        inner = helper.replace("_", inner)
    return inner


@pytest.mark.parametrize(
    ("expression", "helper"),
    [
        (nested('(replace _ "x" "xxxxxxxxxx")', "x", 40), "replace"),
        (nested('(replace _ "" "yy")', "x", 40), "replace"),
        (nested("(quote _)", "q", 40), "quote"),
    ],
)
def test_a_text_that_grows_is_not_made(expression: str, helper: str) -> None:
    """Helpers in helpers stop at the length of the longest command, before 17 GB are made."""
    found = fault(f"a\n  {{{{ trim {expression} }}}}", x="x" * 20_000, q="'" * 20_000)
    assert f'"{helper}" would make a text of' in found.what
    assert (found.line, found.column) == (2, 3)


def test_the_tags_of_a_command_together_have_a_limit() -> None:
    """The tag is named with which the command gets too long, and no more of it is made."""
    found = fault("{{x}}\n" * 20_000, x="x" * 100_000)
    assert found.what.startswith("with this tag the command, filled in, is longer than")
    assert (found.line, found.column) == (2, 1)


def test_a_long_value_may_be_read() -> None:
    """A value may be longer than a command, where what is made of it is not."""
    document = '{"a": "short", "b": "' + "x" * 1_000_000 + '"}'
    template = Template('{{ json_str_query "a" (replace d "x" "y") }} {{ len d }}')
    assert template.fill({"d": document}) == f"short {len(document)}"


@pytest.mark.parametrize("helper", ["to_snake_case", "to_title_case", "to_plural", "to_singular"])
def test_words_are_looked_at_only_in_short_texts(helper: str) -> None:
    """What takes a time that grows with the square of a text refuses a long one."""
    found = fault(f"{{{{ {helper} x }}}}", x="a" * 1_000_000)
    assert found.what == f'"{helper}" takes at most 10,000 characters, and got 1,000,000'


@pytest.mark.parametrize(
    "query",
    [
        "@" + "|[@,@]" * 60,
        "@" + "|[@,@][]" * 60,
        "@" + "|{a: @, b: @}" * 60,
        "@" + "|[to_string(@),to_string(@)]" * 60,
        "@" + "|[@,@]" * 60 + "|to_string(@)",
        "@" + "|[@,@]" * 60 + "|@ == @",
    ],
)
def test_a_query_that_makes_much_of_little(query: str) -> None:
    """A query that doubles its data sixty times stops."""
    found = fault("x {{ json_str_query q d }}", q=query, d='["a", 1]')
    assert found.what == "this JMESPath expression makes too much of its data"
    assert found.column == 3


def test_joined_texts_have_a_limit() -> None:
    """JMESPath's ``join`` puts no long text between many."""
    query = "join([0], [1])"
    data = f'["{"x" * 100_000}", [{", ".join(["1"] * 100_000)}]]'
    found = fault("{{ json_str_query q d }}", q=query, d=data.replace("1", '"1"'))
    assert found.what.startswith('"join" would make a text of')


def test_a_query_of_a_large_document() -> None:
    """A large document may be searched: the limit is one of growth."""
    items = ", ".join(f'{{"name": "n{n}", "tags": ["a", "b"]}}' for n in range(20_000))
    query = "items[?name == 'n19999'].tags[] | join('+', @)"
    filled = Template("{{ json_str_query q d }}").fill({"q": query, "d": f'{{"items": [{items}]}}'})
    assert filled == "a+b"


def test_a_command_has_only_so_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many helpers that each take long are stopped at the tag at which the time is over."""
    monkeypatch.setattr(limits, "MOST_SECONDS", 0.0)
    found = fault("a {{ trim (trim x) }}", x="y")
    assert found.what == "filling this command in takes more than 0 seconds"
    assert found.column == 3


def test_many_names_are_not_all_listed() -> None:
    """The message for an unknown name stays one that can be read."""
    names = {f"name{n}" + "x" * 200: "" for n in range(5_000)}
    found = fault("{{ nope }}", **names)
    assert "and 4,970 more" in found.instead
    assert len(found.instead) < 40 * expression.MAX_SHOWN * 2
