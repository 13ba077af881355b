"""The state of a run -> what people and programs read of it.

Rule 1: readers only: nothing here changes a run, a file or the state.
Rule 2: whatever text of others is shown, it takes one line and no control character.

The parts: ``summary`` (the end of a run), ``overview`` (what ``pegasus status`` reports),
``tables`` (that for people), ``status_json`` (that for programs), ``outputs`` (what
``pegasus logs`` shows) and ``retried`` (what ``pegasus retry`` can put back). Each is imported by
its name: ``tables`` loads rich, which takes as long as everything else that a short command needs.
"""
