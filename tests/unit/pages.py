"""What the tests of the HTML report share: a page, taken apart by Python's own parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from pegasus.report.page import page_of
from tests.unit.records import only_run

EMPTY = {"meta", "input"}
"""Elements without an end tag."""


@dataclass
class Element:
    """An element with its attributes, and all text in it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A page: its elements in order."""

    source: str
    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in EMPTY:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, kind: str = "") -> list[Element]:
        """Give the elements of a name, and of a class if one is given."""
        named = [each for each in self.elements if each.tag == tag]
        return [each for each in named if kind in ["", *each.attributes.get("class", "").split()]]

    @property
    def bars(self) -> list[Element]:
        """The bars of all lanes."""
        return self.all("button")

    @property
    def labels(self) -> list[str]:
        """The names of the bars for people who do not see them."""
        return [bar.attributes["aria-label"] for bar in self.bars]


def page_in(queue: Path, now: float | None = None) -> Page:
    """Read the page of the only run of a queue."""
    run = only_run(queue)
    return Page(page_of(run, run.state.last_at if now is None else now))
