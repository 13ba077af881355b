"""The entry point of ``pegasus`` and ``python -m pegasus``.

Rule 1: imports happen where a Ctrl-C during them is handled.
Rule 2: ``pegasus --version`` is answered here and imports no other module.
"""

import os
import sys

from pegasus import __version__


def main() -> None:
    """Run ``pegasus``; a Ctrl-C while it is being loaded ends it without a traceback."""
    try:
        if sys.argv[1:] in (["--version"], ["-V"]) and _is_written(f"{__version__}\n"):
            return
        from pegasus.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


def _is_written(text: str) -> bool:
    """Write to standard output; false if that fails: ``cli`` then reports the error."""
    try:
        return os.write(1, text.encode()) > 0
    except OSError:
        return False


if __name__ == "__main__":
    main()
