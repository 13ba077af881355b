"""What `pegasus add` promises, as far as it shows without a terminal."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
import trio

from pegasus import grid
from pegasus.commands import add as room
from pegasus.commands.add import AddSettings, add
from pegasus.errors import ExitStatus, FileFault, PegasusError
from pegasus.model import Entry, Job
from pegasus.queue_file import LONGEST_COMMAND, QueueFile, read_commands, read_params
from tests.unit.typed_input import standard_input


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Give the path of a queue file that is not there yet."""
    return tmp_path / "queue.yaml"


def added(
    queue: Path, *command: str, params: tuple[str, ...] = (), top: bool = False
) -> ExitStatus:
    """Run the command."""
    settings = AddSettings(queue_file=queue, command=command, params=params, top=top, color="never")
    return trio.run(add, settings)


def jobs(queue: Path) -> list[Job]:
    """Give the jobs that wait."""
    entries = list(QueueFile(queue).entries())
    assert all(isinstance(entry, Entry) for entry in entries), entries
    return [job for entry in entries if isinstance(entry, Entry) for job in grid.jobs(entry)]


def test_a_command_is_added(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A queue file that is not there is made; the command stands in it as it was typed."""
    assert added(queue, "echo 'a: b' # c") is ExitStatus.SUCCESS
    assert jobs(queue) == [Job("echo 'a: b' # c")]
    out, err = capfd.readouterr()
    assert (out, err) == ("", f"[Pegasus] Added 1 job at the end of {queue}.\n")


def test_at_the_end_or_at_the_top(queue: Path) -> None:
    """What is added runs last, or with ``--top`` next; the rest of the file stays as it is."""
    queue.write_text("# mine\n- b   # here\n")
    added(queue, "c")
    added(queue, "a", top=True)
    assert queue.read_text() == "# mine\n- a\n- b   # here\n- c\n"


def test_parameters(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A command with lists is one entry that stands for every combination."""
    added(queue, "train {{ lr }} {{ bs }}", params=("lr=1e-4,0.10", "bs=8,16"))
    assert [job.params for job in jobs(queue)] == [
        (("lr", lr), ("bs", bs)) for lr in ("1e-4", "0.10") for bs in ("8", "16")
    ]
    assert len(list(QueueFile(queue).entries())) == 1
    assert "Added 4 jobs" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("written", "params"),
    [
        (("x=a",), {"x": ("a",)}),
        (("x=a,b,c",), {"x": ("a", "b", "c")}),
        (("x=a", "y=1", "x=b,c"), {"x": ("a", "b", "c"), "y": ("1",)}),
        (("x=--lr=1,--lr=2",), {"x": ("--lr=1", "--lr=2")}),
        ((r"x=one\, two,three",), {"x": ("one, two", "three")}),
        (("x=",), {"x": ("",)}),
        (("x=,a,",), {"x": ("", "a", "")}),
        ((r"x=C:\dir,a\nb",), {"x": (r"C:\dir", r"a\nb")}),
        ((r"x=a\\,b",), {"x": (r"a\,b",)}),
        ((r"x=ends in \ ".strip(), "x=b"), {"x": ("ends in \\", "b")}),
        (("x= a , b ",), {"x": (" a ", " b ")}),
    ],
)
def test_how_values_are_written(
    written: tuple[str, ...], params: dict[str, tuple[str, ...]]
) -> None:
    r"""The first ``=`` ends the name, a comma ends a value, ``\,`` is a comma, all else is itself.

    The same name once more appends.
    """
    assert dict(read_params(written)) == params


@pytest.mark.parametrize(
    ("command", "params", "words"),
    [
        ((), (), "There is no command"),
        (("sleep", "5"), (), "quotes"),
        (("--tpo", "sleep 5"), (), "no option --tpo"),
        (("",), (), "empty"),
        ((" \n",), (), "empty"),
        (("a\0b",), (), "NUL"),
        (("x" * (LONGEST_COMMAND + 1),), (), "bytes long"),
        (("echo {{ x",), (), "COMMAND:1:6"),
        (("echo\necho {{#if}}",), (), "COMMAND:2:6"),
        (("echo \udcff",), (), "UTF-8"),
        (("echo",), ("x",), "--param bs=8,16"),
        (("echo",), ("=1",), "--param bs=8,16"),
        (("echo",), ("command=1",), "--param command"),
        (("echo",), ("x=\udcff",), "UTF-8"),
    ],
)
def test_what_is_refused(
    queue: Path, command: tuple[str, ...], params: tuple[str, ...], words: str
) -> None:
    """What could not be run is refused with words that help, and nothing is written."""
    queue.write_text("- a\n")
    with pytest.raises(PegasusError) as raised:
        added(queue, *command, params=params)
    assert words in str(raised.value)
    assert queue.read_text() == "- a\n"


def test_a_queue_with_a_fault_is_left_alone(queue: Path) -> None:
    """A file that can't be read on gets nothing put behind what is wrong with it."""
    queue.write_text("- a\n- [b\n")
    with pytest.raises(FileFault):
        added(queue, "c")
    assert queue.read_text() == "- a\n- [b\n"


def test_a_queue_that_its_owner_made_read_only(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only file is respected, although it could be replaced."""
    queue.write_text("- a\n")
    queue.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(FileFault, match="read-only"):
        added(queue, "b")
    assert queue.read_text() == "- a\n"


def test_its_mode_and_a_symbolic_link_stay(queue: Path) -> None:
    """The file behind a link gets the command, and keeps its mode."""
    real = queue.with_name("real.yaml")
    real.write_text("- a\n")
    real.chmod(0o640)
    queue.symlink_to(real.name)
    added(queue, "b")
    assert queue.is_symlink()
    assert real.read_text() == "- a\n- b\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_commands_from_standard_input(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each line is a command, lines with nothing on them are none; parameters are for all."""
    with standard_input(b"echo {{ x }}\n\n  \r\necho '\xc3\xa9'\r\nlast"):
        assert added(queue, "-", params=("x=1,2",)) is ExitStatus.SUCCESS
    commands = ["echo {{ x }}", "echo 'é'", "last"]
    assert jobs(queue) == [Job(each, (("x", x),)) for each in commands for x in "12"]
    assert "Added 6 jobs" in capfd.readouterr().err


MARK = "\ufeff"


@pytest.mark.parametrize(
    ("data", "commands"),
    [
        (f"{MARK}echo a\necho b\n", ["echo a", "echo b"]),
        (f"{MARK}echo a\r\necho b\r\n", ["echo a", "echo b"]),
        (f"echo a\n{MARK}echo b", ["echo a", "echo b"]),
        (f"{MARK}\n{MARK}  \r\n{MARK}", []),
        (f"echo {MARK}a\n", [f"echo {MARK}a"]),
    ],
)
def test_byte_order_marks_and_line_ends_of_windows(
    queue: Path, data: str, commands: list[str]
) -> None:
    """What an editor puts before a file, or behind a line, is no part of a command."""
    with standard_input(data.encode()):
        assert added(queue, "-") is ExitStatus.SUCCESS
    assert (jobs(queue) if queue.exists() else []) == [Job(command) for command in commands]


def test_byte_order_marks_of_arguments(queue: Path) -> None:
    """Neither has what ``"$(cat file)"`` passes on from the beginning of a file."""
    params = (f"{MARK}x=1", f"y={MARK}2,3", "z=4\ufeff")
    assert added(queue, f"{MARK}echo a", params=params) is ExitStatus.SUCCESS
    given = (("x", "1"), ("y", "2"), ("z", "4\ufeff"))
    assert jobs(queue)[0] == Job("echo a", given)
    with pytest.raises(PegasusError, match="empty"):
        added(queue, MARK)


@pytest.mark.parametrize("text", ["echo a\n", "e\necho a\r\necho b\n"])
@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
    ],
)
def test_other_encodings(queue: Path, text: str, encoding: str, name: str) -> None:
    """Text in UTF-16 or UTF-32 is refused, with the command that converts it."""
    refused = pytest.raises(FileFault, match=f"iconv -f {name} -t UTF-8")
    with refused, standard_input(text.encode(encoding)):
        added(queue, "-")
    assert not queue.exists()


def test_standard_input_without_a_command(queue: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing to add is no error, and makes no file."""
    with standard_input(b"\n"):
        assert added(queue, "-") is ExitStatus.SUCCESS
    assert not queue.exists()
    assert "Nothing to add" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a\n\nb {{\n", "standard input:3:3"),
        (b"a\nb \xff\n", "standard input:2:3"),
        (b"a\0\n", "standard input:1:1"),
        (b"a\n\xef\xbb\xbf\xc3\xa9b \xff\n", "standard input:2:4"),
    ],
)
def test_a_bad_line_of_standard_input(data: bytes, place: str) -> None:
    """The fault names the line; nothing at all is added."""
    with pytest.raises(FileFault) as raised:
        read_commands(data)
    assert str(raised.value.position) == place


def test_many_at_once(queue: Path) -> None:
    """Thousands of commands are added in one step."""
    with standard_input(b"".join(b"%d\n" % n for n in range(9000))):
        added(queue, "-")
    assert [job.command for job in jobs(queue)] == [str(n) for n in range(9000)]


async def test_ctrl_c_while_it_waits_for_the_lock(
    queue: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever waits for the lock is told who holds it; an interrupt adds nothing."""
    statuses = []

    async def add_one() -> None:
        settings = AddSettings(queue_file=queue, command=("a",), color="never")
        statuses.append(await add(settings))

    said = ""
    with trio.fail_after(20):
        async with QueueFile(queue).locked(lambda _: None), trio.open_nursery() as nursery:
            nursery.start_soon(add_one)
            while "waiting for" not in said:
                await trio.sleep(0.02)
                said += capfd.readouterr().err
            os.kill(os.getpid(), signal.SIGINT)
    assert statuses == [ExitStatus.INTERRUPTED]
    assert QueueFile(queue).state() is None


def test_ctrl_c_at_a_terminal_that_types_no_more(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input that never ends is given up on an interrupt, at once."""
    reading, writing = os.pipe()

    def read_all() -> bytes:
        os.kill(os.getpid(), signal.SIGINT)
        return os.read(reading, 1)

    monkeypatch.setattr(room, "_read_all", read_all)
    assert added(queue, "-") is ExitStatus.INTERRUPTED
    os.close(writing)
    assert not queue.exists()
