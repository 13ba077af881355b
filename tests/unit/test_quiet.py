"""What ``--quiet`` shows instead of the log, and how a pause is shown."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from pegasus.digest import DIGEST_PERIOD, say_numbers
from pegasus.events import Ended, Event, Noted, RunPaused, RunResumed, Started
from pegasus.model import Exited
from pegasus.panel import PanelView, numbers_words
from pegasus.screen import open_screen
from tests.unit.panels import NOW, ended, nodes_of, panel, run_on, running
from tests.unit.screens import assignment, err, out, pipe

NODES = nodes_of(3)

PAUSED = "paused: nothing is taken or started until `pegasus resume`; what runs goes on"


async def test_the_log_is_not_shown() -> None:
    """Only messages and what did not succeed: each in one line on standard error."""
    job = assignment()
    with pipe() as stdout, pipe() as stderr:
        async with open_screen(stdout_fd=stdout.fd, stderr_fd=stderr.fd, quiet=True) as screen:
            screen.tell(Started(job))
            await screen.show(out(job, b"epoch 1\n"))
            await screen.show(err(job, b"warning\n"))
            screen.tell(Ended(job, Exited(0), 1.0))
            screen.tell(Ended(job, Exited(7), 61.0, again=True))
            screen.tell(Ended(job, Exited(8), 2.0))
            screen.tell(Noted("a message"))
            screen.tell(RunPaused())
            screen.tell(RunResumed())
        assert stdout.text() == b""
        where, command = f"job {job.number} on {job.sub_node}", job.command
        assert stderr.text().decode().splitlines() == [
            f"[Pegasus] {where}: exit status: 7, after 1 min 1 s, is tried again: {command}",
            f"[Pegasus] {where}: exit status: 8, after 2.0 s: {command}",
            "[Pegasus] a message",
            f"[Pegasus] P{PAUSED[1:]}.",
            "[Pegasus] Resumed: jobs are taken again.",
        ]


@pytest.mark.parametrize(
    ("events", "waiting", "words"),
    [
        ([], 0, "0 ended, 0 failed, 0 running, 0 waiting, for 40 s, waits for jobs"),
        ([RunPaused()], 0, f"remaining: not known yet (the run is paused); {PAUSED}"),
        ([*ended(1, NODES[0], 3), *running(2, NODES[0])], 5, "1 ended, 1 failed, 1 running"),
        ([*ended(1, NODES[0], 3), *running(2, NODES[0])], None, "counting the queue"),
    ],
)
def test_the_numbers(events: list[Event], waiting: int | None, words: str) -> None:
    """They say what ended, failed, runs and waits, for how long, and what is left."""
    state = run_on(NODES, *events)
    view = PanelView(state, state.began_at + 40, waiting, lambda _: b"")
    assert words in numbers_words(view)


async def test_a_line_each_minute(autojump_clock: MockClock) -> None:
    """While something runs there is a line each minute; where nothing changes, one."""
    said: list[str] = []
    for events, lines in ((running(1, NODES[0]), 5), ([], 1)):
        said.clear()
        state = run_on(NODES, *events)
        with trio.move_on_after(5.5 * DIGEST_PERIOD):
            await say_numbers(state, lambda: 2, str, said.append)
        assert len(said) == lines


def test_the_live_screen_shows_a_pause() -> None:
    """The second line says that the run is paused; the stage of its end comes first."""
    state = run_on(NODES, *running(1, NODES[0]), RunPaused())
    assert panel(state, now=NOW)[1] == PAUSED
    assert panel(state, now=NOW, stage="draining")[1] == "draining"
    state.apply(RunResumed(), NOW)
    assert PAUSED not in panel(state, now=NOW)
