"""The command line: arguments become settings, and a result becomes an exit status.

Rule 1: this room defines the spelling of commands and options, and nothing else.
Rule 2: a command imports what it needs when it runs, so that ``pegasus --help`` is fast.
Rule 3: an error that a user can correct is one message; any other exception is reported as a bug.

The parts: ``running`` (commands that run jobs), ``steering`` (commands that change a queue or a
run), ``looking`` (commands that only read), ``completion`` (scripts for shells), ``settings``
(values of options from files and the environment), ``ending`` (a result or an exception -> exit
status).
"""

from __future__ import annotations

from pegasus.cli import completion, looking, running, settings, steering
from pegasus.cli.app import app
from pegasus.cli.ending import main, run_safely

__all__ = ["app", "completion", "looking", "main", "run_safely", "running", "settings", "steering"]
