"""Parameters in a hosts file that are allowed, and probably a mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pegasus.errors import FileFault
from pegasus.hosts_file.reading import HOSTS_WORDS, SLOTS_KEY, lists_of, params_of, read_bytes
from pegasus.yaml_text import Item, ListReader, Scalar, SourceText

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


def find_notes(path: str | Path, is_used: Callable[[str], bool]) -> tuple[FileFault, ...]:
    """Find parameters that look like options of ssh or like slots, which are probably a mistake.

    A note is not a fault: such a parameter is allowed, and templates may use it.

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
            for name in _doubtful(item):
                if name.text not in notes and not is_used(name.text):
                    notes[name.text] = _note(source, name)
    return tuple(notes.values())


def _doubtful(item: Item) -> Iterator[Scalar]:
    """Give the parameters of an item that are doubtful and not in its hostname."""
    for name, _ in params_of(item):
        hostnames = lists_of(item)[0]
        in_hostname = any(mentions(hostname.text, name.text) for hostname in hostnames)
        if is_doubtful(name.text) and not in_hostname:
            yield name


def is_doubtful(name: str) -> bool:
    """Tell whether a parameter's name looks like an option of ssh, or is that of slots."""
    return name == SLOTS_KEY or _plain(name) in OPTIONS_OF_SSH


def mentions(text: str, name: str) -> bool:
    """Tell whether a tag of a template seems to use a name."""
    return re.search(rf"\{{\{{[^{{}}]*\b{re.escape(name)}\b", text) is not None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _note(source: SourceText, name: Scalar) -> FileFault:
    if name.text == SLOTS_KEY:
        return FileFault(
            source.position(name.start),
            f'note: "{SLOTS_KEY}" without a mapping is a parameter for templates, and no slots',
            "Write slots with their name, as in `slots: {gpu: 0-7}`",
        )
    option = OPTIONS_OF_SSH[_plain(name.text)]
    address = {"Port": "Write ssh://HOST:PORT as the hostname", "User": "Write USER@HOST"}
    here = f"{address[option]}, or set" if option in address else "Set"
    return FileFault(
        source.position(name.start),
        f'note: "{name.text}" is a parameter for templates, and ssh does not get it',
        f"{here} {option} for the host in ~/.ssh/config",
    )
