"""A pipe as standard input, for commands that read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    """Have a pipe with some data in it as standard input."""
    reading, writing = os.pipe()
    kept = os.dup(0)
    os.write(writing, data)
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
