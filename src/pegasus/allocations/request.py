"""What Pegasus requests of Slurm: an entry of the hosts file, and the script that is submitted."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pegasus.hosts_file import request_options
from pegasus.model import Params, SlurmPlace, SubNode

FEATURES, PARTITION = "features", "partition"

HOLDER_PERIOD, HOLDER_LOOKS = 60, 5
"""Seconds between two looks of the script that holds an allocation, and after how many looks
without a step it ends: five minutes are enough to start Pegasus again after it was killed."""

_HOLDER = """#!/bin/sh
# Holds this allocation for Pegasus. It ends when Pegasus has had no step here for some minutes.
looks=0
while [ "$looks" -lt @LOOKS@ ]; do
  sleep @PERIOD@
  if steps=$(squeue --noheader --steps --jobs="$SLURM_JOB_ID" --format=%i); then
    case $steps in
      *.[0-9]*) looks=0;;
      *) looks=$((looks + 1));;
    esac
  fi
done
"""


@dataclass(frozen=True, slots=True)
class AllocationRequest:
    """An entry of the hosts file for which Pegasus requests an allocation.

    Attributes:
        options: names and values of the options of ``sbatch``.
        copy: its number among the entries with the same options, from 0.
        rows: a sub-node for each combination of its parameters; their host is not known yet.
    """

    options: Params
    copy: int
    rows: tuple[SubNode, ...]

    @property
    def key(self) -> str:
        """What identifies the request among those of a queue."""
        text = json.dumps([self.options, self.copy])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def lock_name(self, queue: str) -> str:
        """Give the name of the file that is the lock of the entry.

        Args:
            queue: the name of the queue file: several in one folder have allocations of their own.
        """
        digest = hashlib.sha256(json.dumps([queue, self.key]).encode()).hexdigest()
        return f"slurm-{digest[:16]}.lock"

    @property
    def words(self) -> str:
        """The options as on a command line."""
        return shlex.join(request_options(self.options))

    @property
    def title(self) -> str:
        """What names the request in a sentence."""
        return f"Slurm ({self.words})" if self.words else "Slurm"

    def argv(self, name: str) -> list[str]:
        """Give the command that submits the request; it reads the script.

        Args:
            name: of the allocation at Slurm.
        """
        own = ["--parsable", "--no-requeue", "--output=/dev/null", "--chdir=/"]
        return ["sbatch", *own, f"--job-name={name}", *request_options(self.options)]

    def sub_nodes(
        self,
        job: str,
        nodes: Sequence[str],
        partition: str,
        features: Mapping[str, Sequence[str]],
    ) -> tuple[SubNode, ...]:
        """Give the sub-nodes of an allocation: the nodes outermost, as for hostnames.

        Args:
            job: its id.
            nodes: their names.
            partition: to which they belong.
            features: of each node; one that is missing has unknown ones.
        """
        return tuple(
            replace(
                row,
                hostname=node,
                slurm=SlurmPlace(
                    job, self.options, self.copy, facts_of(partition, features.get(node))
                ),
            )
            for node in nodes
            for row in self.rows
        )


def facts_of(
    partition: str, features: Sequence[str] | None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Write down what Slurm says about a node, as ``SlurmPlace.facts``; None is not known."""
    known = () if features is None else ((FEATURES, tuple(features)),)
    return (*known, (PARTITION, (partition,)))


def holder_script(period: float = HOLDER_PERIOD, looks: int = HOLDER_LOOKS) -> bytes:
    """Give the script that is submitted.

    Args:
        period: seconds between two looks.
        looks: how many looks without a step end it.
    """
    text = _HOLDER.replace("@LOOKS@", str(looks)).replace("@PERIOD@", f"{period:g}")
    return text.encode()


def is_requested(sub_node: SubNode) -> bool:
    """Tell whether a sub-node stands for nodes that Pegasus has still to request."""
    return sub_node.slurm is not None and sub_node.slurm.is_requested


def requests_of(sub_nodes: Iterable[SubNode]) -> tuple[AllocationRequest, ...]:
    """Collect the sub-nodes that stand for nodes which Pegasus has still to request."""
    rows: dict[tuple[Params, int], list[SubNode]] = {}
    for each in sub_nodes:
        if each.slurm is not None and is_requested(each):
            rows.setdefault((each.slurm.request or (), each.slurm.copy), []).append(each)
    return tuple(
        AllocationRequest(options, copy, tuple(found)) for (options, copy), found in rows.items()
    )
