"""Pegasus, a multi-node command runner: it runs a list of jobs on a list of nodes over SSH."""

__version__ = "2.0.0.dev0"
