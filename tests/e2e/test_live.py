"""The live screen: what stands on a terminal while a run goes on, and after it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.on_slurm import MANY, not_on_slurm
from tests.e2e.run_desk import wait_for
from tests.e2e.runner import LIMIT, Pegasus
from tests.e2e.terminals import FORKS, Terminal
from tests.nodes.waiting import wait_until

pytestmark = [FORKS, not_detached("the screen is the same, and these runs are ended early")]

CTRL_C, CTRL_S, CTRL_Q, CTRL_Z = "\x03", "\x13", "\x11", "\x1a"
BUSY = re.compile(r"[\d,]+ (ended|failed)\b")
"""The first line of the area."""

LOG = re.compile(r"\[(localhost|node-1|Pegasus)( \(i=\d+\))?\]( |$)")
"""The beginning of each row of the log."""

BARS = """\
- command: |
    for n in $(seq 1 20); do
      printf '\\r%3d%%|#####     | it/s' $n >&2
      [ $((n % 7)) -eq 0 ] && echo "line $n of {{ job }}"
      sleep 0.1
    done
    printf '\\r100%%|##########| {{ job }}\\n' >&2
  job: [a, b, c, d, e, f, g, h]
"""

Starter = Callable[..., Terminal]


def area_of(rows: list[str]) -> list[str]:
    """Give the rows of the area, from its first line on."""
    first = next((index for index, row in enumerate(rows) if BUSY.match(row)), len(rows))
    return rows[first:]


def area_has(words: str, rows: list[str]) -> bool:
    """Report whether the area is complete, and a row of it contains these words.

    A read may end within a frame: the first row alone says nothing about the others.
    """
    return has_area(rows) and any(words in row for row in area_of(rows))


def has_area(rows: list[str]) -> bool:
    """Report whether the area is there, with its bar below the numbers."""
    return len(area_of(rows)) > 1


@pytest.fixture
def start(pegasus: Pegasus) -> Iterator[Starter]:
    """Start ``pegasus q``, or a shell's command line, in a terminal; all are closed at the end."""
    opened: list[Terminal] = []

    def start_in_terminal(
        queue: str,
        *options: str,
        hosts: str = "- localhost\n",
        size: tuple[int, int] = (80, 24),
        shell: str = "",
        **variables: str,
    ) -> Terminal:
        pegasus.hosts_file.write_text(hosts)
        pegasus.queue_file.write_text(queue)
        environment = {**pegasus.environment, "TERM": "xterm-256color", **variables}
        argv = [*pegasus.program, "q", *pegasus.files(), *options]
        if shell:
            argv = ["bash", "--norc", "--noprofile", "-ic", shell.format(" ".join(argv))]
        opened.append(Terminal(argv, pegasus.folder, environment, *size))
        return opened[-1]

    yield start_in_terminal
    for terminal in opened:
        terminal.close()


def hosts(count: int, name: str = "localhost") -> str:
    """Return a hosts file of this many sub-nodes on one node."""
    return f"- hostname: {name}\n  i: [{', '.join(map(str, range(count)))}]\n"


@pytest.fixture
def gate(pegasus: Pegasus) -> Path:
    """A file that a job waits for."""
    return pegasus.folder / "gate"


def assert_whole(terminal: Terminal) -> None:
    """Check that what is left is a log, row for row, and the terminal is as it was."""
    torn = [row for row in terminal.all_rows if not LOG.match(row)]
    assert torn == []
    assert terminal.modes() == terminal.modes_before


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (40, 10)])
def test_eight_jobs_with_bars_and_lines(start: Starter, size: tuple[int, int]) -> None:
    """Bars move in the rows of the area; the log has each line, and each bar in its last state."""
    terminal = start(BARS, hosts=hosts(8), size=size)
    rows = terminal.read_until(partial(area_has, "%|#"))
    area = area_of(rows)
    assert len(area) <= size[1] // 3
    assert terminal.wait() == 0
    assert_whole(terminal)
    text = "".join(re.sub(LOG, "", row) for row in terminal.all_rows)
    for job in "abcdefgh":
        assert text.count(f"100%|##########| {job}") == 1
        assert [text.count(f"line {n} of {job}") for n in (7, 14)] == [1, 1]
    assert not re.search(r"\d%\|##### ", text)


@not_on_slurm(MANY)
def test_sixty_four_sub_nodes(start: Starter, gate: Path) -> None:
    """Of many sub-nodes the area shows some, and the number of the others."""
    queue = f"- command: echo at work {{{{ n }}}}; {wait_for(gate)}\n  n: {list(range(64))}\n"
    terminal = start(queue, hosts=hosts(64, "node-1"))
    rows = terminal.read_until(lambda rows: any("64 running" in row for row in rows))
    area = area_of(rows)
    assert len(area) == 8
    assert area[-1] == "... and 59 more"
    gate.touch()
    assert terminal.wait() == 0
    assert_whole(terminal)
    assert terminal.count("] at work") == 64


def fills(columns: int, rows: list[str]) -> bool:
    """Report whether there is one area, and its bar has the width for these columns."""
    area = area_of(rows)
    if sum(bool(BUSY.match(row)) for row in rows) != 1 or len(area) < 2:
        return False
    widest = max(map(len, area))
    return widest < columns and (columns > 62 or widest > columns * 2 // 3)


def test_a_resize_during_the_run(start: Starter, gate: Path) -> None:
    """The area follows the size of the terminal, and nothing of the old one stays."""
    terminal = start(f"- echo at work; {wait_for(gate)}\n" * 2, hosts=hosts(2))
    # A line that is on its way while the size changes has the old width, as of each program.
    terminal.read_until(partial(area_has, "2 running"))
    for columns, rows in [(80, 24), (60, 30), (120, 40), (50, 40)]:
        terminal.resize(columns, rows)
        terminal.read_until(partial(fills, columns))
    gate.touch()
    assert terminal.wait() == 0
    assert_whole(terminal)


def test_the_stages_of_ctrl_c(start: Starter) -> None:
    """The area says which stage the end of the run has reached; then the log alone is left."""
    queue = "- trap '' TERM; echo at work; while :; do sleep 0.1; done\n" * 2
    terminal = start(queue, hosts=hosts(2))
    terminal.read_until(partial(area_has, "2 running"))
    for words in ("draining", "ending what runs", "killing what runs"):
        terminal.type(CTRL_C)
        if not words.startswith("killing"):
            terminal.read_until(partial(area_has, words))
    assert terminal.wait() == 130
    assert_whole(terminal)
    assert "[Pegasus] 2 commands: 2 cancelled." in terminal.all_rows
    assert "^C" not in terminal.shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal(start: Starter, gate: Path, number: signal.Signals) -> None:
    """After SIGTERM and SIGHUP, too, the terminal is as it was."""
    terminal = start(f"- echo at work; {wait_for(gate)}\n")
    terminal.read_until(partial(area_has, "1 running"))
    terminal.signal(number)
    terminal.read_until(partial(area_has, "draining"))
    gate.touch()
    assert terminal.wait() == 130
    assert_whole(terminal)


def test_typed_keys_do_not_tear_the_area(start: Starter, gate: Path) -> None:
    """Enter, and other keys, change nothing on the screen while the area is there."""
    terminal = start(f"- echo at work; {wait_for(gate)}; echo done\n")
    terminal.read_until(partial(area_has, "1 running"))
    terminal.type("abc\r\r\r\r\r\r")
    gate.touch()
    assert terminal.wait() == 0
    assert_whole(terminal)
    assert terminal.count("abc") == 0


def test_a_terminal_that_stalls(start: Starter, pegasus: Pegasus, gate: Path) -> None:
    """While nobody reads the terminal, jobs start and end; afterwards the screen is right."""
    names = [f"quiet-{number}" for number in range(10)]
    others = "".join(f"- touch {pegasus.folder}/{name}\n" for name in names)
    queue = f"- seq 1 20000; {wait_for(gate)}\n{others}"
    terminal = start(queue, hosts=hosts(2))
    files = [pegasus.folder / name for name in names]
    wait_until(lambda: all(file.exists() for file in files), limit=LIMIT)
    terminal.read_until(partial(area_has, "1 running"))
    gate.touch()
    assert terminal.wait() == 0
    assert_whole(terminal)
    text = "\n".join(terminal.all_rows)
    numbers = list(map(int, re.findall(r"^\[localhost \(i=\d\)\] (\d+)$", text, re.MULTILINE)))
    assert numbers[-100:] == list(range(19_901, 20_001))


def test_a_job_that_plays_with_the_terminal(start: Starter, gate: Path) -> None:
    """No escape sequence of a job reaches the terminal, neither in the log nor in the area."""
    nasty = r"\033[2J\033[H\033]0;owned\007\033[?25l\033[?1049h\033[5;5Hhere\033[31m"
    queue = f"- |\n  printf '{nasty}\\n{nasty} last'; {wait_for(gate)}\n"
    terminal = start(queue)
    rows = terminal.read_until(partial(area_has, "here last"))
    assert "[localhost] here" in rows
    assert terminal.screen.title == ""
    gate.touch()
    assert terminal.wait() == 0
    assert_whole(terminal)
    for sequence in ("\x1b[2J", "\x1b[H", "\x1b]0", "\x1b[?25l", "\x1b[?1049h", "\x1b[5;5H"):
        assert sequence not in terminal.shown


def test_wide_characters(start: Starter, gate: Path) -> None:
    """A line of wide characters is cut at the edge of the area, and wraps in the log."""
    queue = f"- |\n  printf '{'日本語😀' * 20}\\r'; {wait_for(gate)}\n"
    terminal = start(queue, size=(50, 24))
    terminal.read_until(partial(area_has, "日本"))
    gate.touch()
    assert terminal.wait() == 0
    assert_whole(terminal)
    text = "".join(row.removeprefix("[localhost] ") for row in terminal.all_rows)
    assert "日本語😀" * 20 in text.replace(" ", "")


def test_without_colours(start: Starter, gate: Path) -> None:
    """With NO_COLOR the area is there, without colours."""
    terminal = start(f"- {wait_for(gate)}\n", NO_COLOR="1")
    terminal.read_until(has_area)
    gate.touch()
    assert terminal.wait() == 0
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.shown)


@pytest.mark.parametrize(
    ("options", "shell", "term"),
    [
        (["--no-live"], "", "xterm"),
        ([], "", "dumb"),
        ([], "", ""),
        ([], "{} | cat", "xterm"),
        ([], "{} 2>&1 | cat", "xterm"),
    ],
)
def test_where_there_is_no_live_screen(
    start: Starter, options: list[str], shell: str, term: str
) -> None:
    """With --no-live, a terminal without a cursor, or in a pipe, there is only the log."""
    queue = r"- printf '1\r2\r3\n'; sleep 0.3" + "\n"
    terminal = start(queue, *options, "--color=never", shell=shell, TERM=term)
    assert terminal.wait() == 0
    assert "\x1b" not in terminal.shown
    for state in (1, 2, 3):
        assert f"[localhost] {state}\r\n" in terminal.shown


def test_ctrl_z(start: Starter, gate: Path) -> None:
    """Ctrl-Z stops Pegasus without an area on the screen; with ``fg`` it is there again."""
    queue = f"- echo at work; {wait_for(gate)}\n"
    terminal = start(queue, shell="set -m; {}; stty -a; echo stopped; read x; fg; stty -a")
    terminal.read_until(partial(area_has, "1 running"))
    terminal.type(CTRL_Z)
    rows = terminal.read_until(lambda rows: "stopped" in rows)
    assert not has_area(rows)
    assert re.search(r"(?<!-)\becho\b", terminal.shown)
    terminal.type("\r")
    terminal.read_until(has_area)
    gate.touch()
    assert terminal.wait() == 0
    assert not has_area(terminal.rows)
    assert terminal.shown.count("-echo ") == 0


def test_attach(start: Starter, pegasus: Pegasus, gate: Path) -> None:
    """``pegasus attach`` has the same area, of the commands that it follows."""
    queue = f"- echo begun; {wait_for(gate)}\n"
    running = pegasus.start("q", "--detach", hosts="- localhost\n", queue=queue)
    running.wait_for("] begun")
    running.kill()
    files = f"--queue-file={pegasus.queue_file}"
    command = " ".join([*pegasus.program, "attach", files])
    terminal = start("[]\n", shell=command)
    terminal.read_until(partial(area_has, "1 running"))
    gate.touch()
    assert terminal.wait() == 0
    assert_whole(terminal)
