"""The cost of the record: the same run with and without it.

    python -m benchmarks.record [events] [output] [many] [queue] [bulk]

Five measurements. "events" and "output" use the listeners alone: 30,000 jobs
that print nothing, and 1 GB that one job prints, sent to a screen on /dev/null, with a record and
without. No real job is that cheap: they show the cost of a record, in microseconds a job and in GB
a second. "many" is twenty jobs at once that print 256 MB together. "queue" is what a user sees:
``pegasus queue`` on localhost, with 8 sub-nodes and jobs that do nothing.

"bulk" is the same with one job that prints 256 MB as fast as it can.

Each pair is run several times, in turn, and the best of each counts:
other load on the machine disturbed it least.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from pegasus.commands import run as command
from pegasus.commands.run_settings import RunSettings
from pegasus.events import Ended, Event, Listener, Printed, Started, Taken
from pegasus.model import Assignment, Command, Exited, Job, Stream, SubNode
from pegasus.record.recording import Record, open_record
from pegasus.screen import open_screen

ROUNDS = 5
JOBS = 30_000
QUEUED = 600
BLOCK = b"epoch 1: loss 0.25, accuracy 0.75, 12.5 s, 3 of 100\n" * 1260  # 64 KiB: one read
GIGABYTE = 1_000_000_000
QUARTER = 256_000_000
PRINTERS = 20
NODES = [SubNode(number, "node-1", (("container", f"gpu{number}"),)) for number in range(8)]


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: an amount of a unit, in seconds without and with the record."""

    name: str
    amount: float
    unit: str
    without: float
    with_record: float

    def row(self) -> str:
        """Write a row of the table."""
        ratio = self.without / self.with_record
        speeds = (self.amount / self.without, self.amount / self.with_record)
        return f"{self.name:<32}{speeds[0]:>11,.0f}{speeds[1]:>11,.0f} {self.unit:<7}{ratio:>7.2f}"


class Both:
    """Two listeners as one."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners

    def tell(self, event: Event) -> None:
        """Pass an event to both."""
        for listener in self.listeners:
            listener.tell(event)

    async def show(self, printed: Printed) -> None:
        """Pass output to both."""
        for listener in self.listeners:
            await listener.show(printed)


@asynccontextmanager
async def listening(*, recorded: bool) -> AsyncIterator[Listener]:
    """Open a screen to /dev/null, and a record or none."""
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            fd = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, fd)
            opened = open_screen(stdout_fd=fd, stderr_fd=fd)
            listeners: list[Listener] = [await stack.enter_async_context(opened)]
            if recorded:
                queue = Path(folder, "queue.yaml")
                listeners.insert(0, await stack.enter_async_context(record_for(queue)))
            yield Both(*listeners)


@asynccontextmanager
async def record_for(queue: Path) -> AsyncIterator[Record]:
    """Open a record."""
    async with open_record(
        queue, "run", mode="queue", hosts_file="hosts.yaml", sub_nodes=NODES, on_trouble=sys.exit
    ) as record:
        yield record


def assignment(number: int) -> Assignment:
    """Make one of many similar jobs."""
    job = Job("python train.py --lr {{ lr }} --bs {{ bs }}", (("lr", "1e-4"), ("bs", "16")))
    node = NODES[number % len(NODES)]
    return Assignment(number, job, node, Command("python train.py --lr 1e-4 --bs 16"))


async def events(*, recorded: bool) -> float:
    """Report jobs that print nothing."""
    async with listening(recorded=recorded) as listener:
        began = time.perf_counter()
        for number in range(1, JOBS + 1):
            given = assignment(number)
            listener.tell(Taken(number, given.job))
            listener.tell(Started(given))
            await trio.lowlevel.checkpoint()
            listener.tell(Ended(given, Exited(0), 0.1))
        return time.perf_counter() - began


async def output(*, recorded: bool) -> float:
    """Show a gigabyte."""
    async with listening(recorded=recorded) as listener:
        began = time.perf_counter()
        await print_much(listener, 1, GIGABYTE)
        return time.perf_counter() - began


async def many(*, recorded: bool) -> float:
    """Show the output of many jobs at once."""
    async with listening(recorded=recorded) as listener:
        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(1, PRINTERS + 1):
                nursery.start_soon(print_much, listener, number, QUARTER // PRINTERS)
        return time.perf_counter() - began


async def print_much(listener: Listener, number: int, size: int) -> None:
    """Show this many bytes of one job."""
    given = assignment(number)
    for _ in range(size // len(BLOCK)):
        await listener.show(Printed(given, Stream.STDOUT, BLOCK))
    listener.tell(Ended(given, Exited(0), 0.1))


async def queue(*, recorded: bool) -> float:
    """Run jobs that do nothing."""
    numbers = ", ".join(map(str, range(QUEUED)))
    return await real(f"- command: ': {{{{ n }}}}'\n  n: [{numbers}]\n", recorded=recorded)


async def bulk(*, recorded: bool) -> float:
    """Run a job that prints a large amount."""
    text = BLOCK.decode().partition("\n")[0]
    return await real(f"- |\n  yes '{text}' | head -c {QUARTER}\n", recorded=recorded)


async def real(jobs: str, *, recorded: bool) -> float:
    """Run jobs on localhost, as ``pegasus queue`` does."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "queue.yaml").write_text(jobs)
        (folder / "hosts.yaml").write_text("[localhost" + ", localhost" * 7 + "]\n")
        settings = RunSettings(hosts_file=folder / "hosts.yaml", queue_file=folder / "queue.yaml")
        if not recorded:
            (folder / ".pegasus").touch()  # prevents that the record's folder is made
        with quiet():
            began = time.perf_counter()
            await command.run(settings)
            return time.perf_counter() - began


class quiet:  # noqa: N801 -- reads like a keyword
    """Redirect both outputs to /dev/null for the length of a block."""

    def __enter__(self) -> None:
        self._kept = [os.dup(1), os.dup(2)]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for fd in (1, 2):
            os.dup2(nowhere, fd)
        os.close(nowhere)

    def __exit__(self, *error: object) -> None:
        for fd, kept in zip((1, 2), self._kept, strict=True):
            os.dup2(kept, fd)
            os.close(kept)


WAYS: dict[str, tuple[Callable[..., Awaitable[float]], str, float, str]] = {
    "events": (events, "jobs that print nothing", JOBS, "jobs/s"),
    "output": (output, "1 GB of one job", GIGABYTE / 1e6, "MB/s"),
    "many": (many, f"256 MB of {PRINTERS} jobs", QUARTER / 1e6, "MB/s"),
    "bulk": (bulk, "pegasus queue, 256 MB of one job", QUARTER / 1e6, "MB/s"),
    "queue": (queue, "pegasus queue, 8 x localhost", QUEUED, "jobs/s"),
}


def measure(names: list[str]) -> Iterator[Measured]:
    """Run each measurement with and without the record in turn."""
    for name in names:
        way, title, amount, unit = WAYS[name]
        times: dict[bool, list[float]] = {False: [], True: []}
        for recorded in (False, True) * ROUNDS:
            times[recorded].append(trio.run(partial(way, recorded=recorded)))
        yield Measured(title, amount, unit, min(times[False]), min(times[True]))


def main() -> None:
    """Print a table."""
    sys.stdout.write(f"{'':<32}{'without':>11}{'with':>11} {'':<7}{'ratio':>7}\n")
    for measured in measure(sys.argv[1:] or list(WAYS)):
        sys.stdout.write(f"{measured.row()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
