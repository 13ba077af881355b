"""The file that ``pegasus lock`` edits: its lock, its errors, and what restores it."""

from __future__ import annotations

import signal
import stat

import pytest

from tests.e2e.lock_desk import BROKEN, QUEUE, LockDesk
from tests.e2e.runner import installed
from tests.e2e.terminals import FORKS
from tests.nodes import wait_until
from tests.nodes.processes import look

pytestmark = FORKS


def test_nothing_is_taken_while_the_queue_is_edited(lock_desk: LockDesk) -> None:
    """A run waits, names the holder of the lock, and continues with the saved file, every time."""
    running = lock_desk.start([*installed(), "q", "--daemon", "--queue-file", str(lock_desk.queue)])
    running.wait_for("=== done")
    for number in (1, 2):
        locking = lock_desk.start(lock_desk.lock_words())
        lock_desk.editor.wait_open(number)
        lock_desk.editor.do(f"write('- echo first-{number}\\n- echo second-{number}\\n')")
        said = running.wait_for("waiting for", times=number)
        assert "queue.yaml.lock, which `pegasus lock --queue-file" in said
        assert f"(process {locking.pid}, since " in said
        assert "first" in lock_desk.queue.read_text(encoding="utf-8")
        assert f"first-{number}" not in running.stdout
        lock_desk.editor.do(f"write('- echo last-{number}\\n')")
        lock_desk.editor.finish()
        assert locking.wait().status == 0
        running.wait_for(f"] last-{number}", on="stdout")
    assert "first" not in running.stdout + running.stderr
    running.signal(signal.SIGINT)
    assert running.wait().status == 130


def test_a_broken_queue_is_shown_and_edited_again(lock_desk: LockDesk) -> None:
    """Each error has its position; Enter opens the editor again, under the same lock."""
    terminal = lock_desk.sit_down()
    lock_desk.editor.wait_open()
    lock_desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    assert terminal.shows(f"{lock_desk.queue} has an error:")
    assert terminal.shows(f"{lock_desk.queue}:2:3: ")
    assert lock_desk.is_locked()
    terminal.type("what?\r")
    terminal.wait_for("What now?", times=2)
    terminal.type("\r")
    lock_desk.editor.wait_open(2)
    assert lock_desk.queue.read_text(encoding="utf-8") == BROKEN
    lock_desk.editor.finish("write('- b\\n'); sys.exit()")
    assert terminal.wait() == 0
    assert lock_desk.queue.read_text(encoding="utf-8") == "- b\n"


@pytest.mark.parametrize("key", ["k\r", "\x04"])
def test_a_broken_queue_is_kept(lock_desk: LockDesk, key: str) -> None:
    """``k`` and Ctrl-D leave the file as the editor left it, with status 2."""
    terminal = lock_desk.sit_down()
    lock_desk.editor.wait_open()
    lock_desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type(key)
    assert terminal.wait() == 2
    assert lock_desk.queue.read_text(encoding="utf-8") == BROKEN
    assert not lock_desk.is_locked()


@pytest.mark.parametrize("breaking", [f"write({BROKEN!r})", "os.remove(file)"])
def test_a_broken_queue_is_restored(lock_desk: LockDesk, breaking: str) -> None:
    """``r`` restores every byte from before the first edit, and the permissions."""
    lock_desk.queue.chmod(0o640)
    terminal = lock_desk.sit_down()
    for number in (1, 2):
        lock_desk.editor.wait_open(number)
        lock_desk.editor.finish(f"{breaking if number == 2 else 'write(chr(34))'}; sys.exit()")
        terminal.wait_for("What now?", times=number)
        terminal.type("e\r" if number == 1 else "r\r")
    assert terminal.wait() == 0
    assert lock_desk.queue.read_text(encoding="utf-8") == QUEUE
    assert stat.S_IMODE(lock_desk.queue.stat().st_mode) == 0o640
    assert sorted(path.name for path in lock_desk.folder.glob("*queue*")) == [
        "queue.yaml",
        "queue.yaml.lock",
    ]


def test_a_queue_that_was_not_there_is_restored(lock_desk: LockDesk) -> None:
    """Restoring a file that the editor created removes it."""
    lock_desk.queue.unlink()
    terminal = lock_desk.sit_down()
    lock_desk.editor.wait_open()
    lock_desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    terminal.wait_for("What now?")
    terminal.type("r\r")
    assert terminal.wait() == 0
    assert not lock_desk.queue.exists()


def test_pegasus_is_killed_during_an_edit(lock_desk: LockDesk) -> None:
    """Even ``kill -9`` leaves no lock, although the editor may continue."""
    locking = lock_desk.start(lock_desk.lock_words())
    pid, _ = lock_desk.editor.wait_open()
    assert lock_desk.is_locked()
    locking.signal(signal.SIGKILL)
    wait_until(lambda: not lock_desk.is_locked(), what="the lock to be free")
    process = look(pid)
    assert process is not None
    assert process.alive
    again = lock_desk.start(lock_desk.lock_words("true"))
    assert again.wait().status == 0
    lock_desk.editor.finish()
    locking.wait()


def test_without_a_terminal(lock_desk: LockDesk) -> None:
    """Without a terminal, the errors are printed and the file is kept, with status 2."""
    locking = lock_desk.start(lock_desk.lock_words())
    lock_desk.editor.wait_open()
    lock_desk.editor.finish(f"write({BROKEN!r}); sys.exit()")
    done = locking.wait()
    assert done.status == 2
    assert f"{lock_desk.queue}:2:3: " in done.stderr
    assert "What now?" not in done.stderr
    assert lock_desk.queue.read_text(encoding="utf-8") == BROKEN
