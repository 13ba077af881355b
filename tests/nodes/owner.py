"""The owner of a run of test nodes, so that another process can determine whether it lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.nodes.errors import NodesFault
from tests.nodes.processes import look


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, identified uniquely: boot, pid namespace, pid and time of birth."""

    boot: str
    pid_namespace: str
    pid: int
    born: int

    def __str__(self) -> str:
        return f"{self.boot} {self.pid_namespace} {self.pid} {self.born}"

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Parse the result of `str`; raises ValueError for anything else."""
        boot, namespace, pid, born = text.split()
        return cls(boot, namespace, int(pid), int(born))

    @classmethod
    def myself(cls) -> Owner:
        """Return this process as an owner."""
        me = look(os.getpid())
        if me is None:
            raise NodesFault("/proc shows no processes: test nodes need Linux with /proc mounted")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
        return cls(boot, namespace, me.pid, me.born)

    def is_dead(self) -> bool:
        """Return whether the owner has certainly ended; False if it is not visible from here."""
        me = Owner.myself()
        if self.boot != me.boot:
            return True
        if self.pid_namespace != me.pid_namespace:
            return False
        found = look(self.pid)
        return found is None or found.born != self.born or not found.alive
