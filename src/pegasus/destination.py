"""An SSH destination, spelled so that ssh takes it for nothing else.

Rule 1: pure; whether there is such a host is ssh's business.
Rule 2: what newer versions of ssh refuse is refused here too: the older ones give a name to a shell
as it is, wherever the configuration has a ``ProxyCommand`` or ``Match exec`` with ``%h`` in it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from pegasus.errors import PegasusError

_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[^@/]+)@)?(?P<host>\[[^\]/@]+\]|[^:/@\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)

_WITH_PORT = re.compile(r"(?P<host>[^:\[\]]+|\[[^\[\]]*\]):(?P<port>[0-9]*)")
"""``host:port`` and ``[address]:port``; an IPv6 address without brackets has more colons."""

_NOT_IN_USERS = frozenset("'`\";&<>|(){}")
_NOT_IN_HOSTS = _NOT_IN_USERS | frozenset("$\\,")
"""What a shell acts upon; a user may be ``DOMAIN\\name`` or a machine's ``name$``."""

_ALONE = "Write the host alone; options belong in ~/.ssh/config"
_ALIAS = "Give the host a plain alias in ~/.ssh/config, and write that"


class NoDestination(PegasusError):
    """A name that is no destination.

    Args:
        what: is wrong, as a sentence without its full stop.
        instead: what to write instead, as a sentence without its full stop.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what}. {instead}.")
        self.what = what
        self.instead = instead


def spell(hostname: str) -> list[str]:
    """Give the last words of an ssh command line before the remote command.

    ``ssh://`` addresses are taken apart here: ssh itself refuses a user with an IPv6 address.

    Raises:
        NoDestination: it is none.
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
    """Refuse ``host:port``, which ssh takes for a name, and would look up."""
    match = _WITH_PORT.fullmatch(host)
    if match is not None:
        name = (f"{user}@" if user else "") + match["host"]
        raise NoDestination(
            f'the hostname "{hostname}" has a port in it, and ssh takes all of it for a name',
            f'Write "ssh://{name}:{match["port"] or "PORT"}", or set Port for the host in '
            "~/.ssh/config",
        )


def _parts(hostname: str) -> tuple[str, str, str]:
    """Split a destination into user, host and port; what is not given is empty."""
    if not hostname.startswith("ssh://"):
        user, _, host = hostname.rpartition("@")
        return user, host, ""
    match = _ADDRESS.fullmatch(hostname)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise NoDestination(
            f'the hostname "{hostname}" is no address', "Write ssh://USER@HOST:PORT"
        )
    return unquote(match["user"] or ""), match["host"].strip("[]"), match["port"] or ""
