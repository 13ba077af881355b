"""`pegasus lock` as people use it: in a terminal, beside a run, and ended in every way.

The editor is a program that does what the test tells it through a fifo, so that nothing here
depends on how long anything takes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest

from tests.e2e.leftovers import Traces
from tests.e2e.runner import LIMIT, Running, installed, own_environment
from tests.nodes import wait_until
from tests.nodes.processes import look

pytestmark = pytest.mark.filterwarnings(
    # pexpect forks; nothing but an exec comes after that.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

EDITOR = """\
#!{python} -S
import os, signal, sys, termios, time, tty
file = sys.argv[-1]
def say(word):
    with open({said!r}, "a") as said:
        said.write(word + "\\n")
def write(text):
    with open(file, "w") as edited:
        edited.write(text)
say("open " + str(os.getpid()) + " " + file)
while True:
    with open({orders!r}) as orders:
        order = orders.read()
    exec(order)
    say("done")
"""

BROKEN = "- true\n- foo: 1\n"
QUEUE = "- true # mine\n"


class Editor:
    """The program in the editor's place, and what it is told."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "editor"
        self._said, self._orders = folder / "said", folder / "orders"
        os.mkfifo(self._orders)
        self._said.touch()
        text = EDITOR.format(python=sys.executable, said=str(self._said), orders=str(self._orders))
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o755)

    def said(self, word: str) -> list[str]:
        """Give what it has said that begins with a word, without the word."""
        lines = self._said.read_text(encoding="utf-8").splitlines()
        return [line.removeprefix(word).strip() for line in lines if line.startswith(word)]

    def wait_open(self, times: int = 1) -> tuple[int, str]:
        """Wait until it is open, for the so-manieth time; give its process and its file."""
        opened = wait_until(
            lambda: self.said("open")[times - 1 :], what=f"the editor to open ({times})"
        )
        pid, file = opened[0].split(" ", 1)
        return int(pid), file

    def do(self, order: str) -> None:
        """Have it do something, and wait until it is done."""
        before = len(self.said("done"))
        self.finish(order)
        wait_until(lambda: len(self.said("done")) > before, what=f"the editor to do {order!r}")

    def finish(self, order: str = "sys.exit()") -> None:
        """Have it do something that ends it."""
        wait_until(lambda: self._give(order), what="the editor to listen")

    def _give(self, order: str) -> bool:
        try:
            fd = os.open(self._orders, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                raise
            return False
        with contextlib.closing(os.fdopen(fd, "wb")) as orders:
            orders.write(order.encode())
        return True


class Terminal:
    """A terminal of 80 columns and 24 rows with a program in it."""

    def __init__(self, argv: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._child: Any = pexpect.spawn(
            argv[0],
            argv[1:],
            cwd=str(folder),
            env={**environment, "TERM": "xterm"},
            dimensions=(24, 80),
            timeout=LIMIT,
        )
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def pid(self) -> int:
        """The process in it."""
        pid: int = self._child.pid
        return pid

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(row.rstrip() for row in self._screen.display).rstrip()

    def shows(self, text: str, times: int = 1) -> bool:
        """Tell whether a text stands on the screen so many times, wherever its lines are wrapped.

        Whether there are blanks is not looked at: a row's end does not show them.
        """
        joined = self.text.replace("\n[Pegasus] ", "")
        return "".join(joined.split()).count("".join(text.split())) >= times

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text stands on the screen so many times."""
        deadline = time.monotonic() + LIMIT
        while not self.shows(text, times):
            assert time.monotonic() < deadline, f"no {text!r} on the screen:\n{self.text}"
            try:
                self._stream.feed(self._child.read_nonblocking(65536, timeout=0.05))
            except pexpect.TIMEOUT:
                pass
            except pexpect.EOF:
                assert self.shows(text, times), f"ended without {text!r}:\n{self.text}"

    def type(self, text: str) -> None:
        """Press keys."""
        self._child.send(text)

    def modes(self) -> list[Any]:
        """Give the modes of the terminal."""
        return termios.tcgetattr(self._child.child_fd)

    def wait(self) -> int:
        """Wait for the end of the program, and give its exit status; minus N for a signal N."""
        while True:
            try:
                self._stream.feed(self._child.read_nonblocking(65536, timeout=LIMIT))
            except pexpect.EOF:
                break
        self._child.wait()
        signalled: int | None = self._child.signalstatus
        status: int = self._child.exitstatus if signalled is None else -signalled
        return status

    def close(self) -> None:
        """Hang up, and end what does not end by that."""
        self._child.close(force=True)


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder with a queue, an editor, and terminals."""

    folder: Path
    environment: dict[str, str]
    editor: Editor
    opened: list[Callable[[], None]] = field(default_factory=list)

    @property
    def queue(self) -> Path:
        """The queue file."""
        return self.folder / "queue.yaml"

    def lock_words(self, editor: str | None = None) -> list[str]:
        """Give the command line of ``pegasus lock``."""
        words = [*installed(), "lock"]
        given = str(self.editor.path) if editor is None else editor
        return [*words, "--queue-file", str(self.queue), "--editor", given]

    def sit_down(self, editor: str | None = None) -> Terminal:
        """Type ``pegasus lock`` into a terminal of its own."""
        return self.terminal(self.lock_words(editor))

    def terminal(self, words: list[str]) -> Terminal:
        """Open a terminal with a program in it."""
        terminal = Terminal(words, self.folder, self.environment)
        self.opened.append(terminal.close)
        return terminal

    def start(self, words: list[str]) -> Running:
        """Start a program without any terminal."""
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        running = Running(process)
        self.opened.append(running.kill)
        return running

    def is_locked(self) -> bool:
        """Tell whether anybody holds the queue's lock."""
        with (self.folder / "queue.yaml.lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


@pytest.fixture
def desk(nothing_left: Traces, tmp_path: Path) -> Iterator[Desk]:
    """A folder with a queue of one job that runs here."""
    environment = own_environment(nothing_left.runtime)
    desk = Desk(tmp_path, environment, Editor(tmp_path / "editing"))
    desk.queue.write_text(QUEUE, encoding="utf-8")
    (tmp_path / "hosts.yaml").write_text("- localhost\n", encoding="utf-8")
    yield desk
    for close in desk.opened:
        close()


def test_nothing_is_taken_while_the_queue_is_edited(desk: Desk) -> None:
    """A run waits, says for whom, and goes on with the file as it was saved; again and again."""
    running = desk.start([*installed(), "q", "--daemon", "--queue-file", str(desk.queue)])
    running.wait_for("=== done")
    for number in (1, 2):
        locking = desk.start(desk.lock_words())
        desk.editor.wait_open(number)
        desk.editor.do(f"write('- echo first-{number}\\n- echo second-{number}\\n')")
        said = running.wait_for("waiting for", times=number)
        assert "queue.yaml.lock, which `pegasus lock --queue-file" in said
        assert f"(process {locking.pid}, since " in said
        assert "first" in desk.queue.read_text(encoding="utf-8")
        assert f"first-{number}" not in running.stdout
        desk.editor.do(f"write('- echo last-{number}\\n')")
        desk.editor.finish()
        assert locking.wait().status == 0
        running.wait_for(f"] last-{number}", on="stdout")
    assert "first" not in running.stdout + running.stderr
    running.signal(signal.SIGINT)
    assert running.wait().status == 130


def test_the_editor_has_the_terminal(desk: Desk) -> None:
    """It is in the foreground, with the terminal as its three streams, and has not the lock."""
    terminal = desk.sit_down()
    pid, file = desk.editor.wait_open()
    assert file == str(desk.queue)
    assert os.getpgid(pid) == os.getpgid(terminal.pid)
    desk.editor.do(
        "say('terminal ' + ' '.join(str(os.isatty(fd)) for fd in (0, 1, 2)));"
        "say('foreground ' + str(os.tcgetpgrp(0) == os.getpgrp()))"
    )
    assert desk.editor.said("terminal") == ["True True True"]
    assert desk.editor.said("foreground") == ["True"]
    fds = [fd.resolve().name for fd in Path(f"/proc/{pid}/fd").iterdir()]
    assert len(fds) >= 3
    assert "queue.yaml.lock" not in fds
    assert desk.is_locked()
    desk.editor.finish("write('- a\\n- b\\n'); sys.exit()")
    assert terminal.wait() == 0
    assert terminal.shows("queue.yaml has no errors: 2 jobs wait in it.")
    assert not desk.is_locked()


def test_a_broken_queue_is_shown_and_edited_again(desk: Desk) -> None:
    """Each error has its place; Enter opens the editor again, under the same lock."""
    terminal = desk.sit_down()
    desk.editor.wait_open()
    desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    assert terminal.shows(f"{desk.queue} has an error:")
    assert terminal.shows(f"{desk.queue}:2:3: ")
    assert desk.is_locked()
    terminal.type("what?\r")
    terminal.wait_for("What now?", times=2)
    terminal.type("\r")
    desk.editor.wait_open(2)
    assert desk.queue.read_text(encoding="utf-8") == BROKEN
    desk.editor.finish("write('- b\\n'); sys.exit()")
    assert terminal.wait() == 0
    assert desk.queue.read_text(encoding="utf-8") == "- b\n"


@pytest.mark.parametrize("key", ["k\r", "\x04"])
def test_a_broken_queue_is_kept(desk: Desk, key: str) -> None:
    """``k`` and Ctrl-D leave the file as the editor left it, with status 2."""
    terminal = desk.sit_down()
    desk.editor.wait_open()
    desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type(key)
    assert terminal.wait() == 2
    assert desk.queue.read_text(encoding="utf-8") == BROKEN
    assert not desk.is_locked()


@pytest.mark.parametrize("breaking", [f"write({BROKEN!r})", "os.remove(file)"])
def test_a_broken_queue_is_restored(desk: Desk, breaking: str) -> None:
    """``r`` gives back every byte from before the first edit, and the permissions."""
    desk.queue.chmod(0o640)
    terminal = desk.sit_down()
    for number in (1, 2):
        desk.editor.wait_open(number)
        desk.editor.finish(f"{breaking if number == 2 else 'write(chr(34))'}; sys.exit()")
        terminal.wait_for("What now?", times=number)
        terminal.type("e\r" if number == 1 else "r\r")
    assert terminal.wait() == 0
    assert desk.queue.read_text(encoding="utf-8") == QUEUE
    assert stat.S_IMODE(desk.queue.stat().st_mode) == 0o640
    assert sorted(path.name for path in desk.folder.glob("*queue*")) == [
        "queue.yaml",
        "queue.yaml.lock",
    ]


def test_a_queue_that_was_not_there_is_restored(desk: Desk) -> None:
    """Restoring a file that the editor made is removing it."""
    desk.queue.unlink()
    terminal = desk.sit_down()
    desk.editor.wait_open()
    desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type("r\r")
    assert terminal.wait() == 0
    assert not desk.queue.exists()


def test_what_is_typed_for_the_editor_is_no_answer(desk: Desk) -> None:
    """Keys that the editor did not read any more do not restore the file."""
    terminal = desk.sit_down()
    desk.editor.wait_open()
    terminal.type("r\r")
    desk.editor.do("tty.setcbreak(0, termios.TCSANOW)")
    # Both keys are in the terminal's buffer; an editor would have read them one by one.
    desk.editor.do("import select; select.select([0], [], [])")
    desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type("k\r")
    assert terminal.wait() == 2
    assert desk.queue.read_text(encoding="utf-8") == BROKEN


def test_ctrl_c_in_the_editor_is_the_editor_s(desk: Desk) -> None:
    """Ctrl-C while the editor runs reaches it, and ends nothing of Pegasus."""
    terminal = desk.sit_down()
    desk.editor.wait_open()
    desk.editor.do("signal.signal(signal.SIGINT, lambda *_: say('interrupted'))")
    terminal.type("\x03")
    wait_until(lambda: desk.editor.said("interrupted"), what="the editor to be interrupted")
    desk.editor.finish("write('- b\\n'); sys.exit()")
    assert terminal.wait() == 0
    assert desk.editor.said("interrupted") == [""]


def test_an_editor_that_ctrl_c_ends(desk: Desk) -> None:
    """An editor that Ctrl-C ends is one that failed; the file is checked all the same."""
    terminal = desk.sit_down()
    desk.editor.wait_open()
    desk.editor.do("write('- b\\n'); signal.signal(signal.SIGINT, signal.SIG_DFL)")
    terminal.type("\x03")
    assert terminal.wait() == 1
    assert terminal.shows("failed (killed by signal 2 (SIGINT))")
    assert terminal.shows("has no errors: 1 job waits in it.")


def test_an_editor_killed_in_raw_mode(desk: Desk) -> None:
    """A killed editor leaves no lock and no strange terminal: the question can be answered."""
    terminal = desk.sit_down()
    before = terminal.modes()
    pid, _ = desk.editor.wait_open()
    desk.editor.do(f"write({BROKEN!r}); tty.setraw(0)")
    assert terminal.modes() != before
    os.kill(pid, signal.SIGKILL)
    terminal.wait_for("What now?")
    assert terminal.modes() == before
    terminal.type("k\r")
    assert terminal.wait() == 2
    assert not desk.is_locked()


def test_an_editor_killed_as_the_terminal_s_owner(desk: Desk) -> None:
    """An editor that made itself the foreground, as Emacs does, and died has not taken it along."""
    terminal = desk.sit_down()
    before = terminal.modes()
    pid, _ = desk.editor.wait_open()
    desk.editor.do(
        f"write({BROKEN!r}); signal.signal(signal.SIGTTOU, signal.SIG_IGN); os.setpgid(0, 0);"
        "os.tcsetpgrp(0, os.getpgrp()); tty.setraw(0)"
    )
    os.kill(pid, signal.SIGKILL)
    terminal.wait_for("What now?")
    assert terminal.modes() == before
    terminal.type("k\r")
    assert terminal.wait() == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_pegasus_is_told_to_end_during_an_edit(desk: Desk, number: signal.Signals) -> None:
    """The editor is asked to end and can save; the terminal is as it was, the lock is free."""
    terminal = desk.sit_down()
    before = terminal.modes()
    desk.editor.wait_open()
    desk.editor.do(
        "tty.setraw(0);signal.signal(signal.SIGTERM, lambda *_: (write('- saved\\n'), os._exit(0)))"
    )
    os.kill(terminal.pid, number)
    terminal.wait_for("Interrupted: ")
    assert terminal.modes() == before
    assert terminal.wait() == 130
    assert desk.queue.read_text(encoding="utf-8") == "- saved\n"
    assert not desk.is_locked()


def test_ctrl_c_at_the_question(desk: Desk) -> None:
    """Ctrl-C instead of an answer keeps the file, with status 130."""
    terminal = desk.sit_down()
    before = terminal.modes()
    desk.editor.wait_open()
    desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type("\x03")
    terminal.wait_for("Interrupted: ")
    assert terminal.modes() == before
    assert terminal.wait() == 130
    assert desk.queue.read_text(encoding="utf-8") == BROKEN
    assert not desk.is_locked()


def test_ctrl_c_while_waiting_for_the_lock(desk: Desk) -> None:
    """Who waits says so, can be interrupted at once, and has opened no editor."""
    first = desk.start(desk.lock_words())
    desk.editor.wait_open()
    terminal = desk.sit_down()
    terminal.wait_for(f"(process {first.pid}, since")
    begin = time.monotonic()
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert time.monotonic() - begin < 5
    desk.editor.finish()
    assert first.wait().status == 0
    assert len(desk.editor.said("open")) == 1


def test_pegasus_is_killed_during_an_edit(desk: Desk) -> None:
    """Even ``kill -9`` leaves no lock, although the editor may live on."""
    locking = desk.start(desk.lock_words())
    pid, _ = desk.editor.wait_open()
    assert desk.is_locked()
    locking.signal(signal.SIGKILL)
    wait_until(lambda: not desk.is_locked(), what="the lock to be free")
    process = look(pid)
    assert process is not None
    assert process.alive
    again = desk.start(desk.lock_words("true"))
    assert again.wait().status == 0
    desk.editor.finish()
    locking.wait()


def test_the_terminal_goes_away_with_a_killed_pegasus(desk: Desk) -> None:
    """In a terminal of its own the editor hears that it has hung up."""
    terminal = desk.sit_down()
    pid, _ = desk.editor.wait_open()
    os.kill(terminal.pid, signal.SIGKILL)
    assert terminal.wait() == -signal.SIGKILL
    wait_until(lambda: not ((p := look(pid)) and p.alive), what="the editor's end")
    assert not desk.is_locked()


def test_a_suspended_edit(desk: Desk) -> None:
    """Ctrl-Z gives the shell back, still with the lock, and ``fg`` goes on with the edit."""
    terminal = desk.terminal(["/bin/sh", "-i"])
    terminal.type(f"{shlex.join(desk.lock_words())}\r")
    desk.editor.wait_open()
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    assert desk.is_locked()
    terminal.type("fg; echo ended:$?; exit\r")
    desk.editor.finish("write('- b\\n'); sys.exit()")
    terminal.wait_for("1 job waits in it. ended:0")
    terminal.wait()
    assert not desk.is_locked()


def test_without_a_terminal(desk: Desk) -> None:
    """Where nobody can be asked, the errors are said and the file is kept, with status 2."""
    locking = desk.start(desk.lock_words())
    desk.editor.wait_open()
    desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    done = locking.wait()
    assert done.status == 2
    assert f"{desk.queue}:2:3: " in done.stderr
    assert "What now?" not in done.stderr
    assert desk.queue.read_text(encoding="utf-8") == BROKEN
