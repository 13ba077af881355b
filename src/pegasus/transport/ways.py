"""How ssh is called in one run: its configuration, its sockets' private directory, its settings.

Rule 1: ssh is the user's own, with the user's own configuration; what would break a run is
overruled on the command line, what is merely a default stands behind the user's own settings.
Rule 2: the folder of the control sockets belongs to its block; see ``folder``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from pegasus.destination import spell
from pegasus.errors import PegasusError, sole_error
from pegasus.transport.arrivals import Arrivals
from pegasus.transport.folder import Folder
from pegasus.transport.handshakes import Handshakes
from pegasus.transport.mux import MuxFault
from pegasus.transport.resolved import Resolver

OVERRULED = (
    "BatchMode=yes",  # nobody is there to type a password
    "RemoteCommand=none",
    "RequestTTY=no",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ControlPersist=no",  # else the master goes to the background, out of reach
    "VisualHostKey=no",
    "EscapeChar=none",
    "LogLevel=INFO",  # ERROR and above hide why a connection was given up
)

OVERRULED_SINCE_8_7 = ("ForkAfterAuthentication=no", "StdinNull=no")
"""The same, for an ssh that knows these settings; an older one would refuse to start."""


def _say_nothing(words: str) -> None:
    """Be told something and leave it at that."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """How ssh is called in one run.

    Attributes:
        folder: of the control sockets; private to this user.
        overruled: settings that stand above the user's own; none before ``settle``.
        settling: held by the one that asks ssh.
        numbers: of the control sockets.
        noted: sentences that need not be said again.
        resolver: tells what ssh makes of a destination.
        handshakes: who may connect now.
        arrivals: tells of the sockets that appear.
        by_clients: set when each command takes a client process of ssh's, since the masters are
            not understood, or because that was asked for.
        on_note: is told a sentence that a person should read once.
    """

    folder: Folder
    arrivals: Arrivals
    overruled: list[str] = field(default_factory=list)
    settling: trio.Lock = field(default_factory=trio.Lock)
    by_clients: trio.Event = field(default_factory=trio.Event)
    on_note: Callable[[str], None] = _say_nothing
    numbers: Iterator[int] = field(default_factory=itertools.count)
    noted: set[str] = field(default_factory=set)
    resolver: Resolver = field(init=False)
    handshakes: Handshakes = field(init=False)

    def __post_init__(self) -> None:
        # Without the options of a call: what the configuration says is what is asked for.
        resolver = Resolver(lambda to: ["ssh", "-G", "-F", str(self.folder.config), *spell(to)])
        object.__setattr__(self, "resolver", resolver)
        object.__setattr__(self, "handshakes", Handshakes(resolver, self.on_note))

    async def settle(self) -> None:
        """Learn how this ssh is called. Whoever needs it first asks: a run on localhost never.

        Raises:
            PegasusError: the folder was removed, and there is no room for another one.
        """
        await self.folder.ensure()
        self.arrivals.directory = self.folder.path
        async with self.settling:
            if not self.overruled:
                newer = OVERRULED_SINCE_8_7 if await _ssh_version() >= (8, 7) else ()
                self.overruled.extend(OVERRULED + newer)

    def argv(self, *options: str, to: str, command: Sequence[str] = ()) -> list[str]:
        """Spell a call of ssh.

        Args:
            options: more options, before Pegasus's own; the first value of a setting wins.
            to: the destination.
            command: what to run there.
        """
        overruled = [word for option in self.overruled for word in ("-o", option)]
        config = ["-F", str(self.folder.config)]
        return ["ssh", *config, *options, *overruled, "-T", "-x", "-a", *spell(to), *command]

    def fall_back(self, fault: MuxFault) -> None:
        """Use a client process for each command from now on; it is said once."""
        if not self.by_clients.is_set():
            self.by_clients.set()
            self.on_note(f"Using an ssh process for each command: {fault}.")

    def note_once(self, words: str) -> None:
        """Say a sentence that a person should read, unless it has been said."""
        if words not in self.noted:
            self.noted.add(words)
            self.on_note(words)


@asynccontextmanager
async def open_ssh(
    user_config: Path | None,
    *,
    by_clients: bool = False,
    on_note: Callable[[str], None] = _say_nothing,
) -> AsyncIterator[Ssh]:
    """Make a private directory for the control sockets of a run, and remove it afterwards.

    It stands where the user's own sockets do, in ``XDG_RUNTIME_DIR`` if nobody else can write
    there, or else in ``/tmp``; never where TMPDIR says, since the path of a socket is limited to
    about a hundred bytes. Its name can neither be guessed nor seen before it is made.

    Args:
        user_config: the file to read instead of the user's and the system's configuration.
        by_clients: whether each command takes a client process of ssh's.
        on_note: is told what a person should read once.

    Raises:
        PegasusError: there is no such file, or no room for the directory.
    """
    _refuse_missing(user_config)
    with sole_error():
        async with trio.open_nursery() as nursery:
            folder = Folder(user_config, nursery, on_note)
            await folder.ensure()
            ssh = Ssh(folder, Arrivals(folder.path), on_note=on_note)
            if by_clients:
                ssh.by_clients.set()
            nursery.start_soon(ssh.arrivals.run)
            try:
                yield ssh
            finally:
                folder.over.set()
            nursery.cancel_scope.cancel(reason="no more connections")


def _refuse_missing(user_config: Path | None) -> None:
    if user_config and not user_config.is_file():
        raise PegasusError(f"{user_config}: there is no such ssh configuration file.")


async def _ssh_version() -> tuple[int, ...]:
    """Ask ssh for its version; (0,) for one that is no OpenSSH, or not there."""
    try:
        said = await trio.run_process(["ssh", "-V"], capture_stderr=True, check=False)
    except OSError:
        return (0,)  # who needs it is told why there is none by the one that tries
    match = re.search(rb"OpenSSH_(\d+)\.(\d+)", said.stderr)
    return tuple(int(number) for number in match.groups()) if match else (0,)
