"""The multiplexing protocol with a master that keeps to it: what it is asked, and may say."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from pegasus.errors import NodeUnreachable
from pegasus.transport.mux import MESSAGE_LIMIT, MuxFault, MuxSession, open_mux_session

LIMIT = 20.0
Master = Callable[[socket.socket], Awaitable[None]]


def message(*numbers: int, text: bytes = b"") -> bytes:
    """Give a message: its length, numbers, and a text."""
    body = struct.pack(f">{len(numbers)}I", *numbers) + text
    return struct.pack(">I", len(body)) + body


HELLO = message(1, 4)
OPENED = message(0x80000006, 0, 7)


class GoodMaster:
    """Opens a session, and keeps what it was asked and given.

    Attributes:
        asked: the request for the session, without its length.
        given: the file descriptors that came.
    """

    def __init__(self, *says: bytes, answer: bytes = OPENED) -> None:
        self.answer = answer
        self.says = says
        self.asked = b""
        self.given: list[int] = []

    async def serve(self, listening: trio.socket.SocketType) -> None:
        connected, _ = await listening.accept()
        with connected:
            await self._converse(connected)

    async def _converse(self, connected: trio.socket.SocketType) -> None:
        assert await self._exactly(connected, 12) == HELLO
        await connected.send(HELLO)
        (length,) = struct.unpack(">I", await self._exactly(connected, 4))
        self.asked = await self._exactly(connected, length)
        for _ in range(3):
            _, ancillary, _, _ = await connected.recvmsg(1, socket.CMSG_SPACE(4))
            self.given += [fd for *_, data in ancillary for fd in struct.unpack("i", data)]
        with suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
            for byte in b"".join((self.answer, *self.says)):  # the smallest pieces there are
                await connected.send(bytes([byte]))
        for fd in self.given:
            os.close(fd)

    @staticmethod
    async def _exactly(connected: trio.socket.SocketType, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await connected.recv(count - len(data))
            assert more
            data += more
        return data


async def converse(
    master: GoodMaster, folder: Path, use: Callable[[MuxSession], Awaitable[int]]
) -> int:
    """Open a session with a master, and give what its use came to."""
    path = folder / "m"
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listening.bind(str(path))
    listening.listen()
    with listening, trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(master.serve, listening)
            async with open_mux_session(path, "echo 'ä'") as session:
                status = await use(session)
    return status


def open_files() -> int:
    """Count the open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def wait(session: MuxSession) -> int:
    """Wait for the command's end."""
    return await session.wait()


async def test_what_a_master_is_asked(tmp_path: Path) -> None:
    """A session without a terminal, X11, agent, subsystem or escape character, and the command."""
    master = GoodMaster(message(0x80000004, 7, 3))
    assert await converse(master, tmp_path, wait) == 3
    command = "echo 'ä'".encode()
    assert master.asked == (
        struct.pack(">II", 0x10000002, 0)
        + struct.pack(">I", 0)
        + struct.pack(">IIIII", 0, 0, 0, 0, 0xFFFFFFFF)
        + struct.pack(">I", 0)
        + struct.pack(">I", len(command))
        + command
    )
    assert len(master.given) == 3


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ([message(0x80000004, 7, 0)], 0),
        ([message(0x80000004, 7, 255)], 255),
        ([message(0x80000008, 7), message(0x80000004, 7, 4)], 4),  # a terminal that failed
        ([], 255),  # it hangs up
        ([message(0x80000004, 7)], 255),  # too short to have a status
        ([message(0x80000004, 7, 0)[:6]], 255),  # torn
        ([struct.pack(">I", 3) + b"abc"], 255),  # no message is as short
        ([struct.pack(">I", MESSAGE_LIMIT + 1)], 255),  # or as long
    ],
)
async def test_the_end_of_a_command(tmp_path: Path, says: list[bytes], status: int) -> None:
    """The exit status is the master's word; without one, the connection broke."""
    assert await converse(GoodMaster(*says), tmp_path, wait) == status


async def test_a_refusal_in_pieces(tmp_path: Path) -> None:
    """A refusal is read whole, in whatever pieces it comes."""
    refusal = message(0x80000003, 0, 9, text=b"no more of")
    with pytest.RaisesGroup(
        pytest.RaisesExc(NodeUnreachable, match="no more of"), flatten_subgroups=True
    ):
        await converse(GoodMaster(answer=refusal), tmp_path, wait)


async def test_a_denied_session(tmp_path: Path) -> None:
    """A master that asks its user, who says no, refuses like a node that takes no more."""
    denial = message(0x80000002, 0, 6, text=b"denied")
    with pytest.RaisesGroup(
        pytest.RaisesExc(NodeUnreachable, match="this connection: denied"), flatten_subgroups=True
    ):
        await converse(GoodMaster(answer=denial), tmp_path, wait)


@pytest.mark.parametrize("length", [0, 3, MESSAGE_LIMIT + 1, 0x48545450])
async def test_a_length_that_no_message_has(tmp_path: Path, length: int) -> None:
    """Such a master speaks another protocol."""
    with pytest.RaisesGroup(MuxFault, flatten_subgroups=True):
        await converse(GoodMaster(answer=struct.pack(">I", length)), tmp_path, wait)


async def test_nothing_stays_open(tmp_path: Path) -> None:
    """No end of a pipe stays open here: those that were given away are the master's alone."""
    before = open_files()
    await converse(GoodMaster(message(0x80000004, 7, 0)), tmp_path, wait)
    assert open_files() == before
