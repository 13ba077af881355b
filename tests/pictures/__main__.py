"""``python -m tests.pictures``: docs/pictures/live-screen.svg, from a real run at a real terminal.

The queue sleeps and prints; the picture is taken once some commands have ended and others run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pexpect
import pyte
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "live-screen.svg"

ROWS, COLUMNS = 24, 96

HOSTS = "- hostname: localhost\n  gpu: [0, 1, 2, 3]\n"

QUEUE = "- command: ./train --seed {{ seed }}\n  seed: [2, 3, 4, 5, 6, 7, 8, 9]\n"

TRAIN = """\
#!/bin/sh
[ $2 != 3 ] || { sleep 1; echo "loss is NaN"; exit 3; }
for step in 1 2 3 4 5 6 7 8 9; do echo "step $step of 9, loss 0.$((9 - step))"; sleep 0.$2; done
"""

SECONDS_SHOWN = 9.0
"""When the picture is taken: a part of the queue has ended."""

PLAIN_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: monospace; font-size: {char_height}px; line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The form of rich's pictures, without fonts from elsewhere."""


def captured(folder: Path) -> pyte.Screen:
    """Run the queue at a terminal, and give the screen at the moment of the picture."""
    (folder / "hosts.yaml").write_text(HOSTS, encoding="utf-8")
    (folder / "queue.yaml").write_text(QUEUE, encoding="utf-8")
    (folder / "train").write_text(TRAIN, encoding="utf-8")
    (folder / "train").chmod(0o755)
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    argv = ["-m", "pegasus", "q"]
    environment = {"TERM": "xterm-256color", "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    run = pexpect.spawn(
        sys.executable,
        argv,
        cwd=folder,
        env=environment,
        dimensions=(ROWS, COLUMNS),
        encoding="utf-8",
    )
    until = time.monotonic() + SECONDS_SHOWN
    while (left := until - time.monotonic()) > 0:
        try:
            stream.feed(run.read_nonblocking(65536, timeout=left))
        except pexpect.TIMEOUT:
            break
    run.close(force=True)
    return screen


def drawn(screen: pyte.Screen) -> Console:
    """Print a screen on a console that can write a picture of it."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        for row in range(ROWS):
            text = Text()
            for column in range(COLUMNS):
                cell = screen.buffer[row][column]
                style = " ".join(
                    word
                    for word in ("bold" if cell.bold else "", _colour(cell.fg), _on(cell.bg))
                    if word
                )
                text.append(cell.data, style)
            console.print(text, no_wrap=True)
    return console


def _colour(name: str) -> str:
    if name == "default":
        return ""
    is_number = len(name) == 6 and all(each in "0123456789abcdef" for each in name)
    return f"#{name}" if is_number else {"brown": "yellow"}.get(name, name)


def _on(name: str) -> str:
    return f"on {colour}" if (colour := _colour(name)) else ""


def main() -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        console = drawn(captured(Path(folder)))
    console.save_svg(str(PICTURE), title="pegasus q", code_format=PLAIN_SVG)


if __name__ == "__main__":
    main()
