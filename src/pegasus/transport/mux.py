"""Runs commands over a control master without a client process: OpenSSH's multiplexing protocol.

The terms are those of PROTOCOL.mux in OpenSSH's sources. The kernel passes the other ends of three
pipes to the master, so that the output of a command never passes through a client. The exit status
of a command is a message of the protocol.

Rule 1: a violation of the protocol is a `MuxFault`; the caller decides what to do instead.
Rule 2: no request makes a master open a connection.
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
"""The longest message, in bytes, that is accepted: OpenSSH's own limit."""

END_LIMIT = 0.1
"""Seconds to wait for the exit message of a command that has ended: a round trip. A command that
still runs is not waited for."""


class MuxFault(Exception):
    """The master does not follow the protocol as it is known here."""


@dataclass(frozen=True, slots=True)
class MuxSession(Pipes):
    """A command that a control master runs."""

    stream: trio.SocketStream

    async def wait(self) -> int:
        """Wait for the command's end, and return its exit status.

        255 means that a signal ended the command or that the connection broke, as with a client.
        """
        try:
            while True:
                kind, body = await _receive(self.stream)
                if kind == EXIT_MESSAGE:
                    return _numbers(body, 2)[1]
        except (MuxFault, trio.BrokenResourceError, trio.ClosedResourceError):
            return 255


def sent_environment(patterns: Sequence[str], environ: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the variables that an ssh client would send, as ``NAME=VALUE``.

    The master itself adds the variables of SetEnv after these, and drops what its own SendEnv does
    not permit.

    Args:
        patterns: of the names (SendEnv), with ``*`` and ``?``, as ``ssh -G`` prints them: ssh has
            already applied those with a leading ``-``.
        environ: the environment.
    """
    wanted = [re.compile(_expression(os.fsencode(pattern)), re.DOTALL) for pattern in patterns]
    return [
        name + b"=" + value
        for name, value in environ.items()
        if any(pattern.fullmatch(name) for pattern in wanted)
    ]


def _expression(pattern: bytes) -> bytes:
    """Return a pattern of ssh as a regular expression; ``[`` has no special meaning there."""
    return re.escape(pattern).replace(rb"\*", b".*").replace(rb"\?", b".")


@asynccontextmanager
async def open_mux_session(
    path: Path, command: str, environment: Sequence[bytes] = ()
) -> AsyncIterator[MuxSession]:
    """Run a command over the master of a control socket; leaving the block releases it.

    Args:
        path: of the control socket.
        command: what to run.
        environment: the variables to send, as ``NAME=VALUE``.

    Raises:
        NodeUnreachable: the master is gone, or the node takes no more commands.
        CannotStart: no more pipes can be made here.
        MuxFault: the master uses another protocol.
    """
    with ExitStack() as passed:
        (stdin, theirs_in), (stdout, theirs_out), (stderr, theirs_err) = (
            _pipe(passed, is_input=True),
            _pipe(passed, is_input=False),
            _pipe(passed, is_input=False),
        )
        async with stdin, stdout, stderr, await _connect(path) as stream:
            try:
                await _greet(stream)
                await _request(stream, command, environment)
                await _pass_pipes(stream, (theirs_in, theirs_out, theirs_err))
                passed.close()
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


def _pipe(passed: ExitStack, *, is_input: bool) -> tuple[trio.lowlevel.FdStream, int]:
    """Make a pipe; the end that is passed to the master is closed afterwards."""
    try:
        spare_open_files()
        reading, writing = os.pipe()
    except OSError as error:  # too many open files
        raise CannotStart("a command", error) from error
    theirs, ours = (reading, writing) if is_input else (writing, reading)
    passed.callback(os.close, theirs)
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


async def _request(stream: trio.SocketStream, command: str, environment: Sequence[bytes]) -> None:
    """Request a session: no terminal, no X11, no agent, no subsystem, no escape character."""
    message = struct.pack(">II", NEW_SESSION, 0) + _string(b"")
    message += struct.pack(">IIIII", 0, 0, 0, 0, NO_ESCAPE_CHARACTER)
    strings = (b"", command.encode(), *environment)
    await _send(stream, message + b"".join(map(_string, strings)))


async def _pass_pipes(stream: trio.SocketStream, fds: tuple[int, ...]) -> None:
    """Pass the ends of the pipes, each with one byte, as the protocol requires."""
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
    """Return the reason, which follows the number of the request."""
    return body[8:].decode(errors="replace")
