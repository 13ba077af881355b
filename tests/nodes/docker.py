"""Nodes in Docker: a container each, on a network of their own, reached by its address.

The containers share only the node's own folder with this machine, which is at the same
path in both. Their processes are read from this machine's /proc, also while they are paused.
"""

from __future__ import annotations

import ipaddress
import random
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.nodes import engine
from tests.nodes.access import furnish, login_shell
from tests.nodes.errors import NodesFault
from tests.nodes.image import account_files, image_for
from tests.nodes.node import LISTENING, Node, Plan
from tests.nodes.processes import Process, everything, look
from tests.nodes.run import Run, read_pid
from tests.nodes.shells import find

PORT = 22
NETWORKS = 20  # address ranges to try before giving up
FIRST_HOST = 11  # .1 is the gateway; the others are left for other uses


class DockerNode(Node):
    """An sshd in a container."""

    def __init__(self, plan: Plan, *, run: Run, network: str, address: str, user: str) -> None:
        ssh_config = run.folder / "ssh_config"
        super().__init__(plan, address=address, port=PORT, user=user, ssh_config=ssh_config)
        self._network = network
        self._container = ""
        self._init: int | None = None
        self._starts = 0

    def create(self, run: Run, image: str, places: list[tuple[Path, str]]) -> None:
        """Make the container and start it."""
        folder = str(self._plan.folder)
        mounts = [(self._plan.folder, folder), *places]
        self._container = engine.docker(
            "create",
            "--init",
            f"--name={self.name}-{run.id}",
            f"--hostname={self.name}",
            f"--network={self._network}",
            f"--ip={self.address}",
            "--security-opt=label=disable",
            "--pull=never",
            *engine.label_options(run.id, run.owner),
            *(f"--mount=type=bind,source={here},target={there}" for here, there in mounts),
            image,
            str(find("sshd")),
            "-D",
            f"-f{folder}/sshd_config",
            f"-E{folder}/log",
        )
        self.start()

    def start(self) -> None:
        """Start the container; wait until its sshd listens."""
        self._starts += 1
        engine.docker("start", self._container)
        self._init = int(engine.docker("inspect", "--format={{.State.Pid}}", self._container))
        if not self._has_ended() and not self._holds(self._init):
            raise NodesFault(
                "the engine's containers can't be seen in /proc from here: it runs on another "
                "machine, or the tests run in a container themselves"
            )
        self._wait_listening(self._starts)

    def kill(self) -> None:
        """Kill the container."""
        engine.docker("kill", self._container)
        engine.docker("wait", self._container)
        self._init = None

    def pause(self) -> None:
        """Freeze the container."""
        engine.docker("pause", self._container)

    def resume(self) -> None:
        """Thaw it."""
        engine.docker("unpause", self._container)

    def stop_listening(self) -> None:
        """Refuse: the container stops with the sshd that listens."""
        raise NotImplementedError("a docker node goes down with its sshd: ask for local nodes")

    def cut(self) -> None:
        """Take the container off the network."""
        engine.docker("network", "disconnect", self._network, self._container)

    def heal(self) -> None:
        """Reconnect it, at the same address."""
        engine.docker("network", "connect", f"--ip={self.address}", self._network, self._container)

    def _everything(self, among: Sequence[Process] | None = None) -> list[Process]:
        """Return the container's processes, found by their control group, numbered as inside."""
        if self._init is None:
            return []
        processes = everything() if among is None else among
        found = [process for process in processes if self._holds(process.host_pid)]
        inner = {process.host_pid: inner_pid(process.host_pid) for process in found}
        return [
            replace(process, pid=inner[process.host_pid], ppid=inner.get(process.ppid, 0))
            for process in found
            if process.host_pid != self._init
        ]

    def _holds(self, pid: int) -> bool:
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
        except OSError:
            return False
        return self._container in groups

    def _listener(self) -> int | None:
        inner = read_pid(self._plan.folder / "sshd.pid")
        return next((p.host_pid for p in self._everything() if p.pid == inner), None)

    def _has_ended(self) -> bool:
        init = look(self._init) if self._init else None
        return init is None or not init.alive

    def _kill(self, process: Process) -> None:
        """Kill a process with SIGKILL; from inside where it is root's and the tests are not."""
        try:
            super()._kill(process)
        except PermissionError:
            line = f"kill -s KILL {process.pid} 2>/dev/null || true"
            engine.docker("exec", "--user=0", self._container, "sh", "-c", line)


def inner_pid(pid: int) -> int:
    """Return the number of a process in the innermost of its pid namespaces, 0 if it ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^NSpid:.*\s(\d+)$", status, re.MULTILINE)
    return int(found[1]) if found else pid


def start_docker(run: Run, plans: list[Plan], public_key: str) -> tuple[list[Node], dict[str, str]]:
    """Start the nodes; return them and their host keys by name."""
    engine.require()
    engine.sweep()
    (run.folder / "docker").touch()  # the guardian uses the engine as well
    with ThreadPoolExecutor(max_workers=8) as pool:
        making_image = pool.submit(image_for, [plan.shell for plan in plans])
        making_network = pool.submit(make_network, run)
        keys = {plan.name: furnish(plan, public_key) for plan in plans}
        image, (network, addresses) = making_image.result(), making_network.result()
        nodes = [
            pool.submit(start_one, run, plan, str(addresses[FIRST_HOST + i]), network, image)
            for i, plan in enumerate(plans)
        ]
        started: list[Node] = [node.result() for node in nodes]
    check_reachable(started)
    return started, keys


def start_one(run: Run, plan: Plan, address: str, network: str, image: str) -> DockerNode:
    """Make and start one node."""
    user, places = account_files(plan.folder, login_shell(plan), plan.home)
    lines = (f"ListenAddress {address}", f"Port {PORT}", "UsePAM no")
    (plan.folder / "sshd_config").write_text(plan.sshd_config(*lines), encoding="utf-8")
    node = DockerNode(plan, run=run, network=network, address=address, user=user)
    node.create(run, image, places)
    return node


def make_network(run: Run) -> tuple[str, ipaddress.IPv4Network]:
    """Make a network in an unused address range; return its id and range."""
    taken = routes()
    refusal = "every address range tried is in use here"
    for _ in range(NETWORKS):
        bits = 10 << 24 | random.randrange(1 << 16) << 8
        subnet = ipaddress.IPv4Network((bits, 24))
        if any(subnet.overlaps(route) for route in taken):
            continue
        try:
            network = engine.docker(
                "network",
                "create",
                f"--subnet={subnet}",
                *engine.label_options(run.id, run.owner),
                f"nodes-{run.id}",
            )
        except NodesFault as fault:
            refusal = str(fault)
            if "overlap" not in refusal:
                raise
        else:
            return network, subnet
    raise NodesFault(f"no network for the nodes: {refusal}")


def routes() -> list[ipaddress.IPv4Network]:
    """Return the networks that this machine has a route to, without the default route."""
    found: list[ipaddress.IPv4Network] = []
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        where, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((where, mask.bit_count())))
    return found


def check_reachable(nodes: list[Node]) -> None:
    """Check that containers can be reached by their addresses, which not every engine allows.

    Raises:
        NodesFault: they cannot.
    """
    for node in nodes:
        try:
            with socket.create_connection((node.address, node.port), timeout=LISTENING):
                pass
        except OSError as error:
            raise NodesFault(
                f"the engine's containers can't be reached by address from here ({error}): "
                "it runs in a virtual machine, in another container, or rootless"
            ) from None
