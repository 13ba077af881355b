r"""A shell on a sub-node whose commands are detached: it starts them, and follows them.

See ``keeper`` and ``follower`` for what runs on the node, and for the protocol.

Rule 1: a command is handed over with a single write, after its key could be recorded.
Rule 2: leaving a shell, in whatever way, ends no command.
Rule 3: a command is not started only where its node has said so, or nothing was handed over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from pegasus.detachment import Detachment
from pegasus.errors import NodeUnreachable
from pegasus.events import Printed
from pegasus.model import Apart, Assignment, Cancelled, NotStarted, Outcome, Stream
from pegasus.process import Pipes, read_all
from pegasus.starting import launch_of
from pegasus.transport.ends import DetachedEnd, read_report
from pegasus.transport.environment import slots_environment
from pegasus.transport.keys import FolderKeys
from pegasus.transport.reports import Report, Reports
from pegasus.transport.script import hand_over
from pegasus.transport.shell import ECHO_LIMIT, GONE_LIMIT, KILL_GRACE, Show
from pegasus.transport.start_up import StartUp

TAIL_DELAY = 0.05
"""Seconds after which the output of a command that runs is read: most commands that end sooner
print nothing, or little, and cost no process to read it."""

TAIL_STALL_LIMIT = 5.0
"""Seconds without output, after the end of a command and before all of its output has come, after
which it is asked for again: whatever read it on the node was killed."""

ALIVE_PERIOD = 30.0
"""Seconds after which the shell is asked, again and again, to report the end itself if the process
that waits for it was killed. Nothing else would report it then."""

ORDER_LIMIT = 5.0
"""Seconds after the grace in which a command that is being ended must have ended: the node looks
for what is left, and the connection may be slow."""

Explain = Callable[[int], Awaitable[str]]
"""Returns why a shell has ended, from the exit status of its child."""


class DetachedShell:
    """A shell that starts detached commands, one after the other, and follows them.

    Args:
        child: the pipes to the shell.
        mark: precedes each of the shell's own reports.
        explain: says why the shell has ended.
        on_key: gets each key before the node is asked for its folder.
    """

    def __init__(
        self, child: Pipes, mark: bytes, explain: Explain, on_key: Callable[[str], None]
    ) -> None:
        self._child, self._mark, self._explain = child, mark, explain
        self._keys = FolderKeys(on_key)
        self._reports = {stream: Reports(mark) for stream in Stream}
        self._start_up = StartUp(mark)
        self._changed = trio.lowlevel.ParkingLot()
        self._gone = trio.Event()  # both outputs have ended
        self._open_outputs = len(Stream)
        self._refusal: str | None = None
        self._reset()
        self._untailed = dict.fromkeys(Stream, 0)
        self._untails = 0
        self._released: dict[str, bool] = {}
        self._said_bye = False
        self._usable = True
        self.seconds: float | None = None

    def _reset(self) -> None:
        self._assignment: Assignment | None = None
        self._show: Show | None = None
        self._begun, self._ended = False, False
        self._end: DetachedEnd | None = None
        self._received = dict.fromkeys(Stream, 0)
        self._tailed = False

    @property
    def key(self) -> str | None:
        """The name of the folder that is ready for the next command."""
        return self._keys.ready

    @property
    def is_dismissed(self) -> bool:
        """Whether the shell has ended as it should, and has removed the folder it had prepared."""
        return self._said_bye

    @property
    def begun(self) -> bool:
        """Whether the command has begun, has ended, or cannot begin any more."""
        return self._begun or self._end is not None or self._gone.is_set()

    async def wait_begun(self) -> None:
        """Wait until the command has begun, or cannot begin any more."""
        if self._assignment is None and not self._gone.is_set():
            await self._changed.park()
        await self._wait_until(lambda: self.begun or self._assignment is None)

    async def wait_broken(self) -> None:
        """Wait until the shell is gone."""
        await self._gone.wait()

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.park()

    async def wait_ready(self, on_slow: Callable[[str], None]) -> None:
        """Wait until the shell can take a command.

        Raises:
            NodeUnreachable: the node refuses, the shell ended, or was not ready in time.
        """
        await self._start_up.wait(self._wait_prepared, on_slow)
        if self._refusal is not None:
            raise NodeUnreachable(self._refusal)
        if not self._keys.is_settled:
            raise NodeUnreachable(
                self._start_up.words or "the shell on the node ended before it was ready"
            )

    async def wait_key(self) -> None:
        """Wait until the folder for the next command is made.

        Raises:
            NodeUnreachable: the node cannot make it. Commands can be followed nevertheless.
        """
        await trio.lowlevel.checkpoint()
        if self.key is None:
            raise NodeUnreachable(self._keys.refusal or "the node has made no folder")

    def prepare(self, before: bytes = b"") -> bytes:
        """Choose the next key; return the line that asks the node for its folder."""
        return before + self._keys.next_line()

    async def _wait_prepared(self) -> None:
        """Wait until the node has made the folder of the next key, or can't."""
        await self._wait_until(
            lambda: self._keys.is_settled or self._refusal is not None or self._gone.is_set()
        )

    async def run(
        self,
        assignment: Assignment,
        run_name: str,
        show: Show,
        kill_now: trio.Event,
        detachment: Detachment | None = None,
    ) -> Outcome | Apart:
        """Start a detached command, or follow one, until its end is known and its output shown.

        See ``ports``. Cancelled, it only stops following.
        """
        detachment = detachment or Detachment(trio.Event())
        follows = detachment.extent is not None
        if self._gone.is_set():
            words = "the shell on the node was gone"
            return Apart(words) if follows else NotStarted(words)
        self._reset()
        self._assignment, self._show, self.seconds = assignment, show, None
        self._usable = False  # until the command has ended
        self._received.update(detachment.extent or {})
        try:
            # No checkpoint before this write: every job that is taken is started.
            rest = self._child.write_now(self._opening(assignment, run_name, detachment))
        except OSError as error:
            words = f"the shell on the node was gone ({error.strerror or error})"
            return Apart(words) if follows else NotStarted(words)
        if rest and not await self._send_rest(rest):
            return Apart(await self._explain_gone())
        return await self._follow(kill_now, detachment)

    def _opening(self, assignment: Assignment, run_name: str, detachment: Detachment) -> bytes:
        """Return the lines that start a command, or begin to follow it."""
        if detachment.extent is not None:
            return f"follow {assignment.key}\n".encode()
        self._keys.ready = None
        limit = "-" if detachment.limit == float("inf") else f"{detachment.limit:.9g}"
        words = f"{limit} {run_name} {assignment.number} {assignment.sub_node.number}"
        variables = slots_environment(assignment.slots)
        launch = launch_of(assignment)
        return self.prepare(hand_over(words, assignment.command, variables, launch))

    async def _send_rest(self, rest: bytes) -> bool:
        """Send the rest of a command; return whether all was sent. A part of it never runs."""
        try:
            await self._child.stdin.send_all(rest)
        except trio.BrokenResourceError:
            return False
        except trio.Cancelled:
            await trio.aclose_forcefully(self._child.stdin)
            raise
        return True

    async def _follow(self, kill_now: trio.Event, detachment: Detachment) -> Outcome | Apart:
        """Follow the command that was handed over to its end."""
        stuck = False
        async with trio.open_nursery() as nursery:

            async def end_it() -> None:
                nonlocal stuck
                await detachment.stop.wait()
                await self._stop(kill_now)
                stuck = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_it)
            await self._wait_end()
            nursery.cancel_scope.cancel()
        if self._end is None or not self._complete:
            if stuck and not self._gone.is_set():
                return Apart("the node does not react to the end of the command")
            return Apart(await self._explain_gone())
        self._usable = True
        self.seconds = self._end.seconds
        if detachment.stop.is_set() and not self._end.known and self._begun:
            return Cancelled()
        return self._end.outcome

    async def _wait_end(self) -> None:
        """Wait until the command has ended and its output was shown, or the shell is gone."""
        with trio.move_on_after(TAIL_DELAY):
            await self._wait_until(lambda: self._end is not None or self._gone.is_set())
        if self._end is None:
            self._tail()
        while self._end is None and not self._gone.is_set():
            with trio.move_on_after(ALIVE_PERIOD):
                await self._wait_until(lambda: self._end is not None or self._gone.is_set())
                break
            self._send("alive")
        while not (self._complete or self._gone.is_set()):
            if not self._tailed:
                self._tail()
            before = dict(self._received)
            with trio.move_on_after(TAIL_STALL_LIMIT):
                await self._wait_until(lambda: self._complete or self._gone.is_set())
            if before == self._received:
                await self._untail()
        # What the command left in the background may print more; it belongs to nobody.
        self._show = None
        if self._tailed and not self._gone.is_set():
            await self._untail()

    @property
    def _complete(self) -> bool:
        """Whether all output that the command wrote was received and shown."""
        sizes = self._end.sizes if self._end is not None else {}
        return self._end is not None and all(
            self._received[stream] >= sizes.get(stream, 0) for stream in Stream
        )

    def _tail(self) -> None:
        out, err = (self._received[stream] for stream in (Stream.STDOUT, Stream.STDERR))
        self._tailed = self._send(f"tail {out} {err}")

    async def _untail(self) -> None:
        """Stop reading the output on the node, and wait until what was read has come."""
        self._tailed = False
        if self._send("untail"):
            self._untails += 1
            await self._wait_until(
                lambda: self._gone.is_set() or min(self._untailed.values()) >= self._untails
            )

    async def _stop(self, kill_now: trio.Event) -> None:
        """Order the end of the command: SIGTERM, after which its keeper waits, or SIGKILL."""
        with trio.move_on_after(ECHO_LIMIT):
            await self.wait_begun()
        if not kill_now.is_set() and self._send("order +TERM"):
            with trio.move_on_after(KILL_GRACE + ORDER_LIMIT):
                await kill_now.wait()
        if self._send("order +KILL"):
            await trio.sleep(ORDER_LIMIT)

    def _send(self, line: str) -> bool:
        try:
            return not self._child.write_now(f"{line}\n".encode())
        except OSError:
            return False

    async def _explain_gone(self) -> str:
        return await self._explain(await self._child.wait())

    async def release(self, key: str) -> bool:
        """Remove the folder of a detached command that has ended; return whether it is gone."""
        if not self._send(f"release {key}"):
            return False
        with trio.move_on_after(GONE_LIMIT):
            await self._wait_until(lambda: key in self._released or self._gone.is_set())
        if key == self.key:
            self._keys.ready = None
        return self._released.pop(key, False)

    async def wait_next(self) -> bool:
        """Prepare the next key; return whether the shell takes another command."""
        if not self._usable or self._gone.is_set():
            return False
        self._reset()
        if self.key is None:
            if not self._keys.has_next and not self._send(self.prepare().decode().strip()):
                return False
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_prepared()
        return self.key is not None

    async def dismiss(self) -> None:
        """End the shell, but no command."""
        if not self._gone.is_set() and self._send("bye"):
            with trio.move_on_after(GONE_LIMIT):
                await self._wait_until(lambda: self._said_bye or self._gone.is_set())

    async def read(self, stream: Stream, source: trio.abc.ReceiveStream) -> None:
        """Read one of the outputs to its end; both are read concurrently."""
        await read_all(source, partial(self._receive, stream))
        self._open_outputs -= 1
        if not self._open_outputs:
            self._gone.set()
            self._changed.unpark_all()

    async def _receive(self, stream: Stream, data: bytes) -> None:
        for item in self._reports[stream].feed(data):
            if isinstance(item, Report):
                self._take_report(stream, item)
            elif not self._keys.has_spoken(stream):
                self._start_up.add(item)
            elif self._show is not None and self._assignment is not None:
                await self._take_output(self._assignment, stream, item, self._show)
        self._changed.unpark_all()

    async def _take_output(
        self, assignment: Assignment, stream: Stream, data: bytes, show: Show
    ) -> None:
        if self._end is not None:  # no more than the command itself has written
            data = data[: max(self._end.sizes.get(stream, 0) - self._received[stream], 0)]
        if data:
            await show(Printed(assignment, stream, data))
            self._received[stream] += len(data)

    def _take_report(self, stream: Stream, report: Report) -> None:
        match report.kind:
            case "k":
                self._keys.take_report(stream, report.words)
            case "f":
                self._refusal = report.words
            case "p":
                self._keys.refuse(stream, report.words)
            case "q":
                self._untailed[stream] += 1
            case "d":
                key, _, gone = report.words.partition(" ")
                self._released[key] = gone == "1"
            case "x":
                self._said_bye = True
            case _ if self._assignment is not None:
                key, _, words = report.words.partition(" ")
                if key == self._assignment.key:  # of an earlier one it may come twice
                    self._take_progress(Report(report.kind, words))

    def _take_progress(self, report: Report) -> None:
        self._begun = self._begun or report.kind == "b"
        if self._end is None:
            self._end = read_report(report)
