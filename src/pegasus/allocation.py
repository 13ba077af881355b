"""The Slurm allocation in which Pegasus runs, as its environment describes it.

Rule 1: nothing is asked of Slurm here: what is read was set when the allocation began.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pegasus.errors import PegasusError
from pegasus.node_sets import expand

_COMMA_BETWEEN = re.compile(r",(?![^\[\]]*\])")
"""A comma between two node lists, and not in the brackets of one."""

COMPLETING = "COMPLETING"
"""Slurm's word for what is being ended; it has no final state yet, and may still be requeued."""

_CONFIGURATION = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER"})
"""Variables that tell where Slurm's configuration is, and describe no allocation."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """A Slurm allocation.

    Attributes:
        job: its job id.
        nodes: the names of its nodes, in Slurm's order.
    """

    job: str
    nodes: tuple[str, ...]


def allocation_of(environment: Mapping[str, str]) -> Allocation | None:
    """Find the allocation in which a process with this environment runs; None without one.

    Args:
        environment: names and values of its variables.

    Raises:
        PegasusError: Slurm's list of nodes cannot be understood.
    """
    job = environment.get("SLURM_JOB_ID") or environment.get("SLURM_JOBID", "")
    listed = environment.get("SLURM_JOB_NODELIST") or environment.get("SLURM_NODELIST", "")
    if not job or not listed:
        return None
    nodes = nodes_in(listed)
    if not nodes or not all(nodes):
        raise PegasusError(
            f"Slurm's variable for the list of nodes is {listed!r}, which is none. Start Pegasus "
            "in an allocation with `sbatch` or `salloc`, or unset SLURM_JOB_ID and SLURM_JOBID."
        )
    return Allocation(job, nodes)


def nodes_in(listed: str) -> tuple[str, ...]:
    """Read a list of nodes as Slurm writes it: ``c[1-2],login``; their names, in its order.

    Raises:
        NoNodeSet: it cannot be understood.
    """
    return tuple(node for part in _COMMA_BETWEEN.split(listed) for node in expand(part))


def variables_of_steps(names: Iterable[str]) -> list[str]:
    """Choose the variables that a step of another process must not get.

    ``srun`` reads its options from them, so those of an allocation or of an outer step would
    restrict a step that has its own.

    Args:
        names: of variables.
    """
    prefixes = ("SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "SALLOC_")
    return [name for name in names if name.startswith(prefixes) and name not in _CONFIGURATION]
