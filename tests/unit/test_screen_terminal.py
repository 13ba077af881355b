"""What users see on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from pegasus.events import Ended, Started, Unreachable
from pegasus.model import Assignment, Command, Exited, Job, Lost, SubNode
from pegasus.screen import layout, open_screen, screen_file
from pegasus.terminal_text import fit, is_plain
from tests.unit.screens import Terminal, assignment, err, out, pipe, terminal

COLOURS = {"TERM": "xterm-256color"}


def screen_on(tty: Terminal, **options: Any) -> Any:
    """Open a screen on a terminal, as in a shell without redirections."""
    return open_screen(stdout_fd=tty.fd, stderr_fd=tty.fd, **{"environ": COLOURS, **options})


async def test_a_job_on_a_terminal() -> None:
    """Run line, output and done line stand below each other, each name in its own colour."""
    one, two = assignment(1, 0, "a"), assignment(2, 1, "b")
    with terminal() as tty:
        async with screen_on(tty) as screen:
            screen.tell(Started(one))
            await screen.show(out(one, b"hello \x1b[1mworld\n"))
            await screen.show(err(two, b"\xe6\x97\xa5\n"))
            screen.tell(Ended(one, Exited(0), 1.0))
            screen.say("done")
        shown = tty.screen()
        rows = [row.rstrip() for row in shown.display[:5]]
        assert rows == [
            "[a] === run 'true' ===",
            "[a] hello world",
            "[b] 日",
            "[a] === done (exit status: 0) ===",
            "[Pegasus] done",
        ]
        colours = [shown.buffer[row][0].fg for row in range(5)]
        assert colours[0] == colours[1] == colours[3] != colours[2] != colours[4] == "default"
        assert shown.buffer[1][4].fg == "default"
        assert shown.buffer[1][10].bold
        assert not shown.buffer[3][10].bold


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_long_lines_wrap(columns: int) -> None:
    """Each row of a long line has the name in front, and none is wider than the terminal."""
    text = "0123456789日本語😀" * 30
    with terminal(columns) as tty:
        async with screen_on(tty) as screen:
            await screen.show(out(assignment(), text.encode() + b"\n"))
        rows = tty.display()
        assert all(row.startswith("[node-1] ") for row in rows)
        assert all(len(row) > columns / 2 for row in rows[:-1])
        joined = "".join(row.removeprefix("[node-1] ") for row in rows)
        assert joined == text


async def test_a_line_as_wide_as_the_terminal() -> None:
    """A line that just fits is one row, and leaves no blank row behind."""
    with terminal(40) as tty:
        async with screen_on(tty) as screen:
            await screen.show(out(assignment(), b"x" * 31 + b"\n" + b"y\n"))
        assert tty.display() == ["[node-1] " + "x" * 31, "[node-1] y"]


async def test_a_terminal_that_changes_its_width() -> None:
    """Lines wrap at the width that the terminal has when they are shown."""
    with terminal(30) as tty:
        async with screen_on(tty, color="never") as screen:
            await screen.show(out(assignment(), b"x" * 30 + b"\n"))
            tty.resize(80)
            await screen.show(out(assignment(), b"x" * 30 + b"\n"))
        widths = [len(line) for line in tty.sent().split(b"\r\n")]
        assert widths == [30, 9 + 9, 9 + 30, 0]


@pytest.mark.parametrize("columns", [1, 2, 9, 18])
async def test_narrow_terminals(columns: int) -> None:
    """Beside a name that leaves no room for text, lines are not wrapped, and nothing breaks."""
    with terminal(columns) as tty:
        async with screen_on(tty, color="never") as screen:
            await screen.show(out(assignment(), "日".encode() * 50 + b"\n"))
        assert tty.sent().decode() == "[node-1] " + "日" * 50 + "\r\n"


@pytest.mark.parametrize(("said", "wrapped"), [("30", True), ("", False), ("x", False)])
async def test_a_terminal_that_does_not_know_its_width(said: str, *, wrapped: bool) -> None:
    """``COLUMNS`` counts where the terminal does not say; without it nothing wraps."""
    with terminal(0, 0) as tty:
        async with screen_on(tty, environ={"COLUMNS": said}, color="never") as screen:
            await screen.show(out(assignment(), b"x" * 100 + b"\n"))
        assert (max(map(len, tty.sent().split(b"\r\n"))) == 30) is wrapped


async def test_jobs_cannot_play_with_the_terminal() -> None:
    """Nothing that a job, a command or a name says moves the cursor or clears the screen."""
    nasty = "\x1b[2J\x1b[H\x1b]0;title\x07\x1b[?1049h\x1b[5;5Hx\x1bc"
    command = f"echo {nasty}"
    job = Assignment(1, Job(command), SubNode(0, "n", (("p", "\x1b[2J"),)), Command(command))
    with terminal() as tty:
        async with screen_on(tty) as screen:
            screen.tell(Started(job))
            await screen.show(out(job, nasty.encode() + b"\n"))
            screen.say(nasty)
        assert tty.screen().title == ""
        assert tty.display() == [
            "[n (p=\\x1b[2J)] === run 'echo x' ===",
            "[n (p=\\x1b[2J)] x",
            r"[Pegasus] \x1b[2J\x1b[H\x1b]0;title\x07\x1b[?1049h\x1b[5;5Hx\x1bc",
        ]


async def test_what_stands_behind_pegasus_is_the_beginning_of_a_line() -> None:
    """A long line of Pegasus's own goes on indented: no wrapped text looks like a line of its."""
    words = "x" * 43 + " 24 commands: 24 succeeded. " + "y" * 40
    with terminal() as tty:
        async with screen_on(tty) as screen:
            screen.tell(Unreachable(SubNode(0, "n"), words, None))
            screen.say("a", "b" * 70, "c" * 71)
        assert tty.display() == [
            "[Pegasus] n cannot be reached, giving up:",
            "[Pegasus]     " + "x" * 43 + " 24 commands: 24",
            "[Pegasus]     succeeded. " + "y" * 40,
            "[Pegasus] a",
            "[Pegasus] " + "b" * 70,
            "[Pegasus] " + "c" * 66,
            "[Pegasus]     " + "c" * 5,
        ]


async def test_a_progress_bar() -> None:
    """A progress bar is shown as lines, and its colours do not leak into what follows."""
    with terminal() as tty:
        async with screen_on(tty) as screen:
            for percent in (10, 50, 100):
                await screen.show(err(assignment(), b"\r\x1b[2K\x1b[32m%3d%%" % percent))
            await screen.show(err(assignment(), b"\n"))
        assert tty.display() == ["[node-1]  10%", "[node-1]  50%", "[node-1] 100%"]


async def test_a_summary_is_whole() -> None:
    """However long a summary is, and however slow its reader, all of its lines come."""
    failures = [
        f"  job {number} on node-1: exit status: 3: {'x' * 100}" for number in range(90_000)
    ]
    lines = ["90,000 commands", *failures, "To put it back: pegasus retry"]
    with pipe() as err_pipe:
        async with open_screen(
            stdout_fd=err_pipe.fd, stderr_fd=err_pipe.fd, environ=COLOURS
        ) as screen:
            screen.say_summary(lines, lambda line: line.startswith("  "))
        said = err_pipe.text().decode().splitlines()
    assert said == [f"[Pegasus] {line}" for line in lines]


async def test_failures_are_red() -> None:
    """The end of what did not succeed is red in all its rows, the end of what did is not."""
    job = assignment()
    with terminal(40) as tty:
        async with screen_on(tty) as screen:
            screen.tell(Ended(job, Exited(0), 1.0))
            screen.tell(Ended(job, Lost("its node was switched off at night"), 1.0))
            screen.say("job 1 on node-1: exit status: 3, after 0.0 s: true", failed=True)
            screen.say("5 commands")
        rows = tty.sent().decode().split("\r\n")[:-1]
        assert tty.display()[0] == "[node-1] === done (exit status: 0) ==="
    red = [row.partition("] ")[2] or row for row in rows if "\x1b[1;31m" in row]
    assert len(red) == len(rows) - 2
    assert "\x1b[1;31m" not in rows[0] + rows[-1]
    assert all(row.endswith("\x1b[0m") for row in red)


@pytest.mark.parametrize(
    "options",
    [
        {"color": "never"},
        {"environ": {**COLOURS, "NO_COLOR": "1"}},
        {"environ": {"TERM": "dumb"}},
    ],
)
async def test_no_colours(options: dict[str, Any]) -> None:
    """Without colours no escape at all reaches the terminal, not even a job's own."""
    with terminal() as tty:
        async with screen_on(tty, **options) as screen:
            await screen.show(out(assignment(), b"\x1b[31mred\n"))
            screen.say("note")
            screen.say("failed", failed=True)
        assert tty.sent() == b"[node-1] red\r\n[Pegasus] note\r\n[Pegasus] failed\r\n"


async def test_only_one_of_the_outputs_is_a_terminal() -> None:
    """With ``> log`` the file has plain bytes, while the terminal has its colours."""
    job = assignment()
    with pipe() as log, terminal(40) as tty:
        async with open_screen(stdout_fd=log.fd, stderr_fd=tty.fd, environ=COLOURS) as screen:
            await screen.show(out(job, b"\x1b[2J" + b"x" * 100 + b"\n"))
            await screen.show(err(job, b"x" * 32 + b"\n"))
        assert log.text() == b"[node-1] \x1b[2J" + b"x" * 100 + b"\n"
        assert tty.display() == ["[node-1] " + "x" * 31, "[node-1] x"]
        assert tty.sent().count(b"\x1b[0;38;5;32m[node-1]\x1b[0m ") == 2


async def test_little_is_laid_out_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals wait for no more than a slice of what is slow, also where its line began before."""
    slow: list[int] = []

    def note(block: bytes, columns: int | None, *, colour: bool) -> bytes:
        if not is_plain(block):
            slow.append(len(block))
        return fit(block, columns, colour=colour)

    monkeypatch.setattr(layout, "fit", note)
    lines = [b"%d\n" % number for number in range(20_000)]
    with terminal() as tty:
        async with screen_on(tty) as screen:
            await screen.show(out(assignment(), "à ".encode()))
            await screen.show(out(assignment(), b"".join(lines)))
            await screen.show(out(assignment(), "é\n".encode() + b"x" * 50_000 + b"\n"))
        assert tty.display()[-1].rstrip().endswith("x")
    assert slow
    assert max(slow) <= screen_file.TERMINAL_SLICE + len("à ".encode())


async def test_much_output_on_a_terminal() -> None:
    """Big blocks of any text reach a terminal whole and in order."""
    text = "".join(f"{number}日\n" for number in range(20_000)).encode()
    with terminal() as tty:
        async with screen_on(tty, color="never") as screen:
            await screen.show(out(assignment(), text))
        sent = tty.sent().replace(b"\r\n", b"\n").replace(b"[node-1] ", b"")
        assert sent == text
