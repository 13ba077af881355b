"""A session over SSH: one control master a sub-node, and the commands over its control socket.

Rule 1: ssh is the user's own, with the user's own configuration; what would break a run is
overruled on the command line, what is merely a default stands behind the user's own settings.
Rule 2: a master belongs to its block: it ends with it, and also when Pegasus is killed.
Rule 3: nothing is ever sent over a connection that ssh opened by itself: a client that finds its
master gone must fail, not connect.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path

import trio

from pegasus.errors import CannotStart, NodeUnreachable, PegasusError, sole_error
from pegasus.model import Killed, Lost, Outcome, SubNode
from pegasus.process import FULL_PIPE, Child, Pipes, open_child
from pegasus.transport.handshakes import NotConnected
from pegasus.transport.messages import failure, printed
from pegasus.transport.mux import MuxFault, open_mux_session, sent_environment
from pegasus.transport.script import remote_command
from pegasus.transport.shell import Shell, open_shell
from pegasus.transport.ways import Ssh

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


class SshSession:
    """An open connection to a sub-node."""

    def __init__(self, ssh: Ssh, to: str, socket: Path) -> None:
        self._ssh = ssh
        self._to = to
        self._socket = socket
        self._words = b""
        self._arrived = trio.Event()
        self._gone = False

    def open_shell(self) -> AbstractAsyncContextManager[Shell]:
        """Start a shell on the node that waits for a command.

        Raises:
            NodeUnreachable: the connection is broken, or takes no more commands.
        """
        return open_shell(self._open_pipes(), self._judge, self._say_slow)

    def _say_slow(self, words: str) -> None:
        """Say what a shell is waited for, and how to see it: once for all sub-nodes of a node."""
        self._ssh.note_once(f"{self._to}: {words}. Try `ssh {self._to} echo ok` by hand.")

    @asynccontextmanager
    async def _open_pipes(self) -> AsyncIterator[Pipes]:
        """Start the shell's command: over the control socket itself, or by a client of ssh's."""
        async with AsyncExitStack() as stack:
            if not self._ssh.by_clients.is_set():
                send = (await self._ssh.resolver.resolve(self._to)).send_env
                environment = sent_environment(send, os.environb)
                try:
                    session = open_mux_session(self._socket, remote_command(), environment)
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
            words = "; ".join(printed(self._words))
            return Lost(words or f"the connection broke (ssh ended with status {status})")

    async def read_words(self, source: trio.abc.ReceiveStream) -> None:
        """Keep what ssh prints, to its end; see ``wait_open`` for what is forgotten."""
        async for data in source:
            self._words = (self._words + data)[-WORDS_LIMIT:]
        self._gone = True
        self._arrived.set()  # what won't come any more need not be waited for

    async def wait_open(self, source: trio.abc.ReceiveStream) -> None:
        """Wait for the control socket, which appears when the node has let us in.

        What was printed before, banners and warnings, has nothing to do with what comes later.

        Args:
            source: what ``read_words`` reads.

        Raises:
            NotConnected: it has not; in ssh's own words.
        """
        expected = self._ssh.arrivals.expected(self._socket.name, self._arrived)
        with trio.move_on_after(CONNECT_LIMIT), expected:
            await self._arrived.wait()
            if self._gone:
                found = failure(self._words)
                words = found.words or "ssh ended without a message; try `ssh -v` by hand"
                # Without its folder ssh could not make its socket: the next try has another one.
                may_pass = found.before_login or not self._socket.parent.exists()
                raise NotConnected(words, may_pass=may_pass)
            _drop_unread(source)
            self._words = b""
            return
        raise NotConnected(f"no connection within {CONNECT_LIMIT:g} seconds")


def _drop_unread(source: trio.abc.ReceiveStream) -> None:
    """Drop what stands in a pipe now; whoever waits for it goes on waiting."""
    if isinstance(source, trio.lowlevel.FdStream):
        with suppress(OSError):
            os.read(source.fileno(), FULL_PIPE)


@asynccontextmanager
async def open_session(ssh: Ssh, sub_node: SubNode) -> AsyncIterator[SshSession]:
    """Connect to a sub-node: one control master of its own.

    Raises:
        NodeUnreachable: it could not be connected to; in ssh's own words.
    """
    async with AsyncExitStack() as stack:

        async def attempt() -> SshSession:
            return await stack.enter_async_context(_open_once(ssh, sub_node))

        await _settle(ssh)
        gate = await ssh.handshakes.gate(sub_node.hostname)
        yield await gate.connect(sub_node, attempt)


@asynccontextmanager
async def _open_once(ssh: Ssh, sub_node: SubNode) -> AsyncIterator[SshSession]:
    """Try once to connect.

    Raises:
        NotConnected: the host is not to be reached, or does not let us in.
        NodeUnreachable: something is missing here.
    """
    await _settle(ssh)
    socket = ssh.folder.path / str(next(ssh.numbers))
    session = SshSession(ssh, sub_node.hostname, socket)
    master = ssh.argv("-M", "-N", "-S", str(socket), to=sub_node.hostname)
    argv = ["sh", "-c", GUARD, "pegasus", str(socket), str(ssh.folder.path), *master]
    with sole_error():
        async with _open_master(argv) as child, trio.open_nursery() as nursery:
            nursery.start_soon(session.read_words, child.stderr)
            try:
                await session.wait_open(child.stderr)
                yield session
            finally:
                nursery.cancel_scope.cancel(reason="the session is closed")
                with suppress(OSError):
                    child.write_now(b"good-bye\n")


async def _settle(ssh: Ssh) -> None:
    try:
        await ssh.settle()
    except PegasusError as error:  # the folder can't be made anew: maybe it can be later
        raise NodeUnreachable(str(error)) from error


@asynccontextmanager
async def _open_master(argv: Sequence[str]) -> AsyncIterator[Child]:
    """Start a master; where it can't be started one sub-node can't be reached, no more."""
    async with AsyncExitStack() as stack:
        try:
            child = await stack.enter_async_context(open_child(argv, MASTER_PATIENCE))
        except CannotStart as error:
            raise NodeUnreachable(str(error)) from error
        yield child
