"""Pegasus in a real terminal: input, output, and the state of the terminal afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.e2e.runner import Pegasus
from tests.e2e.terminals import FORKS, Terminal
from tests.nodes import wait_until

pytestmark = FORKS

CTRL_C = "\x03"
NOTICE = "nothing more is taken"
WIDE = 200


class Opener:
    """Opens terminals for one test."""

    def __init__(self, pegasus: Pegasus) -> None:
        self._pegasus = pegasus
        self.opened: list[Terminal] = []

    def __call__(
        self, *words: str, hosts: str, queue: str, columns: int = 80, no_color: str = ""
    ) -> Terminal:
        """Start ``pegasus WORDS...`` in a terminal of its own."""
        self._pegasus.write_hosts(hosts)
        self._pegasus.queue_file.write_text(queue)
        arguments = [*words, *self._pegasus.files()]
        self.opened.append(Terminal.of(self._pegasus, arguments, columns, no_color))
        return self.opened[-1]


@pytest.fixture
def open_terminal(pegasus: Pegasus) -> Iterator[Opener]:
    """Open terminals with pegasus; all are closed after the test."""
    opener = Opener(pegasus)
    yield opener
    for terminal in opener.opened:
        terminal.close()


HOSTS = "- localhost\n- node-1\n"
DEAF = """\
- |
  trap 'echo IT WAS HIT' INT
  echo at work
  until [ -e ~/go-{name} ]; do sleep 0.02; done
  echo went on to its end
"""


def busy(pegasus: Pegasus) -> str:
    """Return two jobs that print when a Ctrl-C reaches them, and end when a file exists."""
    return DEAF.format(name=pegasus.folder.name) * 2


@pytest.fixture
def go(pegasus: Pegasus) -> Iterator[Callable[[], None]]:
    """End the jobs of ``busy``."""
    homes = [str(pegasus.nodes["node-1"].home), pegasus.environment["HOME"]]
    files = [Path(home) / f"go-{pegasus.folder.name}" for home in homes]

    def touch() -> None:
        for file in files:
            file.touch()

    yield touch
    for file in files:
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("columns", [80, WIDE])
def test_ctrl_c_drains(
    open_terminal: Opener, pegasus: Pegasus, go: Callable[[], None], columns: int
) -> None:
    """Ctrl-C reaches neither ssh nor a command; Pegasus prints a notice, and jobs end normally."""
    queue = busy(pegasus) + "- echo left in the queue\n"
    terminal = open_terminal("q", hosts=HOSTS, queue=queue, columns=columns)
    terminal.wait_for("] at work", times=2)
    terminal.type(CTRL_C)
    terminal.wait_for(NOTICE)
    assert any("[Pegasus] SIGINT: nothing more is taken" in row for row in terminal.rows)
    go()
    assert terminal.wait() == 130
    assert "\n".join(terminal.rows).count("] went on to its end") == 2
    assert terminal.shown.count("=== done (exit status: 0) ===") == 2
    assert "] IT WAS HIT" not in terminal.shown
    assert pegasus.queue_file.read_text() == "- echo left in the queue\n"
    assert terminal.modes() == terminal.modes_before


def test_a_second_ctrl_c_aborts(open_terminal: Opener, pegasus: Pegasus) -> None:
    """The second Ctrl-C ends the running jobs, with a message."""
    terminal = open_terminal("q", hosts=HOSTS, queue="- echo at work; sleep 1000\n" * 2)
    terminal.wait_for("] at work", times=2)
    terminal.type(CTRL_C)
    terminal.wait_for(NOTICE)
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert any("[Pegasus] SIGINT: ending what runs. Once more" in row for row in terminal.rows)
    assert "[localhost] === done (cancelled) ===" in terminal.rows
    assert "[node-1] === done (cancelled) ===" in terminal.rows
    assert "[Pegasus] 2 commands: 2 cancelled." in terminal.rows
    assert terminal.modes() == terminal.modes_before


def test_a_third_ctrl_c_kills(open_terminal: Opener) -> None:
    """The third Ctrl-C kills what ignores SIGTERM."""
    queue = "- trap '' TERM; echo at work; while :; do sleep 0.1; done\n" * 2
    terminal = open_terminal("q", hosts=HOSTS, queue=queue)
    terminal.wait_for("] at work", times=2)
    for answer in (NOTICE, "SIGINT: ending what runs", "SIGINT: killing what runs"):
        terminal.type(CTRL_C)
        terminal.wait_for(answer)
    assert terminal.wait() == 130
    assert "[Pegasus] 2 commands: 2 cancelled." in terminal.rows
    assert terminal.modes() == terminal.modes_before


@pytest.mark.parametrize("status", [0, 1, -9])
def test_the_terminal_is_left_as_it_was(open_terminal: Opener, status: int) -> None:
    """The terminal is restored after a normal end, a failure and ``kill -9``."""
    queue = f"- exit {status}\n" if status >= 0 else "- echo at work; sleep 1000\n"
    terminal = open_terminal("q", hosts=HOSTS, queue=queue)
    if status < 0:
        terminal.wait_for("] at work")
        terminal.kill()
    assert terminal.wait() == status
    # After a kill it is restored a moment later, by another process.
    wait_until(lambda: terminal.modes() == terminal.modes_before, what="the modes from before")


def test_long_lines_wrap_behind_their_prefix(open_terminal: Opener) -> None:
    """Every row of a long line begins with its sub-node; none is longer than the screen."""
    letters = "abcdefghij" * 20
    narrow = open_terminal("q", hosts="- node-1\n", queue=f"- echo {letters}\n")
    assert narrow.wait() == 0
    rows = [row for row in narrow.rows if not row.startswith("[Pegasus]")]
    assert len(rows) > 3
    assert all(row.startswith("[node-1] ") for row in rows)
    assert letters in "".join(row.removeprefix("[node-1] ") for row in rows)
    wide = open_terminal("q", hosts="- node-1\n", queue=f"- echo {letters[:150]}\n", columns=WIDE)
    assert wide.wait() == 0
    assert f"[node-1] {letters[:150]}" in wide.rows


def colours(terminal: Terminal) -> set[str]:
    """Return the colours of the first letter of each row."""
    buffer = terminal.screen.buffer
    return {buffer[y][1].fg for y, row in enumerate(terminal.screen.display) if row.strip()}


def test_each_sub_node_has_its_colour(open_terminal: Opener) -> None:
    """On a terminal sub-nodes differ in colour; with NO_COLOR there is none."""
    queue = "- echo hello\n" * 2
    coloured = open_terminal("b", hosts=HOSTS, queue=queue)
    assert coloured.wait() == 0
    assert len(colours(coloured) - {"default"}) >= 2
    plain = open_terminal("b", hosts=HOSTS, queue=queue, no_color="1")
    assert plain.wait() == 0
    assert colours(plain) == {"default"}
    assert not re.search(r"\x1b\[[0-9;]*m", plain.shown)


def test_a_daemon_in_a_terminal(
    open_terminal: Opener, pegasus: Pegasus, go: Callable[[], None]
) -> None:
    """Jobs that are added during the wait run; after Ctrl-C running jobs end, and none starts."""
    terminal = open_terminal("q", "--daemon", hosts=HOSTS, queue="- echo first\n")
    terminal.wait_for("=== done (exit status: 0) ===")
    queue = pegasus.queue_file
    with FileLock(f"{queue}.lock", thread_local=False):
        new = queue.with_name("new.yaml")
        new.write_text(queue.read_text() + busy(pegasus) + "- echo too late\n")
        new.replace(queue)
    terminal.wait_for("] at work", times=2)
    terminal.type(CTRL_C)
    terminal.wait_for(NOTICE)
    go()
    assert terminal.wait() == 130
    assert terminal.shown.count("=== done (exit status: 0) ===") == 3
    assert "] IT WAS HIT" not in terminal.shown
    assert queue.read_text() == "- echo too late\n"
    assert terminal.modes() == terminal.modes_before
