"""What users may rely on when they call a helper."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegasus.errors import TemplateFault
from pegasus.template import Template

SPELLINGS = ["fooBar", "FooBar", "foo_bar", "FOO_BAR", "foo-bar", "Foo-Bar", "Foo bar", "Foo Bar"]


def fill(template: str, **values: str) -> str:
    """Fill a template in."""
    return Template(template).fill(values)


def fault(template: str, **values: str) -> str:
    """Give what the fault says that filling it in runs into."""
    with pytest.raises(TemplateFault) as caught:
        fill(template, **values)
    return caught.value.what


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    ("helper", "expected"),
    [
        ("to_camel_case", "fooBar"),
        ("to_pascal_case", "FooBar"),
        ("to_snake_case", "foo_bar"),
        ("to_screaming_snake_case", "FOO_BAR"),
        ("to_kebab_case", "foo-bar"),
        ("to_train_case", "Foo-Bar"),
        ("to_sentence_case", "Foo bar"),
        ("to_title_case", "Foo Bar"),
    ],
)
def test_every_case_is_made_of_every_other(helper: str, expected: str, spelling: str) -> None:
    """However a name was spelled, a case helper gives the one spelling it stands for."""
    assert fill(f"{{{{ {helper} x }}}}", x=spelling) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("meta/llama.v2", "meta_llama_v_2"),
        ("llama-3-8b", "llama_3_8b"),
        ("HTTPServer", "http_server"),
        ("GPU0", "gpu0"),
        ("  padded -- text! ", "padded_text"),
        ("résuméName", "résumé_name"),
        ("日本", "日本"),
        ("", ""),
        ("--", ""),
    ],
)
def test_words_end_where_people_see_them_end(text: str, expected: str) -> None:
    """Punctuation parts words and is dropped; letters of any script are kept."""
    assert fill("{{ to_snake_case x }}", x=text) == expected


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("node", "nodes"),
        ("query", "queries"),
        ("batch", "batches"),
        ("child", "children"),
        ("mouse", "mice"),
        ("leaf", "leaves"),
        ("status", "statuses"),
        ("analysis", "analyses"),
        ("matrix", "matrices"),
        ("sheep", "sheep"),
        ("gpu", "gpus"),
        ("train_epoch", "train_epochs"),
        ("bias", "biases"),
        ("axis", "axes"),
        ("GPU", "GPUS"),
        ("foo_bar", "foo_bars"),
        ("big model", "big models"),
        ("", ""),
    ],
)
def test_words_are_inflected(one: str, many: str) -> None:
    """Plural and singular turn into each other, and what is one already stays as it is."""
    assert fill("{{to_plural a}} {{to_plural b}}", a=one, b=many) == f"{many} {many}"
    assert fill("{{to_singular a}} {{to_singular b}}", a=one, b=many) == f"{one} {one}"


@pytest.mark.parametrize(
    ("path", "name", "parent", "extension"),
    [
        ("/data/a.tar.gz", "a.tar.gz", "/data", "gz"),
        ("runs/x", "x", "runs", ""),
        ("x.py", "x.py", ".", "py"),
        ("/data/dir/", "dir", "/data", ""),
        (".bashrc", ".bashrc", ".", ""),
        ("/", "", "/", ""),
        ("s3://bucket/a b.pt", "a b.pt", "s3:/bucket", "pt"),
    ],
)
def test_paths_are_only_text(path: str, name: str, parent: str, extension: str) -> None:
    """A path is taken apart by its text, as ``basename`` and ``dirname`` do it."""
    template = "{{file_name p}}|{{parent p}}|{{extension p}}"
    assert fill(template, p=path) == f"{name}|{parent}|{extension}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a b'", "a b"),
        ('"a b"', "a b"),
        ("`a`", "a"),
        ("''", ""),
        ("'", "'"),
        ("'a\"", "'a\""),
        ("a", "a"),
        ("", ""),
        (r'"a\n"', r"a\n"),
        ("''a''", "'a'"),
    ],
)
def test_unquote_takes_off_one_pair(text: str, expected: str) -> None:
    """One pair of quotes goes, what is inside and what is no pair stays."""
    assert fill("{{ unquote x }}", x=text) == expected


def test_first_non_empty_gives_what_says_something() -> None:
    """Null and empty things are passed over; zero and false say something."""
    data = '{"zero": 0, "no": false, "null": null, "list": [], "text": "t"}'
    query = "{{ first_non_empty e (json_str_query '%s' d) 'last' }}"
    assert fill(query % "zero", e="", d=data) == "0"
    assert fill(query % "no", e="", d=data) == "false"
    assert fill(query % "null", e="", d=data) == "last"
    assert fill(query % "list", e="", d=data) == "last"
    assert fill(query % "text", e="", d=data) == "t"
    assert fill("{{ first_non_empty e '' }}", e="") == ""


def test_first_non_empty_does_not_hide_a_typo() -> None:
    """An unknown name is an error there too: a default for it is an ``{{#if}}``."""
    assert fault("{{ first_non_empty nope 'x' }}") == 'there is no parameter "nope"'


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ('"a"', '"a"', True),
        ("x", '"1"', True),
        ('"1"', "1", False),
        ("1", "1", True),
        ("true", "1", False),
        ("null", "false", False),
        ("(str_to_json '1.0')", "1", False),
        ("(str_to_json '[true]')", "(str_to_json '[1]')", False),
        ("""(str_to_json '{"a":1,"b":2}')""", """(str_to_json '{"b":2,"a":1}')""", True),
    ],
)
def test_equal_is_equal_in_json(left: str, right: str, same: bool) -> None:  # noqa: FBT001
    """Only what has one kind and one value is equal; the order of an object's names is nothing."""
    assert fill(f"{{{{eq {left} {right}}}}}", x="1") == str(same).lower()
    assert fill(f"{{{{ne {left} {right}}}}}", x="1") == str(not same).lower()


def test_len_counts_what_people_count() -> None:
    """Characters of a text, not bytes; items of a list, names of an object."""
    template = "{{ len (json_str_query 'a' d) }}"
    assert fill("{{ len x }}", x="né 日本") == "5"
    assert fill(template, d='{"a": [1, 2, 3]}') == "3"
    assert fill(template, d='{"a": {"b": 1}}') == "1"
    assert fill(template, d='{"a": null}') == "0"
    assert fault(template, d='{"a": 5}').startswith('"len" takes a text, a list or an object')


def test_env_var_reads_the_environment_when_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable has the value it has then; one set to nothing is set; one not set is null."""
    template = Template("[{{ env_var 'PEGASUS_TEST_X' }}]")
    monkeypatch.setenv("PEGASUS_TEST_X", "a b")
    assert template.fill({}) == "[a b]"
    monkeypatch.setenv("PEGASUS_TEST_X", "")
    assert template.fill({}) == "[]"
    monkeypatch.delenv("PEGASUS_TEST_X")
    with pytest.raises(TemplateFault, match="gives null"):
        template.fill({})
    assert fault("{{ trim (env_var n) }}", n="PEGASUS_TEST_X").endswith("got null")
    assert fault("{{ env_var n }}", n="\ud800").startswith("this tag gives null")


def test_env_var_refuses_bytes_that_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable whose bytes are no UTF-8 is refused here, not when it is sent to a node."""
    monkeypatch.setitem(os.environb, b"PEGASUS_TEST_X", b"a\xff")
    assert fault("{{ env_var 'PEGASUS_TEST_X' }}").startswith("this gives half a character")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a", "text"),
        ("b", '[1,2.5,true,null,"é"]'),
        ("b[0]", "1"),
        ("b[2]", "true"),
        ("c.d", '{"e":""}'),
        ("c.d.e", ""),
        ("length(b)", "5"),
        ('c || `"x"`', '{"d":{"e":""}}'),
        ("keys(@) | [0]", "a"),
    ],
)
def test_queries_print_text_as_text_and_the_rest_as_json(expression: str, expected: str) -> None:
    """What a query finds goes in bare if it is text, else as JSON on as little room as can be."""
    data = '{"a": "text", "b": [1, 2.5, true, null, "é"], "c": {"d": {"e": ""}}}'
    assert fill("{{ json_str_query q d }}", q=expression, d=data) == expected
    assert fill("{{ json_query q (str_to_json d) }}", q=expression, d=data) == expected


@pytest.mark.parametrize(
    ("expression", "data", "what"),
    [
        ("a[", "{}", "the JMESPath expression fails"),
        ("", "{}", "the JMESPath expression fails"),
        ("nope(a)", "{}", "the JMESPath expression fails"),
        ("abs(a)", '{"a": "x"}', "the JMESPath expression fails"),
        ("[::0]", "[1]", "the JMESPath expression fails"),
        ("merge()", "{}", "the JMESPath expression fails"),
        ("a", "{a: 1}", "this text is no JSON"),
        ("a", '{"a": NaN}', "this text is no JSON: it has no word NaN"),
        ("a", "1" * 5000, "this text is no JSON"),
        ("a", "{}", "this tag gives null"),
        ("a", "", "this tag gives null"),
        ("a", '{"a": 1e999}', "this gives a number that JSON cannot write"),
        ("to_number('nan')", "{}", "this gives a number that JSON cannot write"),
        ("a", '{"a": "\\ud800"}', "this gives half a character"),
        ("(" * 5000, "{}", '"json_str_query" cannot follow JSON nested'),
        ("a", "[" * 200_000, '"json_str_query" cannot follow JSON nested'),
    ],
)
def test_queries_that_fail_say_so(expression: str, data: str, what: str) -> None:
    """What is no JSON, no JMESPath, no text or nothing at all is an error."""
    assert fault("{{ json_str_query q d }}", q=expression, d=data).startswith(what)


def test_empty_json_stays_empty() -> None:
    """The empty text is no error to ``str_to_json``, and prints as nothing."""
    assert fill("[{{ str_to_json x }}]", x="") == "[]"


@given(st.text())
def test_text_helpers_take_any_text(text: str) -> None:
    """Whatever text a value is, a helper for text makes a text of it."""
    template = (
        "{{ trim (to_plural (to_singular (to_kebab_case x))) }}{{ extension x }}{{ quote x }}"
    )
    assert isinstance(fill(template, x=text), str)


def test_nothing_is_imported_before_it_is_needed() -> None:
    """Who calls no helper waits for no library of theirs."""
    program = "import sys, pegasus.template; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout.split()
    assert not {"jmespath", "pluralizer", "textcase"} & set(loaded)
