"""The multiplexing protocol, against masters that misbehave; good ones stand in tests/e2e."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from pegasus.errors import NodeUnreachable
from pegasus.transport.mux import MuxFault, open_mux_session, sent_environment

HELLO = struct.pack(">III", 8, 1, 4)

Master = Callable[[trio.SocketStream], Awaitable[None]]


def saying(data: bytes, *, stays: bool = True) -> Master:
    """Make a master that says this whatever it is asked, and listens on, or hangs up."""

    async def master(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(data)
            while stays and await stream.receive_some():
                pass

    return master


async def ask(master: Master, folder: Path) -> None:
    """Ask a master of a test's own to run a command."""
    path = folder / "m"
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await listening.bind(str(path))
    listening.listen()

    async def serve() -> None:
        accepted, _ = await listening.accept()
        async with trio.SocketStream(accepted) as stream:
            await master(stream)

    with listening, trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with open_mux_session(path, "true"):
                pass


@pytest.mark.parametrize(
    "said",
    [
        struct.pack(">III", 8, 1, 5),  # another version
        struct.pack(">III", 8, 7, 4),  # no greeting
        struct.pack(">II", 4, 1),  # a greeting without a version
        b"HTTP/1.1 400 Bad Request\r\n\r\n",  # another protocol
        HELLO + struct.pack(">II", 4, 0x99),  # an answer that is none
    ],
)
async def test_another_protocol(said: bytes, tmp_path: Path) -> None:
    """A master that uses another protocol is distinguished from one that is gone."""
    with pytest.RaisesGroup(MuxFault, flatten_subgroups=True):
        await ask(saying(said), tmp_path)


@pytest.mark.parametrize("said", [b"", HELLO[:5], HELLO, HELLO + b"\0\0"])
async def test_a_master_that_hangs_up(said: bytes, tmp_path: Path) -> None:
    """A master that hangs up at any point is a connection that is gone."""
    with pytest.RaisesGroup(NodeUnreachable, flatten_subgroups=True):
        await ask(saying(said, stays=False), tmp_path)


async def test_a_node_that_takes_no_more_commands(tmp_path: Path) -> None:
    """A refusal is reported in the master's own words."""
    reason = b"Session open refused by peer"
    body = struct.pack(">III", 0x80000003, 0, len(reason)) + reason
    refusal = struct.pack(">I", len(body)) + body
    words = pytest.RaisesExc(NodeUnreachable, match="Session open refused by peer")
    with pytest.RaisesGroup(words, flatten_subgroups=True):
        await ask(saying(HELLO + refusal), tmp_path)


async def test_no_master(tmp_path: Path) -> None:
    """Where there is no socket the connection is gone."""
    with pytest.raises(NodeUnreachable, match="No such file"):
        async with open_mux_session(tmp_path / "none", "true"):
            pass


@pytest.mark.parametrize(
    ("patterns", "sent"),
    [
        ([], ""),
        (["*"], "A= AB=1 a[=2 LC_X=3=4"),
        (["A"], "A="),
        (["A?"], "AB=1"),
        (["?*"], "A= AB=1 a[=2 LC_X=3=4"),
        (["LC_*", "A"], "A= LC_X=3=4"),
        (["a["], "a[=2"),
        (["[Aa]B", "L.*", "a"], ""),
    ],
)
def test_what_is_sent_of_the_environment(patterns: list[str], sent: str) -> None:
    """The patterns of SendEnv are ssh's: ``*``, ``?``, whole names, and nothing else is special."""
    environ = {b"A": b"", b"AB": b"1", b"a[": b"2", b"LC_X": b"3=4"}
    assert sent_environment(patterns, environ) == [entry.encode() for entry in sent.split()]


def test_bytes_that_are_no_text_are_sent() -> None:
    """A variable is bytes, as in the system."""
    assert sent_environment(["N*"], {b"N\xff": b"\xfe"}) == [b"N\xff=\xfe"]
