"""Ends a run early when signals, or orders from other terminals, ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from pegasus.dispatch import Dispatcher, Ending, Stage
from pegasus.orders import (
    AbortOrder,
    DrainOrder,
    LeaveOrder,
    PauseOrder,
    Request,
    ResumeOrder,
    StopJobOrder,
)
from pegasus.screen import Screen


class Stages:
    """Moves a run from one stage of its end to the next.

    Args:
        screen: shows each stage.

    Attributes:
        ending: the end of the run.
        interrupted: whether a user asked for it.
        may_leave: whether SIGHUP, or an order, ends Pegasus while detached commands go on.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.ending = Ending()
        self.interrupted = False
        self.may_leave = False

    async def obey(self, signals: AsyncIterator[str]) -> None:
        """Move one stage further with each signal."""
        count = 0
        async with trio.open_nursery() as nursery:
            async for name in signals:
                if self.ending.end_rest():
                    continue
                self.interrupted = True
                if name == "SIGHUP" and self.may_leave:
                    self._leave(name)
                    continue
                count += 1
                match count:
                    case 1:
                        nursery.start_soon(self._drain, name)  # which waits before its notice
                    case 2:
                        self._abort(name)
                    case _:
                        self._kill(name)

    async def _drain(self, name: str, to_end: str = "Once more to end it") -> None:
        """Take nothing more; the notice is shown once all that was taken has begun."""
        self.ending.drain()
        await self.ending.drained.wait()
        if self.ending.stage is Stage.DRAINING:
            self._screen.say(
                f"{name}: nothing more is taken; what runs goes on to its end. "
                f"{to_end} (SIGTERM, SIGKILL after 10 s)."
            )

    def _leave(self, name: str) -> None:
        self.ending.leave()
        self._screen.say(
            f"{name}: Pegasus ends, detached commands go on. `pegasus attach` follows."
        )

    def _abort(self, name: str, next_step: str = "Once more to kill it at once.") -> None:
        self.ending.abort()
        self._screen.say(f"{name}: ending what runs. {next_step}")

    def _kill(self, name: str) -> None:
        self.ending.kill()
        self._screen.say(f"{name}: killing what runs.")

    async def obey_orders(
        self,
        requests: AsyncIterator[Request],
        dispatcher: Dispatcher,
        run_name: str | None = None,
    ) -> None:
        """Do what other terminals ask for, and answer.

        Args:
            requests: the orders.
            dispatcher: what they are about.
            run_name: the earlier run, followed by this one, that they are sent to; None: this run.
        """
        async for request in requests:
            match request.order:
                case DrainOrder():
                    self.interrupted = True
                    await self._drain("pegasus stop", "`pegasus stop --now` ends it")
                    request.answer("Nothing more is taken; what runs goes on to its end.")
                case AbortOrder():
                    self.interrupted = True
                    self._abort("pegasus stop --now", "SIGKILL follows after 10 s.")
                    request.answer("What runs is being ended.")
                case LeaveOrder() if self.may_leave:
                    self.interrupted = True
                    self._leave("pegasus stop --leave")
                    request.answer("Pegasus ends; its detached commands go on.")
                case LeaveOrder():
                    words = (
                        "The commands of this run are not detached: they would end with it. "
                        "`pegasus stop` lets them end by themselves."
                    )
                    request.answer(words, done=False)
                case PauseOrder():
                    await _answer_pause(request, dispatcher)
                case ResumeOrder():
                    _answer_resume(request, dispatcher)
                case StopJobOrder(number, sub_node):
                    _answer_stop(request, dispatcher, (number, sub_node, run_name))


async def _answer_pause(request: Request, dispatcher: Dispatcher) -> None:
    """Pause the run, and answer once nothing more is taken."""
    is_new = dispatcher.continues and await dispatcher.pausing.pause()
    if not dispatcher.continues:  # it may have been drained meanwhile
        request.answer("It takes nothing more: there is nothing to pause.", done=False)
    elif is_new:
        request.answer(
            "Paused: nothing is taken or started until `pegasus resume`; what runs goes on."
        )
    else:
        request.answer("It is paused already.")


def _answer_resume(request: Request, dispatcher: Dispatcher) -> None:
    """Let a paused run go on, and answer."""
    if not dispatcher.continues:
        request.answer("It takes nothing more: it cannot be resumed.", done=False)
    elif dispatcher.pausing.resume():
        request.answer("Resumed: it takes jobs again.")
    else:
        request.answer("It is not paused.")


def _answer_stop(
    request: Request, dispatcher: Dispatcher, job: tuple[int, int | None, str | None]
) -> None:
    """End a job that runs, or that waits for another try, and answer."""
    number, sub_node, run_name = job
    stopped = dispatcher.stop_job(number, sub_node, run_name)
    where = ", ".join(str(assignment.sub_node) for assignment in stopped.running)
    words = [f"Job {number} is being ended on {where}."] if stopped.running else []
    words += [f"Job {number} waited for another try, and gets none."] if stopped.waiting else []
    for assignment in stopped.unreachable:
        words.append(f"Job {number} will be ended as soon as {assignment.sub_node} is reached.")
    nothing = f"Job {number} does not run {'there ' * (sub_node is not None)}now."
    request.answer(" ".join(words) or nothing, done=bool(words))
