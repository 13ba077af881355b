"""The editor that ``pegasus lock`` starts, and the terminal that it shares with Pegasus."""

from __future__ import annotations

import os
import shlex
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.lock_desk import BROKEN, LockDesk
from tests.e2e.terminals import FORKS
from tests.nodes import wait_until
from tests.nodes.processes import look

pytestmark = FORKS


def test_the_editor_has_the_terminal(lock_desk: LockDesk) -> None:
    """It is in the foreground, has the terminal as its streams, and does not hold the lock."""
    terminal = lock_desk.sit_down()
    pid, file = lock_desk.editor.wait_open()
    assert file == str(lock_desk.queue)
    assert os.getpgid(pid) == os.getpgid(terminal.pid)
    lock_desk.editor.do(
        "say('terminal ' + ' '.join(str(os.isatty(fd)) for fd in (0, 1, 2)));"
        "say('foreground ' + str(os.tcgetpgrp(0) == os.getpgrp()))"
    )
    assert lock_desk.editor.said("terminal") == ["True True True"]
    assert lock_desk.editor.said("foreground") == ["True"]
    fds = [fd.resolve().name for fd in Path(f"/proc/{pid}/fd").iterdir()]
    assert len(fds) >= 3
    assert "queue.yaml.lock" not in fds
    assert lock_desk.is_locked()
    lock_desk.editor.finish("write('- a\\n- b\\n'); sys.exit()")
    assert terminal.wait() == 0
    assert terminal.shows("queue.yaml has no errors: 2 jobs wait in it.")
    assert not lock_desk.is_locked()


def test_what_is_typed_for_the_editor_is_no_answer(lock_desk: LockDesk) -> None:
    """Keys that were typed for the editor are not an answer to the question."""
    terminal = lock_desk.sit_down()
    lock_desk.editor.wait_open()
    terminal.type("r\r")
    lock_desk.editor.do("tty.setcbreak(0, termios.TCSANOW)")
    # Both keys are in the terminal's buffer; a real editor would have read them one by one.
    lock_desk.editor.do("import select; select.select([0], [], [])")
    lock_desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type("k\r")
    assert terminal.wait() == 2
    assert lock_desk.queue.read_text(encoding="utf-8") == BROKEN


def test_ctrl_c_in_the_editor_is_the_editor_s(lock_desk: LockDesk) -> None:
    """Ctrl-C while the editor runs reaches the editor only."""
    terminal = lock_desk.sit_down()
    lock_desk.editor.wait_open()
    lock_desk.editor.do("signal.signal(signal.SIGINT, lambda *_: say('interrupted'))")
    terminal.type("\x03")
    wait_until(lambda: lock_desk.editor.said("interrupted"), what="the editor to be interrupted")
    lock_desk.editor.finish("write('- b\\n'); sys.exit()")
    assert terminal.wait() == 0
    assert lock_desk.editor.said("interrupted") == [""]


def test_an_editor_that_ctrl_c_ends(lock_desk: LockDesk) -> None:
    """An editor that Ctrl-C ends has failed; the file is checked as usual."""
    terminal = lock_desk.sit_down()
    lock_desk.editor.wait_open()
    lock_desk.editor.do("write('- b\\n'); signal.signal(signal.SIGINT, signal.SIG_DFL)")
    terminal.type("\x03")
    assert terminal.wait() == 1
    assert terminal.shows("failed (killed by signal 2 (SIGINT))")
    assert terminal.shows("has no errors: 1 job waits in it.")


def test_an_editor_killed_in_raw_mode(lock_desk: LockDesk) -> None:
    """A killed editor leaves no lock and a usable terminal: the question can be answered."""
    terminal = lock_desk.sit_down()
    before = terminal.modes()
    pid, _ = lock_desk.editor.wait_open()
    lock_desk.editor.do(f"write({BROKEN!r}); tty.setraw(0)")
    assert terminal.modes() != before
    os.kill(pid, signal.SIGKILL)
    terminal.wait_for("What now?")
    assert terminal.modes() == before
    terminal.type("k\r")
    assert terminal.wait() == 2
    assert not lock_desk.is_locked()


def test_an_editor_killed_as_the_terminal_s_owner(lock_desk: LockDesk) -> None:
    """The terminal stays usable after an editor died that had made itself the foreground."""
    terminal = lock_desk.sit_down()
    before = terminal.modes()
    pid, _ = lock_desk.editor.wait_open()
    lock_desk.editor.do(
        f"write({BROKEN!r}); signal.signal(signal.SIGTTOU, signal.SIG_IGN); os.setpgid(0, 0);"
        "os.tcsetpgrp(0, os.getpgrp()); tty.setraw(0)"
    )
    os.kill(pid, signal.SIGKILL)
    terminal.wait_for("What now?")
    assert terminal.modes() == before
    terminal.type("k\r")
    assert terminal.wait() == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_pegasus_is_told_to_end_during_an_edit(lock_desk: LockDesk, number: signal.Signals) -> None:
    """The editor gets a signal to end and can save; the terminal is restored, the lock is free."""
    terminal = lock_desk.sit_down()
    before = terminal.modes()
    lock_desk.editor.wait_open()
    lock_desk.editor.do(
        "tty.setraw(0);signal.signal(signal.SIGTERM, lambda *_: (write('- saved\\n'), os._exit(0)))"
    )
    os.kill(terminal.pid, number)
    terminal.wait_for("Interrupted: ")
    assert terminal.modes() == before
    assert terminal.wait() == 130
    assert lock_desk.queue.read_text(encoding="utf-8") == "- saved\n"
    assert not lock_desk.is_locked()


def test_ctrl_c_at_the_question(lock_desk: LockDesk) -> None:
    """Ctrl-C instead of an answer keeps the file, with status 130."""
    terminal = lock_desk.sit_down()
    before = terminal.modes()
    lock_desk.editor.wait_open()
    lock_desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type("\x03")
    terminal.wait_for("Interrupted: ")
    assert terminal.modes() == before
    assert terminal.wait() == 130
    assert lock_desk.queue.read_text(encoding="utf-8") == BROKEN
    assert not lock_desk.is_locked()


def test_ctrl_c_while_waiting_for_the_lock(lock_desk: LockDesk) -> None:
    """A process that waits for the lock reports that, can be interrupted, and opens no editor."""
    first = lock_desk.start(lock_desk.lock_words())
    lock_desk.editor.wait_open()
    terminal = lock_desk.sit_down()
    terminal.wait_for(f"(process {first.pid}, since")
    begin = time.monotonic()
    terminal.type("\x03")
    assert terminal.wait() == 130
    assert time.monotonic() - begin < 5
    lock_desk.editor.finish()
    assert first.wait().status == 0
    assert len(lock_desk.editor.said("open")) == 1


def test_the_terminal_goes_away_with_a_killed_pegasus(lock_desk: LockDesk) -> None:
    """The editor gets SIGHUP when its terminal closes."""
    terminal = lock_desk.sit_down()
    pid, _ = lock_desk.editor.wait_open()
    os.kill(terminal.pid, signal.SIGKILL)
    assert terminal.wait() == -signal.SIGKILL
    wait_until(lambda: not ((p := look(pid)) and p.alive), what="the editor's end")
    assert not lock_desk.is_locked()


def test_a_suspended_edit(lock_desk: LockDesk) -> None:
    """Ctrl-Z returns to the shell, with the lock held, and ``fg`` continues the edit."""
    terminal = lock_desk.terminal(["/bin/sh", "-i"])
    terminal.type(f"{shlex.join(lock_desk.lock_words())}\r")
    lock_desk.editor.wait_open()
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    assert lock_desk.is_locked()
    terminal.type("fg; echo ended:$?; exit\r")
    lock_desk.editor.finish("write('- b\\n'); sys.exit()")
    terminal.wait_for("1 job waits in it. ended:0")
    terminal.wait()
    assert not lock_desk.is_locked()
