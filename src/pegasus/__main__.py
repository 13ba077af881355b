"""The door: ``pegasus`` and ``python -m pegasus``.

Rule 1: nothing is imported before it can be interrupted in peace.
Rule 2: what can be answered here is not carried further in: `pegasus --version` loads nothing.
"""

import os
import sys

from pegasus import __version__


def main() -> None:
    """Run ``pegasus``; a Ctrl-C that comes while it is still being loaded ends it quietly."""
    try:
        if sys.argv[1:] in (["--version"], ["-V"]) and _is_written(f"{__version__}\n"):
            return
        from pegasus.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def _is_written(text: str) -> bool:
    """Write to standard output; where that can't be done, those further in know what to say."""
    try:
        return os.write(1, text.encode()) > 0
    except OSError:
        return False


if __name__ == "__main__":
    main()
