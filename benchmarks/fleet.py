"""Connect and broadcast: 64 sub-nodes on eight sshds, for one step and for several."""

from __future__ import annotations

from functools import cache, partial

from benchmarks import peers, subject
from benchmarks.bench import Bench, Bound, Figure, Part, table
from benchmarks.rounds import PEGASUS, Contestant, Played, Values
from benchmarks.running import run

WIDTH = 64
STEPS = 20
FRESH = ("pdsh", "clush")
CONNECT = """\
From the command line until `true` has run on each of 64 sub-nodes, eight on each sshd. For
Pegasus that is the end of the last of the first 64 commands of a broadcast, by its journal; for
the others it is all of their time. parallel-ssh brings an ssh library of its own; all others
use the same ssh, most of whose time goes to the key exchange."""
BROADCAST = """\
{steps} steps of `true` over the same 64 sub-nodes; each step waits for all of the one before.
Pegasus does them in one run, of which a {steps}th counts as a step, connections and all; its
time from the end of the first step to the end of the last is shown as well. The others do one
step a run, and are run once a round."""
UNTIL_CONNECTED = Figure("connect", "s", "less", drawn=True)
STEP = Figure("step", "s", "less", drawn=True)


def pegasus(bench: Bench) -> Values:
    """Broadcast all steps."""
    with bench.ground.work() as folder:
        subject.write_hosts(folder, bench.ground, WIDTH)
        subject.write_queue(folder, STEPS)
        done, journal = subject.run_queue(folder, bench.ground, "b")
        subject.must_have(journal, STEPS * WIDTH)
    connected = journal.ended[WIDTH - 1]
    return {
        "connect": connected - done.began,
        "step": done.seconds / STEPS,
        "step alone": (journal.ended[-1] - connected) / (STEPS - 1),
    }


def once(peer: peers.Broadcaster, *, fresh: bool) -> Values:
    """Run it once with a peer."""
    seconds = run(peer.argv, env=peer.env).seconds
    return {"step": seconds, **({"connect": seconds} if fresh else {})}


@cache
def contest(bench: Bench) -> Played:
    """Run all once for both parts: for the peers they are the same work."""
    ground = bench.ground
    fresh = peers.broadcasters(ground, WIDTH)
    kept = peers.mastered_broadcasters(ground, WIDTH)
    with ground.masters(WIDTH):
        return bench.play(
            f"connect and broadcast, {WIDTH} sub-nodes",
            [
                Contestant(PEGASUS, lambda: pegasus(bench)),
                *(Contestant(one.who, partial(once, one, fresh=True)) for one in fresh),
                *(Contestant(one.who, partial(once, one, fresh=False)) for one in kept),
            ],
        )


def measure_connect(bench: Bench) -> Part:
    """Measure the time until all nodes have run a command."""
    played = contest(bench)
    part = Part("connect", "Connect", CONNECT)
    title = f"{WIDTH} sub-nodes, until the first job has run on each"
    part.tables.append(table(played, title, UNTIL_CONNECTED))
    reached = played.ratio((PEGASUS, "connect"), ("pdsh", "connect"))
    part.bounds.append(
        Bound("connect", "≤ 1.1 times pdsh's time for the same 64", reached, most=1.1)
    )
    return part


def measure_broadcast(bench: Bench) -> Part:
    """Measure the time of a step."""
    played = contest(bench)
    part = Part("broadcast", "Broadcast", BROADCAST.format(steps=STEPS))
    alone = played.spread(PEGASUS, "step alone")
    if alone:
        words = f"between the first step and the last: {alone} s a step"
        played.notes[PEGASUS] = words
    title = f"64 sub-nodes: a step of {STEPS}, connections included"
    part.tables.append(table(played, title, STEP))
    for peer in FRESH:
        reached = played.ratio((PEGASUS, "step"), (peer, "step"))
        part.bounds.append(Bound("broadcast step", f"≤ 0.25 times {peer}'s", reached, most=0.25))
    return part
