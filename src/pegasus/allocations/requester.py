"""The task that has one entry's allocation: requests it, follows it, and gives it back.

Rule 1: it acts on what Slurm says now, found by the allocation's name; what it remembers is only
what it has told the user and the dispatcher.
Rule 2: an allocation is cancelled only when no command runs on it, or when its run is over.
Rule 3: an allocation that is of no use is no reason to request the next one at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf

import trio

from pegasus import duration
from pegasus.allocations.client import (
    AllocationStatus,
    AsksSlurm,
    SlurmMissing,
    SlurmSilent,
    active_of,
)
from pegasus.allocations.ending import cancel_all, end_of, wait_unused
from pegasus.allocations.entry_lock import EntryLock
from pegasus.allocations.hooks import AllocationUse, RequesterHooks
from pegasus.allocations.reports import AllocationReports
from pegasus.allocations.request import AllocationRequest
from pegasus.allocations.submission import Submission
from pegasus.allocations.timing import (
    CANCEL_AGAIN,
    EARLY,
    FIRST_LOOK,
    IDLE_LOOK,
    LAST_LOOK,
    UNUSED_LIMIT,
)
from pegasus.errors import PegasusError
from pegasus.model import SubNode


class Requester:
    """Has the allocation of one entry.

    Args:
        request: the entry.
        lock: of the entry.
        slurm: asks Slurm.
        hooks: its run.

    Attributes:
        request: see above.
        sub_nodes: those that may get jobs now.
        hopeless: why there will be no allocation in this run; empty while there may be one.
    """

    def __init__(
        self, request: AllocationRequest, lock: EntryLock, slurm: AsksSlurm, hooks: RequesterHooks
    ) -> None:
        self.request = request
        self.sub_nodes: tuple[SubNode, ...] = ()
        self.hopeless = ""
        self._lock, self._slurm, self._hooks = lock, slurm, hooks
        self._retired = False
        self._known: AllocationStatus | None = None
        self._features: Mapping[str, Sequence[str]] = {}
        self._opened_at: float | None = None
        self._is_draining = False
        self._cancelled_at = inf
        self._seen_at = -inf
        self._reports = AllocationReports(request.words, hooks)
        self._submission = Submission(slurm, hooks, self._reports.say_once)
        self._look = FIRST_LOOK
        self._idle_since: float | None = None
        self._woken = trio.Event()

    @property
    def is_open(self) -> bool:
        """Whether its allocation has nodes that get jobs."""
        return bool(self.sub_nodes)

    def look_soon(self) -> None:
        """Ask Slurm soon: something has changed."""
        self._look = FIRST_LOOK
        self._woken.set()

    def retire(self) -> None:
        """Give the allocation back when no command runs on it, and end."""
        if not self._retired:
            self._retired = True
            self.look_soon()

    def keep(self, request: AllocationRequest) -> None:
        """Go on, with the parameters and slots that the entry has now."""
        if self._retired:
            self._retired = False
            self.look_soon()
        if request.rows != self.request.rows:
            self.request = request
            if self.sub_nodes and self._known is not None:
                self.sub_nodes = self._expanded(self._known)
                self._hooks.publish()

    async def run(self) -> None:
        """Have the allocation, until the entry is removed or this is cancelled."""
        try:
            while not self.hopeless and not await self._is_done():
                if await self._acquire():
                    await self._step()
                looked_at = trio.current_time()
                with trio.move_on_after(self._look):
                    await self._woken.wait()
                await trio.sleep_until(looked_at + FIRST_LOOK)  # also if many nodes wake it
                self._woken = trio.Event()
                self._look = min(self._look * 1.5, LAST_LOOK)
        finally:
            with trio.CancelScope(shield=True):
                await self._give_back()

    async def _is_done(self) -> bool:
        await trio.lowlevel.checkpoint()
        return self._retired and self._known is None

    async def _acquire(self) -> bool:
        """Acquire the lock of the entry, if no other run has it."""
        await trio.lowlevel.checkpoint()
        if self._lock.acquire_nowait():
            return True
        self._reports.say_once(
            f"{self.request.title}: another run on this queue has the allocation of this entry. "
            "This run gets it when that one ends."
        )
        return False

    # What Slurm says.

    async def _step(self) -> None:
        """Look at the allocation, and do what follows."""
        try:
            await self._look_and_act()
        except SlurmMissing as error:
            self._close()
            self.hopeless = (
                f"{error} A `slurm` entry with options needs the programs of Slurm on the machine "
                "on which Pegasus runs."
            )

    async def _look_and_act(self) -> None:
        if self._known is None and not self._submission.is_unsure:
            await self._request()
            return
        try:
            found = await self._slurm.named(self._lock.name)
        except SlurmSilent as error:
            self._reports.say_once(
                f"{self.request.title}: no answer: {error}. Pegasus goes on and asks again."
            )
            self._drain_unasked()
            return
        known = self._known.job if self._known else ""
        active = active_of(found, known)
        for extra in active[1:]:
            self._reports.say_once(
                f"Slurm allocation {extra.job} is a second one: it is cancelled."
            )
            await self._cancel(extra.job)
        if active:
            self._submission.settle()
            await self._follow(active[0])
            return
        if self._known is not None:
            await self._end(self._known, found)
        if self._known is None and self._submission.is_settled:
            self._submission.settle()
            await self._request()

    async def _follow(self, status: AllocationStatus) -> None:
        """Use an allocation, or wait for it."""
        if self._known is None or self._known.job != status.job:
            if self._known is None and status.phase == "running":
                self._reports.say_once(
                    f"Slurm allocation {status.job} was requested before: it is used."
                )
            self._begin(status)
        before, self._known = self._known, status
        self._seen_at = trio.current_time()
        if before is not None and before.phase != status.phase:
            self._look = FIRST_LOOK
        if self._cancelled_at < inf:
            if trio.current_time() - self._cancelled_at >= CANCEL_AGAIN:
                await self._cancel(status.job)
        elif status.phase == "running" and status.nodes:
            await self._use(status)
        else:
            await self._wait(status)

    def _begin(self, status: AllocationStatus) -> None:
        """Begin with an allocation, and forget another one."""
        self._close()
        self._known, self._seen_at = status, trio.current_time()
        self._opened_at, self._is_draining, self._cancelled_at = None, False, inf
        self._idle_since, self._look = None, FIRST_LOOK

    async def _wait(self, status: AllocationStatus) -> None:
        """Wait for the nodes of an allocation, or until they may be used again."""
        self._close()
        self._opened_at, self._is_draining = None, False
        self._reports.wait(status)
        has_work = await self._hooks.has_work(self.request)
        use = self._hooks.use_of(status.job)
        if self._is_wanted(use, has_work=has_work):
            return
        if status.phase == "waiting" or use != "busy":
            if not self._retired and self._hooks.is_taking():
                self._reports.say_once(
                    f"Slurm allocation {status.job} is cancelled: nothing waits for it."
                )
            await self._cancel(status.job)

    async def _use(self, status: AllocationStatus) -> None:
        """Let the nodes of an allocation get jobs, as long as they may."""
        use, margin = self._hooks.use_of(status.job), status.margin(self._hooks.longest_job())
        if self._is_draining or (self._retired and not self.is_open):
            if use == "left":
                await self._cancel(status.job)
            elif use == "idle":
                self._look = FIRST_LOOK
            return
        if self._retired:
            self._close()  # it opens again if the entry comes back
            self._look = FIRST_LOOK
        elif not self.is_open and status.limit <= margin:
            await self._refuse_length(status)
        elif status.left <= margin:
            self._drain_at_limit(status)
        elif not self.is_open or {each.hostname for each in self.sub_nodes} != set(status.nodes):
            await self._open(status)
        else:
            await self._keep_if_used(status)
        if self.is_open:
            self._look = max(FIRST_LOOK, min(self._look, status.left - margin))

    async def _keep_if_used(self, status: AllocationStatus) -> None:
        """Give an allocation back that has had no work for a while."""
        # What matters is whether a job fits on these nodes, and not only what was requested.
        has_work = await self._hooks.has_work(replace(self.request, rows=self.sub_nodes))
        use = self._hooks.use_of(status.job)
        if self._is_wanted(use, has_work=has_work) or use == "busy":
            return
        reason = "nothing waits for it"
        if not self._hooks.is_taking():
            reason = "the run takes no more jobs"
        elif await self._hooks.has_work(self.request):
            self._submission.pause.begin_longer()
            reason = "no job that waits may run on the nodes that Slurm has chosen"
        else:
            self._submission.pause.reset()
        self._reports.say(f"Slurm allocation {status.job} is given back: {reason}.")
        self._drain()

    def _is_wanted(self, use: AllocationUse, *, has_work: bool) -> bool:
        """Tell whether the allocation is kept."""
        if self._retired or not self._hooks.is_taking():
            return False
        if has_work or use == "busy":
            self._idle_since = None
            return True
        now = trio.current_time()
        if self._idle_since is None:
            self._idle_since = now
        self._look = min(self._look, IDLE_LOOK)
        return now - self._idle_since < UNUSED_LIMIT

    async def _open(self, status: AllocationStatus) -> None:
        try:
            self._features = await self._slurm.features(status.nodes)
        except SlurmSilent:
            self._features = {}
        goes_on = self._opened_at is not None
        self.sub_nodes = self._expanded(status)
        if self._opened_at is None:
            self._opened_at = trio.current_time()
        self._reports.begin(status, goes_on=goes_on)
        self._hooks.publish()

    def _expanded(self, status: AllocationStatus) -> tuple[SubNode, ...]:
        return self.request.sub_nodes(status.job, status.nodes, status.partition, self._features)

    def _close(self) -> None:
        if self.sub_nodes:
            self.sub_nodes = ()
            self._hooks.publish()

    def _drain(self) -> None:
        self._is_draining = True
        if self._known is not None:
            self._reports.tell(self._known.job, "draining")
        self._close()
        self._look = FIRST_LOOK

    def _drain_at_limit(self, status: AllocationStatus) -> None:
        left = duration.words(max(0.0, status.left))
        words = f"Slurm allocation {status.job} ends in {left}: its nodes get no more jobs."
        self._reports.say(words)
        self._drain()

    def _drain_unasked(self) -> None:
        """Keep to the time limit also while Slurm does not answer."""
        if self._known is None or not self.is_open:
            return
        status = self._known.later(trio.current_time() - self._seen_at)
        rest = status.left - status.margin(self._hooks.longest_job())
        if rest <= 0:
            self._drain_at_limit(status)
        else:
            self._look = max(FIRST_LOOK, min(self._look, rest))

    async def _end(self, known: AllocationStatus, found: Sequence[AllocationStatus]) -> None:
        """Handle an allocation that is over, or is being ended."""
        was_open = self.is_open
        self._close()
        status = await end_of(self._slurm, self._lock.name, known.job, found)
        if status is not None and status.phase != "over":
            return  # it waits again
        self._known = None
        self._reports.tell(known.job, "over", status.state if status is not None else "")
        lasted = 0.0 if self._opened_at is None else trio.current_time() - self._opened_at
        self._submission.forget_work()
        self._opened_at = self._idle_since = None
        was_cancelled, self._cancelled_at, self._is_draining = self._cancelled_at < inf, inf, False
        self._look = FIRST_LOOK
        if was_cancelled:
            return
        words = f"Slurm allocation {known.job} has ended" + (f" ({status.state})" if status else "")
        again = ""
        if lasted >= EARLY:
            self._submission.pause.reset()
        else:
            if self._hooks.is_taking() and not self._retired:
                again = (
                    f" Another one is requested in {self._submission.pause.words} at the earliest."
                )
            self._submission.pause.begin_longer()
        self._reports.say(f"{words}.{again}")
        if was_open:
            await self._hooks.lost_allocation(known.job, words)

    # What is asked of Slurm.

    async def _request(self) -> None:
        """Request an allocation, if there is work for it."""
        self._look = FIRST_LOOK
        if self._retired:
            return
        job = await self._submission.submit(self.request, self._lock.name)
        self.hopeless = self._submission.hopeless
        if job is not None:
            self._begin(AllocationStatus(job, "PENDING"))
            self._reports.say(f"Slurm allocation {job} is requested: {self.request.words}")

    async def _refuse_length(self, status: AllocationStatus) -> None:
        """Give an allocation back that is too short for any job with its ``--timeout``."""
        await self._cancel(status.job)
        self.hopeless = (
            f"Slurm allocation {status.job} lasts {duration.words(status.limit)}: too short for a "
            "job with this --timeout, and for its end. Request a longer `time`, or set a shorter "
            "--timeout."
        )

    async def _cancel(self, job: str) -> None:
        try:
            await self._slurm.cancel(job)
        except SlurmSilent as error:
            self._reports.say_once(f"Slurm allocation {job} cannot be cancelled now: {error}.")
            return
        if self._known is not None and self._known.job == job:
            self._cancelled_at = trio.current_time()
        self._look = FIRST_LOOK

    async def _give_back(self) -> None:
        """At the end, cancel what there is, and release the lock."""
        with suppress(PegasusError):
            self._lock.acquire_nowait()
        if not self._lock.is_held:
            return
        job = self._known.job if self._known else ""
        if job:
            await wait_unused(self._hooks, job)
        sent_until = -inf if job else self._submission.sent_until
        known = self._slurm, self._lock.name, sent_until
        may_exist = bool(job) or self._submission.is_unsure
        if may_exist and not await cancel_all(*known, is_killed=self._hooks.is_killed()):
            what = f"allocation {job}" if job else "allocation"
            self._reports.say(
                f"Slurm has not accepted that its {what} is cancelled. It ends by itself five "
                f"minutes after it has begun; `scancel --name={self._lock.name}` ends it at once."
            )
        self._lock.release()
