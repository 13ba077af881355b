"""The Docker engine, used through its command line.

Rule 1: everything that is made carries two labels, the run's id and its owner.
Rule 2: everything is removed by id, and only by these labels.
"""

from __future__ import annotations

import os
import subprocess
from typing import BinaryIO

from tests.nodes.errors import NodesFault
from tests.nodes.owner import Owner
from tests.nodes.waiting import wait_until

RUN = "pegasus.test.run"
OWNER = "pegasus.test.owner"
ANSWER = 10.0  # seconds for an engine to report its version; a busy one took 2
WORK = 60.0  # seconds for any one command; the slowest, the import of the image, takes 1

KINDS = (  # in the order of removal: what uses the others comes first
    (("container", "ls", "-a", "--no-trunc"), ("container", "rm", "-f", "-v")),
    (("network", "ls", "--no-trunc"), ("network", "rm")),
    (("image", "ls", "-a", "--no-trunc"), ("image", "rm")),
)

PASSING = (  # docker's message where a removal fails and needs another attempt
    *("in use", "being used"),  # it is about to be removed
    *("No such", "not found", "already"),  # another process removed it
)


def environment() -> dict[str, str]:
    """Return the variables that select the engine and its settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == "HOME" or name.startswith("DOCKER_")
    }


def docker(*arguments: str, stdin: BinaryIO | None = None, limit: float = WORK) -> str:
    """Run a docker command and return its output.

    Raises:
        NodesFault: there is no docker, no engine, no answer, or it failed; with docker's own
            message.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments],
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except FileNotFoundError:
        raise NodesFault("there is no docker command on PATH") from None
    except subprocess.TimeoutExpired:
        raise NodesFault(f"`docker {arguments[0]}` did not answer within {limit:g} s") from None
    if done.returncode != 0:
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise NodesFault(f"`docker {arguments[0]}` failed: {words}")
    return done.stdout.strip()


def require() -> str:
    """Return the version of the engine that answers, or raise NodesFault."""
    return docker("version", "--format", "{{.Server.Version}}", limit=ANSWER)


def labels(run: str, owner: Owner) -> dict[str, str]:
    """Return the labels of everything that a run makes."""
    return {RUN: run, OWNER: str(owner)}


def label_options(run: str, owner: Owner) -> list[str]:
    """Return the labels as options of ``docker run`` and ``docker network create``."""
    return [f"--label={name}={value}" for name, value in labels(run, owner).items()]


def remove_labelled(run: str) -> None:
    """Remove all containers, networks and images of a run; wait until the engine has done it.

    Other processes may do so at the same time: the guardian, and a sweep.
    """
    for listing, removal in KINDS:

        def gone(listing: tuple[str, ...] = listing, removal: tuple[str, ...] = removal) -> bool:
            found = set(docker(*listing, "-q", f"--filter=label={RUN}={run}").split())
            if not found:
                return True
            try:
                docker(*removal, *sorted(found))
            except NodesFault as fault:
                if not any(words in str(fault) for words in PASSING):
                    raise  # else check again
            return False

        wait_until(gone, limit=WORK, what=f"the engine to remove {listing[0]}s of run {run}")


def sweep() -> None:
    """Remove the objects of runs whose owner is dead and whose folder is gone.

    Where the folder still exists, the sweep of the folders has removed them already.
    """
    shown = f'{{{{.Label "{RUN}"}}}} {{{{.Label "{OWNER}"}}}}'
    dead: set[str] = set()
    for listing in (KINDS[0][0], KINDS[1][0]):
        for line in docker(*listing, f"--filter=label={RUN}", f"--format={shown}").splitlines():
            run, _, owner = line.partition(" ")
            try:
                if Owner.parse(owner).is_dead():
                    dead.add(run)
            except ValueError:
                continue
    for run in sorted(dead):
        remove_labelled(run)
