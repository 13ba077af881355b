"""How ssh interprets a destination: the host, the route to it, and the environment that it sends.

Rule 1: ssh itself resolves it (``ssh -G``), once for each spelling; Pegasus does not read ssh's
configuration. A name that ssh does not resolve is used as it is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from pegasus.destination import NoDestination
from pegasus.process import end_group

RESOLVE_LIMIT = 20.0
"""Seconds for ``ssh -G``, which takes milliseconds, unless it queries a name server or the command
of a ``Match exec`` hangs."""

_SPELLING = re.compile(r"%[nk]")
"""Tokens that stand for a destination as it is spelled."""

_FIRST_JUMP = re.compile(r"(?:ssh://)?([^,/]+)")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A destination as ssh resolves it.

    Attributes:
        hostname: the address or name that ssh connects to, in lower case.
        port: its port.
        jump: the first ProxyJump, as it is written in the configuration; empty without one.
        proxy: the ProxyCommand, with its ``%h`` unexpanded; empty without one.
        send_env: the patterns of the variables that are sent (SendEnv), in their order; one with a
            leading ``-`` removes patterns.
        set_env: names and values that are set (SetEnv).
        forward_agent: the value of ForwardAgent; ``no`` where the agent is not forwarded.
        settings: a hash of all settings; two destinations that differ in their spelling only have
            the same one. Empty where ssh did not resolve the destination.
    """

    hostname: str
    port: int = 22
    jump: str = ""
    proxy: str = ""
    send_env: tuple[str, ...] = ()
    set_env: tuple[tuple[str, str], ...] = ()
    forward_agent: str = "no"
    settings: str = field(default="", compare=False)

    @property
    def place(self) -> str:
        """The node that is reached, however its name and the user's are written."""
        return f"{self.hostname}:{self.port}"


class Resolver:
    """Resolves destinations, each once.

    Args:
        argv: returns the command line of ``ssh -G`` for a destination.
    """

    def __init__(self, argv: Callable[[str], list[str]]) -> None:
        self._argv = argv
        self._known: dict[str, Resolved] = {}
        self._locks: dict[str, trio.Lock] = {}

    async def resolve(self, name: str) -> Resolved:
        """Return how ssh interprets a destination, as it is written in the hosts file."""
        async with self._locks.setdefault(name, trio.Lock()):
            if name in self._known:
                return self._known[name]
            found = await self._ask(name)
            if found.settings:
                self._known[name] = found
            return found

    async def _ask(self, name: str) -> Resolved:
        with trio.move_on_after(RESOLVE_LIMIT):
            try:
                done = await trio.run_process(
                    self._argv(name),
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    start_new_session=True,
                    deliver_cancel=end_group,
                )
            except (OSError, NoDestination):
                return Resolved(name)  # the connection reports why there is no ssh
            if done.returncode == 0:
                return read(name, done.stdout.decode(errors="surrogateescape"))
        return Resolved(name)


def read(name: str, output: str) -> Resolved:
    """Parse the output of ``ssh -G``.

    Args:
        name: the destination, used where the output has no hostname.
        output: lines of a setting's name in lower case, a blank, and its value.
    """
    settings: dict[str, list[str]] = {}
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key, []).append(value)

    def first(key: str) -> str:
        value = settings.get(key, [""])[0]
        return "" if value == "none" else value

    jump = _FIRST_JUMP.match(first("proxyjump"))
    port = first("port")
    return Resolved(
        hostname=first("hostname").lower() or name,
        port=int(port) if port.isdecimal() else 22,
        jump=jump[1] if jump else "",
        proxy=first("proxycommand"),
        send_env=tuple(settings.get("sendenv", ())),
        set_env=tuple(_pair(each) for each in settings.get("setenv", ())),
        forward_agent=first("forwardagent") or "no",
        settings=_settings(output),
    )


def _settings(output: str) -> str:
    """Return a hash that ignores the spelling of the destination."""
    kept = [line for line in output.splitlines() if not line.startswith("host ")]
    if any(_SPELLING.search(line) for line in kept):
        kept.append(output)  # a command or a file name has the spelling in it
    return hashlib.sha256("\n".join(kept).encode(errors="surrogateescape")).hexdigest()


def _pair(setting: str) -> tuple[str, str]:
    name, _, value = setting.partition("=")
    return name, value
