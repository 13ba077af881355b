"""The hosts file of an end-to-end test -> one for an allocation with the same nodes.

Rule 1: what cannot be expressed is refused: such a test has to say why it is not made on Slurm.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from pegasus.errors import PegasusError
from pegasus.node_sets import expand


def translate(text: str, known: set[str]) -> tuple[str, tuple[str, ...]]:
    """Replace test nodes by ``slurm: {}``, and return the nodes that the allocation must have.

    Args:
        text: of a hosts file; one that cannot be read remains as it is.
        known: the names of all test nodes; other hosts remain as they are.
    """
    try:
        items = list(_items(yaml.load(text, yaml.BaseLoader), known))
    except (yaml.YAMLError, TypeError, ValueError, PegasusError):
        return text, ()
    if not any(names for names, _ in items):
        return text, ()
    groups: dict[str, Counter[str]] = {}
    for names, rest in items:
        if names:
            groups.setdefault(json.dumps(rest), Counter()).update(names)
    nodes = {tuple(sorted(found)) for found in groups.values()}
    if len(nodes) > 1 or any(len(set(found.values())) > 1 for found in groups.values()):
        raise AssertionError(f"not on Slurm, where all nodes have the same entries: {text}")
    done: list[dict[str, Any]] = []
    for names, rest in items:
        if not names:
            done.append(rest)
        elif found := groups.pop(json.dumps(rest), None):
            done += [{"slurm": {}, **rest}] * max(found.values())
    dumper = yaml.SafeDumper
    dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    return yaml.dump(done, Dumper=dumper, sort_keys=False, allow_unicode=True), nodes.pop()


def _items(parsed: Any, known: set[str]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield the test nodes of each item with its other keys, and other hosts as whole items."""
    for item in parsed:
        entry = {"hostname": item} if isinstance(item, str) else dict(item)
        if "hostname" not in entry:
            yield [], entry
            continue
        hostname = entry.pop("hostname")
        given = hostname if isinstance(hostname, list) else [hostname]
        names = [name for each in given for name in (expand(each) or [each])]
        ours = [name for name in names if name in known]
        if others := [name for name in names if name not in known]:
            yield [], {"hostname": others, **entry}
        if ours:
            yield ours, entry
