"""What ssh makes of a destination, as ``ssh -G`` tells."""

from __future__ import annotations

from pathlib import Path

from pegasus.transport import open_ssh
from pegasus.transport.resolved import Resolved, read


def test_what_ssh_says_is_read() -> None:
    """Host, port, first jump, proxy and environment are what ssh says."""
    said = (
        "host node\nuser me\nhostname Node-1.example\nport 2200\nsendenv LANG\nsendenv LC_*\n"
        "setenv A=b c\nforwardagent no\nproxyjump me@gate:33,other\n"
    )
    assert read("node", said) == Resolved(
        "node-1.example", 2200, "me@gate:33", "", ("LANG", "LC_*"), (("A", "b c"),), "no"
    )


def test_none_is_nothing() -> None:
    """A ProxyJump or ProxyCommand of ``none`` is none."""
    assert read("a", "hostname a\nport 22\nproxyjump none\nproxycommand none\n") == Resolved("a")


async def test_the_configuration_of_the_run_is_asked(tmp_path: Path) -> None:
    """The file given with --ssh-config decides, for every spelling of a host."""
    config = tmp_path / "config"
    config.write_text("Host a b\n  Hostname 127.0.0.9\n  Port 2201\n  ProxyCommand nc %h %p\n")
    async with open_ssh(config) as ways:
        a, b = await ways.resolver.resolve("a"), await ways.resolver.resolve("ssh://b")
        other = await ways.resolver.resolve("me@127.0.0.9")
    assert a == b
    assert (a.hostname, a.port, a.proxy) == ("127.0.0.9", 2201, "nc %h %p")
    assert (other.hostname, other.port, other.proxy) == ("127.0.0.9", 22, "")
