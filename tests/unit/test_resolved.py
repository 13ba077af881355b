"""What ssh makes of a destination, as ``ssh -G`` tells."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pegasus.transport import open_ssh
from pegasus.transport.resolved import Resolved, Resolver, read


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
    async with open_ssh(config) as ssh:
        a, b = await ssh.resolver.resolve("a"), await ssh.resolver.resolve("ssh://b")
        other = await ssh.resolver.resolve("me@127.0.0.9")
    assert a == b
    assert (a.hostname, a.port, a.proxy) == ("127.0.0.9", 2201, "nc %h %p")
    assert (other.hostname, other.port, other.proxy) == ("127.0.0.9", 22, "")


@pytest.mark.parametrize(
    ("said", "resolved"),
    [
        ("", Resolved("Name")),
        ("port zz\n", Resolved("Name")),
        ("hostname\n", Resolved("Name")),
        ("hostname A\nhostname b\nport 1\nport 2\n", Resolved("a", 1)),
        ("hostname a\nproxyjump ssh://me@b:2,c\n", Resolved("a", jump="me@b:2")),
        ("hostname a\nforwardagent yes\n", Resolved("a", forward_agent="yes")),
        ("hostname a\nsetenv A=b=c\nsetenv D\n", Resolved("a", set_env=(("A", "b=c"), ("D", "")))),
    ],
)
def test_what_ssh_leaves_out(said: str, resolved: Resolved) -> None:
    """What is missing or makes no sense is as if nothing was configured; the first value counts."""
    assert read("Name", said) == resolved


@pytest.mark.parametrize("argv", [["no-such-ssh"], ["sh", "-c", "echo hostname b; exit 1"]])
async def test_an_ssh_that_does_not_answer(argv: list[str]) -> None:
    """The name is used as it is written: the connection reports what is wrong."""
    assert await Resolver(lambda to: argv).resolve("Name") == Resolved("Name")


async def test_each_name_is_asked_for_once() -> None:
    """Hundreds of sub-nodes of one host cost one call of ssh, also when they ask at once."""
    asked = []

    def argv(to: str) -> list[str]:
        asked.append(to)
        return ["echo", f"hostname {to}.example"]

    resolver = Resolver(argv)
    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "a", "a"):
            nursery.start_soon(resolver.resolve, name)
    assert (await resolver.resolve("a")).hostname == "a.example"
    assert sorted(asked) == ["a", "b"]
