"""Nodes whose SSH server is dropbear: its commands share the process group of their connection.

Dropbear takes the home and the keys of an account from ``/etc/passwd`` and from no other
place. So each runs in a mount namespace of its own, in which the account has the node's home. That
takes root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.nodes.access import furnish, login_shell
from tests.nodes.errors import NodesFault
from tests.nodes.local import TRIES, LocalNode, account, free_port
from tests.nodes.node import LISTENING, Plan
from tests.nodes.run import Run, marker
from tests.nodes.shells import find
from tests.nodes.waiting import wait_until

IN_A_NAMESPACE = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'


def why_not() -> str:
    """Return why no dropbear can be started here; an empty text if one can."""
    if os.getuid() != 0:
        return "a node with dropbear takes root, for a mount namespace of its own"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else f"no mount namespace here: {done.stderr.decode()}"


class DropbearNode(LocalNode):
    """A dropbear on a loopback address."""

    def start(self) -> None:
        """Start dropbear; wait until it listens."""
        folder = self._plan.folder
        options = ("-F", "-E", "-e", "-s", "-m", "-r", f"{folder}/dropbear_key")
        where = ("-p", f"{self.address}:{self.port}", "-P", f"{folder}/sshd.pid")
        with self._plan.log.open("ab") as log:
            self._sshd = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private"),
                    *("sh", "-c", IN_A_NAMESPACE, "sh", f"{folder}/passwd"),
                    *(program("dropbear"), *options, *where),
                ],
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    **dict([marker(self._run.folder, self.name).split("=", 1)]),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._run.children.append(self._sshd)
        # It writes its number to a file when it listens.
        wait_until(
            lambda: self._listener() is not None or self._has_ended(),
            limit=LISTENING,
            what=f"the dropbear of {self.name}",
        )
        if self._has_ended():
            raise NodesFault(f"the dropbear of {self.name} does not start: {self.log().strip()}")


def program(name: str) -> str:
    """Return the path of a program of dropbear.

    Raises:
        NodesFault: it is not installed.
    """
    path = find(name)
    if path is None:
        raise NodesFault(f"there is no {name}: `apt-get install dropbear-bin`")
    return str(path)


def start_one_dropbear(
    run: Run, plan: Plan, public_key: str, address: str
) -> tuple[LocalNode, str]:
    """Start a node, on another port if that one was taken; return it and its host key."""
    if reason := why_not():
        raise NodesFault(reason)
    host_key = furnish(plan, public_key)
    furnish_for_dropbear(plan)
    for trial in range(1, TRIES + 1):
        node = DropbearNode(plan, run=run, address=address, port=free_port(address))
        try:
            node.start()
        except NodesFault:
            node.kill()
            if trial == TRIES or "Address already in use" not in node.log():
                raise
        else:
            return node, host_key
    raise AssertionError  # the last attempt returns or raises


def furnish_for_dropbear(plan: Plan) -> None:
    """Write the account and the keys as dropbear needs them."""
    keys = plan.home / ".ssh"
    keys.mkdir(mode=0o700)
    shutil.copy(plan.folder / "authorized_keys", keys / "authorized_keys")
    (keys / "authorized_keys").chmod(0o600)
    user = account()
    mine = [user.pw_name, "x", "0", "0", "", str(plan.home), str(login_shell(plan))]
    lines = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
    others = [line for line in lines if not line.startswith(f"{user.pw_name}:")]
    (plan.folder / "passwd").write_text("\n".join([":".join(mine), *others, ""]), encoding="utf-8")
    files = [str(plan.folder / name) for name in ("host_key", "dropbear_key")]
    done = subprocess.run(
        [program("dropbearconvert"), "openssh", "dropbear", *files],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NodesFault(f"dropbearconvert: {done.stderr.strip()}")
