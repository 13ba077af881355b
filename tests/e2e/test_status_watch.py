"""``pegasus status --watch`` in a second terminal, beside a real run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.run_desk import RunDesk, localhosts
from tests.e2e.terminals import FORKS, Terminal

pytestmark = [FORKS, not_detached("what is watched is the record, which is the same")]

JOBS = """\
- echo broken >&2; exit 3
- printf 'epoch 1\\repoch 2 of 9'; until [ -e a ]; do sleep 0.05; done
- echo '日本語' >&2; until [ -e b ]; do sleep 0.05; done
- until [ -e c ]; do sleep 0.05; done
"""
"""A job that fails, and three that wait: at most two of them run at a time."""

Watcher = Callable[..., Terminal]


@pytest.fixture
def watch(run_desk: RunDesk) -> Iterator[Watcher]:
    """Start ``pegasus status --watch`` in the other terminal; all are closed at the end."""
    opened: list[Terminal] = []

    def start(*words: str, columns: int = 80) -> Terminal:
        queue = f"--queue-file={run_desk.there.queue_file}"
        arguments = ["status", "--watch", *words, queue]
        opened.append(Terminal.of(run_desk.elsewhere, arguments, columns))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def has(words: str) -> Callable[[list[str]], bool]:
    """Give the condition that a text is on the screen."""
    return lambda rows: any(words in row for row in rows)


def test_it_shows_a_run_until_its_end(run_desk: RunDesk, watch: Watcher) -> None:
    """It shows numbers, the remaining time, rows and failures; then the end, and exits with 0."""
    running = run_desk.there.start("q", hosts=localhosts(2), queue=JOBS)
    running.wait_for("broken", on="stderr")
    terminal = watch()
    terminal.read_until(has("1 ended, 1 failed, 2 running, 1 waiting"))
    rows = terminal.read_until(has("日"))
    assert re.search(r"remaining: about \d+ s", "\n".join(rows))
    assert any(re.match(r"localhost \(i=\d\) job 2 +\d:\d\d  epoch 2 of 9$", row) for row in rows)
    assert any(re.match(r" *1  localhost \(i=\d\) +exit status: 3 ", row) for row in rows)
    run_desk.open("a")
    terminal.read_until(has("2 ended, 1 failed, 2 running, 0 waiting"))
    run_desk.open("b")
    run_desk.open("c")
    assert terminal.wait() == 0
    text = "\n".join(terminal.rows)
    assert "done after" in text
    assert "3 succeeded, 1 failed." in text
    assert "0 jobs wait in" in text
    assert terminal.modes() == terminal.modes_before
    assert running.wait().status == 1


def test_it_follows_the_size_of_the_terminal(run_desk: RunDesk, watch: Watcher) -> None:
    """In a small window what matters is left; Ctrl-C ends it with 0, and the run goes on."""
    running = run_desk.there.start("q", hosts=localhosts(2), queue=JOBS)
    running.wait_for("broken", on="stderr")
    terminal = watch()
    terminal.read_until(has("1 failed, 2 running"))
    terminal.resize(40, 10)
    rows = terminal.read_until(lambda rows: len(rows) <= 10 and has(" left")(rows))
    assert all(len(row) < 40 for row in rows)
    assert has("1 failed, 2 running")(rows)
    assert has("exit")(rows)
    terminal.resize(200, 50)
    terminal.read_until(has("remaining: about"))
    assert has("epoch 2 of 9")(terminal.rows)
    terminal.type("\x03")
    assert terminal.wait() == 0
    for name in "abc":
        run_desk.open(name)
    assert running.wait().status == 1


def test_without_a_run_that_goes_on(run_desk: RunDesk, watch: Watcher) -> None:
    """Where no run goes on, it shows the newest one once, and ends."""
    run_desk.there.run("q", hosts=localhosts(1), queue="- echo one\n")
    terminal = watch()
    assert terminal.wait() == 0
    assert "1 succeeded." in "\n".join(terminal.rows)
    assert terminal.rows[-1] == "No run of this queue goes on, so --watch ends."


def test_in_a_pipe_it_ends_with_the_run(run_desk: RunDesk) -> None:
    """In a pipe each change is a line of JSON; the last one has the end, and then it exits."""
    running = run_desk.there.start("q", hosts=localhosts(2), queue=JOBS)
    running.wait_for("broken", on="stderr")
    watching = run_desk.start("status", "--watch", "--json")
    watching.wait_for('"running": 2', on="stdout")
    for name in "abc":
        run_desk.open(name)
    done = watching.wait()
    assert done.status == 0
    reports = [json.loads(line) for line in done.out.splitlines()]
    assert {report["runs"][0]["state"] for report in reports} == {"running", "ended"}
    (last,) = reports[-1]["runs"]
    assert (last["state"], last["remaining_seconds"], last["how"]) == ("ended", None, "done")
    known = [report["runs"][0]["remaining_seconds"] for report in reports[:-1]]
    assert any(seconds is not None and seconds >= 0 for seconds in known)
    running.wait()
