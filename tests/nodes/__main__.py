"""``python -m tests.nodes``: start one node and remove it, and print which kind works here."""

from __future__ import annotations

from tests.nodes.start import start_nodes


def main() -> None:
    """Start the node."""
    with start_nodes(1, say=print):
        pass


if __name__ == "__main__":
    main()
