"""What `pegasus lock` does, as far as it shows without a terminal."""

from __future__ import annotations

import os
import pty
import signal
import tty
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
import trio.testing

from pegasus.commands.lock import EditAnswer, LockSettings, lock, understand
from pegasus.editor import edit, find_editor, read_line
from pegasus.errors import ExitStatus, PegasusError
from pegasus.queue_file import check_text

BROKEN = "- echo fine\n- foo: 1\n- {command: [], x: 1}\n"

Script: TypeAlias = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make an editor of shell text in which $1 is the file."""

    def make(text: str) -> str:
        path = tmp_path / "an editor.sh"
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return f"'{path}'"

    return make


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Make a queue of three jobs."""
    path = tmp_path / "queue.yaml"
    path.write_text("- echo a\n- {command: echo, x: [1, 2]}\n", encoding="utf-8")
    return path


def settings(queue: Path, editor: str | None) -> LockSettings:
    """Say what the command line says."""
    return LockSettings(queue_file=queue, editor=editor, color="never")


def locked(queue: Path, editor: str | None) -> ExitStatus:
    """Run the command."""
    return trio.run(lock, settings(queue, editor))


def found(words: list[str]) -> list[str]:
    """Give an editor's words with its name instead of its path."""
    return [Path(words[0]).name, *words[1:]]


def test_the_command_line_names_the_editor_else_EDITOR_else_vim(  # noqa: N802
    tmp_path: Path,
) -> None:
    """``--editor`` wins over ``EDITOR``, which wins over vim; VISUAL says nothing."""
    for name in ("vim", "nano", "code"):
        (tmp_path / name).touch(0o755)
    path = {"PATH": str(tmp_path), "VISUAL": "code"}
    assert found(find_editor("code", {"EDITOR": "nano", **path})) == ["code"]
    assert found(find_editor(None, {"EDITOR": "nano", **path})) == ["nano"]
    assert found(find_editor(None, {"EDITOR": " ", **path})) == ["vim"]
    assert found(find_editor(None, path)) == ["vim"]


def test_an_editor_has_arguments_and_a_path_with_blanks(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are those of a shell, and a ``~`` in front is the home."""
    quoted = script("")
    program = str(tmp_path / "an editor.sh")
    assert find_editor(f"{quoted} --wait 'a b'", {}) == [program, "--wait", "a b"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_editor('"~/an editor.sh"', {}) == [program]
    monkeypatch.chdir(tmp_path)
    assert find_editor("'./an editor.sh'", {"PATH": "/nowhere"}) == ["./an editor.sh"]


@pytest.mark.parametrize(
    ("editor", "environ", "words"),
    [
        (None, {}, "cannot find the editor `vim`. Install it, or name another one with --editor"),
        (None, {"EDITOR": "none -x"}, "$EDITOR: cannot find the editor `none`. Install it"),
        ("none", {"EDITOR": "sh"}, "--editor: cannot find the editor `none`. Install it"),
        ("'none", {}, "--editor: `'none` is no command: No closing quotation. Look after its"),
        (" ", {"EDITOR": "sh"}, "--editor: this names no editor. Name one: --editor vim"),
        ("~nobody-here/vim", {}, "cannot find the editor `~nobody-here/vim`"),
    ],
)
def test_an_editor_that_is_not_there(
    editor: str | None,
    environ: dict[str, str],
    words: str,
    queue: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said who named it and what to do, and nothing has been locked."""
    for name in ("EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"PATH": "/nowhere", **environ}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PegasusError) as caught:
        locked(queue, editor)
    assert words in str(caught.value)
    assert caught.value.exit_status == ExitStatus.USAGE
    assert not queue.with_name("queue.yaml.lock").exists()


def test_a_script_that_no_program_runs(queue: Path, tmp_path: Path) -> None:
    """A file that cannot be started is named, with what is missing in it."""
    program = tmp_path / "editor"
    program.write_text("true\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(PegasusError, match=r"editor`: Exec format error\. .*#!/bin/sh"):
        locked(queue, str(program))


def test_a_change_without_errors(
    queue: Path, script: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    """The file is what the editor made of it, and it is said how many jobs wait."""
    assert locked(queue, script('echo "- b" >> "$1"')) == ExitStatus.SUCCESS
    assert capfd.readouterr().err == f"[Pegasus] {queue} has no errors: 4 jobs wait in it.\n"


def test_an_editor_that_replaces_the_file(
    queue: Path, script: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is the file that has the name afterwards that counts."""
    editor = script('echo "- b" > "$1.new"; mv "$1.new" "$1"')
    assert locked(queue, editor) == ExitStatus.SUCCESS
    assert "has no errors: 1 job waits" in capfd.readouterr().err


def test_a_link_stays_a_link(queue: Path, script: Script, tmp_path: Path) -> None:
    """The editor is given the real file, so one that replaces it does not replace the link."""
    link = tmp_path / "link.yaml"
    link.symlink_to(queue)
    editor = script('echo "- b" > "$1.new"; mv "$1.new" "$1"')
    assert locked(link, editor) == ExitStatus.SUCCESS
    assert link.is_symlink()
    assert queue.read_text(encoding="utf-8") == "- b\n"


def test_nothing_changed(queue: Path, script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    """An unchanged file is said to be so; after no time at all the editor is suspected."""
    assert locked(queue, script("")) == ExitStatus.SUCCESS
    at_once, unchanged = capfd.readouterr().err.splitlines()
    assert "If its window is still open, it has to be told to wait" in at_once
    assert unchanged.endswith("queue.yaml is unchanged: 3 jobs wait in it.")


def test_a_new_file(tmp_path: Path, script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    """A queue file that is not there is the editor's to make; if it does not, that is fine."""
    queue = tmp_path / "new.yaml"
    assert locked(queue, script('test ! -e "$1"')) == ExitStatus.SUCCESS
    assert f"There still is no {queue}: nothing was written." in capfd.readouterr().err
    assert locked(queue, script('echo "- b" > "$1"')) == ExitStatus.SUCCESS
    assert queue.read_text(encoding="utf-8") == "- b\n"


def test_every_error_is_said_and_the_file_kept_where_nobody_can_be_asked(
    queue: Path, script: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal on standard input a broken file stays, with status 2."""
    (queue.parent / "broken").write_text(BROKEN, encoding="utf-8")
    editor = script(f'cp {queue.parent}/broken "$1"')
    assert locked(queue, editor) == ExitStatus.USAGE
    said = capfd.readouterr().err.splitlines()
    assert said[0] == f"[Pegasus] {queue} has 2 errors:"
    assert [line.split(": ")[0] for line in said[1:3]] == [
        f"[Pegasus] {queue}:2:3",
        f"[Pegasus] {queue}:3:13",
    ]
    assert said[3:] == [f"[Pegasus] {queue} is kept as it is."]
    assert queue.read_text(encoding="utf-8") == BROKEN


def test_a_file_that_was_removed(
    queue: Path, script: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    """A queue file that the editor removed is an error: a run would stop there."""
    assert locked(queue, script('rm "$1"')) == ExitStatus.USAGE
    assert f"{queue}:1:1: there is no such file any more." in capfd.readouterr().err


@pytest.mark.parametrize(
    ("end", "outcome"),
    [("exit 3", "exit status: 3"), ("kill -9 $$", "killed by signal 9 (SIGKILL)")],
)
def test_an_editor_that_fails(
    end: str, outcome: str, queue: Path, script: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is said, the file is checked all the same, and the status is 1, or 2 with errors."""
    assert locked(queue, script(end)) == ExitStatus.JOB_FAILED
    said = capfd.readouterr().err
    assert f"failed ({outcome})." in said
    assert "is unchanged: 3 jobs wait in it." in said
    assert locked(queue, script(f'echo "- x: 1" > "$1"; {end}')) == ExitStatus.USAGE


def test_a_queue_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder in the file's place, or a missing folder, is said before an editor opens."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(PegasusError, match=r"folder:1:1: this is not a regular file"):
        locked(tmp_path / "folder", "false")
    with pytest.raises(PegasusError, match=r"there is no folder .*/missing\. Make the folder"):
        locked(tmp_path / "missing" / "queue.yaml", "false")
    link = tmp_path / "queue.yaml"
    link.symlink_to("/nonexistent/q")
    with pytest.raises(PegasusError, match=r"there is no folder /nonexistent\. Make the folder"):
        locked(link, "false")


async def test_two_edits_exclude_each_other(queue: Path, script: Script) -> None:
    """The editor of a second ``pegasus lock`` opens when the first one is done."""
    slow = script(
        'test ! -e "$1.busy" || exit 9; touch "$1.busy"; echo "- b" >> "$1"; '
        'until test -e "$1.go"; do sleep 0.01; done; rm "$1.busy"'
    )
    ends: list[ExitStatus] = []

    async def one() -> None:
        ends.append(await lock(settings(queue, slow)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        nursery.start_soon(one)
        with trio.fail_after(20):
            while not queue.with_name("queue.yaml.busy").exists():
                await trio.sleep(0.01)
        queue.with_name("queue.yaml.go").touch()
    assert ends == [ExitStatus.SUCCESS] * 2


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("- echo {{ x\n", "1:8", ""),
        ("- true\n- command: ['{{ nosuch x }}']\n", "2:14", "nosuch"),
        ('- "unclosed\n', "1:3", ""),
    ],
)
def test_templates_are_checked_as_well(text: str, place: str, words: str) -> None:
    """What no sub-node could fill in is an error of the file, with its exact place."""
    (fault,) = check_text("q", text.encode()).faults
    assert str(fault.position) == f"q:{place}"
    assert words in str(fault)


def test_names_of_sub_nodes_are_no_errors() -> None:
    """A name may be that of a sub-node's parameter, which the queue does not know."""
    assert check_text("q", b"- docker exec {{ container }} true\n").faults == ()


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("\n", EditAnswer.EDIT),
        ("e\n", EditAnswer.EDIT),
        ("K\n", EditAnswer.KEEP),
        (" rest \n", EditAnswer.RESTORE),
        ("restore\n", EditAnswer.RESTORE),
        (None, EditAnswer.KEEP),
        ("x\n", None),
        ("keep it\n", None),
    ],
)
def test_answers(typed: str | None, answer: EditAnswer | None) -> None:
    """A letter is enough, Enter edits again, and the end of input keeps the file."""
    assert understand(typed, list(EditAnswer)) == answer


def test_what_is_not_offered_is_no_answer() -> None:
    """An unchanged file cannot be restored."""
    assert understand("r\n", [EditAnswer.EDIT, EditAnswer.KEEP]) is None


async def test_a_line_is_waited_for_and_can_be_given_up() -> None:
    """Reading an answer leaves the loop free, and takes a line that comes in pieces."""
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)  # so that pieces arrive as they are written
        with trio.move_on_after(0.05) as waiting:
            await read_line(slave)
        assert waiting.cancelled_caught
        async with trio.open_nursery() as nursery:
            lines: list[str | None] = []

            async def read() -> None:
                lines.append(await read_line(slave))

            nursery.start_soon(read)
            for piece in (b"ke", b"\xff", b"ep\n"):
                os.write(master, piece)
                await trio.testing.wait_all_tasks_blocked()
        assert lines == ["ke\N{REPLACEMENT CHARACTER}ep\n"]
        os.close(master)
        master = -1
        assert await read_line(slave) is None
    finally:
        os.close(slave)
        if master >= 0:
            os.close(master)


async def test_an_editor_that_must_end_is_asked_first(script: Script, tmp_path: Path) -> None:
    """A cancelled edit ends the editor by SIGTERM, which it can answer by saving."""
    editor = script(
        'trap \'echo rescued > "$1"; exit\' TERM; touch "$1.open"; while :; do sleep 0.01; done'
    )
    file = tmp_path / "text"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(edit, [editor.strip("'")], file)
        with trio.fail_after(20):
            while not file.with_name("text.open").exists():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert file.read_text(encoding="utf-8") == "rescued\n"


async def test_ctrl_c_is_the_editor_s(script: Script, tmp_path: Path) -> None:
    """SIGINT and SIGQUIT end nothing while the editor runs, and mean what they did afterwards."""
    numbers = (signal.SIGINT, signal.SIGQUIT)
    before = [signal.getsignal(number) for number in numbers]
    status = await edit(
        [script('kill -INT "$PPID"; kill -QUIT "$PPID"; exit 5').strip("'")], tmp_path / "text"
    )
    assert status == 5
    assert [signal.getsignal(number) for number in numbers] == before


async def test_the_editor_can_be_interrupted(script: Script, tmp_path: Path) -> None:
    """The editor does not inherit that Pegasus takes no notice."""
    assert await edit([script("kill -INT $$; exit 5").strip("'")], tmp_path / "x") == -signal.SIGINT
