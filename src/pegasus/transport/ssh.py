"""A session over SSH: one control master for each sub-node, and commands over its control socket.

Rule 1: see ``ssh_context`` for the options and the configuration of ssh.
Rule 2: a master ends with the block that opened it, and also when Pegasus is killed.
Rule 3: nothing is sent over a connection that ssh opened on its own: a client that does not find
its master must fail, not connect.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path

import trio

from pegasus.errors import NodeUnreachable, PegasusError, sole_error
from pegasus.model import Killed, Lost, Outcome, SubNode
from pegasus.process import FULL_PIPE, Pipes, open_child
from pegasus.transport.child_streams import started
from pegasus.transport.detached import DetachedShell
from pegasus.transport.follower import follower_command, follower_lines
from pegasus.transport.handshakes import NotConnected
from pegasus.transport.messages import break_words, failure, refuses_sessions
from pegasus.transport.mux import MuxFault, open_mux_session, sent_environment
from pegasus.transport.opening import open_detached
from pegasus.transport.script import remote_command
from pegasus.transport.shell import NodeShell, open_shell
from pegasus.transport.ssh_context import SshContext

CONNECT_LIMIT = 60.0
"""Seconds for a connection. ssh's own ConnectTimeout ends at the banner; without this limit a node
that hangs after the banner would be waited for until sshd's LoginGraceTime of 120 s."""

CLIENT_EXIT_LIMIT = 0.1
"""Seconds for a client to exit by itself. A client does not exit while its command has a process in
the background; nothing is lost when it is ended."""

MASTER_EXIT_LIMIT = 2.0
"""Seconds for a master to close the connection to its node."""

MESSAGES_LIMIT = 8192
"""Bytes that are kept of ssh's messages: the last ones contain the reason of a failure."""

KEPT = 8 * 1024 * 1024
"""Bytes that the C library of a master keeps instead of returning them to the system: two buffers
of ssh for a command whose output is not read fast enough, which grow to 2 MB in small steps and
shrink again. With many commands that print at once ssh would otherwise spend most of its time on
allocating and returning memory. The GNU library has these settings, others ignore them."""

MASTER_SCRIPT = r"""pegasus_s=$1; pegasus_d=$2; shift 2
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
# A small sh starts the master, and ends it when its own standard input, the lifeline, is closed. A
# line on the lifeline means that Pegasus closes the session; its end without a line means that
# Pegasus was killed, and then the directory of the control sockets is removed as well. What ssh
# started itself, for example a ProxyCommand, is in the same process group and ends with it. TMOUT
# is 0 since bash would otherwise end its `read` of the lifeline after that many seconds.


class SshSession:
    """An open connection to a sub-node.

    Attributes:
        place: what identifies its node: see ``ports``.
        ended: set once the connection is broken.
    """

    def __init__(self, context: SshContext, to: str, socket: Path, place: str) -> None:
        self.place = place
        self.ended = trio.Event()
        self._context = context
        self._to = to
        self._socket = socket
        self._messages = b""
        self._decided = trio.Event()  # the socket has appeared, or ssh has ended

    def open_shell(
        self, *, on_key: Callable[[str], None] | None = None
    ) -> AbstractAsyncContextManager[NodeShell | DetachedShell]:
        """Start a shell on the node that waits for a command.

        Args:
            on_key: see ``ports``; None for commands that end with the shell.

        Raises:
            NodeUnreachable: the connection is broken, or takes no more commands.
        """
        if on_key is not None:
            pipes = self._open_pipes(follower_command())
            lines = follower_lines()
            return open_detached(pipes, self._explain, on_key, self._report_slow, lines)
        return open_shell(self._open_pipes(remote_command()), self._diagnose, self._report_slow)

    def _report_slow(self, words: str) -> None:
        """Report, once for all sub-nodes of a node, that a shell is slow, and how to check it."""
        self._context.note_once(f"{self._to}: {words}. Try `ssh {self._to} echo ok` by hand.")

    @asynccontextmanager
    async def _open_pipes(self, command: str) -> AsyncIterator[Pipes]:
        """Start the shell's command: over the control socket itself, or with an ssh client."""
        async with AsyncExitStack() as stack:
            if not self._context.by_clients.is_set():
                send = (await self._context.resolver.resolve(self._to)).send_env
                environment = sent_environment(send, os.environb)
                try:
                    session = open_mux_session(self._socket, command, environment)
                    pipes: Pipes = await stack.enter_async_context(session)
                except MuxFault as fault:
                    self._context.fall_back(fault)
                else:
                    yield pipes
                    return
            yield await stack.enter_async_context(
                open_child(self._client(command), CLIENT_EXIT_LIMIT)
            )

    def _client(self, command: str) -> list[str]:
        options = ("-o", "ControlMaster=no", "-S", str(self._socket), "-o", "ProxyCommand=false")
        return self._context.argv(*options, to=self._to, command=[command])

    async def _diagnose(self, status: int) -> Outcome:
        """Return the outcome of a command whose shell did not report it.

        If the connection still works, the shell was killed, which only SIGKILL can do.
        """
        try:
            async with self.open_shell():
                return Killed(9)
        except NodeUnreachable as error:
            if refuses_sessions(error.words):  # the node itself says so
                return Killed(9)
            return Lost(await self._explain(status))

    async def _explain(self, status: int) -> str:  # noqa: ASYNC124 -- see ``local``
        """Return why a shell has ended, in ssh's own words where it has printed any."""
        words = break_words(self._messages)
        return words or f"the connection broke (ssh ended with status {status})"

    async def read_messages(self, source: trio.abc.ReceiveStream) -> None:
        """Keep what ssh prints, until it ends; ``wait_open`` discards what is not needed."""
        async for data in source:
            self._messages = (self._messages + data)[-MESSAGES_LIMIT:]
        self.ended.set()
        self._decided.set()

    async def wait_open(self, source: trio.abc.ReceiveStream) -> None:
        """Wait for the control socket, which appears when the node has accepted the login.

        What was printed before, banners and warnings, is discarded: it explains no later failure.

        Args:
            source: the stream that ``read_messages`` reads.

        Raises:
            NotConnected: the node is not reached, or refuses the login; in ssh's own words.
        """
        expected = self._context.watcher.expect(self._socket.name, self._decided)
        with trio.move_on_after(CONNECT_LIMIT), expected:
            await self._decided.wait()
            if self.ended.is_set():
                found = failure(self._messages)
                words = found.words or "ssh ended without a message; try `ssh -v` by hand"
                # Without its folder ssh could not make its socket; the next try has a new folder.
                may_pass = found.before_login or not self._socket.parent.exists()
                if not may_pass:
                    self._context.advise(words, self._to)
                raise NotConnected(words, may_pass=may_pass)
            _drop_unread(source)
            self._messages = b""
            return
        raise NotConnected(f"no connection within {CONNECT_LIMIT:g} seconds")


def _drop_unread(source: trio.abc.ReceiveStream) -> None:
    """Discard what is in a pipe now; a task that waits for more continues to wait."""
    if isinstance(source, trio.lowlevel.FdStream):
        with suppress(OSError):
            os.read(source.fileno(), FULL_PIPE)


@asynccontextmanager
async def open_session(context: SshContext, sub_node: SubNode) -> AsyncIterator[SshSession]:
    """Connect to a sub-node: one control master of its own.

    Raises:
        NodeUnreachable: it could not be connected to; in ssh's own words.
    """
    async with AsyncExitStack() as stack:

        async def attempt() -> SshSession:
            return await stack.enter_async_context(_open_once(context, sub_node))

        await _prepare(context)
        breaker = await context.handshakes.breaker(sub_node.hostname)
        yield await breaker.connect(sub_node, attempt)


@asynccontextmanager
async def _open_once(context: SshContext, sub_node: SubNode) -> AsyncIterator[SshSession]:
    """Try once to connect.

    Raises:
        NotConnected: the host is not reached, or refuses the login.
        NodeUnreachable: something is missing on this machine.
    """
    await _prepare(context)
    socket = context.folder.path / str(next(context.numbers))
    place = (await context.resolver.resolve(sub_node.hostname)).place
    session = SshSession(context, sub_node.hostname, socket, place)
    master = context.argv("-M", "-N", "-S", str(socket), to=sub_node.hostname)
    argv = ["sh", "-c", MASTER_SCRIPT, "pegasus", str(socket), str(context.folder.path), *master]
    with sole_error():
        async with (
            started(open_child(argv, MASTER_EXIT_LIMIT)) as child,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(session.read_messages, child.stderr)
            try:
                await session.wait_open(child.stderr)
                yield session
            finally:
                nursery.cancel_scope.cancel(reason="the session is closed")
                with suppress(OSError):
                    child.write_now(b"good-bye\n")


async def _prepare(context: SshContext) -> None:
    try:
        await context.prepare()
    except PegasusError as error:  # the folder can't be made now; it may be possible later
        raise NodeUnreachable(str(error)) from error
