"""The stages of an end, and who asks for them: signals, and orders from other terminals."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from pegasus.dispatch import Drain, Running
from pegasus.orders import AbortOrder, DrainOrder, Request, StopJobOrder
from pegasus.screen import Screen


class Stages:
    """The three stages of an end: no more taking, no more running, no more patience."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.drain = Drain()
        self.aborting = trio.CancelScope()
        self.hurry = trio.Event()
        self.interrupted = False

    async def obey(self, signals: AsyncIterator[str]) -> None:
        """Go one stage further with each signal."""
        async with trio.open_nursery() as nursery:
            stages = iter([lambda name: nursery.start_soon(self._drain, name), self._abort])
            async for name in signals:
                self.interrupted = True
                next(stages, self._kill)(name)

    async def _drain(self, name: str) -> None:
        """Take nothing more; the notice is a promise, so it comes after what it promises."""
        self.drain.begin()
        await self.drain.over.wait()
        if not self.aborting.cancel_called:
            self._screen.say(
                f"{name}: nothing more is taken; what runs goes on to its end. "
                "Once more to end it (SIGTERM, SIGKILL after 10 s)."
            )

    def _abort(self, name: str) -> None:
        self.drain.begin()
        self.aborting.cancel(reason=name)
        self._screen.say(f"{name}: ending what runs. Once more to kill it at once.")

    def _kill(self, name: str) -> None:
        self.hurry.set()
        self._screen.say(f"{name}: killing what runs.")

    async def obey_orders(self, requests: AsyncIterator[Request], running: Running) -> None:
        """Do what other terminals ask for, and answer."""
        async for request in requests:
            match request.order:
                case DrainOrder():
                    self.interrupted = True
                    await self._drain("pegasus stop")
                    request.answer("Nothing more is taken; what runs goes on to its end.")
                case AbortOrder():
                    self.interrupted = True
                    self._abort("pegasus stop --now")
                    request.answer("What runs is being ended.")
                case StopJobOrder(number, sub_node):
                    _answer_stop(request, running, number, sub_node)


def _answer_stop(request: Request, running: Running, number: int, sub_node: int | None) -> None:
    """End a job that runs, or that waits for another try, and answer."""
    ended = running.stop(number, sub_node)
    waited = running.stop_waiting(number, sub_node)
    where = ", ".join(str(assignment.sub_node) for assignment in ended)
    words = [f"Job {number} is being ended on {where}."] if ended else []
    words += [f"Job {number} waited for another try, and gets none."] if waited else []
    nothing = f"Job {number} does not run {'there ' * (sub_node is not None)}now."
    request.answer(" ".join(words) or nothing, done=bool(words))
