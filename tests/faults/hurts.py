"""Faults of a run, of its nodes and of their network, at random moments.

Each function waits for its moment, makes the fault, and ends it.
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
    """Freeze a node and continue it, after so short a time that nothing breaks, or later."""
    trial.wait_for_a_moment()
    trial.node.pause()
    trial.wait_a_while(0.2, 6)
    trial.node.resume()


def freeze_sshd(trial: Trial) -> None:
    """Freeze the sshds that serve connections, while the jobs on the node continue."""
    trial.wait_for_a_moment()
    frozen = trial.node.sshds()
    for process in frozen:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 6)
    for process in frozen:
        process.signal(signal.SIGCONT)


def cut_node(trial: Trial) -> None:
    """Disconnect a node from the network, and connect it again."""
    trial.wait_for_a_moment()
    trial.node.cut()
    trial.wait_a_while(0.2, 6)
    trial.node.heal()


def kill_node(trial: Trial) -> None:
    """Take a node down at once, and start it again."""
    trial.wait_for_a_moment()
    trial.node.kill()
    trial.wait_a_while(0, 3)
    trial.node.start()


def kill_all_nodes(trial: Trial) -> None:
    """Take all nodes down at once, and start them again."""
    trial.wait_for_a_moment()
    for node in trial.nodes:
        node.kill()
    trial.wait_a_while(0, 2)
    for node in trial.nodes:
        node.start()


def kill_sessions(trial: Trial) -> None:
    """Kill the sshd processes of a node's connections with SIGKILL, twice."""
    for _ in range(2):
        trial.wait_for_a_moment(MOMENTS / 2)
        trial.node.kill_sessions()


def kill_masters(trial: Trial) -> None:
    """Kill Pegasus's own ssh processes with SIGKILL, one at a time."""
    for _ in range(3):
        trial.wait_for_a_moment(MOMENTS / 3)
        for process in trial.own("ssh")[:1]:
            process.signal(signal.SIGKILL)


def stop_master(trial: Trial) -> None:
    """Stop one of Pegasus's own ssh processes for a while, so that it does not answer."""
    trial.wait_for_a_moment()
    stopped = trial.own("ssh")[:1]
    for process in stopped:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 4)
    for process in stopped:
        process.signal(signal.SIGCONT)


def slow_network(trial: Trial) -> None:
    """Delay all data, for longer than a keep-alive waits or less."""
    trial.wait_for_a_moment()
    for proxy in trial.proxies:
        proxy.delay(trial.rng.uniform(0.05, 1.0))
    trial.wait_a_while(1, 4)
    for proxy in trial.proxies:
        proxy.pass_on()


def reset_connections(trial: Trial) -> None:
    """Reset connections repeatedly, and refuse new ones for a while."""
    for _ in range(3):
        trial.wait_for_a_moment(MOMENTS / 3)
        trial.rng.choice(trial.proxies).reset()
    trial.proxies[0].refuse()
    trial.wait_a_while(0.2, 2)
    trial.proxies[0].pass_on()


def half_open(trial: Trial) -> None:
    """Pass no data, without notice to either side; then reset what is left."""
    trial.wait_for_a_moment()
    proxy = trial.rng.choice(trial.proxies)
    proxy.hold()
    trial.wait_a_while(0.2, 6)
    proxy.reset()
    proxy.pass_on()


HELD = 61
"""Seconds of a job whose connection is to break while it runs: longer than its trial."""


def hold_some(trial: Trial) -> None:
    """Make jobs take long that begin while the file ``hold`` is on their node."""
    text = trial.pegasus.queue_file.read_text()
    held = f"[ ! -e ~/hold ] || sleep {HELD}; sleep "
    trial.pegasus.queue_file.write_text(text.replace("sleep ", held))


def abandon_server(trial: Trial) -> None:
    """End connections on Pegasus's side only, without notice to the node's sshd."""
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
    """Restart a node's sshd, twice; connections stay, but new ones are refused for a while."""
    for _ in range(2):
        trial.wait_for_a_moment(MOMENTS / 2)
        trial.node.stop_listening()
        if trial.rng.random() < 0.5:  # for a connection attempt meanwhile
            for process in trial.own("ssh")[:1]:
                process.signal(signal.SIGKILL)
        trial.wait_a_while(0, 1.5)
        trial.node.start()


# Pegasus itself.


def freeze_pegasus(trial: Trial) -> None:
    """Stop Pegasus with all its processes, as a laptop does whose lid is closed."""
    trial.wait_for_a_moment()
    frozen = trial.own_tree()
    for process in frozen:
        process.signal(signal.SIGSTOP)
    trial.wait_a_while(0.2, 6)
    for process in frozen:
        process.signal(signal.SIGCONT)


def kill_pegasus(trial: Trial) -> None:
    """Kill Pegasus with SIGKILL while it connects, dispatches or waits."""
    wait_until(lambda: trial.own("ssh") or trial.work_left(), what="the run to begin")
    pass_time(trial.rng.uniform(0, 2))
    trial.running.kill()


def kill_pegasus_twice(trial: Trial) -> None:
    """Kill Pegasus, start it again at once, and kill the new one as well."""
    trial.wait_for_a_moment(0.8)
    trial.running.kill()
    trial.start()
    pass_time(trial.rng.uniform(0, 1.5))
    trial.running.kill()


def kill_pegasus_in_a_take(trial: Trial) -> None:
    """Kill Pegasus within milliseconds of a take, which shows in ``consumed.yaml``."""
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
    """Mount a tiny file system at the trial's folder, or at a part of it."""
    place = trial.folder / at
    kept = {path.name: path.read_bytes() for path in place.iterdir()} if place.exists() else {}
    place.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", "size=192k,mode=700", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    trial.stack.callback(subprocess.run, ["umount", "-l", str(place)], check=False)
    for name, data in kept.items():
        (place / name).write_bytes(data)


def fill_disk(trial: Trial, *, at: str, longest: float = 3) -> None:
    """Fill the file system completely for a while, and free the space again."""
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
    """Make ``consumed.yaml`` a symbolic link to a tiny file system."""
    small_disk(trial, at="small")
    trial.pegasus.consumed_file.symlink_to(trial.folder / "small" / "consumed.yaml")


def move_queue(trial: Trial, put: Callable[[Path], None]) -> None:
    """Replace the queue file by something else for a while."""
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
    """Put bytes there that are not text, and that no user can read as a queue."""
    queue.write_bytes(b"- \xff\xfe not text\n")


def nothing(_: Path) -> None:
    """Put nothing there."""
