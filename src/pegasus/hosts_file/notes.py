"""Parameters in a hosts file that are allowed, and probably a mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pegasus.errors import FileFault
from pegasus.hosts_file.reading import HOSTS_WORDS, SLOTS_KEY, lists_of, params_of, read_bytes
from pegasus.hosts_file.slurm import SLURM_KEY, meant_option
from pegasus.model import SubNode
from pegasus.yaml_text import Item, ListReader, Mapping, Scalar, SourceText

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
"""Names of parameters, without ``-`` and ``_``, that look like options of ssh, with the option."""

COUNTS_OF_GPUS = frozenset({"gpus", "ngpus", "numgpus", "gpucount"})
"""Likewise, those that look like a number of slots."""

_COUNT = re.compile("[1-9][0-9]{0,2}")
_RANGE = re.compile("([0-9]{1,3})-([0-9]{1,3})")
"""What may be a number or a range of GPUs: no node has a thousand."""


def find_notes(path: str | Path, is_used: Callable[[str], bool]) -> tuple[FileFault, ...]:
    """Find parameters that look like options of ssh or like slots, and misspelt options of Slurm.

    They are probably a mistake. A note is not a fault: such a parameter is allowed, and templates
    may use it.

    Args:
        path: a hosts file; its faults are not reported here.
        is_used: whether a command uses the parameter of this name.

    Returns:
        A note for each name, once, in the order of the file.
    """
    try:
        source = SourceText(str(path), read_bytes(str(path)))
    except FileFault:
        return ()
    notes: dict[str, FileFault] = {}
    for item in ListReader(source, HOSTS_WORDS):
        if not isinstance(item, FileFault):
            for name, values in _doubtful(item):
                if name.text not in notes and not is_used(name.text):
                    notes[name.text] = _note(source, name, values)
            for name, value in _ranges(item):
                notes.setdefault(name.text, _range_note(source, value))
            for name in _options(item):
                notes.setdefault(f"{SLURM_KEY} {name.text}", _option_note(source, name))
    return tuple(notes.values())


def _options(item: Item) -> Iterator[Scalar]:
    """Give the options of a request to Slurm that are probably misspelt."""
    pairs = item.node.pairs if isinstance(item.node, Mapping) else ()
    for key, section in pairs:
        if key.text == SLURM_KEY and isinstance(section, Mapping):
            yield from (name for name, _ in section.pairs if meant_option(name.text))


def _option_note(source: SourceText, name: Scalar) -> FileFault:
    return FileFault(
        source.position(name.start),
        f'note: `sbatch` gets "--{name.text}", which is probably no option of it',
        f'Did you mean "{meant_option(name.text)}"? Write that, or leave it as it is',
    )


def _doubtful(item: Item) -> Iterator[tuple[Scalar, Sequence[Scalar]]]:
    """Give the parameters of an item that are doubtful and not in its hostname, with their values.

    A number of GPUs beside ``slots`` is not doubtful.
    """
    for name, values in params_of(item):
        hostnames = lists_of(item)[0]
        in_hostname = any(mentions(hostname.text, name.text) for hostname in hostnames)
        is_count = _plain(name.text) in COUNTS_OF_GPUS
        if is_count and (_has_slots(item) or not _counts(values)):
            continue
        if is_doubtful(name.text) and not in_hostname:
            yield name, values


def _ranges(item: Item) -> Iterator[tuple[Scalar, Scalar]]:
    """Give ``gpu: 0-3``, with its value: one sub-node with a text that no program understands."""
    for name, values in () if _has_slots(item) else params_of(item):
        if len(values) == 1 and not values[0].style and is_range(name.text, values[0].text):
            yield name, values[0]


def is_range(name: str, value: str) -> bool:
    """Tell whether a parameter looks like a range of GPUs."""
    found = _RANGE.fullmatch(value) if _plain(name) == "gpu" else None
    return found is not None and int(found[1]) < int(found[2])


def _has_slots(item: Item) -> bool:
    """Tell whether an item has slots."""
    pairs = item.node.pairs if isinstance(item.node, Mapping) else ()
    return any(key.text == SLOTS_KEY and isinstance(value, Mapping) for key, value in pairs)


def _counts(values: Sequence[Scalar]) -> bool:
    """Tell whether the values of a parameter are one number of GPUs."""
    return len(values) == 1 and _COUNT.fullmatch(values[0].text) is not None


def _range_note(source: SourceText, value: Scalar) -> FileFault:
    return FileFault(
        source.position(value.start),
        f'note: "{value.text}" is one text, so this is one sub-node',
        f"For a job on each of them write `slots: {{gpu: {value.text}}}`, else quote the text",
    )


def may_have_notes(sub_node: SubNode) -> bool:
    """Tell whether ``find_notes`` might give a note on the item of a sub-node."""
    requested = (sub_node.slurm.request if sub_node.slurm else None) or ()
    return any(
        is_doubtful(name) or is_range(name, value) for name, value in sub_node.params
    ) or any(meant_option(name) for name, _ in requested)


def is_doubtful(name: str) -> bool:
    """Tell whether a parameter's name looks like an option of ssh, or like slots."""
    return name == SLOTS_KEY or _plain(name) in OPTIONS_OF_SSH.keys() | COUNTS_OF_GPUS


def mentions(text: str, name: str) -> bool:
    """Tell whether a tag of a template seems to use a name."""
    return re.search(rf"\{{\{{[^{{}}]*\b{re.escape(name)}\b", text) is not None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _note(source: SourceText, name: Scalar, values: Sequence[Scalar]) -> FileFault:
    if name.text == SLOTS_KEY:
        return FileFault(
            source.position(name.start),
            f'note: "{SLOTS_KEY}" without a mapping is a parameter for templates, and no slots',
            "Write slots with their name, as in `slots: {gpu: 0-7}`",
        )
    if _plain(name.text) in COUNTS_OF_GPUS:
        return FileFault(
            source.position(name.start),
            f'note: "{name.text}" is a parameter for templates, and no slots',
            f"For a job on each GPU write `slots: {{gpu: {values[0].text}}}`",
        )
    option = OPTIONS_OF_SSH[_plain(name.text)]
    address = {"Port": "Write ssh://HOST:PORT as the hostname", "User": "Write USER@HOST"}
    here = f"{address[option]}, or set" if option in address else "Set"
    return FileFault(
        source.position(name.start),
        f'note: "{name.text}" is a parameter for templates, and ssh does not get it',
        f"{here} {option} for the host in ~/.ssh/config",
    )
