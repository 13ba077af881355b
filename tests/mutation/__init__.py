"""Mutation testing: puts small faults into a copy of Pegasus, which its tests have to find.

`nox -s mutation` runs it; docs/why/mutation.md explains it.
"""
