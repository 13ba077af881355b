"""An SSH destination as arguments that ssh cannot take for anything else.

Rule 1: pure; only ssh knows whether the host exists.
Rule 2: names that newer versions of ssh refuse are refused here, too: older versions pass a name
unquoted to a shell if the configuration has a ``ProxyCommand`` or ``Match exec`` with ``%h``.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from pegasus.errors import PegasusError
from pegasus.model import TransportKind

_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[^@/]+)@)?(?P<host>\[[^\]/@]+\]|[^:/@\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)

_WITH_PORT = re.compile(r"(?P<host>[^:\[\]]+|\[[^\[\]]*\]):(?P<port>[0-9]*)")
"""``host:port`` and ``[address]:port``; an IPv6 address without brackets has more colons."""

_NOT_IN_USERS = frozenset("'`\";&<>|(){}")
_NOT_IN_HOSTS = _NOT_IN_USERS | frozenset("$\\,")
"""Characters with a meaning to a shell; a user may be ``DOMAIN\\name`` or ``name$`` (a machine)."""

_ALONE = "Write the host alone; options belong in ~/.ssh/config"
_ALIAS = "Give the host a plain alias in ~/.ssh/config, and write that"


LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hostnames that need no SSH, in lower case."""


def transport_of(hostname: str) -> TransportKind:
    """Return how a sub-node of this name is reached, where nothing else is stated."""
    return "local" if hostname.lower() in LOCAL_NAMES else "ssh"


def host_of(hostname: str) -> str:
    """Give the host of a destination, without user and port.

    Raises:
        NoDestination: it is no destination.
    """
    return _parts(hostname)[1]


class NoDestination(PegasusError):
    """A name that is not a destination.

    Args:
        what: the fault, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what}. {instead}.")
        self.what = what
        self.instead = instead


def spell(hostname: str) -> list[str]:
    """Give the last arguments of ssh before the remote command.

    ``ssh://`` addresses are split here, because ssh refuses a user with an IPv6 address.

    Raises:
        NoDestination: it is not a destination.
    """
    user, host, port = _parts(hostname)
    if hostname.startswith("-") or host.startswith("-") or user.startswith("-"):
        raise NoDestination(
            f'the hostname "{hostname}" begins with "-", and ssh would take it for an option',
            _ALONE,
        )
    for text, refused in ((user, _NOT_IN_USERS), (host, _NOT_IN_HOSTS)):
        for sign in text:
            if sign in refused or not sign.isprintable():
                raise NoDestination(
                    f'the hostname "{hostname}" has {sign!r} in it, which no host or user has',
                    _ALIAS,
                )
    if not hostname.startswith("ssh://"):
        _refuse_port(hostname, user, host)
        return ["--", hostname]
    words = ["-p", port] if port else []
    return [*words, *(["-l", user] if user else []), "--", host]


def _refuse_port(hostname: str, user: str, host: str) -> None:
    """Refuse ``host:port``, which ssh would look up as a name."""
    match = _WITH_PORT.fullmatch(host)
    if match is not None:
        name = (f"{user}@" if user else "") + match["host"]
        raise NoDestination(
            f'the hostname "{hostname}" has a port in it, and ssh takes all of it for a name',
            f'Write "ssh://{name}:{match["port"] or "PORT"}", or set Port for the host in '
            "~/.ssh/config",
        )


def _parts(hostname: str) -> tuple[str, str, str]:
    """Split a destination into user, host and port; a missing part is empty."""
    if not hostname.startswith("ssh://"):
        user, _, host = hostname.rpartition("@")
        return user, host, ""
    match = _ADDRESS.fullmatch(hostname)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise NoDestination(
            f'the hostname "{hostname}" is no address', "Write ssh://USER@HOST:PORT"
        )
    return unquote(match["user"] or ""), match["host"].strip("[]"), match["port"] or ""
