"""Synchronised output: a terminal shows nothing of a frame before it has read all of it."""

from __future__ import annotations

import pyte

FRAME_BEGINS, FRAME_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"
"""The marks, as terminals define them; pyte does not know them."""


class WholeFrames:
    """What a screen reads: it keeps a frame back until the frame has ended.

    A program's write arrives in pieces. Without this a test could look at a screen on which the
    first rows of a frame are new and the others are not.
    """

    def __init__(self, screen: pyte.Screen) -> None:
        self._stream = pyte.ByteStream(screen)
        self._kept = b""

    def feed(self, data: bytes) -> None:
        """Show what is whole, and keep the rest."""
        data = self._kept + data
        cut = _whole(data)
        self._kept = data[cut:]
        self._stream.feed(data[:cut])

    def end(self) -> None:
        """Show what was kept: nothing more comes."""
        self._stream.feed(self._kept)
        self._kept = b""


def _whole(data: bytes) -> int:
    """Count the bytes before a frame that has not ended, or before a piece of its first mark."""
    begin = data.rfind(FRAME_BEGINS)
    if begin > data.rfind(FRAME_ENDS):
        return begin
    cuts = (len(data) - size for size in range(len(FRAME_BEGINS) - 1, 0, -1))
    return next((cut for cut in cuts if FRAME_BEGINS.startswith(data[cut:])), len(data))
