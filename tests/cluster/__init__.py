"""A Slurm cluster on loopback, and its nodes as test nodes."""
