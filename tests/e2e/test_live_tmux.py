"""The live screen in tmux: a terminal that wraps its rows anew when its size changes."""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.e2e.run_desk import wait_for
from tests.e2e.runner import LIMIT, Pegasus
from tests.nodes.waiting import wait_until

AREA = re.compile(r"[\d,]+ (ended|failed)\b")
"""The first line of the area."""

LOG = re.compile(r"\[(localhost \(i=\d\)|Pegasus)\] ")


class Tmux:
    """A tmux server of its own, with one window."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._name = f"pegasus-{secrets.token_hex(4)}"

    def __call__(self, *words: str) -> str:
        """Run a tmux command; return what it prints."""
        command = ["tmux", "-L", self._name, "-f", "/dev/null", *words]
        return subprocess.check_output(command, env=self._environment, text=True, timeout=LIMIT)

    def rows(self) -> list[str]:
        """Return all lines that the window has had, those that were wrapped as one line."""
        return [row.rstrip() for row in self("capture-pane", "-pJ", "-S", "-").splitlines() if row]

    def wait(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the lines meet a condition; return them."""
        return wait_until(lambda: rows if condition(rows := self.rows()) else [], limit=LIMIT)


@pytest.fixture
def tmux(pegasus: Pegasus) -> Iterator[Tmux]:
    """A tmux whose windows stay when their programs end."""
    made = Tmux(pegasus.environment)
    made("new-session", "-d", "-x", "80", "-y", "24", "cat")
    made("set-option", "-g", "remain-on-exit", "on")
    yield made
    (pegasus.folder / "gate").touch()
    made("kill-server")


def area_of(rows: list[str]) -> list[str]:
    """Return the lines of the area; there is only one."""
    (first,) = [index for index, row in enumerate(rows) if AREA.match(row)] or [len(rows)]
    return rows[first:]


def fits(columns: int, rows: int, shown: list[str]) -> bool:
    """Report whether the area has the height and the width for a window of this size."""
    area = area_of(shown)
    return len(area) == min(8, rows // 3) and max(map(len, area)) == columns - 1


def test_a_resize_wraps_nothing_of_the_area(tmux: Tmux, pegasus: Pegasus) -> None:
    """While the size changes, by up to a half at once, there is one area; the log stays whole.

    A window that becomes narrower than that at once moves rows into its history, where no program
    can remove them.
    """
    gate = pegasus.folder / "gate"
    pegasus.hosts_file.write_text("- hostname: localhost\n  i: [0, 1, 2, 3, 4, 5]\n")
    job = f"- seq 1 20; echo {'x' * 90}; printf '%0300d\\r' 1; {wait_for(gate)}\n"
    pegasus.queue_file.write_text(job * 6)
    line = shlex.join([*pegasus.program, "q", *pegasus.files(), "--color=never"])
    tmux("respawn-window", "-k", "-c", str(pegasus.folder), line)
    tmux.wait(lambda shown: sum("] xxx" in row for row in shown) >= 6)
    for columns, rows in [(80, 24), (42, 24), (84, 50), (50, 30), (120, 15), (65, 12), (80, 24)]:
        tmux("resize-window", "-x", str(columns), "-y", str(rows))
        tmux.wait(partial(fits, columns, rows))
    gate.touch()
    shown = tmux.wait(lambda shown: any("6 succeeded" in row for row in shown))
    assert area_of(shown) == []
    assert [row for row in shown if not LOG.match(row)] == []
    assert "".join(re.sub(LOG, "", row) for row in shown).count("x" * 90) == 12
