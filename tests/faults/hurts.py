"""What is done to a run, to its nodes and to what lies between, at random moments.

Each function waits for its moment, hurts, and ends the hurt again.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.stage import MOMENTS, RUN_LIMIT, Trial
from tests.faults.trial import pass_time
from tests.nodes import wait_until

# The network and the nodes.


def freeze_node(trial: Trial) -> None:
    """Freeze a node, and let it go on: for so short that nothing breaks, or longer."""
    trial.wait_for_a_moment()
    trial.node.pause()
    trial.wait_a_while(0.2, 6)
    trial.node.resume()


def freeze_sshd(trial: Trial) -> None:
    """Freeze the sshds that serve connections, while the jobs on the node go on."""
    trial.wait_for_a_moment()
    frozen = trial.node.sshds()
    for process in frozen:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 6)
    for process in frozen:
        process.signal(signal.SIGCONT)


def cut_node(trial: Trial) -> None:
    """Cut a node off the network, and connect it again."""
    trial.wait_for_a_moment()
    trial.node.cut()
    trial.wait_a_while(0.2, 6)
    trial.node.heal()


def kill_node(trial: Trial) -> None:
    """Let a node go down at once, and come up again."""
    trial.wait_for_a_moment()
    trial.node.kill()
    trial.wait_a_while(0, 3)
    trial.node.start()


def kill_all_nodes(trial: Trial) -> None:
    """Let all nodes go down at once, and come up again."""
    trial.wait_for_a_moment()
    for node in trial.nodes:
        node.kill()
    trial.wait_a_while(0, 2)
    for node in trial.nodes:
        node.start()


def kill_sessions(trial: Trial) -> None:
    """SIGKILL the sshd processes behind a node's connections, twice."""
    for _ in range(2):
        trial.wait_for_a_moment(MOMENTS / 2)
        trial.node.kill_sessions()


def kill_masters(trial: Trial) -> None:
    """SIGKILL Pegasus's own ssh processes, one at a time."""
    for _ in range(3):
        trial.wait_for_a_moment(MOMENTS / 3)
        for process in trial.own("ssh")[:1]:
            process.signal(signal.SIGKILL)


def stop_master(trial: Trial) -> None:
    """Stop one of Pegasus's own ssh processes for a while; it answers nobody meanwhile."""
    trial.wait_for_a_moment()
    stopped = trial.own("ssh")[:1]
    for process in stopped:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 4)
    for process in stopped:
        process.signal(signal.SIGCONT)


def slow_network(trial: Trial) -> None:
    """Delay everything, for longer than a keep-alive waits or not."""
    trial.wait_for_a_moment()
    for proxy in trial.proxies:
        proxy.delay(trial.rng.uniform(0.05, 1.0))
    trial.wait_a_while(1, 4)
    for proxy in trial.proxies:
        proxy.pass_on()


def reset_connections(trial: Trial) -> None:
    """Reset connections, again and again, and refuse new ones for a while."""
    for _ in range(3):
        trial.wait_for_a_moment(MOMENTS / 3)
        trial.rng.choice(trial.proxies).reset()
    trial.proxies[0].refuse()
    trial.wait_a_while(0.2, 2)
    trial.proxies[0].pass_on()


def half_open(trial: Trial) -> None:
    """Let nothing pass, and tell neither side; then reset what is left of it."""
    trial.wait_for_a_moment()
    proxy = trial.rng.choice(trial.proxies)
    proxy.hold()
    trial.wait_a_while(0.2, 6)
    proxy.reset()
    proxy.pass_on()


HELD = 61
"""Seconds that a job takes whose connection is to die while it runs: longer than its trial."""


def hold_some(trial: Trial) -> None:
    """Let jobs that begin while the file ``hold`` is on their node take long."""
    text = trial.pegasus.queue_file.read_text()
    held = f"[ ! -e ~/hold ] || sleep {HELD}; sleep "
    trial.pegasus.queue_file.write_text(text.replace("sleep ", held))


def abandon_server(trial: Trial) -> None:
    """End connections towards Pegasus alone: the node's sshd is never told."""
    trial.wait_for_a_moment(0.3)
    hold = trial.node.home / "hold"
    hold.touch()

    def is_held() -> bool:
        held = any(p.command == f"sleep {HELD}" for p in trial.node.living())
        return held or trial.running.status is not None

    try:
        wait_until(is_held, limit=RUN_LIMIT, what="a job to be held")
    finally:
        hold.unlink()
    trial.proxies[trial.which].abandon()


def restart_sshd(trial: Trial) -> None:
    """Restart a node's sshd, twice; connections stand, but new ones are refused for a while."""
    for _ in range(2):
        trial.wait_for_a_moment(MOMENTS / 2)
        trial.node.stop_listening()
        if trial.rng.random() < 0.5:  # somebody wants in meanwhile
            for process in trial.own("ssh")[:1]:
                process.signal(signal.SIGKILL)
        trial.wait_a_while(0, 1.5)
        trial.node.start()


# Pegasus itself.


def freeze_pegasus(trial: Trial) -> None:
    """Stop Pegasus with all that it started, as a laptop does whose lid is closed."""
    trial.wait_for_a_moment()
    frozen = trial.own_tree()
    for process in frozen:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 6)
    for process in frozen:
        process.signal(signal.SIGCONT)


def kill_pegasus(trial: Trial) -> None:
    """SIGKILL Pegasus while it connects, deals or waits."""
    wait_until(lambda: trial.own("ssh") or trial.work_left(), what="the run to begin")
    pass_time(trial.rng.uniform(0, 2))
    trial.running.kill()


def kill_pegasus_twice(trial: Trial) -> None:
    """SIGKILL Pegasus, start it again at once, and SIGKILL that one too."""
    trial.wait_for_a_moment(0.8)
    trial.running.kill()
    trial.start()
    pass_time(trial.rng.uniform(0, 1.5))
    trial.running.kill()


def kill_pegasus_in_a_take(trial: Trial) -> None:
    """SIGKILL Pegasus within milliseconds of a take, which ``consumed.yaml`` gives away."""
    consumed = trial.pegasus.consumed_file
    for size in (1, 400, 1200):
        deadline = time.monotonic() + RUN_LIMIT
        while trial.running.status is None and time.monotonic() < deadline:
            if consumed.exists() and consumed.stat().st_size >= size:
                break
        deadline = time.perf_counter() + trial.rng.uniform(0, 0.004)
        while time.perf_counter() < deadline:
            pass
        trial.running.kill()
        trial.start()


# The disk and the queue file.


def small_disk(trial: Trial, *, at: str) -> None:
    """Put a tiny file system under the trial's folder, or under a part of it."""
    place = trial.folder / at
    kept = {path.name: path.read_bytes() for path in place.iterdir()} if place.exists() else {}
    place.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=192k,mode=700", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    trial.stack.callback(subprocess.run, ["umount", "-l", str(place)], check=False)
    for name, data in kept.items():
        (place / name).write_bytes(data)


def fill_disk(trial: Trial, *, at: str, longest: float = 3) -> None:
    """Fill the file system to the last byte for a while, and make room again."""
    trial.wait_for_a_moment(0.8)
    ballast = trial.folder / at / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    trial.wait_a_while(0.1, longest)
    ballast.unlink()


def consumed_elsewhere(trial: Trial) -> None:
    """Let ``consumed.yaml`` be a symbolic link to a tiny file system."""
    small_disk(trial, at="small")
    trial.pegasus.consumed_file.symlink_to(trial.folder / "small" / "consumed.yaml")


def move_queue(trial: Trial, put: Callable[[Path], None]) -> None:
    """Let the queue file be away for a while, with something in its place."""
    trial.wait_for_a_moment(0.8)
    queue, away = trial.pegasus.queue_file, trial.folder / "away"
    with trial.locked():
        queue.rename(away)
        put(queue)
    trial.wait_a_while(0.2, 2)
    with trial.locked():
        if queue.is_dir():
            queue.rmdir()
        away.rename(queue)


def unreadable(queue: Path) -> None:
    """Put something there that nobody can read, whoever they are: not even root reads this."""
    queue.write_bytes(b"- \xff\xfe not text\n")


def nothing(_: Path) -> None:
    """Put nothing there."""
