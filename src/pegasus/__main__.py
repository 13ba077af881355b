"""The door: ``pegasus`` and ``python -m pegasus``.

Rule 1: nothing is imported before it can be interrupted in peace.
"""

import sys


def main() -> None:
    """Run ``pegasus``; a Ctrl-C that comes while it is still being loaded ends it quietly."""
    try:
        from pegasus.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
