"""The keys of detached commands, as the shell that asks its node for their folders sees them.

Rule 1: a key is told to its user before the node is asked to make its folder.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from pegasus.model import Stream

KEY_BYTES = 12
"""Random bytes in a key: nobody can guess it, and two are never the same."""


class FolderKeys:
    """Chooses keys, and keeps what the node has answered.

    Args:
        on_key: gets each key before the node is asked for its folder.

    Attributes:
        ready: the key whose folder is ready for a command; None where there is none.
        refusal: why the node cannot make a folder; None where it has not said so.
    """

    def __init__(self, on_key: Callable[[str], None]) -> None:
        self.ready: str | None = None
        self.refusal: str | None = None
        self._on_key = on_key
        self._next = ""
        self._answered: dict[Stream, str] = {}

    @property
    def has_next(self) -> bool:
        """Whether the node was asked for a folder."""
        return bool(self._next)

    def next_line(self) -> bytes:
        """Choose the next key, and give the line that asks the node for its folder."""
        self._next = secrets.token_hex(KEY_BYTES)
        self._on_key(self._next)
        return f"key {self._next}\n".encode()

    def take_report(self, stream: Stream, key: str) -> None:
        """Note that the folder of a key was made, as one of the outputs says."""
        self._answered[stream] = key
        if self.is_made:
            self.ready = self._next

    def refuse(self, stream: Stream, words: str) -> None:
        """Note that the node cannot make a folder."""
        self._answered[stream], self.refusal = "-", words

    def has_spoken(self, stream: Stream) -> bool:
        """Return whether anything was answered on an output: what came before is no output."""
        return stream in self._answered

    @property
    def is_made(self) -> bool:
        """Whether the folder of the last key was made, as both outputs say."""
        return all(self._answered.get(stream) == self._next for stream in Stream)

    @property
    def is_settled(self) -> bool:
        """Whether the node has answered on both outputs."""
        refused = all(self._answered.get(stream) == "-" for stream in Stream)
        return self.is_made or refused
