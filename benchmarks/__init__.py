"""Pegasus beside its peers, on the same work, in one sitting: ``nox -s bench``.

    python -m benchmarks [--only dispatch,start] [--rounds N] [--quick | --full] [--into FOLDER]

Every part measures in rounds. In a round each contestant has its turn, and the next round goes
the other way about, so that what else the machine does meets all of them alike. A ratio is made of
two figures of the same round; what the tables show is the median of the rounds, and the extremes.
"""
