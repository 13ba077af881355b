"""Harmful output: to a terminal, to the lines of Pegasus, and to readers."""

from __future__ import annotations

import random
from pathlib import Path

KNOWN: dict[str, bytes] = {
    "clipboard": b"\x1b]52;c;cHduZWQ=\x07\x1b]52;c;?\x1b\\copied\n",
    "title": b"\x1b]0;PWNED\x07\x1b]2;PWNED\x1b\\\x1bkPWNED\x1b\\titled\n",
    "questions": b"\x1bP$qm\x1b\\\x1b[c\x1b[6n\x1b[>q\x1b[?1049$p\x05\x1b[18tasked\n",
    "raw C1": b"\x9b2J\x9b6n\x9d0;PWNED\x9c\x90$qm\x9c\x84\x8d\x85c1\n",
    "C1 as UTF-8": "\x9b2J\x9b6n\x9d0;PWNED\x9c\x90$qm\x9c\x84\x8d\x85c1\n".encode(),
    "cursor": b"first\n\x1b[A\x1b[2K\x1b[G\x1b[1;1H\x1b[2J\x1b[3J"
    b"\x1bM\x1bc\x1b7\x1b[99;1Hgone\x1b8\n",
    "modes": b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[?1000h\x1b[4h\x1b[20h\x1b[?5h\x1b#8\x1b=moded\n",
    "margins": b"\x1b[5;6r\x1b[?6h\x1b[?7l\x1b[3g\x1b(0\x0e\x1b[12lset\n",
    "strings": b"\x1b_Gapc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\\x1b]1337;File=:AAAA\x07text\n",
    "links": b"\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\\n",
    "never ended": b"\x1b]0;PWNED",
    "cut off": b"\x1b[",
    "half of many": b"\x1b\x1b[\x1b]\x1bP\x1b\x1b\n" + b"\x1b[" * 3000 + b"\n",
    "colour without an end": b"\x1b[8;7;31m\x1b[48;5;1mhidden\n",
    "NUL": b"a\0b\0\0\nc\0",
    "bells": b"\x07" * 5000 + b"\n",
    "no newline": b"x" * 70_000,
    "a long line": b"\xe2\x82\xac" * 24_000 + b"\n",
    "cut characters": b"x" * 65_535 + "€".encode() * 9 + b"\xe2\x82" + b"\n\xf0\x9f\x98" * 7,
    "no UTF-8": bytes(range(128, 256)) * 5 + b"\xc0\xaf\xed\xa0\x80\xf5\x80\x80\x80\xfe\xff\n",
    "returns": b"[Pegasus] gone\r[node-1] \r\r\n\r\rprogress 1\rprogress 2\r",
    "backspaces": b"\x08" * 50 + b"[Pegasus] forged\n",
    "line ends": "a\x0bb\x0cc\x85d\u2028e\u2029f\x1cg\x1dh\x1ei\n".encode(),
    "bidi": "\u202e]1-edon[ \u2066\u2067x\u2069\u200f\u061c\ufeff\u00ad\u200b\n".encode(),
    "combining": ("e" + "\u0301" * 500 + "\U000e0001\ufe0f\u200d" * 50 + "\n").encode(),
    "forged": b"[node-1] === done (exit status: 0) ===\n[Pegasus] 1 command: 1 succeeded.\n"
    b"\n[localhost] === run 'rm -rf /' ===\n=== done (exit status: 0) ===\n",
    "forged marks": b"".join(
        b"\x1e" + digit * 32 + bytes([letter]) for digit in (b"0", b"f") for letter in b"rbenx"
    )
    + b" 0\n\x1e\x1e\x1e",
    "almost a mark": b"\x1e" + b"0123456789abcdef" * 2 + b"e 0\n\x1e" + b"a" * 31 + b"\x1ee\n",
    "markup": b"[bold]x[/bold] [/] :smile: {{x}} %s %d \\n $HOME `x`\n",
    "nothing": b"",
    "blank": b"\n\n\r\n \n",
}
"""Kinds of harmful output, by name."""

_PIECES = [
    *(bytes([byte]) for byte in range(256)),
    *(data for data in KNOWN.values() if len(data) < 300),
    "€😀\u202e\x9b".encode(),
    b"\r\n",
    b"\n",
    b"x" * 1000,
]


def random_output(chance: random.Random) -> bytes:
    """Generate random output of a faulty command."""
    return b"".join(chance.choices(_PIECES, k=chance.randrange(200)))


def command(data: bytes, folder: Path, number: int, status: int) -> str:
    """Return a command that prints bytes to both of its outputs, and exits.

    They are in a file, which exists on the node as well, since a command is text.
    """
    path = folder / f"bytes-{number}"
    path.write_bytes(data)
    return f"cat {path}; cat {path} >&2; exit {status}"
