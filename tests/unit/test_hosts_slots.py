"""Promises of ``slots`` in hosts.yaml: which slots a sub-node has, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.errors import FileFault
from pegasus.findings import described, notes_on
from pegasus.hosts_file import read_hosts
from pegasus.model import Pool, SubNode


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name files as users do, without a folder."""
    monkeypatch.chdir(tmp_path)


def hosts(text: str) -> tuple[SubNode, ...]:
    """Read a hosts file with this text."""
    Path("hosts.yaml").write_text(text)
    return read_hosts("hosts.yaml")


def fixed(*ids: object) -> Pool:
    """Give a pool called gpu with these slots."""
    return Pool("gpu", "fixed", tuple(map(str, ids)))


@pytest.mark.parametrize(
    ("written", "pool"),
    [
        ("0-7", fixed(*range(8))),
        ("8", fixed(*range(8))),
        ("1", fixed(0)),
        ("3-3", fixed(3)),
        ('"0-3,6"', fixed(0, 1, 2, 3, 6)),
        ('"6, 0-1"', fixed(6, 0, 1)),
        ("[0, 1, 3]", fixed(0, 1, 3)),
        ("[0-2, 7]", fixed(0, 1, 2, 7)),
        ("[red, b.1_c:2-d]", fixed("red", "b.1_c:2-d")),
        ("[7]", fixed(7)),
        ("4096", fixed(*range(4096))),
        ("nvidia", Pool("gpu", "nvidia")),
        ("nvidia 0-3", Pool("gpu", "nvidia", ("0", "1", "2", "3"))),
        ("'nvidia 0-1, 6'", Pool("gpu", "nvidia", ("0", "1", "6"))),
        ("amd", Pool("gpu", "amd")),
        ("'amd 0,2'", Pool("gpu", "amd", ("0", "2"))),
        ("nproc", Pool("gpu", "nproc")),
        ("{probe: ls /x}", Pool("gpu", "probe", (), "ls /x")),
        ("{probe: 'echo {{ x }}'}", Pool("gpu", "probe", (), "echo {{ x }}")),
    ],
)
@pytest.mark.parametrize("style", ["flow", "block"])
def test_the_slots_of_a_pool(written: str, pool: Pool, style: str) -> None:
    """Numbers, ranges, names, what the node has, or what a command finds."""
    slots = f"{{gpu: {written}}}" if style == "flow" else f"\n    gpu: {written}"
    assert hosts(f"- hostname: a\n  slots: {slots}\n") == (SubNode(0, "a", (), "ssh", (pool,)),)


def test_slots_are_of_each_sub_node_and_no_parameter() -> None:
    """They do not multiply the sub-nodes; the first pool is the one that is written first."""
    text = (
        "- slots:  # c\n    gpu: 2\n    # d\n    cpu:\n      probe: |\n        ls\n        true\n"
        "  hostname: [a, b]\n  rank: [0, 1]\n- c\n"
    )
    found = hosts(text)
    assert list(map(str, found)) == ["a (rank=0)", "a (rank=1)", "b (rank=0)", "b (rank=1)", "c"]
    pools = (fixed(0, 1), Pool("cpu", "probe", (), "ls\ntrue\n"))
    assert [each.pools for each in found] == [*[pools] * 4, ()]


@pytest.mark.parametrize("value", ["8", "[0, 1]", ""])
def test_a_text_or_a_list_stays_a_parameter(value: str) -> None:
    """Files that worked before mean what they meant."""
    found = hosts(f"- hostname: a\n  slots: {value}\n")
    assert found[0].pools == ()
    assert found[0].params[0][0] == "slots"


FORMS = (
    "Write a number (8), ranges (0-3,6), a list of names ([a, b]), nproc, nvidia, amd, or {probe: "
    "COMMAND}."
)
LONG = "Look for a range that is too long."


@pytest.mark.parametrize(
    ("slots", "fault"),
    [
        ("{}", "10: this mapping is empty. Write at least one name and its value in it."),
        ("{gpu: }", f"16: no slots stand here. {FORMS}"),
        ("{gpu: []}", "16: this list is empty. Write at least one value in it."),
        ("{gpu: 0}", "16: 0 slots are none. Write at least 1, or leave it out."),
        ("{gpu: -1}", f'16: "-1" does not say which slots there are. {FORMS}'),
        ("{gpu: 007}", f'16: "007" does not say which slots there are. {FORMS}'),
        ("{gpu: red}", f'16: "red" does not say which slots there are. {FORMS}'),
        (
            "{gpu: nvida 0-3}",
            f'16: "nvida 0-3" does not say which slots there are. Did you mean "nvidia"? {FORMS}',
        ),
        (
            "{gpu: nvidia x}",
            (
                '16: after "nvidia" come numbers of GPUs, and "x" is none. Write '
                "`nvidia` or `nvidia 0-3,6`."
            ),
        ),
        (
            "{gpu: nproc 3}",
            (
                '16: "nproc" stands alone: it is as many slots as the node has '
                "processors. Write `nproc`, or the number of slots."
            ),
        ),
        ("{gpu: 3-1}", '16: the range "3-1" begins after its end. Write "1-3".'),
        ("{gpu: '0-2,1'}", '16: the slot "1" stands here twice. Remove one of them.'),
        ("{gpu: [a, b, a]}", '23: the slot "a" stands here twice. Remove one of them.'),
        ("{gpu: [0-3, 2]}", '22: the slot "2" stands here twice. Remove one of them.'),
        ("{gpu: nvidia 1-1}", None),
        ("{gpu: 'amd 1,1'}", '16: the slot "1" stands here twice. Remove one of them.'),
        ("{gpu: 4097}", f"16: these are 4,097 slots or more, and a pool has at most 4,096. {LONG}"),
        (
            "{gpu: 0-999999999}",
            f"16: these are 1,000,000,000 slots or more, and a pool has at most 4,096. {LONG}",
        ),
        (
            "{gpu: [a b]}",
            (
                '17: "a b" cannot be a slot. A slot is named with letters, digits, and '
                "the characters . _ : -."
            ),
        ),
        (
            "{gpu: [a, nvidia]}",
            (
                '20: "nvidia" stands alone, and not in a list. Write `nvidia`, or '
                "`nvidia 0-3` for some of them."
            ),
        ),
        ("{gpu: [nproc]}", '17: "nproc" stands alone, and not in a list. Write `nproc`.'),
        (
            "{gpu: 0-3,6}",
            (
                '20: YAML reads the comma before "6" as the end of a value. Quote the '
                'numbers, as in `slots: {gpu: "0-3,6"}`.'
            ),
        ),
        (
            "{1: 2}",
            (
                '11: "1" cannot be the name of slots. A name is letters, digits, _ and -, as in '
                "`slots: {gpu: 0-7}`."
            ),
        ),
        (
            "{rank: 2}",
            (
                '11: "rank" would be a parameter and the name of slots, and a template could '
                "not tell them apart. Rename one of them."
            ),
        ),
        (
            "{hostname: 2}",
            (
                '11: "hostname" would be a parameter and the name of slots, and a '
                "template could not tell them apart. Rename one of them."
            ),
        ),
        (
            "{gpu: 1, GPU: 2}",
            (
                '19: the slots "gpu" and "GPU" would have the same environment '
                "variable, PEGASUS_SLOTS_GPU. Rename one of them."
            ),
        ),
        (
            "{a-b: 1, c: 2, a_b: 2}",
            (
                '25: the slots "a-b" and "a_b" would have the same environment '
                "variable, PEGASUS_SLOTS_A_B. Rename one of them."
            ),
        ),
        (
            "{gpu: 1, gpu: 2}",
            '19: "gpu" stands in this entry twice. Remove one.',
        ),
        (
            "{gpu: {prob: x}}",
            (
                '17: the only key that can stand here is "probe", and this is "prob". '
                "Write `{probe: COMMAND}`, whose output has one slot on each line."
            ),
        ),
        (
            "{gpu: {probe: x, y: 1}}",
            (
                '27: the only key that can stand here is "probe", and this is '
                '"y". Write `{probe: COMMAND}`, whose output has one slot on each line.'
            ),
        ),
        (
            "{gpu: {probe: [x, y]}}",
            ("24: a probe is one command, and this is a list. Join the commands with `;` or `&&`."),
        ),
        ("{gpu: {probe: ''}}", "24: this probe is empty. Write a command, or remove the entry."),
        (
            "{gpu: {probe: {x: 1}}}",
            (
                "24: a value must be a text or a list of texts, and this is a "
                "mapping. Quote it if it is a text."
            ),
        ),
        ("{gpu: {}}", "16: this mapping is empty. Write at least one name and its value in it."),
        ("{{ x }}", "10: YAML reads these braces as a mapping. Quote the text."),
    ],
)
def test_wrong_slots(slots: str, fault: str | None) -> None:
    """Each fault has the position of the wrong word, and what to write."""
    text = f"- hostname: a\n  rank: 1\n  slots: {slots}\n"
    if fault is None:
        assert hosts(text)
        return
    with pytest.raises(FileFault) as caught:
        hosts(text)
    assert str(caught.value) == f"hosts.yaml:3:{fault}"


def test_a_parameter_like_the_number_of_slots() -> None:
    """``{{ gpu.count }}`` has one meaning."""
    with pytest.raises(FileFault, match=r'"gpu.count" would be a parameter and the name of slots'):
        hosts("- {hostname: a, gpu.count: 1, slots: {gpu: 2}}\n")


def test_a_note_on_slots_without_a_name() -> None:
    """``slots: 8`` is probably a mistake; where a command uses it, it is none."""
    found = hosts("- hostname: a\n  slots: 8\n")
    queue = Path("queue.yaml")
    queue.write_text("- echo\n")
    assert list(map(str, notes_on(Path("hosts.yaml"), found, queue))) == [
        (
            'hosts.yaml:2:3: note: "slots" without a mapping is a parameter for templates, and no '
            "slots. Write slots with their name, as in `slots: {gpu: 0-7}`."
        )
    ]
    queue.write_text("- echo {{ slots }}\n")
    assert notes_on(Path("hosts.yaml"), found, queue) == ()


def test_how_slots_are_listed() -> None:
    """Ranges are joined, and long lists are shortened."""
    text = (
        "- {hostname: a, slots: {g: '0-3,6', h: [a, b, c, d, e, f, g], n: 'amd 0-1', p: nproc}}\n"
    )
    assert described(hosts(text)[0]) == (
        "a; slots: g 0-3,6, h a,b,c,d,e and 2 more, n amd 0-1, p nproc"
    )
