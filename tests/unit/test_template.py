"""What users may rely on when they write a template."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pegasus.errors import ExitStatus, TemplateFault
from pegasus.template import Template, parse
from pegasus.template.expression import MAX_DEPTH
from pegasus.template.helpers import HELPERS
from tests.unit.templates import fault, fill

# Values.


@pytest.mark.parametrize("tag", ["{{x}}", "{{ x }}", "{{{x}}}", "{{{ x }}}", "{{&x}}", "{{& x }}"])
def test_nothing_is_escaped(tag: str) -> None:
    """Each way to write a tag puts the value in as it is: this is for a shell, not for HTML."""
    assert fill(f"a{tag}b", x="<&>\"'`$\\") == "a<&>\"'`$\\b"


AROUND = st.text().filter(lambda text: "{{" not in text)


@given(st.text(), AROUND.filter(lambda text: not text.endswith(("\\", "{"))), AROUND)
@example("{{x}}", "", "")
@example("\n", "\t", "\n")
@example("{{", "a", "}}")
def test_any_value_goes_in_verbatim(value: str, before: str, after: str) -> None:
    """Whatever a value holds, tags too, comes out as it is, between what stood around it."""
    assert fill(before + "{{v}}" + after, v=value) == before + value + after


@given(AROUND)
@example("}} { } {%x%} \\ \\{ $x\r\n\t")
@example("")
def test_a_text_without_tags_is_unchanged(text: str) -> None:
    """What holds no ``{{`` comes out as it went in, to the last character."""
    assert fill(text) == text


@pytest.mark.parametrize(
    "name", ["learning-rate", "a.b", "2nd", "_", "π", "trim", "true", "5", "if"]
)
def test_almost_anything_is_a_name(name: str) -> None:
    """A parameter may be called what its user likes, a helper's name or a number included."""
    assert Template(f"{{{{ {name} }}}}").fill({name: "v"}) == "v"


@pytest.mark.parametrize("name", ["my key", "else", "a=b", '"q"', "(x)", ""])
def test_any_name_fits_in_square_brackets(name: str) -> None:
    """What would be read as something else is a name in ``[...]``."""
    assert Template(f"{{{{ [{name}] }}}}").fill({name: "v"}) == "v"


def test_names_reach_nothing_but_parameters() -> None:
    """A name with a dot is no way into Python's objects."""
    assert fault("{{model.upper}}").what == 'there is no parameter "model.upper"'
    assert fault("{{__class__}}").what == 'there is no parameter "__class__"'


# Errors.


def test_an_unknown_name_says_where_and_what_next() -> None:
    """The error has line and column, the names there are, a guess, and how to write braces."""
    error = fault("cd /tmp\n  echo é {{ modle }}")
    assert (error.line, error.column) == (2, 10)
    assert error.what == 'there is no parameter "modle"'
    assert error.instead == (
        'Did you mean "model"? The names known here are empty, gpu, hostname, model. '
        r"Write \{{ where {{ is plain text"
    )
    assert error.exit_status is ExitStatus.USAGE


def test_no_names_at_all_are_said_so() -> None:
    """Where nothing is known, the error does not list nothing."""
    with pytest.raises(TemplateFault, match="No name is known here"):
        Template("{{x}}").fill({})


@pytest.mark.parametrize(
    "template", ["docker ps --format '{{.Names}}'", "awk '{{print $1}}'", "x={{}}", "{{"]
)
def test_other_peoples_braces_are_explained(template: str) -> None:
    r"""Who meant Docker's or awk's braces is told of ``\{{``."""
    assert r"Write \{{ where {{ is plain text" in fault(template).instead


@pytest.mark.parametrize(
    ("template", "line", "column", "what"),
    [
        ("a {{ b", 1, 3, "this tag is never closed with }}"),
        ("a\n{{! b", 2, 1, "this comment is never closed with }}"),
        ("{{!-- b }}", 1, 1, "this comment is never closed with --}}"),
        ("echo {{ it's }}", 1, 6, "the quote ' in this tag is never closed"),
        ("{{{gpu}}", 1, 1, 'this tag has a "}" where none can stand'),
        ("{{ {gpu} }}", 1, 1, 'this tag has a "{" where none can stand'),
        ("{{ gpu | trim }}", 1, 1, 'this tag has a "|" where none can stand'),
        ('{{ str_to_json gpu format="yaml" }}', 1, 1, "named arguments (name=value) are not"),
        ("{{{{gpu}}}}", 1, 1, "raw blocks ({{{{x}}}}) are not supported"),
        ("{{#with gpu}}{{/with}}", 1, 1, "there is no block {{#with}}"),
        ("{{#}}", 1, 1, "there is no block {{#}}"),
        ("{{#if}}{{/if}}", 1, 1, "{{#if}} has no condition"),
        ("{{#if eq gpu}}{{/if}}", 1, 1, "{{#if}} takes one value, and got 2"),
        ("a{{/if}}", 1, 2, "{{/if}} closes no block"),
        ("{{#if gpu}}\n{{#unless gpu}}{{/if}}", 2, 16, "{{/if}} cannot close {{#unless}}"),
        ("{{#if gpu}}{{#if gpu}}{{/if}}", 1, 1, "this block is never closed"),
        ("{{else}}", 1, 1, "{{else}} stands in no block"),
        ("{{#if gpu}}{{else}}{{else}}{{/if}}", 1, 20, "this block has had its {{else}} already"),
        ("{{#if gpu}}{{else each}}{{/if}}", 1, 12, "after else only if or unless can follow"),
        ("{{#if (eq gpu}}{{/if}}", 1, 1, "a ( is never closed with )"),
        ("{{ trim gpu) }}", 1, 1, "a ) closes no ("),
        ("{{ trim () }}", 1, 1, "these brackets are empty"),
        ('{{ trim ("a") }}', 1, 1, 'a helper must follow a "("'),
        ("{{ tirm gpu }}", 1, 1, 'there is no helper "tirm"'),
        ("{{ trim }}", 1, 1, '"trim" is a helper that takes 1 argument, and got none'),
        ("{{ trim gpu gpu }}", 1, 1, '"trim" takes 1 argument, and got 2'),
        ("{{ and gpu }}", 1, 1, '"and" takes at least 2 arguments, and got 1'),
        ("{{ trim 5 }}", 1, 1, '"trim" takes text as argument 1, and got the number 5'),
        ("{{ replace gpu true gpu }}", 1, 1, '"replace" takes text as argument 2, and got true'),
        ('{{ trim "a\\d" }}', 1, 1, r"a text in quotes has no escape \d"),
        ("{{ trim 0.10 }}", 1, 1, "the number 0.10 would not be printed as it is typed"),
        ("{{ trim 010 }}", 1, 1, "the number 010 would not be printed as it is typed"),
        ("{{ ne 1 gpu }}", 1, 1, '"ne" compares gpu, which is text, with 1, which is not'),
        ("{{ trim nope }}", 1, 1, 'there is no parameter "nope"'),
        ("{{ quote null }}", 1, 1, '"quote" takes anything but null as argument 1, and got null'),
    ],
)
def test_faults_have_a_place(template: str, line: int, column: int, what: str) -> None:
    """Every fault names the tag it is in by line and column, and says what is wrong with it."""
    error = fault(template)
    assert (error.line, error.column) == (line, column)
    assert error.what.startswith(what)


def test_a_fault_is_found_without_filling_in() -> None:
    """What is wrong with the template itself is said when it is read, also in a dead branch."""
    with pytest.raises(TemplateFault, match=r'no helper "tirm".*"trim"'):
        Template("{{#if nope}}{{ tirm gpu }}{{/if}}")


# Escapes.


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (r"docker ps --format '\{{.Names}}\t\{{.Image}}'", r"'{{.Names}}\t{{.Image}}'"),
        (r"echo \{{{gpu}}} {{gpu}}", "{{{gpu}}} 0"),
        (r"echo '\{{' {{gpu}}", "'{{' 0"),
        (r"echo \{{{{{{", "{{{{{{"),
        (r"echo \\{{gpu}}", r"\0"),
        (r"echo \\\{{gpu}}", r"\\0"),
        (r"echo {{gpu}}\{{gpu}}", "0{{gpu}}"),
        (r"echo \{{! \{{#if", "{{! {{#if"),
        (r"echo \{ \\ \n {", r"\{ \\ \n {"),
    ],
)
def test_literal_braces(template: str, expected: str) -> None:
    r"""``\{{`` is ``{{``; two backslashes are one and a tag; others are themselves."""
    assert fill(template).removeprefix("docker ps --format ").removeprefix("echo ") == expected


# Blocks.


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("gpu", True),
        ("flag", True),
        ("empty", False),
        ("nope", False),
        ("0", False),
        ("1", True),
        ("true", True),
        ("false", False),
        ("null", False),
        ('""', False),
        ('"0"', True),
        ('(eq gpu "0")', True),
        ('(eq nope "0")', False),
        ('(ne nope "0")', True),
        ("(not nope)", True),
        ('(eq (trim (replace nope "a" "b")) "c")', False),
        ("(or nope (and gpu model))", True),
        ("(len nope)", False),
        ('(env_var "NO_SUCH_THING_EITHER")', False),
        ('(json_str_query "a" data)', False),
        ('(json_str_query "b" data)', True),
        ('(json_str_query "c" data)', False),
        ('(json_str_query "d" data)', False),
        ('(json_str_query "a" nope)', False),
    ],
)
def test_truth(condition: str, holds: bool) -> None:  # noqa: FBT001
    """False are null, false, 0, empty things and unknown names; the texts "0" and "false" hold."""
    block = f"{{{{#if {condition}}}}}yes{{{{else}}}}no{{{{/if}}}}"
    data = '{"a": 0, "b": [0], "c": {}, "d": null}'
    assert fill(block, flag="false", data=data) == ("yes" if holds else "no")
    assert fill(block.replace("if", "unless"), flag="false", data=data) != fill(
        block, flag="false", data=data
    )


@pytest.mark.parametrize(("gpu", "expected"), [("0", "a"), ("1", "b"), ("2", "c"), ("", "d")])
def test_else_if_takes_the_first_that_holds(gpu: str, expected: str) -> None:
    """Of a chain exactly one branch is printed."""
    chain = '{{#if (eq gpu "0")}}a{{else if (eq gpu "1")}}b{{else unless (eq gpu "")}}c{{else}}d'
    assert fill(chain + "{{/if}}", gpu=gpu) == expected


def test_a_branch_not_taken_is_not_filled_in() -> None:
    """It may name what this sub-node has not, and ask JSON of what is none."""
    template = '{{#if tpu}}{{tpu}}{{str_to_json gpu}}{{#if (str_to_json "{")}}{{/if}}{{/if}}ok'
    assert fill(template) == "ok"


def test_a_condition_says_what_it_cannot_do() -> None:
    """Only an unknown name is false in a condition; what is wrong is still an error."""
    error = fault('{{#if gpu}}\n{{#if nope}}{{else if (str_to_json "{")}}x{{/if}}{{/if}}')
    assert (error.line, error.column) == (2, 13)


def test_blocks_nest() -> None:
    """Blocks may stand in blocks, in either branch."""
    template = (
        "{{#if gpu}}{{#unless model}}a{{else}}{{#if empty}}b{{else}}c{{/if}}{{/unless}}{{/if}}"
    )
    assert fill(template) == "c"
    assert fill(template, gpu="") == ""
    assert fill(template, empty="x") == "b"


# White space.


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a\n{{#if gpu}}\nb\n{{/if}}\nc\n", "a\nb\nc\n"),
        ("a\n\t{{#if nope}}  \n\tb\n\t{{else}}\t\n\tc\n\t{{/if}}\nd", "a\n\tc\nd"),
        ("a\r\n{{#if gpu}}\r\nb\r\n{{/if}}\r\nc", "a\r\nb\r\nc"),
        ("{{#if gpu}}\n\nb\n{{/if}}\n", "\nb\n"),
        ("  {{! alone }}  \nb", "b"),
        ("a {{! not alone }}\nb", "a \nb"),
        ("a\n{{#if gpu}}{{/if}}\nb", "a\n\nb"),
        ("a\n{{#if gpu}}\n{{#if gpu}}\nb\n{{/if}}\n{{/if}}", "a\nb\n"),
        ("a\n  {{gpu}}  \nb", "a\n  0  \nb"),
        ("{{#if gpu}}b{{/if}}\n", "b\n"),
        ("{{#if gpu}} b {{else}} c {{/if}} d", " b  d"),
    ],
)
def test_lines_of_tags_alone_disappear(template: str, expected: str) -> None:
    """A block's tag or a comment alone on its line takes the line with it; a value never does."""
    assert fill(template) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a \n {{~gpu}} b", "a0 b"),
        ("a {{gpu~}} \n\t b", "a 0b"),
        ("a {{~{gpu}~}} b", "a0b"),
        ("a {{~#if gpu~}} b {{~else~}} c {{~/if~}} d", "abd"),
        ("a {{~! x ~}} b {{~!-- x --~}} c", "abc"),
        ("{ {{~gpu}}", "{0"),
        ("{ {{~! x }}{ {{~gpu}}", "{{0"),
    ],
)
def test_tildes_eat_white_space(template: str, expected: str) -> None:
    """``~`` takes all white space on its side."""
    assert fill(template) == expected


# Bounds.


def test_brackets_nest_only_so_deep() -> None:
    """Endless brackets are an error with a place, not a crash; what a person writes is not."""
    deep = "(trim " * (MAX_DEPTH - 1) + "gpu" + ")" * (MAX_DEPTH - 1)
    assert fill(f"{{{{ trim {deep} }}}}") == "0"
    assert "more than 50 brackets" in fault("{{ trim " + "(trim " * 9999 + ")" * 9999 + "}}").what


def test_blocks_nest_as_deep_as_they_like() -> None:
    """Thousands of blocks in one another are filled in as one is."""
    depth = 2000
    assert fill("{{#if gpu}}" * depth + "x" + "{{/if}}" * depth) == "x"
    assert fill("{{#if nope}}" * depth + "x" + "{{/if}}" * depth) == ""


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "template",
    [
        "{{gpu}}" * 15_000,
        "{{#if gpu}}" * 5_000 + "{{/if}}" * 5_000,
        "{{#if nope}}a" + "{{else if nope}}b" * 6_000 + "{{/if}}",
        "\\{{" * 30_000,
        "{{!" * 30_000 + "}}",
        " " * 100_000 + "{{! }}" + " " * 100_000,
        "{{ first_non_empty " + "gpu " * 25_000 + "}}",
    ],
)
def test_a_template_may_be_large(template: str) -> None:
    """100 kB of the worst are read in about a second."""
    assert isinstance(fill(template), str)


def test_reading_is_done_once() -> None:
    """A template that was read before is not read again, and filling in changes nothing in it."""
    template = parse("{{#if gpu}}{{gpu}}{{else}}none{{/if}}")
    assert parse(template.text) is template
    assert [template.fill({"gpu": each}) for each in ("0", "", "1")] == ["0", "none", "1"]
    assert template.fill({}) == "none"
    assert repr(template) == f"Template({template.text!r})"


# Anything at all.

FRAGMENTS = [
    *("{{", "}}", "{{{", "}}}", "{", "}", "\\", "~", "&", "#", "/", "^", ">", "=", "!", "--", "|"),
    *(" ", "\n", "\t", "\r\n", "'", '"', "(", ")", "[", "]", ".", "0", "1.5", "\0", "é", "\ud800"),
    *("gpu", "model", "empty", "nope", "data", "true", "null", "else", "if", "unless", "each"),
    *("{{#if ", "{{#unless ", "{{/if}}", "{{/unless}}", "{{else}}", "{{else if ", "{{gpu}}"),
    *("(eq ", '"a"', "'@'", '"a.b[?c]"', '"["', "guard", "part0", "text1", "{{&guard}}"),
    *(f"{{{{ {name} " for name in HELPERS),
    *(f"({name} " for name in HELPERS),
]
DATA = '{"a": {"b": [1, {"c": "\\ud800"}]}, "e": 1e999}'


@given(st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS)).map("".join)))
@example("{{}}")
@example("{{{gpu} }")
@example("{{gpu}}}")
@example("{{=x")
@example("{{ json_str_query 'a[::0]' data }}")
@example("{{ json_str_query 'a.b[1].c' data }}")
@example("{{ json_str_query 'e' data }}")
def test_any_template_is_filled_in_or_refused(template: str) -> None:
    """No text whatever gives anything but a text, or a TemplateFault with a place in it."""
    error = outcome(template)
    if error is not None:
        lines = template.split("\n")
        assert 1 <= error.line <= len(lines)
        assert lines[error.line - 1][error.column - 1 :].startswith("{{")
        assert error.what
        assert not error.instead.endswith(".")


def outcome(template: str, **more: str) -> TemplateFault | None:
    """Give the fault that filling it in runs into, if it does not give a text."""
    try:
        assert type(fill(template, data=DATA, **more)) is str
    except TemplateFault as error:
        return error
    return None


EXPRESSIONS = st.recursive(
    st.sampled_from(
        ["gpu", "model", "empty", "data", "nope", '"a"', "'@'", "1", "0.5", "true", "null"]
    ),
    lambda inner: st.tuples(st.sampled_from(sorted(HELPERS)), st.lists(inner, max_size=3)).map(
        lambda call: f"({call[0]} {' '.join(call[1])})"
    ),
)


@given(
    EXPRESSIONS, st.sampled_from(["{{%s}}", "{{#if %s}}{{gpu}}{{else}}{{model}}{{/if}}"]), st.text()
)
def test_any_call_gives_a_text_or_a_fault(expression: str, tag: str, value: str) -> None:
    """No helper breaks on any argument, and no condition on any helper."""
    error = outcome(tag % expression, model=value)
    assert error is None or (error.line, error.column) == (1, 1)


# What a shell makes of it.


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50))
@example("")
@example("a'b\"c$d`e\\f\n!g *~ -n {{x}}")
def test_quote_makes_one_word_of_any_text(text: str) -> None:
    """``{{ quote x }}`` is one word to a real POSIX shell, and that word is the text."""
    command = fill("printf '%s|' {{ quote x }} end", x=text)
    shell = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
    assert shell.stdout.decode() == f"{text}|end|"
