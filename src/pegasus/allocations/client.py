"""The programs of Slurm, as functions: submit, look, cancel.

Rule 1: each question has a time limit; a controller that is down or busy gives no answer, which is
different from the answer that there is nothing.
Rule 2: only what is documented for scripts is read: ``--noheader`` and ``--format``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, Protocol, TypeAlias

import trio

from pegasus.allocation import nodes_in
from pegasus.allocations.request import AllocationRequest, holder_script
from pegasus.errors import CannotStart, PegasusError, sole_error
from pegasus.node_sets import NoNodeSet
from pegasus.process import open_child

PROGRAM_LIMIT = 15.0
"""Seconds for a program of Slurm; its own limit for the controller is ten."""

_EXIT_LIMIT = 1.0

DRAIN_MARGIN, DRAIN_SHARE = 120.0, 0.1
"""The nodes of an allocation get no job in its last two minutes, or in the last tenth of a shorter
one."""

_FIELDS = ("%i", "%T", "%L", "%l", "%P", "%N", "%r")
_SEPARATOR = "|"

_TRANSIENT = re.compile(
    "timed out|unable to contact|temporarily|try again|connection refused|communication"
    "|slurm_persist|zero bytes|not responding",
    re.IGNORECASE,
)
"""Words of ``sbatch`` after which it may have submitted the request."""

_NO_NODES = {"", "(null)", "n/a", "None"}
_DURATION = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+)(?::(\d+))?")

AllocationPhase: TypeAlias = Literal["waiting", "running", "suspended", "over"]
"""What an allocation does: it waits for its nodes, has them, has them but may not use them, or has
lost them."""

_PHASES: dict[str, AllocationPhase] = {
    "PENDING": "waiting",
    "CONFIGURING": "waiting",
    "REQUEUED": "waiting",
    "REQUEUE_FED": "waiting",
    "REQUEUE_HOLD": "waiting",
    "SPECIAL_EXIT": "waiting",
    "RESV_DEL_HOLD": "waiting",
    "RUNNING": "running",
    "RESIZING": "running",
    "SIGNALING": "running",
    "SUSPENDED": "suspended",
    "STOPPED": "suspended",
    **dict.fromkeys(
        (
            *("BOOT_FAIL", "CANCELLED", "COMPLETED", "COMPLETING", "DEADLINE", "FAILED"),
            *("LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL"),
            *("REVOKED", "STAGE_OUT", "TIMEOUT"),
        ),
        "over",
    ),
}
"""A word of a later Slurm counts as waiting: otherwise there would be a second request. What is
over is not in Slurm's list any more after some minutes."""


class SlurmSilent(PegasusError):
    """Slurm gave no answer: what was asked for may have been done, or not."""


class SlurmMissing(PegasusError):
    """Slurm's programs cannot be started here."""


class SlurmRefused(PegasusError):
    """Slurm refused a request; the text is its own."""


@dataclass(frozen=True, slots=True)
class AllocationStatus:
    """What Slurm says about an allocation.

    Attributes:
        job: its id.
        state: in Slurm's word.
        left: seconds until its time limit; infinite without one.
        limit: the whole time limit in seconds, likewise.
        partition: to which its nodes belong.
        nodes: their names; empty while it waits.
        reason: why it waits, in Slurm's words.
    """

    job: str
    state: str
    left: float = inf
    limit: float = inf
    partition: str = ""
    nodes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def phase(self) -> AllocationPhase:
        """What it does."""
        return _PHASES.get(self.state, "waiting")

    @property
    def number(self) -> int:
        """Its id as a number, for the order of allocations."""
        return int(self.job) if self.job.isdecimal() else 0

    def later(self, seconds: float) -> AllocationStatus:
        """Give what is known of it some seconds later, where Slurm does not answer."""
        return replace(self, left=max(0.0, self.left - seconds))

    def margin(self, longest_job: float) -> float:
        """Give the seconds before its time limit in which no job is started.

        Args:
            longest_job: seconds that a job may take with its end; 0 where that is not limited.
        """
        return max(min(DRAIN_MARGIN, DRAIN_SHARE * self.limit), longest_job)


class AsksSlurm(Protocol):
    """What is asked of Slurm.

    Each function raises SlurmSilent where there is no answer, and SlurmMissing without a Slurm.
    """

    async def submit(self, argv: Sequence[str], script: bytes) -> str:
        """Submit a request; give the id of the allocation, or raise SlurmRefused."""

    async def test(self, request: AllocationRequest) -> str:
        """Ask about a request without submitting it; give the answer, or raise SlurmRefused."""

    async def named(self, name: str) -> list[AllocationStatus]:
        """Find the allocations of this user with a name, also those that ended lately."""

    async def look(self, job: str) -> AllocationStatus | None:
        """Find an allocation; None where Slurm does not know it any more."""

    async def cancel(self, job: str) -> None:
        """Cancel an allocation; one that is over is no error."""

    async def features(self, nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Find the features of nodes."""


class SlurmClient:
    """Asks Slurm by its own programs; see ``AsksSlurm``."""

    def __init__(self) -> None:
        self._answered: set[str] = set()  # programs that could be started before

    async def submit(self, argv: Sequence[str], script: bytes) -> str:
        """Submit a request; give the id of the allocation.

        Raises:
            SlurmRefused: in the words of ``sbatch``.
            SlurmSilent: there is no answer, or a signal has ended ``sbatch``: the request may have
                been submitted.
        """
        status, out, err = await self._ask(argv, script)
        job = out.strip().partition(";")[0]
        if status == 0 and job.isdecimal():
            return job
        words = _own_words(err) or f"{argv[0]} ended with status {status}"
        if _TRANSIENT.search(words) or job or status < 0:
            raise SlurmSilent(words)
        raise SlurmRefused(words)

    async def test(self, request: AllocationRequest) -> str:
        """Ask about a request without submitting it; give the answer.

        Raises:
            SlurmRefused: in the words of ``sbatch``.
        """
        program, *options = request.argv("pegasus")
        status, _, err = await self._ask([program, "--test-only", *options], holder_script())
        if status != 0:
            raise SlurmRefused(_own_words(err) or f"{program} ended with status {status}")
        return _own_words(err)

    async def named(self, name: str) -> list[AllocationStatus]:
        """Find the allocations of this user with a name, also those that ended lately."""
        return await self._statuses("--me", f"--name={name}")

    async def look(self, job: str) -> AllocationStatus | None:
        """Find an allocation; None where Slurm does not know it any more."""
        try:
            found = await self._statuses(f"--jobs={job}")
        except SlurmSilent as error:
            if "Invalid job id" in str(error):
                return None
            raise
        return next(iter(found), None)

    async def _statuses(self, *options: str) -> list[AllocationStatus]:
        form = _SEPARATOR.join(_FIELDS)
        argv = ["squeue", "--noheader", "--states=all", *options, f"--format={form}"]
        status, out, err = await self._ask(argv)
        if status != 0:
            raise SlurmSilent(_own_words(err) or f"squeue ended with status {status}")
        return [found for line in out.splitlines() if (found := status_of(line)) is not None]

    async def cancel(self, job: str) -> None:
        """Cancel an allocation; one that is over is no error."""
        status, _, err = await self._ask(["scancel", job])
        words = _own_words(err)
        if status != 0 and not re.search("invalid job id|already", words, re.IGNORECASE):
            raise SlurmSilent(words or f"scancel ended with status {status}")

    async def features(self, nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Find the features of nodes; a node that Slurm does not describe is missing."""
        argv = ["sinfo", "--noheader", "--Node", f"--nodes={','.join(nodes)}", "--format=%N|%f"]
        status, out, err = await self._ask(argv)
        if status != 0:
            raise SlurmSilent(_own_words(err) or f"sinfo ended with status {status}")
        pairs = (line.strip().partition("|") for line in out.splitlines())
        return {
            node: tuple(each for each in words.split(",") if each and each != "(null)")
            for node, _, words in pairs
        }

    async def _ask(self, argv: Sequence[str], data: bytes = b"") -> tuple[int, str, str]:
        """Run a program of Slurm; give its exit status and what it has printed.

        Raises:
            SlurmMissing: it cannot be started.
            SlurmSilent: it does not end in time, or could be started before: this machine has no
                memory or files for it now, or Slurm is being updated.
        """
        try:
            answer = await _run_program(argv, data)
        except SlurmMissing as error:
            if argv[0] in self._answered:
                raise SlurmSilent(str(error).rstrip(".")) from error
            raise
        self._answered.add(argv[0])
        return answer


def active_of(found: Iterable[AllocationStatus], known: str) -> list[AllocationStatus]:
    """Sort out what is not over, the one to use first: one that has its nodes, the known one.

    Args:
        found: allocations of one entry.
        known: the id of the one that is used now.
    """
    active = [each for each in found if each.phase != "over"]
    return sorted(
        active, key=lambda each: (each.phase == "waiting", each.job != known, each.number)
    )


def status_of(line: str) -> AllocationStatus | None:
    """Read a line of ``squeue``; None where it is none.

    Raises:
        SlurmSilent: the list of nodes cannot be read; that is not the end of an allocation.
    """
    fields = line.strip().split(_SEPARATOR, len(_FIELDS) - 1)
    if len(fields) < len(_FIELDS):
        return None
    job, state, left, limit, partition, listed, reason = (each.strip() for each in fields)
    try:
        nodes = () if listed in _NO_NODES else nodes_in(listed)
    except NoNodeSet as error:
        raise SlurmSilent(f"its list of nodes ({listed}) cannot be read") from error
    words = "" if reason == "None" else reason
    return AllocationStatus(
        job, state, time_of(left), time_of(limit), partition, nodes, words.strip("()")
    )


def time_of(text: str) -> float:
    """Read a length of time as Slurm writes it, in seconds: ``1-02:03:04``, ``2:03``.

    It is infinite where there is none (``UNLIMITED``, ``INVALID``), and 0 once it has passed.
    """
    if text.startswith("-"):
        return 0.0
    found = _DURATION.fullmatch(text)
    if found is None:
        return inf
    days, first, second, third = found.groups()
    if third is None:  # minutes and seconds
        return 60.0 * int(first or 0) + int(second)
    return 86400.0 * int(days or 0) + 3600.0 * int(first or 0) + 60.0 * int(second) + int(third)


async def _run_program(argv: Sequence[str], data: bytes) -> tuple[int, str, str]:
    """Run a program of Slurm; give its exit status and what it has printed.

    Raises:
        SlurmMissing: it cannot be started.
        SlurmSilent: it does not end in time.
    """
    outputs: dict[str, bytes] = {"out": b"", "err": b""}

    async def read(name: str, stream: trio.abc.ReceiveStream) -> None:
        async for piece in stream:
            outputs[name] += piece

    status: int | None = None
    try:
        with trio.move_on_after(PROGRAM_LIMIT), sole_error():
            async with open_child(argv, _EXIT_LIMIT) as child, trio.open_nursery() as nursery:
                nursery.start_soon(read, "out", child.stdout)
                nursery.start_soon(read, "err", child.stderr)
                try:
                    await child.stdin.send_all(data)
                    await child.stdin.aclose()
                except trio.BrokenResourceError:
                    pass  # it has ended without reading
                status = await child.wait()
    except CannotStart as error:
        raise SlurmMissing(str(error)) from error
    if status is None:
        raise SlurmSilent(f"{argv[0]} does not answer")
    return status, outputs["out"].decode(errors="replace"), outputs["err"].decode(errors="replace")


def _own_words(err: str) -> str:
    """Give what a program has said, without its name, on one line."""
    lines = [re.sub(r"^\w+: (?:error: )?", "", line).strip() for line in err.splitlines()]
    return "; ".join(line.rstrip(".") for line in lines if line)
