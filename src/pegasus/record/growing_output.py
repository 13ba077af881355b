"""A recorded output that may still grow.

Rule 1: each byte is read once, in order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from pegasus.errors import PegasusError
from pegasus.record.folder import open_to_read

_BLOCK_SIZE = 1 << 20
"""Bytes that are read at once."""


class GrowingOutput:
    """One stream of a command, as far as it was read.

    Args:
        path: of the file, which need not exist yet.

    Attributes:
        in_line: whether the last byte that was read is no end of a line.
        read_at: when the last byte was read, on the clock ``time.monotonic``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.in_line = False
        self.read_at = time.monotonic()

    def new_blocks(self) -> Iterator[bytes]:
        """Read what was appended since the last call.

        Raises:
            PegasusError: the file cannot be read.
        """
        try:
            file = open_to_read(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise PegasusError(
                f"{self._path}: this output cannot be read: {error.strerror or error}. Look after "
                "its owner and its mode."
            ) from error
        with file:
            file.seek(self._offset)
            while block := file.read(_BLOCK_SIZE):
                self._offset += len(block)
                self.in_line, self.read_at = not block.endswith(b"\n"), time.monotonic()
                yield block
