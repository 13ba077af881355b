"""The reference of templates in docs/: each example and each error in it is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pegasus.errors import TemplateFault
from pegasus.template import Template
from pegasus.template.examples import HELPER_EXAMPLES
from pegasus.template.helpers import HELPERS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "templates.md"


def rows(page: str) -> list[tuple[str, str, str]]:
    """Read each table's last two columns, with what the second is headed."""
    found = []
    heading = ""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|---") or not line.startswith("|"):
            continue
        if cells[-1] in {"Result", "Error"}:
            heading = cells[-1]
            continue
        assert cells[-2][0] == cells[-2][-1] == cells[-1][0] == cells[-1][-1] == "`", line
        found.append((heading, cells[-2][1:-1], cells[-1][1:-1]))
    return found


def fences(page: str, language: str) -> list[str]:
    """Give what stands in the page's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def manual(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The values and the environment that the page says its examples have."""
    page = PAGE.read_text()
    for name, value in re.findall(r"^export (\w+)=(.*)$", fences(page, "sh")[0], re.MULTILINE):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_SUCH_THING", raising=False)
    values: dict[str, str] = yaml.load(fences(page, "yaml")[1], Loader=yaml.BaseLoader)
    return values


ROWS = rows(PAGE.read_text())


@pytest.mark.parametrize(("heading", "template", "expected"), ROWS)
def test_the_manual_is_true(
    manual: dict[str, str], heading: str, template: str, expected: str
) -> None:
    """Every example in the manual's tables gives what stands beside it."""
    if heading == "Error":
        with pytest.raises(TemplateFault) as caught:
            Template(template).fill(manual)
        assert str(caught.value).startswith(expected)
    else:
        assert Template(template).fill(manual) == expected


def test_the_manuals_longer_examples_are_true(manual: dict[str, str]) -> None:
    """So do the examples in blocks of their own."""
    page = PAGE.read_text()
    templates, results = fences(page, "template"), fences(page, "result")
    assert templates
    assert [Template(each).fill(manual) for each in templates] == results


def test_the_manual_shows_every_helper() -> None:
    """A helper that exists is in the manual, with an example."""
    shown = " ".join(template for _heading, template, _result in ROWS)
    assert [name for name in HELPERS if not re.search(rf"[{{(] ?{name} ", shown)] == []


def test_messages_show_the_manuals_examples() -> None:
    """A wrong call of a helper is answered with a call that the manual has, and that is right."""
    assert HELPER_EXAMPLES.keys() == HELPERS.keys()
    shown = " ".join(template for _heading, template, _result in ROWS)
    assert [call for call in HELPER_EXAMPLES.values() if f"{{{{ {call} }}}}" not in shown] == []
    with pytest.raises(TemplateFault) as caught:
        Template('{{ replace x "a" }}')
    assert str(caught.value).endswith('got 2. Write it as in {{ replace model "/" "--" }}.')
