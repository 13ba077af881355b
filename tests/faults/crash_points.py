"""A crash or an error at a chosen system call, in a child process that changes the disk."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.queue_texts import jobs_of

CHANGES = ["open", "write", "fsync", "replace", "unlink", "ftruncate", "fchmod", "close"]
"""The system calls that may change the disk; a crash happens before one of them."""

CRASHED = 77

QUEUE = "# jobs\n- command: [a, b]  # note\n  x: [1, 2, 3]\n- echo hi\n- last\n"

JOBS = [*jobs_of(QUEUE.encode())]

EARLIER = "- command:\n  - earlier\n"


class Countdown:
    """Passes a number of calls, and does something else in place of the next one."""

    def __init__(self, patch: pytest.MonkeyPatch, calls: int, then: Callable[..., None]) -> None:
        self.calls = calls
        for name in CHANGES:
            patch.setattr(os, name, self._counted(name, getattr(os, name), then))

    def _counted(
        self, name: str, call: Callable[..., Any], then: Callable[..., None]
    ) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls -= 1
            if self.calls == 0:
                then(name, call, *args)
            return call(*args, **kwargs)

        return counted


def die(_name: str, _call: Callable[..., Any], *_args: Any) -> None:
    """Exit at once, as in a crash."""
    os._exit(CRASHED)


def die_torn(name: str, call: Callable[..., Any], *args: Any) -> None:
    """Write half of the data, and exit at once."""
    if name == "write":
        fd, data = args
        call(fd, bytes(data)[: len(data) // 2])
    os._exit(CRASHED)


def crash(at: int, then: Callable[..., None], action: Callable[[], object]) -> bool:
    """Run an action in a child that crashes at its n-th change; return whether it got so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks beside pytest's own threads
        child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            Countdown(patch, at, then)
            try:
                action()
            finally:
                os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == CRASHED
