"""How ssh is called in one run: its configuration, its options, and what all its sessions share.

Rule 1: Pegasus runs the user's own ssh with the user's own configuration. Options that a run
depends on are set on the command line, where they override the user's; mere defaults come after the
user's own settings.
Rule 2: the folder of the control sockets exists during the block that opened it; see ``folder``.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from pegasus.destination import spell
from pegasus.errors import PegasusError, sole_error
from pegasus.transport.folder import SocketFolder
from pegasus.transport.handshakes import Handshakes
from pegasus.transport.mux import MuxFault
from pegasus.transport.next_steps import next_step
from pegasus.transport.resolved import Resolver
from pegasus.transport.socket_watcher import SocketWatcher

OVERRIDES = (
    "BatchMode=yes",  # there is no terminal for a password
    "RemoteCommand=none",
    "RequestTTY=no",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ControlPersist=no",  # else the master goes to the background, where it can't be ended
    "VisualHostKey=no",
    "EscapeChar=none",
    "LogLevel=INFO",  # ERROR and above hide why a connection failed
)

OVERRIDES_SINCE_8_7 = ("ForkAfterAuthentication=no", "StdinNull=no")
"""The same, for an ssh that has these settings; an older one would refuse to start."""


def _ignore(words: str) -> None:
    """Ignore a note."""


@dataclass(frozen=True, slots=True)
class SshContext:
    """How ssh is called in one run.

    Attributes:
        folder: of the control sockets; private to this user.
        watcher: watches for the sockets that appear.
        masters: runs the masters that several users share; each ends with its last user.
        overrides: settings that override the user's own; empty before ``prepare``.
        preparing: held while ssh's version is determined.
        by_clients: set when each command needs its own ssh process, because the masters speak
            another protocol, or because the user asked for it.
        on_note: gets a sentence that a user should read once.
        numbers: of the control sockets.
        noted: the sentences that were given to ``on_note``.
        advised: the kinds of failures for which a user was told what to type.
        resolver: returns how ssh interprets a destination.
        handshakes: limits the connections that are not logged in yet.
    """

    folder: SocketFolder
    watcher: SocketWatcher
    masters: trio.Nursery
    overrides: list[str] = field(default_factory=list)
    preparing: trio.Lock = field(default_factory=trio.Lock)
    by_clients: trio.Event = field(default_factory=trio.Event)
    on_note: Callable[[str], None] = _ignore
    numbers: Iterator[int] = field(default_factory=itertools.count)
    noted: set[str] = field(default_factory=set)
    advised: set[str] = field(default_factory=set)
    resolver: Resolver = field(init=False)
    handshakes: Handshakes = field(init=False)

    def __post_init__(self) -> None:
        # Without the options of a call: only the settings of the configuration are needed.
        resolver = Resolver(lambda to: ["ssh", "-G", "-F", str(self.folder.config), *spell(to)])
        object.__setattr__(self, "resolver", resolver)
        object.__setattr__(self, "handshakes", Handshakes(resolver, self.on_note))

    async def prepare(self) -> None:
        """Make the folder and determine the options. A run on localhost never needs this.

        Raises:
            PegasusError: the folder was removed and can't be made again.
        """
        await self.folder.ensure()
        self.watcher.directory = self.folder.path
        async with self.preparing:
            if not self.overrides:
                newer = OVERRIDES_SINCE_8_7 if await _ssh_version() >= (8, 7) else ()
                self.overrides.extend(OVERRIDES + newer)

    def argv(self, *options: str, to: str, command: Sequence[str] = ()) -> list[str]:
        """Return the command line of a call of ssh.

        Args:
            options: more options, before Pegasus's own; the first value of a setting wins.
            to: the destination.
            command: what to run there.
        """
        overrides = [word for option in self.overrides for word in ("-o", option)]
        config = ["-F", str(self.folder.config)]
        return ["ssh", *config, *options, *overrides, "-T", "-x", "-a", *spell(to), *command]

    def fall_back(self, fault: MuxFault) -> None:
        """Use an ssh process for each command from now on; this is reported once."""
        if not self.by_clients.is_set():
            self.by_clients.set()
            self.on_note(f"Using an ssh process for each command: {fault}.")

    def advise(self, words: str, to: str) -> None:
        """Say what to type after a login that failed, once for each kind of failure."""
        step = next_step(words, to, has_agent="SSH_AUTH_SOCK" in os.environ)
        if step is not None and step.kind not in self.advised:
            self.advised.add(step.kind)
            self.on_note(step.words)

    def note_once(self, words: str) -> None:
        """Report a sentence, unless it was reported before."""
        if words not in self.noted:
            self.noted.add(words)
            self.on_note(words)


@asynccontextmanager
async def open_ssh(
    user_config: Path | None,
    *,
    by_clients: bool = False,
    on_note: Callable[[str], None] = _ignore,
) -> AsyncIterator[SshContext]:
    """Make a private directory for the control sockets of a run, and remove it afterwards.

    It is in ``XDG_RUNTIME_DIR`` if no other user can write there, otherwise in ``/tmp``. TMPDIR is
    not used, since the path of a socket is limited to about a hundred bytes. No user can guess the
    name of the directory, or see it before the directory exists.

    Args:
        user_config: the file to read instead of the user's and the system's configuration.
        by_clients: whether each command gets its own ssh process.
        on_note: gets a sentence that a user should read once.

    Raises:
        PegasusError: there is no such file, or the directory can't be made.
    """
    refuse_missing_config(user_config)
    with sole_error():
        async with trio.open_nursery() as nursery:
            folder = SocketFolder(user_config, nursery, on_note)
            await folder.ensure()
            watcher = SocketWatcher(folder.path)
            nursery.start_soon(watcher.run)
            try:
                async with trio.open_nursery() as masters:
                    context = SshContext(folder, watcher, masters, on_note=on_note)
                    if by_clients:
                        context.by_clients.set()
                    yield context
            finally:
                folder.unused.set()
            nursery.cancel_scope.cancel(reason="no more connections")


def refuse_missing_config(user_config: Path | None) -> None:
    """Raise PegasusError for a user's configuration of ssh that is not there."""
    if user_config and not user_config.is_file():
        raise PegasusError(
            f"{user_config}: there is no such ssh configuration file. Correct the path after "
            "--ssh-config."
        )


async def _ssh_version() -> tuple[int, ...]:
    """Return ssh's version; (0,) for one that is not OpenSSH, or that is missing."""
    try:
        done = await trio.run_process(["ssh", "-V"], capture_stderr=True, check=False)
    except OSError:
        return (0,)  # the first connection reports the missing ssh
    match = re.search(rb"OpenSSH_(\d+)\.(\d+)", done.stderr)
    return tuple(int(number) for number in match.groups()) if match else (0,)
