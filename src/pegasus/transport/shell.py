r"""A shell on a sub-node that waits for one command, runs it, and says how it ended.

The same few lines of POSIX sh run everywhere: over SSH they are the remote command, on localhost
the arguments of ``sh -c``. So a job meets the same surroundings on both.

Rule 1: the shell is ready before a job is taken for it; handing the job over is one write.
Rule 2: its standard input is the lifeline: lines on it are signals for the command's process
group, and its end, for whatever reason, is the end of that group.
Rule 3: what the command prints passes through untouched; what the shell itself has to say stands
behind a mark of 128 random bits, which a job neither sees nor can guess.

The conversation, on standard input: the mark; the job's environment; the command; then signals,
by name. On both outputs: whatever the account's start-up files print, dropped; MARK ``r`` when
ready; MARK ``b`` when the command begins; its output; MARK ``e``; MARK ``x`` when the shell goes.
Behind the MARK ``e`` of standard error stands how the command ended: an exit status, as the shell
sees it, after the shell's own words about a signal, if it had any.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import trio

from pegasus.errors import CannotStart, NodeUnreachable, sole_error
from pegasus.events import Printed
from pegasus.model import Assignment, Exited, Killed, Lost, NotStarted, Outcome, Stream
from pegasus.process import Pipes
from pegasus.transport.marks import Marks, Phase

KILL_GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL for a command that is aborted: what the contract promises,
and what ``docker stop`` and systemd's users are used to."""

ORPHAN_GRACE = 5
"""The same for a command whose Pegasus is gone: shorter, so that ten seconds suffice for all."""

READY_LIMIT = 60.0
"""Seconds that a shell may need to get ready: an account's start-up files on a busy node and a
home directory on a slow file system take many, a node that never answers must not take for ever."""

ECHO_LIMIT = 2.0
"""Seconds to wait for the echo of something that takes no time itself: a round trip over a slow
link."""

GONE_LIMIT = 2.0
"""Seconds between the end of a command and the end of its shell: it has nothing left to do."""

PIECE = 65536
"""Bytes to read at once: what a pipe holds."""

SCRIPT = r"""IFS= read -r m || exit 0
printf %sr "$m"; printf %sr "$m" >&2
IFS= read -r e && IFS= read -r c || exit 0
set -f; set -- $e; set +f
export PEGASUS_RUN="$1" PEGASUS_JOB="$2" PEGASUS_SUB_NODE="$3"
c=$(printf "$c"; printf x); c=${c%x}
exec 3<&0 </dev/null
( trap '' HUP INT TERM QUIT
  others() {
    IFS= read -r l </proc/self/stat || return
    set -- "$1" ${l##*) }; g=$4; k=$1; r=1
    for f in /proc/[0-9]*/stat; do
      IFS= read -r l <"$f" || continue
      f=${f#/proc/}; f=${f%/stat}; set -- ${l##*) }
      [ "$4" = "$g" ] && [ "$3" != "$g" ] && [ "$1" != Z ] && kill -s "$k" "$f" && r=0
    done
    return $r
  }
  finish() {
    n=0
    while others "$1" && [ "$1" = KILL ] && [ $n -lt 9 ]; do n=$((n + 1)); done
    kill -s "$1" 0
  }
  while read -r s <&3; do finish "$s"; done
  finish TERM; sleep ORPHAN_GRACE 3<&-; finish KILL
) >/dev/null 2>&1 &
w=$!
exec 3<&- 4>&1 5>&2
trap : HUP INT QUIT; t=; trap t=1 TERM
( trap : HUP INT TERM QUIT; exec 2>&1
  ( exec >&4 2>&5 4>&- 5>&-; printf %sb "$m"; printf %sb "$m" >&2; exec sh -c -- "$c" )
  printf ' %s\n' $?
) | ( trap '' HUP INT TERM QUIT; k=
  while IFS= read -r l; do k="$k$l"; done
  printf %se "$m" >&4; printf '%se%s\n' "$m" "$k" >&5
)
left() {
  for f in /proc/[0-9]*/stat; do
    IFS= read -r l <"$f" || continue
    f=${f#/proc/}; f=${f%/stat}; set -- ${l##*) }
    { [ "$3" = "$g" ] || [ "$4" = "$g" ]; } && [ "$1" != Z ] &&
      [ "$f" != $$ ] && [ "$f" != $w ] && [ "$2" != $w ] && return
  done
  return 1
}
exec 2>/dev/null
if [ "$t" ]; then
  IFS= read -r l </proc/$$/stat || wait $w
  set -- ${l##*) }; g=$3
  while left; do sleep 0.1 || sleep 1; done
fi
kill -s KILL $w
printf %sx "$m"; printf %sx "$m" >&5
""".replace("ORPHAN_GRACE", str(ORPHAN_GRACE))
# Why it is as it is:
# - `kill -s NAME 0` reaches the shell's own process group whatever its number, in every sh, and
#   nothing else; negative numbers are read differently by different kills.
# - the watcher reads with the shell's own `read`: no process of its own, and no byte too many.
# - a process group of its own within the job's session (`timeout`, `set -m`) is ended as well,
#   where /proc tells of it: process by process, and only if the session is the shell's own, which
#   it is if and only if it has the number of the shell's group. SIGKILL is sent until nothing is
#   found any more, since some may be born meanwhile.
# - handlers that do nothing (`trap :`) and not "ignore": the command gets the defaults again.
# - the command's `sh` stands in a subshell of its own, and the shell above it has the pipe as its
#   standard error: what a shell says there ("Killed") is how it tells a signal from an exit
#   status of 128 and more, and it must not mix with what the command says.
# - that it begins is said by the very process that becomes the command: a signal that came
#   earlier could be lost on a shell that has forked and not yet given up its handlers.
# - a command that was told to end may leave others of its group behind that take their time;
#   the watcher stays for the SIGKILL until they are gone. Where there is no /proc to look at,
#   the wait is always as long as the grace.
# - the watcher goes before the shell says that it goes: closing the lifeline afterwards must not
#   end what the command left in the background on purpose.

_PLAIN = frozenset((string.ascii_letters + string.digits + " _-+=:,./@(){}[]<>|&;#~*?^").encode())
"""Bytes that no login shell there is treats specially between single quotes."""

Show = Callable[[Printed], Awaitable[None]]
Judge = Callable[[int], Awaitable[Outcome]]


def encode(text: str) -> str:
    r"""Write a text so that the format of a shell's ``printf`` gives it back, in one plain line.

    The first byte is always written as a number: a format must not begin with a dash.
    """
    return "".join(
        chr(byte) if index and byte in _PLAIN else f"\\{byte:03o}"
        for index, byte in enumerate(text.encode())
    )


def remote_command() -> str:
    """Give the remote command that starts the shell, whatever the account's login shell is."""
    return f'exec sh -c \'eval "$(printf "{encode(SCRIPT)}")"\''


class Shell:
    """A shell that waits for its one command.

    Args:
        child: the pipes of what is, or leads to, the shell.
        mark: what its own words stand behind.
        judge: tells what became of a command whose shell went without a word, from the exit
            status of the child.
        hurry: set when commands shall not be given time to end.
    """

    def __init__(self, child: Pipes, mark: bytes, judge: Judge, hurry: trio.Event) -> None:
        self._child = child
        self._judge = judge
        self._hurry = hurry
        self._marks = {stream: Marks(mark) for stream in Stream}
        self._shown = dict.fromkeys(Stream, Phase.STARTING)
        self._turn = {phase: trio.Event() for phase in Phase}
        self._over = trio.Event()
        self._closed = 0
        self._assignment: Assignment | None = None
        self._show: Show | None = None
        self._noise = b""
        self._handed_over = False

    @property
    def started(self) -> trio.Event:
        """Set as soon as the command runs, or can't any more."""
        return self._turn[Phase.RUNNING]

    async def wait_ready(self) -> None:
        """Wait until the shell can take a command.

        Raises:
            NodeUnreachable: it can't.
        """
        with trio.move_on_after(READY_LIMIT):
            await self._turn[Phase.READY].wait()
            if not self._over.is_set():
                return
            words = self._noise.decode(errors="replace").strip()
            raise NodeUnreachable(words or "the shell on the node ended before it was ready")
        raise NodeUnreachable(f"the shell on the node was not ready in {READY_LIMIT:g} seconds")

    async def wait_gone(self) -> None:
        """Wait until a shell that had its command is through with everything."""
        if self._assignment is not None:
            await self._turn[Phase.GONE].wait()

    async def wait_broken(self) -> None:
        """Wait until the shell is gone."""
        await self._over.wait()

    async def run(self, assignment: Assignment, run_name: str, show: Show) -> Outcome:
        """Run the command to its end; cancelled, end it first: SIGTERM, then SIGKILL.

        Args:
            assignment: what to run.
            run_name: the run's name, for the command's environment.
            show: is given what the command prints; while it waits, so does a command that prints.
        """
        self._assignment, self._show = assignment, show
        environment = f"{run_name} {assignment.number} {assignment.sub_node.number}"
        try:
            # No checkpoint before this: a job that was taken is started.
            rest = self._child.write_now(f"{environment}\n{encode(assignment.command)}\n".encode())
        except OSError as error:
            return NotStarted(f"the shell on the node was gone ({error.strerror or error})")
        try:
            if rest:
                await self._send_rest(rest)
            self._handed_over = True
            await self._turn[Phase.ENDED].wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await self._stop()
            raise
        return await self._outcome()

    async def _send_rest(self, rest: bytes) -> None:
        with suppress(trio.BrokenResourceError):
            await self._child.stdin.send_all(rest)

    async def _outcome(self) -> Outcome:
        words = self._marks[Stream.STDERR].words
        if words is not None:
            return read_end(words.decode(errors="replace"))
        return await self._judge(await self._child.wait())

    async def _stop(self) -> None:
        """End the command: SIGTERM to its process group, SIGKILL after KILL_GRACE."""
        if not self._handed_over:
            # Half a command must never run; a shell that is not given all of it goes.
            await self._child.stdin.aclose()
            return
        with trio.move_on_after(ECHO_LIMIT):
            await self.started.wait()
        if not self._hurry.is_set() and self._signal("TERM"):
            with trio.move_on_after(KILL_GRACE):
                await _wait_first(self._turn[Phase.GONE], self._hurry)
        if not self._turn[Phase.GONE].is_set() and self._signal("KILL"):
            with trio.move_on_after(ECHO_LIMIT):
                await self._over.wait()

    def _signal(self, name: str) -> bool:
        try:
            return not self._child.write_now(f"{name}\n".encode())
        except OSError:
            return False

    async def read(self, stream: Stream, source: trio.abc.ReceiveStream) -> None:
        """Read one of the outputs to its end; the two run side by side."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(PIECE):
                await self._take_in(stream, bytes(data))
        self._closed += 1
        if self._closed == len(Stream):
            self._over.set()
            for event in self._turn.values():
                event.set()

    async def _take_in(self, stream: Stream, data: bytes) -> None:
        marks = self._marks[stream]
        output = marks.feed(data)
        if marks.phase is Phase.STARTING:
            self._noise = (self._noise + output)[-PIECE:]
        elif output and self._assignment is not None and self._show is not None:
            await self._show(Printed(self._assignment, stream, output))
        # Only now: the other stream must not tell of an end while this one's last words still wait.
        self._shown[stream] = marks.phase
        reached = min(self._shown.values())
        if reached is Phase.ENDED and self._marks[Stream.STDERR].words is None:
            return
        for phase, event in self._turn.items():
            if reached >= phase:
                event.set()


async def _wait_first(*events: trio.Event) -> None:
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


def read_end(words: str) -> Outcome:
    """Read what the shell says about the end of a command: its status behind its own words.

    A shell gives 128 + N for a signal N, ksh 256 + N, and only its words tell the former from
    an exit status. It has none for SIGINT and SIGPIPE; there the number has to be believed.
    """
    said, _, number = words.strip("\n").rpartition(" ")
    if not number:
        return Killed(9)  # whoever was to say it, which nothing else can end
    if not (number.isascii() and number.isdigit()):
        return Lost(f"its shell's last words make no sense: {words!r}")
    status = int(number)
    if status > 256:
        return Killed(status - 256)
    if status > 128 and (said.strip() or status in {128 + 2, 128 + 13}):
        return Killed(status - 128)
    return Exited(status)


@asynccontextmanager
async def open_shell(
    pipes: AbstractAsyncContextManager[Pipes], judge: Judge, hurry: trio.Event
) -> AsyncIterator[Shell]:
    """Start a shell; it is ready when the block begins.

    Args:
        pipes: starts what is, or leads to, the shell, and ends it.
        judge: see Shell.
        hurry: see Shell.

    Raises:
        NodeUnreachable: the shell did not get ready; in ssh's or the shell's own words.
    """
    mark = b"\x1e" + secrets.token_hex(16).encode()
    async with AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(pipes)
        except CannotStart as error:
            raise NodeUnreachable(str(error)) from error
        shell = Shell(opened, mark, judge, hurry)
        await stack.enter_async_context(_reading(shell, opened))
        with suppress(OSError):
            opened.write_now(mark + b"\n")
        await shell.wait_ready()
        try:
            yield shell
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(GONE_LIMIT):
                await shell.wait_gone()


@asynccontextmanager
async def _reading(shell: Shell, child: Pipes) -> AsyncIterator[None]:
    """Read the child's outputs, also while the block is being cancelled.

    What a command says while it is ended is its last word, and worth hearing; so the readers end
    with the block and not with the cancellation.
    """
    with sole_error():
        async with trio.open_nursery() as nursery:
            shield = trio.CancelScope(shield=True)

            async def read(stream: Stream, source: trio.abc.ReceiveStream) -> None:
                async with source:
                    await shell.read(stream, source)

            async def read_both() -> None:
                with shield:
                    async with trio.open_nursery() as readers:
                        readers.start_soon(read, Stream.STDOUT, child.stdout)
                        readers.start_soon(read, Stream.STDERR, child.stderr)

            nursery.start_soon(read_both)
            try:
                yield
            finally:
                shield.cancel(reason="the command ended")
