"""Promises of hosts.yaml: which sub-nodes a file stands for, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.errors import FileFault
from pegasus.findings import notes_on
from pegasus.hosts_file import MOST_SUB_NODES, read_hosts
from pegasus.model import SubNode


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name files as users do, without a folder."""
    monkeypatch.chdir(tmp_path)


def hosts(text: str) -> tuple[SubNode, ...]:
    """Read a hosts file with this text."""
    Path("hosts.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    return read_hosts("hosts.yaml")


def test_a_text_is_one_sub_node() -> None:
    """A node listed plainly is one sub-node, spelled as ssh takes it."""
    names = ["node-1", "user@node-1", "ssh://user@host:2222", "localhost", "::1"]
    text = "".join(f"- '{name}'\n" for name in names)
    found = hosts(text)
    assert [(each.number, each.hostname) for each in found] == list(enumerate(names))
    assert [each.transport for each in found] == ["ssh"] * 3 + ["local"] * 2


def test_a_mapping_is_every_combination_hostnames_outermost() -> None:
    """Two hosts with two containers are four sub-nodes, the last parameter varying fastest."""
    text = "- container: [gpu0, gpu1]\n  hostname: [node-1, node-2]\n  rank: [0, 1]\n- last\n"
    assert [str(sub_node) for sub_node in hosts(text)] == [
        "node-1 (container=gpu0, rank=0)",
        "node-1 (container=gpu0, rank=1)",
        "node-1 (container=gpu1, rank=0)",
        "node-1 (container=gpu1, rank=1)",
        "node-2 (container=gpu0, rank=0)",
        "node-2 (container=gpu0, rank=1)",
        "node-2 (container=gpu1, rank=0)",
        "node-2 (container=gpu1, rank=1)",
        "last",
    ]
    assert [sub_node.number for sub_node in hosts(text)] == list(range(9))


def test_the_same_sub_node_may_stand_there_twice() -> None:
    """Two alike are two, with a number of their own."""
    assert hosts("- a\n- a\n") == (SubNode(0, "a"), SubNode(1, "a"))


def test_a_hostname_may_be_made_of_the_parameters() -> None:
    """A hostname is a template over the parameters of its own item."""
    assert hosts("- hostname: node-{{ i }}.x\n  i: [08, 09]\n") == (
        SubNode(0, "node-08.x", (("i", "08"),)),
        SubNode(1, "node-09.x", (("i", "09"),)),
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("- node-[08-10]\n", "node-08 node-09 node-10"),
        ("- me@n[1-2]\n- ssh://me@n[1-2]:22\n", "me@n1 me@n2 ssh://me@n1:22 ssh://me@n2:22"),
        ("- hostname: n[1-2,4]\n", "n1 n2 n4"),
        ("- hostname: ['n[0-4/2]', m]\n", "n0 n2 n4 m"),
        ("['n[1-2]', m]\n", "n1 n2 m"),
        ("- r[1-2]n[1-2]\n", "r1n1 r1n2 r2n1 r2n2"),
        ("- 127.0.0.[1-2]\n", "127.0.0.1 127.0.0.2"),
        ("- n[1-2]\n- n[2-3]\n", "n1 n2 n2 n3"),
    ],
)
def test_a_set_of_names_is_a_sub_node_for_each(text: str, names: str) -> None:
    """A set may stand wherever a hostname may, and stands for all its names."""
    assert [each.hostname for each in hosts(text)] == names.split()
    assert [each.number for each in hosts(text)] == list(range(len(names.split())))


def test_a_set_with_parameters() -> None:
    """The names of a set are outermost, as those of a list are; tags are filled in first."""
    text = "- hostname: 'n[1-2]-{{ i }}'\n  i: [a, b]\n"
    assert [each.hostname for each in hosts(text)] == ["n1-a", "n1-b", "n2-a", "n2-b"]
    text = "- hostname: 'n[1-{{ i }}]'\n  i: [1, 3]\n"
    assert [str(each) for each in hosts(text)] == [
        *("n1 (i=1)", "n1 (i=3)"),
        *("n2 (i=3)", "n3 (i=3)"),
    ]
    text = "- hostname: 'ssh://[{{ i }}]:22'\n  i: ['::1', '::2']\n"
    assert [each.hostname for each in hosts(text)] == ["ssh://[::1]:22", "ssh://[::2]:22"]
    text = "- hostname: '{{ replace i \"[1-2]\" \"x\" }}'\n  i: ['n[1-2]']\n"
    assert hosts(text)[0].hostname == "nx"


def test_values_are_the_users_own_text() -> None:
    """No value is converted."""
    assert hosts("- hostname: a\n  x: [010, yes, 1e-4, null]\n  y:\n")[0].params == (
        ("x", "010"),
        ("y", ""),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", '1:1: no host stands in this file. Write "- localhost".'),
        ("# a\n[]\n", "1:1: no host stands in this file."),
        ("a\n", "1:1: this file is one text, and a list of hosts is a list."),
        ("hostname: a\n", "1:1: this file is a mapping, and a list of hosts is a list."),
        ("- hostnames: a\n", '1:3: this entry has no "hostname", and has "hostnames". Write '),
        ("- command: a\n", '1:3: this entry has no "hostname". Commands belong in the queue file;'),
        ("- hostname: []\n", "1:13: this list is empty."),
        ("- ''\n", "1:3: this hostname is empty."),
        ("- hostname:\n  x: 1\n", "1:12: this hostname is empty."),
        ("- -oProxyCommand=x\n", '1:3: the hostname "-oProxyCommand=x" begins with "-", and ssh'),
        ("- ssh://-oX\n", '1:3: the hostname "ssh://-oX" begins with "-"'),
        ("- user@-oX\n", '1:3: the hostname "user@-oX" begins with "-"'),
        ("- ssh://%2doX@a\n", '1:3: the hostname "ssh://%2doX@a" begins with "-"'),
        ("- ssh://[-oX]\n", '1:3: the hostname "ssh://[-oX]" begins with "-"'),
        ("- ssh://a:99999\n", '1:3: the hostname "ssh://a:99999" is no address. Write ssh://USER@'),
        ("- ssh://a/b\n", '1:3: the hostname "ssh://a/b" is no address.'),
        ("- ssh://a%00@b\n", "1:3: the hostname \"ssh://a%00@b\" has '\\x00' in it"),
        ("- ssh://a%60@b\n", '1:3: the hostname "ssh://a%60@b" has \'`\' in it, which no host or'),
        ("- a$(touch${IFS}x)\n", "1:3: the hostname \"a$(touch${IFS}x)\" has '$' in it"),
        ("- a;touch\n", '1:3: the hostname "a;touch" has \';\' in it, which no host or user has.'),
        ("- a'b@c\n", '1:3: the hostname "a\'b@c" has "\'" in it'),
        ("- hostname: '{{ x }}'\n  x: [a, -b]\n", '1:13: the hostname "-b" begins with "-"'),
        ("- a b\n", "1:3: a hostname has no blanks or control characters, and this is 'a b'."),
        ('- "a\\nb"\n', "1:3: a hostname has no blanks or control characters, and this is"),
        ('- "a\\0"\n', "1:3: a hostname has no blanks or control characters"),
        ("- hostname: n{{ j }}\n  i: 1\n", '1:13: in the hostname "n{{ j }}": '),
        ("- n{{ i }}\n", '1:3: in the hostname "n{{ i }}": '),
        ("- a\n- [b]\n", "2:3: YAML reads this entry as a list. Quote the text."),
        ("- hostname: a\n  x: [[1]]\n", "2:7: a list must hold texts only, and this is a list."),
        ("- hostname: a\n  hostname: b\n", '2:3: "hostname" stands in this entry twice.'),
        ("- !x a\n", '1:3: YAML reads "!x" as a tag and would drop it.'),
        ("- a\n- *b\n", '2:3: YAML reads "*b" as an alias.'),
        ("- 'a\n", "1:3: a quote is opened here and never closed: `- 'a`. "),
        ("- \udcff\n", "1:3: the byte 0xff is not UTF-8."),
        ("- a\n---\n- b\n", "2:1: a second YAML document begins here"),
        ("- n[3-1]\n", '1:3: in "n[3-1]" the range "3-1" begins after its end. Write "1-3".'),
        ("- n[a-b]\n", '1:3: in "n[a-b]" "a-b" is no range of numbers. Write numbers, as in'),
        ("- n[1-\n", '1:3: "n[1-" has a "[" without its "]". Write a set as in node-[1-9,11].'),
        ("- hostname: [a, 'n[]']\n", '1:17: in "n[]" a number is missing.'),
        ("- n[1-99999]\n", '1:3: "n[1-99999]" stands for 99,999 names, more than 10,000. Write a'),
        ("- n[1-9999999999]\n", '1:3: "n[1-9999999999]" stands for 9,999,999,999 names'),
        ("- x\n- n[1-10000]\n", "2:3: up to here the file stands for 10,001 sub-nodes, more than"),
        ("- hostname: n[1-5000]\n  x: [1, 2, 3]\n", "1:13: up to here the file stands for 15,000"),
        ("- n[1-2]:22\n", '1:3: the hostname "n1:22" has a port in it'),
        ("- n[1-2]; x\n", "1:3: a hostname has no blanks or control characters"),
        ("- '[1-2]$x'\n", "1:3: the hostname \"1$x\" has '$' in it"),
        ("- hostname: [n[1-2]]\n", "1:15: YAML cannot read `- hostname: [n[1-2]]`: "),
        ("- [1-2]\n", "1:3: YAML reads this entry as a list. Quote the text."),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_with_its_place(text: str, message: str) -> None:
    """A fault names file, line and column, says what is wrong and what to write instead."""
    with pytest.raises(FileFault) as caught:
        hosts(text)
    assert str(caught.value).startswith(f"hosts.yaml:{message}")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("node-1:2222", "ssh://node-1:2222"),
        ("me@node-1:2222", "ssh://me@node-1:2222"),
        ("10.0.0.1:22", "ssh://10.0.0.1:22"),
        ("localhost:22", "ssh://localhost:22"),
        ("node-1:", "ssh://node-1:PORT"),
        ("[::1]:22", "ssh://[::1]:22"),
        ("me@[fe80::1%eth0]:22", "ssh://me@[fe80::1%eth0]:22"),
    ],
)
def test_a_port_behind_a_name_is_refused(name: str, address: str) -> None:
    """``host:port`` is no destination for ssh: the message gives the address to write."""
    for text in (f"- '{name}'\n", f"- hostname: '{{{{ x }}}}'\n  x: '{name}'\n"):
        with pytest.raises(FileFault, match="has a port in it") as caught:
            hosts(text)
        assert f'Write "{address}"' in caught.value.instead
    if not address.endswith("PORT"):
        assert hosts(f"- '{address}'\n")[0].hostname == address


@pytest.mark.parametrize(
    "name", ["::1", "fe80::1", "2001:db8::22", "me@::1", "fe80::1%eth0", "a:b"]
)
def test_other_colons_are_ssh_s_business(name: str) -> None:
    """An IPv6 address has no port, and an alias may have a colon in it."""
    assert hosts(f"- '{name}'\n")[0].hostname == name


NO_QUEUE = Path("no-queue.yaml")


def notes(text: str, queue: str | None = None) -> list[str]:
    """Give the notes on a hosts file with this text, beside a queue file with that one."""
    if queue is not None:
        Path("queue.yaml").write_text(queue, encoding="utf-8")
    file = NO_QUEUE if queue is None else Path("queue.yaml")
    return [str(note) for note in notes_on(Path("hosts.yaml"), hosts(text), file)]


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("port", "Write ssh://HOST:PORT as the hostname, or set Port for the host"),
        ("ssh_port", "Write ssh://HOST:PORT as the hostname, or set Port for the host"),
        ("user", "Write USER@HOST, or set User for the host"),
        ("identity_file", "Set IdentityFile for the host"),
        ("IdentityFile", "Set IdentityFile for the host"),
        ("ProxyJump", "Set ProxyJump for the host"),
    ],
)
def test_a_parameter_that_looks_like_an_option_of_ssh_is_noted(key: str, instead: str) -> None:
    """The note has the place, says that ssh does not get it, and what to write; it comes once."""
    text = f"- a\n- hostname: b\n  {key}: [22, 23]\n- hostname: c\n  {key}: 24\n"
    (note,) = notes(text)
    assert note.startswith(f'hosts.yaml:3:3: note: "{key}" is a parameter for templates')
    assert f"{instead} in ~/.ssh/config." in note


@pytest.mark.parametrize(
    ("text", "queue"),
    [
        ("- hostname: ssh://a:{{ port }}\n  port: 22\n", None),
        ("- hostname: a\n  port: 22\n", "- ssh -p {{ port }} b\n"),
        ("- hostname: a\n  user: me\n", '- "{{#if (eq user x)}}b{{/if}}"\n'),
        ("- hostname: a\n  gpu: 1\n", None),
    ],
)
def test_what_a_template_uses_is_not_noted(text: str, queue: str | None) -> None:
    """A parameter that the hostname or a command uses is meant as it is."""
    assert notes(text, queue) == []


def test_the_word_in_a_command_is_no_use(tmp_path: Path) -> None:
    """Only a template's tag uses a parameter."""
    assert len(notes("- hostname: a\n  port: 22\n", "- serve --port 3 {{ x }}\n")) == 1


def test_names_that_ssh_knows_pass() -> None:
    """A domain's user, a machine's user, an IPv6 address, a scope: what ssh takes is taken."""
    for name in ("DOM\\me@a", "pc$@a", "fe80::1%eth0", "ssh://me@[::1]:22/", "a_b.c-d", "é.org"):
        assert hosts(f"- '{name}'\n")[0].hostname == name


def test_a_missing_file_says_how_to_make_one() -> None:
    """A newcomer is told what to do."""
    with pytest.raises(FileFault) as caught:
        read_hosts("no.yaml")
    assert str(caught.value) == (
        "no.yaml:1:1: there is no such file. "
        "`pegasus init` makes a starter; list one host on each line, as in `- localhost`."
    )


def test_a_folder_is_no_hosts_file(tmp_path: Path) -> None:
    """What cannot be read is a sentence."""
    with pytest.raises(FileFault, match="this file cannot be read: Is a directory"):
        read_hosts(tmp_path)


def test_a_typo_does_not_make_a_million_sub_nodes() -> None:
    """More sub-nodes than any cluster has are refused, without making them."""
    digits = ", ".join(str(i) for i in range(200))
    with pytest.raises(FileFault, match=f"8,000,001 sub-nodes, more than {MOST_SUB_NODES:,}"):
        hosts(f"- a\n- hostname: b\n  x: [{digits}]\n  y: [{digits}]\n  z: [{digits}]\n")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_line_ends_of_windows(end: str) -> None:
    """What an editor puts before the file, or behind a line, is no part of a hostname."""
    expected = (SubNode(0, "node-1"), SubNode(1, "node-2", (("x", "1"),)))
    assert hosts(end.join(["\ufeff- node-1", "- hostname: node-2", "  x: 1", ""])) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding(encoding: str) -> None:
    """A file that is not UTF-8 is refused, with what to do."""
    Path("hosts.yaml").write_bytes("- node-1\n".encode(encoding))
    with pytest.raises(FileFault, match=r"hosts\.yaml:1:1: .* not UTF-8\. Save the file as UTF-8"):
        read_hosts("hosts.yaml")
