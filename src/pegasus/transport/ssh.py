"""A session over SSH: one control master a sub-node, and the commands over its control socket.

Rule 1: ssh is the user's own, with the user's own configuration; what would break a run is
overruled on the command line, what is merely a default stands behind the user's own settings.
Rule 2: a master belongs to its block: it ends with it, and also when Pegasus is killed.
Rule 3: nothing is ever sent over a connection that ssh opened by itself: a client that finds its
master gone must fail, not connect.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path

import trio

from pegasus.destination import spell
from pegasus.errors import CannotStart, NodeUnreachable, PegasusError, sole_error
from pegasus.model import Killed, Lost, Outcome, SubNode
from pegasus.ownership import is_private
from pegasus.process import Child, Pipes, open_child
from pegasus.transport.arrivals import Arrivals
from pegasus.transport.mux import MuxFault, open_mux_session
from pegasus.transport.script import remote_command
from pegasus.transport.shell import Shell, open_shell

HANDSHAKES = 8
"""Connections to one host that may be on their way at once: sshd's MaxStartups begins to refuse
at ten that are not logged in yet, and another user may be at the door as well."""

CONNECT_LIMIT = 60.0
"""Seconds that a connection may need before it is given up. ssh's own ConnectTimeout ends at the
banner; a node that hangs after it would be waited for until sshd's LoginGraceTime of 120 s."""

CLIENT_PATIENCE = 0.1
"""Seconds for a client to end by itself. One whose command left something in the background
would not for as long as that lives; what is lost by ending it is nothing."""

MASTER_PATIENCE = 2.0
"""Seconds for a master to say good-bye to its node."""

WORDS_LIMIT = 8192
"""Bytes of what ssh says that are kept: its last words are the ones that explain."""

KEPT = 8 * 1024 * 1024
"""Bytes that the C library of a master keeps for later instead of returning them to the system: two
of ssh's buffers for a command whose output nobody reads fast enough, which grow to 2 MB, piece by
piece, and shrink again. With many commands that print at once ssh would else spend more time on
getting and returning memory than on everything else. The GNU library knows these settings, others
pay no heed to them."""

GUARD = r"""pegasus_s=$1; pegasus_d=$2; shift 2
exec 3<&0 </dev/null
MALLOC_MMAP_THRESHOLD_=KEPT MALLOC_TRIM_THRESHOLD_=KEPT "$@" 3<&- & p=$!
( TMOUT=0; trap '' HUP INT QUIT
  read -r x <&3 && exec kill -s TERM $p
  trap '' TERM
  kill -s TERM $p; rm -rf "$pegasus_d"; sleep 2; kill -s KILL 0
) >/dev/null 2>&1 &
r=$!
exec 3<&- >/dev/null 2>&1
trap : HUP INT TERM QUIT
wait $p
while kill -s 0 $p; do wait $p; done
kill -s TERM 0; rm -f "$pegasus_s"
""".replace("KEPT", str(KEPT))
# A master under guard: the little sh above it has its lifeline, and ends it when the lifeline is
# closed. A line on the lifeline is Pegasus's own good-bye; its end without one means that Pegasus
# was killed, and then the directory of the control sockets goes as well. What ssh started itself, a
# ProxyCommand say, is of the same group, and goes with it. Where sh is bash, TMOUT would end a
# lifeline after so many seconds.

KEEPER = r"""TMOUT=0; trap '' HUP INT TERM QUIT PIPE
d=$(mktemp -d "$1") || exit
printf '%s\n' "$d" && read -r x
rm -rf "$d"
"""
# The directory of the control sockets under guard: the little sh that makes it removes it when its
# lifeline is closed, and so there is no moment at which Pegasus can be killed and leave it behind.
# Its name is made up by the very program that makes it: one that stands on a command line could be
# seen, and taken, by anybody.

PLACE_LIMIT = 50
"""Bytes of the path of the directory for our directory: OpenSSH leaves ninety for the whole path of
a socket, and ours is 23 bytes and a number longer."""

_PLAIN_PATH = re.compile(r"/[\w./@+=:,-]*", re.ASCII)
"""Paths in which ssh finds nothing to expand: no ``%h``, ``${HOME}``, quotes, blanks or ``*``."""

KEEPER_PATIENCE = 2.0
"""Seconds to remove a directory with a few files in it, on a machine that may be busy."""

FALLBACKS = """\
# Written by Pegasus for one run: the user's settings first, since in ssh the first value wins.
{includes}
Host *
  StrictHostKeyChecking accept-new
  ServerAliveInterval 15
  ServerAliveCountMax 3
  ConnectTimeout 20
"""

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
        directory: of the control sockets; private to this user.
        overruled: settings that stand above the user's own; none before ``settle``.
        settling: held by the one that asks ssh.
        handshakes: by host, who may connect now.
        numbers: of the control sockets.
        arrivals: tells of the sockets that appear.
        by_clients: set when each command takes a client process of ssh's, since the masters are
            not understood, or because that was asked for.
        on_note: is told a sentence that a person should read once.
    """

    directory: Path
    arrivals: Arrivals
    overruled: list[str] = field(default_factory=list)
    settling: trio.Lock = field(default_factory=trio.Lock)
    by_clients: trio.Event = field(default_factory=trio.Event)
    on_note: Callable[[str], None] = _say_nothing
    handshakes: dict[str, trio.CapacityLimiter] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def settle(self) -> None:
        """Learn how this ssh is called. Whoever needs it first asks: a run on localhost never."""
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
        config = ["-F", str(self.directory / "config")]
        return ["ssh", *config, *options, *overruled, "-T", "-x", "-a", *spell(to), *command]

    def fall_back(self, fault: MuxFault) -> None:
        """Use a client process for each command from now on; it is said once."""
        if not self.by_clients.is_set():
            self.by_clients.set()
            self.on_note(f"Using an ssh process for each command: {fault}.")

    def limiter(self, hostname: str) -> trio.CapacityLimiter:
        """Give the limiter of the handshakes with a host."""
        return self.handshakes.setdefault(hostname, trio.CapacityLimiter(HANDSHAKES))


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
    place = _place()
    argv = ["sh", "-c", KEEPER, "pegasus", str(place / "pgs-XXXXXXXXXXXX")]
    async with open_child(argv, KEEPER_PATIENCE) as keeper:
        made = await keeper.stdout.receive_some()
        if not made:
            said = await keeper.stderr.receive_some()
            raise PegasusError(
                f"No directory can be made: {said.decode(errors='replace').strip()}. "
                f"Make room for a small one in {place}."
            )
        directory = Path(os.fsdecode(bytes(made).removesuffix(b"\n")))
        (directory / "config").write_text(_config(directory, user_config))
        ssh = Ssh(directory, Arrivals(directory), on_note=on_note)
        if by_clients:
            ssh.by_clients.set()
        with sole_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ssh.arrivals.run)
                yield ssh
                nursery.cancel_scope.cancel(reason="no more connections")


def _refuse_missing(user_config: Path | None) -> None:
    if user_config and not user_config.is_file():
        raise PegasusError(f"{user_config}: there is no such ssh configuration file.")


def _place() -> Path:
    """Give the directory for private directories of sockets."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    plain = _PLAIN_PATH.fullmatch(given) and len(given) <= PLACE_LIMIT
    usable = plain and is_private(Path(given)) and os.access(given, os.W_OK | os.X_OK)
    return Path(given if usable else "/tmp")  # noqa: S108


async def _ssh_version() -> tuple[int, ...]:
    """Ask ssh for its version; (0,) for one that is no OpenSSH, or not there."""
    try:
        said = await trio.run_process(["ssh", "-V"], capture_stderr=True, check=False)
    except OSError:
        return (0,)  # who needs it is told why there is none by the one that tries
    match = re.search(rb"OpenSSH_(\d+)\.(\d+)", said.stderr)
    return tuple(int(number) for number in match.groups()) if match else (0,)


def _config(directory: Path, user_config: Path | None) -> str:
    """Give the configuration of a run; a path that ssh would read otherwise gets another name."""
    if user_config is None:
        files = ["~/.ssh/config", "/etc/ssh/ssh_config"]
    else:
        file = user_config.absolute()
        if not _PLAIN_PATH.fullmatch(str(file)):
            (directory / "ssh-config").symlink_to(file)
            file = directory / "ssh-config"
        files = [str(file)]
    return FALLBACKS.format(includes="\n".join(f'Include "{file}"' for file in files))


class SshSession:
    """An open connection to a sub-node."""

    def __init__(self, ssh: Ssh, to: str, socket: Path, hurry: trio.Event) -> None:
        self._ssh = ssh
        self._to = to
        self._socket = socket
        self._hurry = hurry
        self._words = b""
        self._arrived = trio.Event()
        self._gone = False

    @property
    def words(self) -> str:
        """What ssh said, without its small talk."""
        lines = self._words.decode(errors="replace").replace("\r", "").splitlines()
        kept = [line for line in lines if not line.startswith("Warning: Permanently added")]
        return "; ".join(line.strip() for line in kept if line.strip())

    def open_shell(self) -> AbstractAsyncContextManager[Shell]:
        """Start a shell on the node that waits for a command.

        Raises:
            NodeUnreachable: the connection is broken, or takes no more commands.
        """
        return open_shell(self._open_pipes(), self._judge, self._hurry)

    @asynccontextmanager
    async def _open_pipes(self) -> AsyncIterator[Pipes]:
        """Start the shell's command: over the control socket itself, or by a client of ssh's."""
        async with AsyncExitStack() as stack:
            if not self._ssh.by_clients.is_set():
                try:
                    session = open_mux_session(self._socket, remote_command())
                    pipes: Pipes = await stack.enter_async_context(session)
                except MuxFault as fault:
                    self._ssh.fall_back(fault)
                else:
                    yield pipes
                    return
            yield await stack.enter_async_context(open_child(self._client(), CLIENT_PATIENCE))

    def _client(self) -> list[str]:
        options = ("-o", "ControlMaster=no", "-S", str(self._socket), "-o", "ProxyCommand=false")
        return self._ssh.argv(*options, to=self._to, command=[remote_command()])

    async def _judge(self, status: int) -> Outcome:
        """Say what became of a command whose shell went without a word.

        If the connection is as good as before, somebody killed the shell, and only SIGKILL can.
        """
        try:
            async with self.open_shell():
                return Killed(9)
        except NodeUnreachable:
            return Lost(self.words or f"the connection broke (ssh ended with status {status})")

    async def read_words(self, source: trio.abc.ReceiveStream) -> None:
        """Keep what ssh says, to its end."""
        async for data in source:
            self._words = (self._words + data)[-WORDS_LIMIT:]
        self._gone = True
        self._arrived.set()  # what won't come any more need not be waited for

    async def wait_open(self) -> None:
        """Wait for the control socket, which appears when the node has let us in.

        Raises:
            NodeUnreachable: it has not; in ssh's own words.
        """
        expected = self._ssh.arrivals.expected(self._socket.name, self._arrived)
        with trio.move_on_after(CONNECT_LIMIT), expected:
            await self._arrived.wait()
            if self._gone:
                raise NodeUnreachable(self.words or "ssh ended without a word")
            return
        raise NodeUnreachable(self.words or f"no connection within {CONNECT_LIMIT:g} seconds")


@asynccontextmanager
async def open_session(ssh: Ssh, sub_node: SubNode, hurry: trio.Event) -> AsyncIterator[SshSession]:
    """Connect to a sub-node: one control master of its own.

    Raises:
        NodeUnreachable: it could not be connected to; in ssh's own words.
    """
    await ssh.settle()
    socket = ssh.directory / str(next(ssh.numbers))
    session = SshSession(ssh, sub_node.hostname, socket, hurry)
    master = ssh.argv("-M", "-N", "-S", str(socket), to=sub_node.hostname)
    argv = ["sh", "-c", GUARD, "pegasus", str(socket), str(ssh.directory), *master]
    limiter, borrower = ssh.limiter(sub_node.hostname), object()
    await limiter.acquire_on_behalf_of(borrower)
    with ExitStack() as handshake, sole_error():
        handshake.callback(limiter.release_on_behalf_of, borrower)
        async with _open_master(argv) as child, trio.open_nursery() as nursery:
            nursery.start_soon(session.read_words, child.stderr)
            try:
                await session.wait_open()
                handshake.close()
                yield session
            finally:
                nursery.cancel_scope.cancel(reason="the session is closed")
                with suppress(OSError):
                    child.write_now(b"good-bye\n")


@asynccontextmanager
async def _open_master(argv: Sequence[str]) -> AsyncIterator[Child]:
    """Start a master; where it can't be started one sub-node can't be reached, no more."""
    async with AsyncExitStack() as stack:
        try:
            child = await stack.enter_async_context(open_child(argv, MASTER_PATIENCE))
        except CannotStart as error:
            raise NodeUnreachable(str(error)) from error
        yield child
