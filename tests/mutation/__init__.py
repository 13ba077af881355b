"""Mutation testing: small faults are put into a copy of Pegasus, and its tests have to find them.

`nox -s mutation` runs it; docs/why/mutation.md explains it.
"""
