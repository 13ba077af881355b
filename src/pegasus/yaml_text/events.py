"""The events of PyYAML's parser, in the order of the file.

Rule 1: events, not objects: events have positions, convert nothing, and come one by one.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from pegasus.yaml_text.source import SourceText

LOADER: type[yaml.BaseLoader | yaml.CBaseLoader] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""libyaml's parser if PyYAML was built with it: ten times as fast, with the same events."""

MOST_NESTED = 1_000
"""Levels of nested lists and mappings, the limit of libyaml. The time of the parser in Python grows
with the square of the depth."""


def parse(source: SourceText) -> Iterator[yaml.Event]:
    """Give the events of a file one by one; raise YAMLError at a syntax fault."""
    found = yaml.parse(source, Loader=LOADER)
    depth = 0
    while True:
        try:
            event = next(found, None)
        except (ValueError, OverflowError) as error:  # the pure parser's chr() of "\UFFFFFFFF"
            raise yaml.YAMLError("found invalid Unicode character escape code") from error
        if event is None:
            return
        depth += _step(event)
        if depth > MOST_NESTED:
            too_deep = yaml.MarkedYAMLError(problem="exceeded maximum nesting depth")
            too_deep.problem_mark = event.start_mark  # type: ignore[assignment]
            raise too_deep
        yield event


def start(event: yaml.Event) -> int:
    """Give the index of the first character of an event."""
    assert event.start_mark is not None  # noqa: S101 - a parser's events always have one
    return event.start_mark.index


def end(event: yaml.Event) -> int:
    """Give the index after the last character of an event."""
    assert event.end_mark is not None  # noqa: S101 - a parser's events always have one
    return event.end_mark.index


def rest_of(event: yaml.Event, events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    """Give the events up to the end of the node that the first event began."""
    depth = _step(event)
    while depth:
        following = next(events)
        depth += _step(following)
        yield following


def _step(event: yaml.Event) -> int:
    if isinstance(event, yaml.CollectionStartEvent):
        return 1
    return -1 if isinstance(event, yaml.CollectionEndEvent) else 0
