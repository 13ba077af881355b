"""hosts.yaml -> sub-nodes.

Rule 1: a fault is told before anything is connected to or taken.
Rule 2: how a destination is spelled for ssh is ssh's business; here it is only kept from being
something else than a destination.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pegasus.destination import NoDestination, spell
from pegasus.errors import FileFault, TemplateFault
from pegasus.model import Params, Position, SubNode
from pegasus.shell_text import changed_value
from pegasus.template import parse
from pegasus.yaml_text import (
    Item,
    ListReader,
    Mapping,
    Scalar,
    Source,
    Words,
    refuse_changed,
    scalars,
)

MOST_SUB_NODES = 10_000
"""Each is a connection of its own; more than any cluster has, and less than a typo soon makes."""

LONGEST_HOSTNAME = 4_096
"""Characters, with its tags; no resolver takes a name of more than 253."""

_WORDS = Words(
    key="hostname",
    file="a list of hosts",
    quote="Quote the text",
    plain='Write "- hostname: [...]" or a plain string',
    elsewhere=("command", 'Commands belong in the queue file; here write "- hostname: [...]"'),
    spaces=False,
)


def read_hosts(path: str | Path) -> tuple[SubNode, ...]:
    """Read the sub-nodes that a hosts file stands for, in their order, numbered from 0.

    Args:
        path: as the user gave it; faults name it.

    Raises:
        FileFault: the file is missing, cannot be read, or has something in it that stands for no
            sub-node; it is the first such fault.
    """
    sub_nodes, faults = find_hosts(path)
    if faults:
        raise faults[0]
    return sub_nodes


def find_hosts(path: str | Path) -> tuple[tuple[SubNode, ...], tuple[FileFault, ...]]:
    """Read a hosts file to its end: the sub-nodes that are without fault, and every fault."""
    shown = str(path)
    try:
        source = Source(shown, _read(shown))
    except FileFault as fault:
        return (), (fault,)
    sub_nodes: list[SubNode] = []
    faults: list[FileFault] = []
    for item in ListReader(source, _WORDS):
        try:
            sub_nodes += _of(source, item, len(sub_nodes))
        except FileFault as fault:
            faults.append(fault)
    if not sub_nodes and not faults:
        instead = 'Write "- localhost"'
        faults.append(FileFault(Position(shown, 1, 1), "no host stands in this file", instead))
    return tuple(sub_nodes), tuple(faults)


OPTIONS_OF_SSH = {
    "port": "Port",
    "sshport": "Port",
    "user": "User",
    "username": "User",
    "sshuser": "User",
    "identity": "IdentityFile",
    "identityfile": "IdentityFile",
    "keyfile": "IdentityFile",
    "privatekey": "IdentityFile",
    "sshkey": "IdentityFile",
    "proxyjump": "ProxyJump",
    "jumphost": "ProxyJump",
    "proxycommand": "ProxyCommand",
}
"""Names of parameters, without ``-`` and ``_``, that look like options of ssh, and the option."""


def find_notes(path: str | Path, is_used: Callable[[str], bool]) -> tuple[FileFault, ...]:
    """Give what is probably not meant as it is written: parameters that look like ssh's options.

    A note is no fault: such a parameter is allowed, and templates may use it.

    Args:
        path: a hosts file; what is wrong with it is not told here.
        is_used: tells whether a command uses the parameter of this name.

    Returns:
        Each name once, in the order of the file.
    """
    try:
        source = Source(str(path), _read(str(path)))
    except FileFault:
        return ()
    notes: dict[str, FileFault] = {}
    for item in ListReader(source, _WORDS):
        if not isinstance(item, FileFault):
            for name in _options_of_ssh(item):
                if name.text not in notes and not is_used(name.text):
                    notes[name.text] = _note(source, name)
    return tuple(notes.values())


def _options_of_ssh(item: Item) -> Iterator[Scalar]:
    """Give the parameters of an item that look like ssh's, but for those of its hostname."""
    for name, _ in _params(item):
        hostnames = _lists(item)[0]
        in_hostname = any(mentions(hostname.text, name.text) for hostname in hostnames)
        if looks_like_option(name.text) and not in_hostname:
            yield name


def looks_like_option(name: str) -> bool:
    """Tell whether a parameter's name looks like an option of ssh."""
    return _plain(name) in OPTIONS_OF_SSH


def mentions(text: str, name: str) -> bool:
    """Tell whether a name stands in a tag of a template, or seems to."""
    return re.search(rf"\{{\{{[^{{}}]*\b{re.escape(name)}\b", text) is not None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _note(source: Source, name: Scalar) -> FileFault:
    option = OPTIONS_OF_SSH[_plain(name.text)]
    address = {"Port": "Write ssh://HOST:PORT as the hostname", "User": "Write USER@HOST"}
    here = f"{address[option]}, or set" if option in address else "Set"
    return FileFault(
        source.position(name.start),
        f'note: "{name.text}" is a parameter for templates, and ssh does not get it',
        f"{here} {option} for the host in ~/.ssh/config",
    )


def _of(source: Source, item: Item | FileFault, first: int) -> list[SubNode]:
    """Give the sub-nodes that an item stands for, numbered from the first number that is free."""
    if isinstance(item, FileFault):
        raise item
    _refuse_too_many(source, item, first)
    if isinstance(item.node, Mapping):
        for _, value in item.node.pairs:
            refuse_changed(source, value, "value", changed_value)
    return [SubNode(first + i, *each) for i, each in enumerate(_expanded(source, item))]


def _read(path: str) -> bytes:
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


def _expanded(source: Source, item: Item) -> Iterator[tuple[str, Params]]:
    """Give the sub-nodes of an item: hostnames outermost, the last parameter fastest."""
    for hostname, *values in itertools.product(*_lists(item)):
        names = [name.text for name, _ in _params(item)]
        params = tuple(zip(names, (value.text for value in values), strict=True))
        yield _destination(source, hostname, params), params


def _destination(source: Source, hostname: Scalar, params: Params) -> str:
    position = source.position(hostname.start)
    if len(hostname.text) > LONGEST_HOSTNAME:
        what = f"this hostname has {len(hostname.text):,} characters"
        raise FileFault(position, what, f"Write at most {LONGEST_HOSTNAME:,}")
    try:
        name = parse(hostname.text).fill(dict(params))
    except TemplateFault as fault:
        raise FileFault(
            position, f'in the hostname "{hostname.text}": {fault.what}', fault.instead
        ) from fault
    if not name:
        raise FileFault(position, "this hostname is empty", "Write a host, or remove the entry")
    if any(character.isspace() or not character.isprintable() for character in name):
        raise FileFault(
            position,
            f"a hostname has no blanks or control characters, and this is {name!r}",
            "List every host as an entry of its own",
        )
    try:
        spell(name)
    except NoDestination as fault:
        raise FileFault(position, fault.what, fault.instead) from fault
    return name


def _params(item: Item) -> Sequence[tuple[Scalar, tuple[Scalar, ...]]]:
    pairs = item.node.pairs if isinstance(item.node, Mapping) else ()
    return [(name, scalars(value)) for name, value in pairs if name.text != "hostname"]


def _lists(item: Item) -> list[tuple[Scalar, ...]]:
    """Give the values of an item, hostnames first."""
    if isinstance(item.node, Scalar):
        return [(item.node,)]
    hostnames = next(scalars(value) for name, value in item.node.pairs if name.text == "hostname")
    return [hostnames, *(values for _, values in _params(item))]


def _refuse_too_many(source: Source, item: Item, so_far: int) -> None:
    count = so_far + math.prod(len(values) for values in _lists(item))
    if count > MOST_SUB_NODES:
        # A number of thousands of digits is more than Python writes, or anyone reads.
        many = f"{count:,}" if count < MOST_SUB_NODES**3 else f"over {MOST_SUB_NODES**3:,}"
        raise FileFault(
            source.position(item.start),
            f"up to here the file stands for {many} sub-nodes, more than {MOST_SUB_NODES:,}",
            "Every combination of its values is one: look for a list that is too long",
        )
