"""What the tests of ``pegasus logs`` share."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from pegasus.commands.logs import LogsSettings, logs
from pegasus.errors import ExitStatus
from tests.unit.records import (
    LIMIT,
)

Capture = pytest.CaptureFixture[bytes]


def logged(capfdbinary: Capture, queue: Path, **asked: Any) -> tuple[bytes, bytes]:
    """Ask, and give what stands on both outputs."""
    assert logs(LogsSettings(queue_file=queue, **asked)) == ExitStatus.SUCCESS
    return capfdbinary.readouterr()


async def follow(queue: Path, **asked: Any) -> None:
    """Follow until the end, in a thread."""
    settings = LogsSettings(queue_file=queue, follow=True, **asked)
    with trio.fail_after(LIMIT):
        assert await trio.to_thread.run_sync(partial(logs, settings)) == ExitStatus.SUCCESS


async def wait_for(wanted: bytes) -> tuple[bytes, bytes]:
    """Wait until something was shown, and give all that the capture holds.

    A thread writes meanwhile. ``readouterr`` would lose what comes between its read and its
    truncation, so this reads the files of the capture, which are this process's outputs, in place.
    """
    with trio.fail_after(LIMIT):
        while True:
            await trio.sleep(0.01)
            out, err = (os.pread(fd, os.fstat(fd).st_size, 0) for fd in (1, 2))
            if wanted in out or wanted in err:
                return out, err
