"""Pegasus, a multi-node command runner: a bag of jobs, a bag of nodes, and SSH between them."""

__version__ = "2.0.0.dev0"
