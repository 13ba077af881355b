"""`--limit`: which sub-nodes it chooses, and what is said about a name that does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pegasus.errors import PegasusError
from pegasus.hosts_file import SubNodeLimit, read_hosts
from pegasus.model import SubNode

HOSTS = """
- hostname: node-[1-4]
  rack: [1]
- hostname: user@node-[5-6]
  rack: [2]
  gpu: [a100, h100]
- ssh://node-7:2222
- 'ssh://[::1]:22'
- hostname: odd
  note: ['a,b', 'x&y', '[z', '!c']
"""
"""Sub-nodes 0-3: node-1 to node-4; 4-7: node-5 and node-6, two each; 8, 9; 10-13: odd."""


@pytest.fixture
def sub_nodes(tmp_path: Path) -> tuple[SubNode, ...]:
    """Read the file above."""
    path = tmp_path / "hosts.yaml"
    path.write_text(HOSTS, encoding="utf-8")
    return read_hosts(path)


def chosen(texts: Sequence[str], sub_nodes: Sequence[SubNode]) -> list[int]:
    """Give the numbers of what is chosen; there must be no note."""
    limit = SubNodeLimit(texts)
    assert limit.find_notes("hosts.yaml", sub_nodes) == []
    return [each.number for each in limit.choose(sub_nodes)]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        ([], range(14)),
        (["node-3"], [2]),
        (["node-[1-2]"], [0, 1]),
        (["node-[4-5]"], [3, 4, 5]),
        (["user@node-5"], [4, 5]),
        (["node-7"], [8]),
        (["ssh://node-7:2222"], [8]),
        (["::1"], [9]),
        (["ssh://[::1]:22"], [9]),
        (["user@node-6 (rack=2, gpu=h100)"], [7]),
        (["rack=2"], [4, 5, 6, 7]),
        (["rack=[1-2]"], range(8)),
        (["gpu=a100"], [4, 6]),
        (["hostname=node-1"], [0]),
        (["gpu=a100&node-5"], [4]),
        (["rack=2 & gpu=a100"], [4, 6]),
        (["node-2,node-1"], [0, 1]),
        (["node-1, rack=2"], [0, 4, 5, 6, 7]),
        (["node-1", "gpu=h100"], [0, 5, 7]),
        (["!node-3"], [0, 1, *range(3, 14)]),
        (["!rack=1", "!odd"], range(4, 10)),
        (["rack=2", "!node-5"], [6, 7]),
        (["!node-5", "rack=2"], [6, 7]),
        (["rack=2,!gpu=h100"], [4, 6]),
        (["!rack=2&gpu=h100"], [*range(5), 6, *range(8, 14)]),
        (["! node-[1-4],!odd"], range(4, 10)),
        (["note=a,b"], [10]),
        (["note=x&y"], [11]),
        (["note=[z"], [12]),
        (["note=!c"], [13]),
        (["!note=a,b", "odd"], [11, 12, 13]),
    ],
)
def test_what_is_chosen(
    texts: list[str], numbers: Sequence[int], sub_nodes: tuple[SubNode, ...]
) -> None:
    """Names add, names with ! take away, & requires both; numbers and order are the file's."""
    assert chosen(texts, sub_nodes) == list(numbers)


HOSTS_SHOWN = "node-[1-4],odd,ssh://node-7:2222,user@node-[5-6],ssh://[::1]:22"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["node-9"], f"--limit node-9: hosts.yaml has no such host. It has {HOSTS_SHOWN}. Write a"),
        (["Node-1"], "--limit Node-1: hosts.yaml has no such host."),
        (["!node-9"], "--limit node-9: hosts.yaml has no such host."),
        (["node-1,node-[8-9]"], "--limit node-[8-9]: hosts.yaml has no such host."),
        (
            ["node-1&!rack=2"],
            "--limit !rack=2: ! stands before a whole term, and not after &. Write it as a term",
        ),
        (
            ["rakc=1"],
            '--limit rakc=1: no sub-node of hosts.yaml has a parameter "rakc". They have ',
        ),
        (["rack=3"], '--limit rack=3: no sub-node has this value. "rack" is [1-2].'),
        (["rack="], '"rack" is [1-2].'),
        (
            ["rack=1&gpu=a100"],
            "fits all parts of this. Parts with & between them must fit the same",
        ),
        (
            ["!rack=1&gpu=a100"],
            "--limit !rack=1&gpu=a100: no sub-node of hosts.yaml fits all parts",
        ),
        ([""], "--limit '': a name is missing here. Write a host, a set such as node-[1-4]"),
        ([" "], "--limit ' ': a name is missing here."),
        (["!"], "--limit '!': a name is missing here."),
        (["node-1,"], "--limit 'node-1,': a name is missing here."),
        (["node-1&"], "--limit 'node-1&': a name is missing here."),
        (["node-1", ""], "--limit '': a name is missing here."),
        (["node-[1-"], '--limit node-[1-: "node-[1-" has a "[" without its "]". Write a set as in'),
        (["node-[3-1]"], 'the range "3-1" begins after its end. Write "1-3".'),
        (["node-[a-b]"], '"a-b" is no range of numbers.'),
        (["node-[1-99999999]"], "99,999,999 names, more than 10,000. Write a smaller range."),
        (["rack=[1-"], 'has a "[" without its "]"'),
    ],
)
def test_what_chooses_nothing(texts: list[str], words: str, sub_nodes: tuple[SubNode, ...]) -> None:
    """A text that fits nothing is an error that says what there is: it is probably misspelled."""
    with pytest.raises(PegasusError) as caught:
        SubNodeLimit(texts).find_notes("hosts.yaml", sub_nodes)
    assert words in str(caught.value)


def test_a_limit_that_leaves_nothing(sub_nodes: tuple[SubNode, ...]) -> None:
    """What takes everything away is an error."""
    limit = SubNodeLimit(["node-1", "!rack=1"])
    assert limit.find_notes("hosts.yaml", sub_nodes) == []
    with pytest.raises(PegasusError, match=r"this leaves no sub-node\. The hosts are node"):
        limit.choose(sub_nodes)


def test_a_file_without_parameters() -> None:
    """The message says that there are no parameters at all."""
    with pytest.raises(PegasusError, match=r'has a parameter "x"\. They have no'):
        SubNodeLimit(["x=1"]).find_notes("hosts.yaml", [SubNode(0, "a")])


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("node-[3-12]", "--limit node-[3-12]: hosts.yaml has no node-[8-12]."),
        ("!node-[3-12]", "--limit node-[3-12]: hosts.yaml has no node-[8-12]."),
        ("rack=[1-4]", "--limit rack=[1-4]: hosts.yaml has no rack=[3-4]."),
    ],
)
def test_a_set_of_which_a_part_exists(text: str, note: str, sub_nodes: tuple[SubNode, ...]) -> None:
    """The names of a set that do not exist are noted; the others are chosen."""
    limit = SubNodeLimit([text])
    assert limit.find_notes("hosts.yaml", sub_nodes) == [note]
    assert limit.choose(sub_nodes)


def test_messages_stay_short() -> None:
    """A message about a large file does not list all of it."""
    sub_nodes = [SubNode(i, f"h{i * i}x{i % 7}") for i in range(2_000)]
    with pytest.raises(PegasusError) as caught:
        SubNodeLimit(["node-1"]).find_notes("hosts.yaml", sub_nodes)
    assert "…" in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_file_that_changes(sub_nodes: tuple[SubNode, ...]) -> None:
    """New sub-nodes that fit are chosen; a name that is gone is no error while others are left."""
    limit = SubNodeLimit(["node-1", "node-2", "rack=2"])
    later = [SubNode(0, "node-2"), SubNode(1, "new", (("rack", "2"),)), SubNode(2, "node-3")]
    assert [each.hostname for each in limit.choose(later)] == ["node-2", "new"]
    with pytest.raises(PegasusError, match="this leaves no sub-node"):
        limit.choose(later[2:])
