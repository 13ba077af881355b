"""Sets of names: what they stand for, what is refused, and how names are folded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegasus.node_sets import MOST_NAMES, NoNodeSet, expand, fold, size, split


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node-[1-3]", "node-1 node-2 node-3"),
        ("node-[08-11]", "node-08 node-09 node-10 node-11"),
        ("node-[009-011]", "node-009 node-010 node-011"),
        ("node-[9-11]", "node-9 node-10 node-11"),
        ("node-[0-10/5]", "node-0 node-5 node-10"),
        ("node-[7,1-3,2]", "node-1 node-2 node-3 node-7"),
        ("node-[00,5]", "node-5 node-00"),
        ("r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2"),
        ("[1-2][3-4]", "13 14 23 24"),
        ("n[1-2].example.org", "n1.example.org n2.example.org"),
        ("user@n[1-2]", "user@n1 user@n2"),
        ("ssh://user@n[1-2]:22", "ssh://user@n1:22 ssh://user@n2:22"),
        ("[::1]-[1-2]", "[::1]-1 [::1]-2"),
    ],
)
def test_what_a_set_stands_for(text: str, names: str) -> None:
    """A set stands for a name for each number; zeros before the numbers stay."""
    assert expand(text) == tuple(names.split())
    assert size(text) >= len(expand(text))


@pytest.mark.parametrize(
    "text",
    [
        "node-1",
        "",
        "ssh://[::1]:22",
        "[fe80::1%eth0]",
        "a,b",
        "@all",
        "a&b",
        "a!b",
        "a^b",
        "*",
        "%s",
    ],
)
def test_a_text_without_a_set_is_one_name(text: str) -> None:
    """Only numbers in brackets make a set; no other sign has a meaning."""
    assert expand(text) == (text,)


@pytest.mark.parametrize(
    "around", ["@a", "a,b", "a&b", "a!b", "a^b", "a b", "%s", "*?", "é", "\x00"]
)
def test_the_text_around_a_set_is_not_read(around: str) -> None:
    """The signs around a set stay as they are, whatever ClusterShell would read in them."""
    assert expand(f"{around}[1-2]{around}") == (f"{around}1{around}", f"{around}2{around}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n[3-1]", 'the range "3-1" begins after its end. Write "1-3".'),
        ("n[a-b]", '"a-b" is no range of numbers. Write numbers, as in node-[1-9,11] or [0-10/2].'),
        ("n[-1-3]", '"-1-3" is no range of numbers'),
        ("n[1 - 3]", '"1 - 3" is no range of numbers'),
        ("n[\u0661-\u0663]", '"\u0661-\u0663" is no range of numbers'),
        ("n[1_0]", '"1_0" is no range of numbers'),
        ("n[]", "a number is missing"),
        ("n[1,]", "a number is missing"),
        ("n[1-", 'has a "[" without its "]"'),
        ("n1-3]", 'has a "]" without its "["'),
        ("n[1-[2-3]]", 'has a "[" without its "]"'),
        ("[2001:db8::[1-3]]", 'has a "[" without its "]"'),
        ("n[1-9/0]", 'the step of "1-9/0" is 0'),
        ("n[01-3]", "padded with zeros to different widths. Write both with the same number"),
        ("n[1-03]", "padded with zeros to different widths"),
        ("n[1-999999999]", "999,999,999 names, more than 10,000. Write a smaller range."),
        ("n[1-9999][1-9999]", "99,980,001 names, more than 10,000"),
        ("n[0-999999999999]" * 400, "stands for over 1,000,000,000,000 names"),
        (f"n[{'9' * 5000}]", "is no range of numbers"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    """A text that is no set is an error with the next step, before anything is expanded."""
    with pytest.raises(NoNodeSet) as caught:
        expand(text)
    assert words in str(caught.value)
    with pytest.raises(NoNodeSet):
        size(text)


def test_the_largest_set() -> None:
    """A set may have as many names as a hosts file may have sub-nodes."""
    assert len(expand(f"n[1-{MOST_NAMES}]")) == MOST_NAMES
    with pytest.raises(NoNodeSet):
        expand(f"n[0-{MOST_NAMES}]")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("", ""),
        ("node-3", "node-3"),
        ("node-1 node-2 node-3", "node-[1-3]"),
        ("node-12 node-9 node-11 node-10", "node-[9-12]"),
        ("node-01 node-02 node-03", "node-[01-03]"),
        ("a b", "a,b"),
        ("r1n1 r1n2 r2n1 r2n2", "r[1-2]n[1-2]"),
        ("n1 n1", "n1"),
        ("u@n1 u@n2", "u@n[1-2]"),
        ("10.0.0.1 10.0.0.2", "10.0.0.[1-2]"),
        ("[::1] n1 n2 @all", "n[1-2],@all,[::1]"),
    ],
)
def test_how_names_are_folded(names: str, text: str) -> None:
    """Names are shown as a set, in the order of their numbers."""
    assert fold(names.split()) == text


NAMES = st.from_regex(r"[a-z]{0,2}[0-9]{1,3}[.-]?[0-9]{0,3}[a-z]?", fullmatch=True) | st.text(
    "[]@&!^*?% :é1a", min_size=1, max_size=4
).filter(lambda name: fold([name]) == name and "[" not in name)


@given(st.lists(NAMES, max_size=100))
def test_folding_loses_nothing(names: list[str]) -> None:
    """What names are folded to stands for exactly these names."""
    signs = {name for name in names if "]" in name}
    text = fold(set(names) - signs)
    found = {name for part in split(text) for name in expand(part)} if text else set()
    assert found == set(names) - signs


def test_many_irregular_names_are_folded_by_their_last_number() -> None:
    """Addresses of many networks are folded inside each network, which takes no long time."""
    names = [f"10.{i}.{(i * 7) % 256}.{j}" for i in range(256) for j in (1, 2)]
    text = fold(names)
    assert "10.0.0.[1-2]" in split(text)
    assert {name for part in split(text) for name in expand(part)} == set(names)


FAULTY = """
import sys
from pegasus.node_sets import expand, fold
assert "ClusterShell" not in sys.modules and expand("node-1") == ("node-1",)
assert "ClusterShell" not in sys.modules and expand("node-[1-2]") == ("node-1", "node-2")
print(fold(["node-2", "node-1"]))
"""


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        ("[nodeset]\nfold_axis: 0\n", "node-[1-2]"),
        ("[nodeset]\nfold_axis: 5\n", "node-[1-2]"),
        ("no configuration", "node-1,node-2"),
        ("[task.info]\nfanout: many\n", "node-1,node-2"),
    ],
)
def test_the_configuration_of_clustershell(configuration: str, text: str, tmp_path: Path) -> None:
    """A configuration of ClusterShell on this machine changes no set, nor does a fault in it.

    ClusterShell is loaded where there is a set, and not before.
    """
    (tmp_path / "defaults.conf").write_text(configuration, encoding="utf-8")
    argv = [sys.executable, "-c", FAULTY]
    environ = {"CLUSTERSHELL_CFGDIR": str(tmp_path)}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"{text}\n"
