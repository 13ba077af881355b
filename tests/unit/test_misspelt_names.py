"""Names in the two files that are nearly those of demands, slots and barriers, or misplaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.errors import FileFault
from pegasus.hosts_file import find_hosts, read_hosts
from pegasus.queue_file.entries import QueueReader

OTHERWISE = "Otherwise quote the value."


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("need", "needs"),
        ("Needs", "needs"),
        ("wheer", "where"),
        ("At-Most", "at_most"),
        ("atmost", "at_most"),
    ],
)
def test_a_mapping_below_a_misspelt_name_of_a_demand(name: str, meant: str) -> None:
    """The fault says which name was meant."""
    (fault,) = QueueReader("q.yaml", f"- command: x\n  {name}: {{gpu: 1}}\n".encode())
    assert str(fault) == (
        f'q.yaml:2:3: the value of "{name}" cannot be a mapping. Did you mean "{meant}"? '
        f"{OTHERWISE}"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "- command: x\n  slots: {gpu: 1}\n",
            (
                '2:3: "slots" does not stand in a queue. Slots belong in the hosts file; here '
                "write `needs: {gpu: 2}`."
            ),
        ),
        (
            "- command: x\n  needs:\n    - gpu: 1\n",
            "3:7: a mapping stands in a list here. Write the mapping alone, without the list.",
        ),
        (
            "- command: x\n  needs: {gpu: 1}\n  needs: {gpu: 2}\n",
            '3:3: "needs" stands in this entry twice. Remove one.',
        ),
        (
            "- barier: ended\n",
            ('1:3: this entry has no "barrier", and has "barier". Write "barrier: ..." instead.'),
        ),
        (
            "- echo: done\n",
            (
                "1:3: YAML read this command as a mapping, because of the colon in it. Quote the "
                "command, or use `|` and write it on the next line."
            ),
        ),
        (
            "- command: x\n  lr: {a: 1}\n",
            (
                "2:7: a value must be a text or a list of texts, and this is a mapping. Quote it "
                "if it is a text."
            ),
        ),
    ],
)
def test_other_mistakes_in_a_queue_file(text: str, fault: str) -> None:
    """Each is told with what to write; names that are near nothing have the plain fault."""
    (found,) = QueueReader("q.yaml", text.encode())
    assert str(found) == f"q.yaml:{fault}"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (
            "slot: {gpu: 8}",
            f'2:3: the value of "slot" cannot be a mapping. Did you mean "slots"? {OTHERWISE}',
        ),
        (
            "needs: {gpu: 8}",
            (
                '2:3: "needs" does not stand in a list of hosts. It belongs in the queue file; '
                "here write `slots: {gpu: 0-7}`."
            ),
        ),
        (
            "slots: 1\n  slots: {gpu: 8}",
            '3:3: "slots" stands in this entry twice. Remove one.',
        ),
        (
            "slots: {gpu: NVIDIA}",
            (
                '2:16: "NVIDIA" does not say which slots there are. Did you mean "nvidia"? Write a '
                "number (8), ranges (0-3,6), a list of names ([a, b]), nproc, nvidia, amd, or "
                "{probe: COMMAND}."
            ),
        ),
    ],
)
def test_mistakes_in_a_hosts_file(tmp_path: Path, line: str, fault: str) -> None:
    """Each is told with the name that was meant, or with the file where it belongs."""
    path = tmp_path / "hosts.yaml"
    path.write_text(f"- hostname: a\n  {line}\n", encoding="utf-8")
    with pytest.raises(FileFault) as caught:
        read_hosts(path)
    assert str(caught.value) == f"{path}:{fault}"


@pytest.mark.parametrize("name", ["comand", "Command", "commands", "cmmand", "cmd", "script"])
@pytest.mark.parametrize("more", ["", "\n  lr: [1, 2]"])
def test_a_misspelt_command(name: str, more: str) -> None:
    """An entry whose only fault is the name of its command is not read as a text with a colon."""
    (fault,) = QueueReader("q.yaml", f"- {name}: echo x{more}\n".encode())
    assert str(fault) == (
        f'q.yaml:1:3: this entry has no "command", and has "{name}". Write "command: ..." instead.'
    )


def test_a_misspelt_hostname(tmp_path: Path) -> None:
    """The same holds for hosts."""
    path = tmp_path / "hosts.yaml"
    for name in ("hostnames", "host", "node"):
        path.write_text(f"- {name}: [a, b]\n")
        _, (fault,) = find_hosts(path)
        assert f'this entry has no "hostname", and has "{name}".' in str(fault)


@pytest.mark.parametrize(
    ("text", "at"),
    [('- "echo a\n', "1:3"), ("- echo\n- 'b\n- c\n", "2:3"), ('- command: "x\n  a: 1\n', "1:12")],
)
def test_a_quote_that_is_never_closed(text: str, at: str) -> None:
    """The fault is at the quote, and says what is missing."""
    fault = list(QueueReader("q.yaml", text.encode()))[-1]
    assert str(fault).startswith(f"q.yaml:{at}: a quote is opened here and never closed: `")


def test_a_forgotten_hostname(tmp_path: Path) -> None:
    """Parameters and slots below a host that is a plain text: the fault says what to write."""
    path = tmp_path / "hosts.yaml"
    for name, words in (("gpu", 'a parameter such as "gpu"'), ("slots", '"slots"')):
        path.write_text(f"- node-1\n  {name}: [0, 1]\n")
        with pytest.raises(FileFault) as caught:
            read_hosts(path)
        assert str(caught.value) == (
            f"{path}:2:3: {words} needs a mapping, and the entry above it is only a text. Write "
            "`- hostname: node-1` in line 1."
        )


@pytest.mark.parametrize("name", ["params", "vars"])
@pytest.mark.parametrize("value", [" {lr: [1, 2]}", "\n    lr: [1, 2]"])
def test_parameters_below_a_name_of_their_own(tmp_path: Path, name: str, value: str) -> None:
    """In both files parameters stand in the entry itself, and the fault says so."""
    path = tmp_path / "hosts.yaml"
    path.write_text(f"- hostname: a\n  {name}:{value}\n")
    _, faults = find_hosts(path)
    (fault,) = QueueReader(str(path), f"- command: x\n  {name}:{value}\n".encode())
    expected = (
        f'{path}:2:3: parameters stand in the entry itself, and not below "{name}". Begin "lr" in '
        f'the column of "{name}", and remove "{name}".'
    )
    assert [str(each) for each in (fault, *faults)] == [expected, expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "- node-1:\n    slots: 2\n- b\n",
            (
                '"node-1" is read as the name of a parameter. Write `- hostname: node-1`, and '
                'begin "slots" right below "hostname".'
            ),
        ),
        (
            "- node-1: {gpu: 2}\n- hostname: b\n",
            (
                '"node-1" is read as the name of a parameter. Write `- hostname: node-1`, and '
                'begin "gpu" right below "hostname".'
            ),
        ),
        (
            "- node-1:\n  slots: {gpu: 2}\n- b\n",
            'this entry has no "hostname". Write `- hostname: node-1`.',
        ),
        ("- node-1:\n- b\n", 'this entry has no "hostname". Write `- hostname: node-1`.'),
    ],
)
def test_a_host_with_a_colon(tmp_path: Path, text: str, words: str) -> None:
    """A host as in the inventory of another program: the fault says what to write."""
    path = tmp_path / "hosts.yaml"
    path.write_text(text)
    sub_nodes, faults = find_hosts(path)
    assert [str(each) for each in faults] == [f"{path}:1:3: {words}"]
    assert [each.hostname for each in sub_nodes] == ["b"]


def test_a_mapping_before_the_hostname(tmp_path: Path) -> None:
    """A parameter before the hostname is not taken for one."""
    path = tmp_path / "hosts.yaml"
    path.write_text("- gpu: {a: 1}\n  hostname: b\n")
    _, (fault,) = find_hosts(path)
    assert "a value must be a text or a list of texts" in str(fault)
