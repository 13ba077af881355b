"""``python -m tests.cluster.needs``: install what a Slurm cluster on this machine needs."""

from __future__ import annotations

import sys

from tests.nodes.needs import main

PROGRAMS = {  # program: Debian package
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "srun": "slurm-client",
}

if __name__ == "__main__":
    sys.exit(main(PROGRAMS, "a Slurm cluster"))
