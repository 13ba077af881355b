"""hosts.yaml -> sub-nodes.

Rule 1: every fault is found before a connection is opened or a job is taken.
Rule 2: ssh decides what a destination means; here a hostname is only checked to be a destination
and nothing else.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pegasus.destination import NoDestination, spell, transport_of
from pegasus.errors import FileFault, TemplateFault
from pegasus.hosts_file.slots import read_pools
from pegasus.hosts_file.slurm import SLURM_KEY, read_slurm
from pegasus.launch import NO_LAUNCH, Launch
from pegasus.launch_text import LAUNCH_KEY, read_launch
from pegasus.model import Params, Pool, Position, SlurmPlace, SubNode
from pegasus.node_sets import NoNodeSet, expand, size
from pegasus.shell_text import changed_value
from pegasus.template import parse
from pegasus.yaml_text import (
    Item,
    ListReader,
    Mapping,
    Scalar,
    SourceText,
    Words,
    refuse_changed,
    scalars,
)

MOST_SUB_NODES = 10_000
"""Each one is a connection. No cluster has more, and a mistyped list quickly exceeds it."""

LONGEST_HOSTNAME = 4_096
"""Characters, with tags; no resolver accepts a name of more than 253."""

SLOTS_KEY = "slots"
"""The key of an item whose mapping describes pools; with another value it is a parameter."""

HOSTS_WORDS = Words(
    key="hostname",
    file="a list of hosts",
    quote="Quote the text",
    plain='Write "- hostname: [...]" or a plain string',
    elsewhere=("command", 'Commands belong in the queue file; here write "- hostname: [...]"'),
    spaces=False,
    sections={SLOTS_KEY: 2, SLURM_KEY: 1, LAUNCH_KEY: 1},
    alone=SLURM_KEY,
    empty=frozenset({SLURM_KEY}),
    synonyms=frozenset({"host", "hosts", "node", "address"}),
    moved=dict.fromkeys(
        ("needs", "where", "at_most"),
        "It belongs in the queue file; here write `slots: {gpu: 0-7}`",
    ),
)


def read_hosts(path: str | Path) -> tuple[SubNode, ...]:
    """Read the sub-nodes that a hosts file stands for, in their order, numbered from 0.

    Args:
        path: as the user gave it; faults name it.

    Raises:
        FileFault: the file is missing, cannot be read, or has a fault; the first of them.
    """
    sub_nodes, faults = find_hosts(path)
    if faults:
        raise faults[0]
    return sub_nodes


def find_hosts(path: str | Path) -> tuple[tuple[SubNode, ...], tuple[FileFault, ...]]:
    """Read a whole hosts file: the sub-nodes that have no fault, and every fault."""
    shown = str(path)
    try:
        source = SourceText(shown, read_bytes(shown))
    except FileFault as fault:
        return (), (fault,)
    sub_nodes: list[SubNode] = []
    faults: list[FileFault] = []
    requests: list[Params] = []
    for item in ListReader(source, HOSTS_WORDS):
        try:
            sub_nodes += _numbered_copies(_of(source, item, len(sub_nodes)), requests)
        except FileFault as fault:
            faults.append(fault)
    if not sub_nodes and not faults:
        instead = 'Write "- localhost"'
        faults.append(FileFault(Position(shown, 1, 1), "no host stands in this file", instead))
    return tuple(sub_nodes), tuple(faults)


def _of(source: SourceText, item: Item | FileFault, first: int) -> list[SubNode]:
    """Expand an item to sub-nodes, numbered from ``first``."""
    if isinstance(item, FileFault):
        raise item
    if (nodes := read_slurm(source, item, os.environ)) is not None:
        return _of_allocation(source, item, first, nodes)
    _refuse_too_many(source, item, first)
    if isinstance(item.node, Mapping):
        for _, value in item.node.pairs:
            if not isinstance(value, Mapping):
                refuse_changed(source, value, "value", changed_value)
    pools, launch = _pools_of(source, item), _launch_of(source, item)
    return [
        SubNode(first + i, hostname, params, transport_of(hostname), pools, None, launch)
        for i, (hostname, params) in enumerate(_expanded(source, item, first))
    ]


def _numbered_copies(sub_nodes: list[SubNode], requests: list[Params]) -> list[SubNode]:
    """Number the sub-nodes of an item that requests the same as an item before.

    Args:
        sub_nodes: of the item.
        requests: those of the items before; gets that of this item.
    """
    place = sub_nodes[0].slurm if sub_nodes else None
    if place is None or place.request is None:
        return sub_nodes
    place = replace(place, copy=requests.count(place.request))
    requests.append(place.request or ())
    return [replace(each, slurm=place) for each in sub_nodes]


def _of_allocation(
    source: SourceText, item: Item, first: int, nodes: Sequence[tuple[str, SlurmPlace]]
) -> list[SubNode]:
    """Expand an item to sub-nodes of the allocation: the nodes outermost, as for hostnames."""
    pairs = params_of(item)
    count = first + len(nodes) * math.prod(len(values) for _, values in pairs)
    if count > MOST_SUB_NODES:
        raise _too_many(source.position(item.start), count)
    for _, values in pairs:
        for value in values:
            refuse_changed(source, value, "value", changed_value)
    pools, launch = _pools_of(source, item), _launch_of(source, item)
    names = [name.text for name, _ in pairs]
    rows = list(itertools.product(*((value.text for value in values) for _, values in pairs)))
    every = ((node, row) for node in nodes for row in rows)
    return [
        SubNode(number, node, tuple(zip(names, row, strict=True)), "slurm", pools, place, launch)
        for number, ((node, place), row) in enumerate(every, first)
    ]


def _pools_of(source: SourceText, item: Item) -> tuple[Pool, ...]:
    found = _section(item, SLOTS_KEY)
    names = [name.text for name, _ in params_of(item)]
    return read_pools(source, found, names) if found else ()


def _launch_of(source: SourceText, item: Item) -> Launch:
    found = _section(item, LAUNCH_KEY)
    return read_launch(source, found) if found else NO_LAUNCH


def _section(item: Item, key: str) -> Mapping | None:
    """Give the mapping that is the value of a key; None if there is none."""
    pairs = item.node.pairs if isinstance(item.node, Mapping) else ()
    found = (value for name, value in pairs if name.text == key and isinstance(value, Mapping))
    return next(found, None)


def read_bytes(path: str) -> bytes:
    """Read a hosts file.

    Raises:
        FileFault: it is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileFault(
            Position(path, 1, 1),
            "there is no such file",
            "`pegasus init` makes a starter; list one host on each line, as in `- localhost`",
        ) from error
    except OSError as error:
        raise FileFault(
            Position(path, 1, 1),
            f"this file cannot be read: {error.strerror or error}",
            "Give the path of a file that you may read",
        ) from error


def _expanded(source: SourceText, item: Item, first: int) -> Iterator[tuple[str, Params]]:
    """Combine the values of an item: hostnames outermost, the last parameter varies fastest.

    A hostname is filled in with the parameters, and then stands for a set. So the names of a set
    are outside the parameters, as those of a list are.
    """
    hostnames, *values = lists_of(item)
    names = [name.text for name, _ in params_of(item)]
    for hostname in hostnames:
        rows = [
            (_filled(source, hostname, params), params)
            for texts in itertools.product(*values)
            for params in [tuple(zip(names, (value.text for value in texts), strict=True))]
        ]
        first += sum(_size(source, hostname, text) for text, _ in rows)
        if first > MOST_SUB_NODES:
            raise _too_many(source.position(hostname.start), first)
        sets = [expand(text) for text, _ in rows]
        for alike in itertools.zip_longest(*sets):
            for name, (_, params) in zip(alike, rows, strict=True):
                if name is not None:
                    _check_destination(source, hostname, name)
                    yield name, params


def _filled(source: SourceText, hostname: Scalar, params: Params) -> str:
    """Fill in the tags of a hostname."""
    position = source.position(hostname.start)
    if len(hostname.text) > LONGEST_HOSTNAME:
        what = f"this hostname has {len(hostname.text):,} characters"
        raise FileFault(position, what, f"Write at most {LONGEST_HOSTNAME:,}")
    try:
        text = parse(hostname.text).fill(dict(params))
    except TemplateFault as fault:
        raise FileFault(
            position, f'in the hostname "{hostname.text}": {fault.what}', fault.instead
        ) from fault
    if not text:
        raise FileFault(position, "this hostname is empty", "Write a host, or remove the entry")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise FileFault(
            position,
            f"a hostname has no blanks or control characters, and this is {text!r}",
            "List every host as an entry of its own",
        )
    return text


def _size(source: SourceText, hostname: Scalar, text: str) -> int:
    """Count the hostnames that a text stands for."""
    try:
        return size(text)
    except NoNodeSet as fault:
        raise FileFault(source.position(hostname.start), fault.what, fault.instead) from fault


def _check_destination(source: SourceText, hostname: Scalar, name: str) -> None:
    try:
        spell(name)
    except NoDestination as fault:
        raise FileFault(source.position(hostname.start), fault.what, fault.instead) from fault


def params_of(item: Item) -> Sequence[tuple[Scalar, tuple[Scalar, ...]]]:
    """Give the parameters of an item with their values, without ``hostname`` and mappings."""
    pairs = item.node.pairs if isinstance(item.node, Mapping) else ()
    return [
        (name, scalars(value))
        for name, value in pairs
        if name.text != "hostname" and not isinstance(value, Mapping)
    ]


def lists_of(item: Item) -> list[tuple[Scalar, ...]]:
    """Give the lists of values of an item, the hostnames first; ``slurm`` has none."""
    if isinstance(item.node, Scalar):
        return [(item.node,)]
    pairs = item.node.pairs
    hostnames = next((scalars(value) for name, value in pairs if name.text == "hostname"), ())
    return [hostnames, *(values for _, values in params_of(item))]


def _refuse_too_many(source: SourceText, item: Item, so_far: int) -> None:
    """Refuse an item whose lists alone have too many combinations."""
    count = so_far + math.prod(len(values) for values in lists_of(item))
    if count > MOST_SUB_NODES:
        raise _too_many(source.position(item.start), count)


def _too_many(position: Position, count: int) -> FileFault:
    # Python does not write numbers of thousands of digits.
    many = f"{count:,}" if count < MOST_SUB_NODES**3 else f"over {MOST_SUB_NODES**3:,}"
    return FileFault(
        position,
        f"up to here the file stands for {many} sub-nodes, more than {MOST_SUB_NODES:,}",
        "Every combination of its values is one: look for a list or a range that is too long",
    )
