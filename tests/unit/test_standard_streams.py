"""Commands that only show something: what they do where their output cannot be written."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from pegasus.errors import PegasusError
from pegasus.standard_streams import STDOUT, write
from tests.unit.records import queue_in, run_some

LIMIT = 30
PROGRAM = "from pegasus.cli import main; main()"


@contextmanager
def output_to(fd: int) -> Iterator[None]:
    """Have another file as standard output."""
    kept = os.dup(STDOUT)
    os.dup2(fd, STDOUT)
    try:
        yield
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)


@pytest.mark.parametrize(
    "words",
    [["status"], ["status", "--json"], ["status", "--runs"], ["logs"], ["logs", "1"], ["check"]],
    ids=" ".join,
)
def test_a_full_disk(tmp_path: Path, words: list[str]) -> None:
    """``pegasus status > file`` on a full disk is an error of one line, and no bug of Pegasus's."""
    queue = queue_in(tmp_path)
    trio.run(run_some, queue)
    (tmp_path / "hosts.yaml").write_text("- localhost\n")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "[Pegasus] Standard output cannot be written: No space left on device. Look after the "
        "disk, or send it somewhere else.\n"
    )


def test_an_error_that_cannot_be_written(tmp_path: Path) -> None:
    """The exit status says what happened, also where the message has no room."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "--no-command"],
            stdout=subprocess.PIPE,
            stderr=full,
            cwd=tmp_path,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_pipe_that_does_not_block() -> None:
    """Somebody else's O_NONBLOCK on a shared pipe loses nothing."""
    data = os.urandom(1 << 20)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got = bytearray()

    def read() -> None:
        while piece := os.read(reading, 1 << 16):
            got.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    with output_to(writing):
        os.close(writing)
        write(STDOUT, data)
    thread.join(LIMIT)
    os.close(reading)
    assert bytes(got) == data


def test_a_reader_that_is_gone() -> None:
    """That is told apart from what a person should look after."""
    reading, writing = os.pipe()
    os.close(reading)
    with output_to(writing), pytest.raises(BrokenPipeError):
        write(STDOUT, b"x")
    os.close(writing)
    with (
        open("/dev/full", "wb") as full,  # noqa: PTH123
        output_to(full.fileno()),
        pytest.raises(PegasusError, match="No space left on device"),
    ):
        write(STDOUT, b"x")


@pytest.mark.parametrize("columns", [80, 40, 200])
def test_a_long_message(columns: int) -> None:
    """On a terminal a message of an error is wrapped between words, and all rows have its mark."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, columns))
    command = [sys.executable, "-c", PROGRAM, "queue", "--timeout", "5x"]
    with subprocess.Popen(command, stderr=child) as process:
        os.close(child)
        rows = read_all(parent).decode().splitlines()
        assert process.wait(LIMIT) == 2
    assert max(map(len, rows)) <= columns
    assert {row[:10] for row in rows} == {"[Pegasus] "}
    assert {row[10:14] for row in rows[1:]} <= {" " * 4}
    told = " ".join([rows[0][10:], *(row[14:] for row in rows[1:])])
    assert told.startswith("Invalid value for --timeout: '5x' is no length of time: write 90, ")
    assert told.endswith("See `pegasus queue --help`.")


def read_all(terminal: int) -> bytes:
    """Read until nobody has the other side open."""
    said = b""
    with suppress(OSError):  # Linux's way to say that
        while data := os.read(terminal, 4096):
            said += data
    os.close(terminal)
    return said


def test_a_terminal_without_a_width(tmp_path: Path) -> None:
    """Where the terminal does not know its width, no line of the list of jobs is cut."""
    queue = queue_in(tmp_path)
    trio.run(run_some, queue)
    parent, child = pty.openpty()  # it has 0 columns until somebody says how many
    command = [sys.executable, "-c", PROGRAM, "logs"]
    with subprocess.Popen(command, stdout=child, cwd=tmp_path) as process:
        os.close(child)
        said = b""
        while b"\r\n     2" not in said or not said.endswith(b"\n"):
            said += os.read(parent, 4096)
        assert process.wait(LIMIT) == 0
    os.close(parent)
    assert b"train 1\r\n" in said
    assert said.endswith(b"train 2\r\n")
