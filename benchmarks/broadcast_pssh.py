"""``broadcast_pssh.py USER KEY COMMAND ADDRESS:PORT...``: one command, with parallel-ssh."""

from __future__ import annotations

import sys

from pssh.clients import ParallelSSHClient
from pssh.config import HostConfig


def main() -> int:
    """Run a command on all nodes; return the largest exit status."""
    user, key, command, *places = sys.argv[1:]
    addresses = [place.rpartition(":") for place in places]
    client = ParallelSSHClient(
        [address for address, _, _ in addresses],
        user=user,
        pkey=key,
        allow_agent=False,
        identity_auth=False,
        pool_size=len(places),
        host_config=[
            HostConfig(port=int(port), alias=place)
            for place, (_, _, port) in zip(places, addresses, strict=True)
        ],
    )
    output = client.run_command(command)
    client.join(output)
    return max(int(host.exit_code) for host in output)


if __name__ == "__main__":
    sys.exit(main())
