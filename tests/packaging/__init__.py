"""Checks what users install: the wheel, the sdist and the zipapp, in clean environments.

``nox -s package`` runs the checks, and ``nox -s zipapp`` writes dist/pegasus.pyz. Rule: nothing
here imports Pegasus; what is installed is started as users start it.
"""
