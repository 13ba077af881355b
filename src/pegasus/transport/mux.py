"""Commands over a control master without a process for each: OpenSSH's own multiplexing protocol.

The words are those of PROTOCOL.mux in OpenSSH's sources. The kernel carries our ends of three
pipes to the master, so that the bytes of a command never pass through a client; and a command's
exit status comes as a message of its own.

Rule 1: a conversation that does not go as the protocol has it is a `MuxFault`; what to do instead
is the caller's business.
Rule 2: nothing is asked of a master that would make it open a connection.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from pegasus.errors import CannotStart, NodeUnreachable
from pegasus.process import Pipes, spare_open_files

VERSION = 4
HELLO = 0x00000001
NEW_SESSION = 0x10000002
PERMISSION_DENIED = 0x80000002
FAILURE = 0x80000003
EXIT_MESSAGE = 0x80000004
SESSION_OPENED = 0x80000006
NO_ESCAPE_CHARACTER = 0xFFFFFFFF

MESSAGE_LIMIT = 256 * 1024
"""Bytes of a message that are believed: OpenSSH's own limit."""

END_LIMIT = 0.1
"""Seconds for the word that a command has ended, from a node where it has: a round trip. One that
goes on for a while is not waited for."""


class MuxFault(Exception):
    """The master does not speak the protocol as it is known here."""


@dataclass(frozen=True, slots=True)
class MuxSession(Pipes):
    """A command that a control master runs for us."""

    stream: trio.SocketStream

    async def wait(self) -> int:
        """Wait for the command's end, and give its exit status.

        255 stands for a command that a signal ended, and for a connection that broke, as it does
        with a client.
        """
        try:
            while True:
                kind, body = await _receive(self.stream)
                if kind == EXIT_MESSAGE:
                    return _numbers(body, 2)[1]
        except (MuxFault, trio.BrokenResourceError, trio.ClosedResourceError):
            return 255


def sent_environment(patterns: Sequence[str], environ: Mapping[bytes, bytes]) -> list[bytes]:
    """Give the variables that a client of ssh's would send, as ``NAME=VALUE``.

    What SetEnv says is no business of a client's: the master adds it by itself, after these. It
    also drops what its own SendEnv does not permit.

    Args:
        patterns: of the names (SendEnv), with ``*`` and ``?``, as ``ssh -G`` gives them: ssh has
            carried out those with a ``-`` in front.
        environ: the variables that there are.
    """
    wanted = [re.compile(_expression(os.fsencode(pattern)), re.DOTALL) for pattern in patterns]
    return [
        name + b"=" + value
        for name, value in environ.items()
        if any(pattern.fullmatch(name) for pattern in wanted)
    ]


def _expression(pattern: bytes) -> bytes:
    """Write a pattern of ssh's as a regular expression; ``[`` means nothing special there."""
    return re.escape(pattern).replace(rb"\*", b".*").replace(rb"\?", b".")


@asynccontextmanager
async def open_mux_session(
    path: Path, command: str, environment: Sequence[bytes] = ()
) -> AsyncIterator[MuxSession]:
    """Run a command over the master of a control socket; leaving the block lets go of it.

    Args:
        path: of the control socket.
        command: what to run.
        environment: what to send of the environment, as ``NAME=VALUE``.

    Raises:
        NodeUnreachable: the master is gone, or the node takes no more commands.
        CannotStart: there can be no more pipes here.
        MuxFault: the master speaks another protocol.
    """
    with ExitStack() as given:
        (stdin, theirs_in), (stdout, theirs_out), (stderr, theirs_err) = (
            _pipe(given, is_input=True),
            _pipe(given, is_input=False),
            _pipe(given, is_input=False),
        )
        async with stdin, stdout, stderr, await _connect(path) as stream:
            try:
                await _greet(stream)
                await _ask(stream, command, environment)
                await _hand_over(stream, (theirs_in, theirs_out, theirs_err))
                given.close()
                await _confirm(stream)
            except trio.BrokenResourceError as error:
                raise NodeUnreachable("the connection is gone") from error
            session = MuxSession(stdin, stdout, stderr, stream)
            try:
                yield session
            finally:
                # Dropbear may close the next session when the client closes one that is ending.
                with trio.move_on_after(END_LIMIT, shield=True):
                    await session.wait()


def _pipe(given: ExitStack, *, is_input: bool) -> tuple[trio.lowlevel.FdStream, int]:
    """Make a pipe: our end, and the one that is given away, which is closed afterwards."""
    try:
        spare_open_files()
        reading, writing = os.pipe()
    except OSError as error:  # too many open files
        raise CannotStart("a command", error) from error
    theirs, ours = (reading, writing) if is_input else (writing, reading)
    given.callback(os.close, theirs)
    return trio.lowlevel.FdStream(ours), theirs


async def _connect(path: Path) -> trio.SocketStream:
    try:
        return await trio.open_unix_socket(str(path))
    except OSError as error:
        raise NodeUnreachable(f"the connection is gone ({error.strerror})") from error


async def _greet(stream: trio.SocketStream) -> None:
    await _send(stream, struct.pack(">II", HELLO, VERSION))
    kind, body = await _receive(stream)
    if kind != HELLO or _numbers(body, 1)[0] != VERSION:
        raise MuxFault(f"the master greets with {kind:#x}, not with version {VERSION}")


async def _ask(stream: trio.SocketStream, command: str, environment: Sequence[bytes]) -> None:
    """Ask for a session: no terminal, no X11, no agent, no subsystem, no escape character."""
    request = struct.pack(">II", NEW_SESSION, 0) + _string(b"")
    request += struct.pack(">IIIII", 0, 0, 0, 0, NO_ESCAPE_CHARACTER)
    strings = (b"", command.encode(), *environment)
    await _send(stream, request + b"".join(map(_string, strings)))


async def _hand_over(stream: trio.SocketStream, fds: tuple[int, ...]) -> None:
    """Hand over the ends of the pipes, each with a byte of its own as the protocol has it."""
    for fd in fds:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))]
        try:
            await stream.socket.sendmsg([b"\0"], rights)
        except OSError as error:
            raise trio.BrokenResourceError from error


async def _confirm(stream: trio.SocketStream) -> None:
    kind, body = await _receive(stream)
    if kind in {FAILURE, PERMISSION_DENIED}:
        raise NodeUnreachable(f"no more commands over this connection: {_words(body)}")
    if kind != SESSION_OPENED:
        raise MuxFault(f"the master answers {kind:#x}")


async def _send(stream: trio.SocketStream, message: bytes) -> None:
    await stream.send_all(struct.pack(">I", len(message)) + message)


async def _receive(stream: trio.SocketStream) -> tuple[int, bytes]:
    (length,) = struct.unpack(">I", await _receive_exactly(stream, 4))
    if not 4 <= length <= MESSAGE_LIMIT:
        raise MuxFault(f"the master sends a message of {length} bytes")
    message = await _receive_exactly(stream, length)
    return _numbers(message, 1)[0], message[4:]


async def _receive_exactly(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            raise trio.BrokenResourceError("the master has hung up")
        data += bytes(more)
    return data


def _string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _numbers(body: bytes, count: int) -> tuple[int, ...]:
    if len(body) < 4 * count:
        raise MuxFault("the master sends a message that is too short")
    return struct.unpack(f">{count}I", body[: 4 * count])


def _words(body: bytes) -> str:
    """Read the reason behind the number of the request."""
    return body[8:].decode(errors="replace")
