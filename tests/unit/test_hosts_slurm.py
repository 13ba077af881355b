"""``slurm`` in a hosts file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.allocations import requests_of
from pegasus.errors import PegasusError
from pegasus.hosts_file import find_hosts, find_notes, may_have_notes, read_hosts
from pegasus.model import Params, Pool, SlurmPlace, SubNode


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an allocation of two nodes; give the path of a hosts file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "c[1-2]")
    return Path("hosts.yaml")


def test_nodes(hosts: Path) -> None:
    """Each node of the allocation is a sub-node, beside those over SSH."""
    hosts.write_text("- gateway\n- slurm: {}\n")
    assert read_hosts(hosts) == (
        SubNode(0, "gateway"),
        SubNode(1, "c1", (), "slurm", (), SlurmPlace("7")),
        SubNode(2, "c2", (), "slurm", (), SlurmPlace("7")),
    )


def test_parameters_and_slots(hosts: Path) -> None:
    """Parameters split each node, and slots are those of each node."""
    hosts.write_text("- slurm: {}\n  half: [a, b]\n  slots: {cpu: 0-1}\n")
    pools = (Pool("cpu", "fixed", ("0", "1")),)
    assert read_hosts(hosts) == tuple(
        SubNode(number, node, (("half", half),), "slurm", pools, SlurmPlace("7"))
        for number, (node, half) in enumerate((n, h) for n in ("c1", "c2") for h in "ab")
    )


def test_a_parameter_of_that_name(hosts: Path) -> None:
    """Beside a hostname, a text of that name is a parameter, as in old files."""
    hosts.write_text("- hostname: node\n  slurm: [yes, no]\n")
    assert [each.params for each in read_hosts(hosts)] == [
        (("slurm", "yes"),),
        (("slurm", "no"),),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- slurm: x\n", '1:3: the value of "slurm" is a mapping. Write `slurm: {}`.'),
        ("- slurm: []\n", "1:10: this list is empty."),
        (
            "- slurm: {}\n  hostname: c1\n",
            "2:3: an entry has a hostname or a Slurm allocation, and this one has both.",
        ),
        (
            "- slurm: {gpus_per_node: 4}\n",
            '1:11: "gpus_per_node" is no long option of `sbatch`. Write "gpus-per-node".',
        ),
        (
            '- slurm: {"--nodes": 4}\n',
            '1:11: "--nodes" is no long option of `sbatch`. Write "nodes".',
        ),
        ("- slurm: {N: 4}\n", '1:11: "N" is no long option of `sbatch`. See `man sbatch`.'),
        ("- slurm: {N!: 4}\n", '1:11: "N!" is no long option of `sbatch`. See `man sbatch`.'),
        (
            "- slurm: {nodes: 2, array: 1-4}\n",
            '1:21: "array" cannot be set for an allocation that Pegasus requests. Remove it.',
        ),
        (
            '- slurm: {comment: "a\\nb"}\n',
            '1:20: the value of "comment" has control characters.',
        ),
        ("- slurm: {}\n  slots: {}\n", "2:10: this mapping is empty."),
        ("- slurm: {a: {b: c}}\n", "1:14: "),
    ],
)
def test_faults(hosts: Path, text: str, words: str) -> None:
    """A fault names its position and the next step."""
    hosts.write_text(text)
    _, faults = find_hosts(hosts)
    assert str(faults[0]).startswith(f"hosts.yaml:{words}")


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("partition: gpu, nodes: 4", (("partition", "gpu"), ("nodes", "4"))),
        ("time: 8h", (("time", "8:00:00"),)),
        ("time: 1h30m", (("time", "1:30:00"),)),
        ("time: 2d", (("time", "48:00:00"),)),
        ("time: 90s", (("time", "0:01:30"),)),
        ("time: 30", (("time", "30"),)),
        ("time: 1-12:00:00", (("time", "1-12:00:00"),)),
        ("exclusive: true, nodes: 1", (("exclusive", ""), ("nodes", "1"))),
        ("exclusive: false, nodes: 1", (("nodes", "1"),)),
        ("partition: [a, b]", (("partition", "a,b"),)),
        ("comment: two words", (("comment", "two words"),)),
    ],
)
def test_requests(
    hosts: Path, monkeypatch: pytest.MonkeyPatch, written: str, options: Params
) -> None:
    """An entry with options is one sub-node, which stands for nodes that are requested later."""
    monkeypatch.delenv("SLURM_JOB_ID")
    hosts.write_text(f"- slurm: {{{written}}}\n")
    (sub_node,) = read_hosts(hosts)
    assert sub_node.transport == "slurm"
    assert sub_node.slurm is not None
    assert sub_node.slurm.request == options
    assert sub_node.slurm.is_requested


def test_requests_that_are_alike(hosts: Path) -> None:
    """Two entries with the same options are two requests; parameters split the nodes of one."""
    hosts.write_text("- slurm: {nodes: 2}\n  half: [a, b]\n- slurm: {nodes: 2}\n")
    first, second, third = read_hosts(hosts)
    assert [each.slurm.copy if each.slurm else None for each in (first, second, third)] == [0, 0, 1]
    one, other = requests_of((first, second, third))
    assert one.rows == (first, second)
    assert other.rows == (third,)
    assert one.key != other.key


def test_outside_an_allocation(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside an allocation nothing is guessed."""
    monkeypatch.delenv("SLURM_JOB_ID")
    hosts.write_text("- slurm: {}\n")
    with pytest.raises(PegasusError, match=r"hosts.yaml:1:3: Pegasus does not run in a Slurm"):
        read_hosts(hosts)


@pytest.mark.parametrize("listed", ["c[1-", "c1,", "c[x]"])
def test_an_odd_list_of_nodes(hosts: Path, monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    """A list of Slurm that cannot be read is a fault of the entry, with the variable's name."""
    monkeypatch.setenv("SLURM_JOB_NODELIST", listed)
    hosts.write_text("- slurm: {}\n")
    _, (fault,) = find_hosts(hosts)
    assert str(fault).startswith("hosts.yaml:1:3: Slurm's list of the nodes of this allocation")
    assert "SLURM_JOB_NODELIST" in str(fault)


def test_too_many(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of sub-nodes holds for an allocation as well."""
    monkeypatch.setenv("SLURM_JOB_NODELIST", "c[1-200]")
    values = ", ".join(map(str, range(100)))
    hosts.write_text(f"- slurm: {{}}\n  part: [{values}]\n")
    with pytest.raises(PegasusError, match="20,000 sub-nodes, more than 10,000"):
        read_hosts(hosts)


def test_a_misspelt_option(hosts: Path) -> None:
    """It is passed on, with a note of the option that was probably meant."""
    hosts.write_text("- slurm: {partition: gpu, node: 4, mem: 1G, site-only: x}\n- n\n")
    (requested, node) = read_hosts(hosts)
    assert requested.slurm is not None
    assert ("node", "4") in (requested.slurm.request or ())
    assert (may_have_notes(requested), may_have_notes(node)) == (True, False)
    (note,) = find_notes(hosts, lambda _: False)
    assert str(note) == (
        'hosts.yaml:1:27: note: `sbatch` gets "--node", which is probably no option of it. Did '
        'you mean "nodes"? Write that, or leave it as it is.'
    )
