"""Compares Pegasus with its peers on the same work: ``nox -s bench``.

    python -m benchmarks [--only dispatch,start] [--rounds N] [--quick | --full] [--into FOLDER]

Every part measures in rounds. Each contestant runs once in a round, and the next round has the
reverse order, so that other load on the machine affects all of them equally. A ratio is made of two
figures of the same round; the tables show the median of the rounds and the extremes.
"""
