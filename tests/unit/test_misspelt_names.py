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
            (
                '1:3: this entry has no "command". Did you mean "barrier"? Write "- command: '
                '[...]" or a plain string.'
            ),
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


@pytest.mark.parametrize("name", ["comand", "Command", "commands", "cmmand"])
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
    path.write_text("- hostnames: [a, b]\n")
    _, (fault,) = find_hosts(path)
    assert 'this entry has no "hostname", and has "hostnames".' in str(fault)


@pytest.mark.parametrize(
    ("text", "at"),
    [('- "echo a\n', "1:3"), ("- echo\n- 'b\n- c\n", "2:3"), ('- command: "x\n  a: 1\n', "1:12")],
)
def test_a_quote_that_is_never_closed(text: str, at: str) -> None:
    """The fault is at the quote, and says what is missing."""
    fault = list(QueueReader("q.yaml", text.encode()))[-1]
    assert str(fault).startswith(f"q.yaml:{at}: a quote is opened here and never closed: `")
