"""Footprint: the memory and CPU that Pegasus uses while it waits for jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.meter import descendants
from benchmarks.rounds import Contestant, Values
from benchmarks.running import cpu_of, running, wait_until

SETTLING = 3.0  # seconds from the last connection to the first measurement
KINDS = ("pegasus", "ssh", "sh")
WORDS = """\
`pegasus q --daemon` with an empty queue, when all sub-nodes are connected. Memory is the
proportional set size (PSS) of all of its processes on the controller: shared memory is divided
between them. CPU is that of the same processes over {seconds} seconds, in percent of one core. Each
is measured once, since it hardly varies."""


def idle(bench: Bench, sub_nodes: int, seconds: float) -> Values:
    """Connect, wait, and measure."""
    with bench.ground.work() as folder:
        subject.write_hosts(folder, bench.ground, sub_nodes)
        (folder / "queue.yaml").write_text("[]\n", encoding="ascii")
        line = subject.command_line("q", bench.ground, "--daemon")
        with running(line, cwd=folder) as run:
            wait_until(
                lambda: run.has_ended() or subject.seen(folder, "connected") >= sub_nodes,
                limit=subject.CONNECTING,
                what=f"{sub_nodes} connections",
                glance=0.1,
            )
            time.sleep(SETTLING)
            pids = descendants(run.meter)
            before, began = sum(map(cpu_of, pids)), time.monotonic()
            time.sleep(seconds)
            used = sum(map(cpu_of, pids)) - before
            percent = 100 * used / (time.monotonic() - began)
            memory = by_kind(pids)
    parts = {f"MB of {kind}": memory[kind] for kind in KINDS}
    return {"MB": sum(memory.values()), "%": percent, "processes": len(pids), **parts}


def by_kind(pids: Iterable[int]) -> dict[str, float]:
    """Return the MB of memory of the processes by kind; those without another name are pegasus."""
    found = dict.fromkeys(KINDS, 0.0)
    for pid in pids:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        found[name if name in KINDS else "pegasus"] += sum(proportional(pid)) / 1000
    return found


def proportional(pid: int) -> Iterator[float]:
    """Yield the PSS of a process in kB: one line."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            yield int(rest.split()[0]) * 1.024


def measure(bench: Bench) -> Part:
    """Measure with few sub-nodes and with many."""
    seconds = bench.sized(5, 20, 60)
    counts = (8, 64) if bench.size == "quick" else (8, 64, 256)
    part = Part("footprint", "Footprint", WORDS.format(seconds=seconds))
    names = {count: f"{count} sub-nodes" for count in counts}
    contestants = [
        Contestant(name, partial(idle, bench, count, seconds)) for count, name in names.items()
    ]
    played = bench.play("footprint", contestants, rounds=1)
    for name in played.values:
        each = [f"{kind} {played.spread(name, f'MB of {kind}')}" for kind in KINDS]
        processes = round(played.values[name][0]["processes"])
        played.notes[name] = f"{processes} processes, in MB: {', '.join(each)}"
    base = names[counts[0]]
    part.tables = [
        table(played, "memory (PSS)", Figure.against(base, "MB", "MB")),
        table(played, "CPU while nothing happens", Figure.against(base, "%", "% of a core")),
    ]
    for count, name in names.items():
        most = 40 + 3 * count
        must = f"≤ 40 MB + 3 MB a sub-node = {most} MB"
        memory = played.spread(name, "MB")
        part.bounds.append(Bound(f"footprint, {name}", must, memory, most=most, unit="MB"))
    widest = played.spread("256 sub-nodes", "%")
    must = "idle CPU < 1 % of a core"
    part.bounds.append(Bound("footprint, 256 sub-nodes", must, widest, most=1, unit="%"))
    return part
