"""``run``: which shell and which directory a command gets, in the files and on a command line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pegasus.errors import FileFault, PegasusError
from pegasus.hosts_file import HostsChoice, find_hosts
from pegasus.launch import NO_LAUNCH, Launch, launch_words, merged, start_code
from pegasus.launch_text import read_typed_launch
from pegasus.model import NO_DEMAND, Assignment, Command, Demand, Job, NotStarted, SubNode
from pegasus.queue_file import read_typed_demand
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.queue_file.rendering import canonical
from pegasus.starting import launch_of, refused_in

BOTH = Launch("bash -lc", "work/project")


def queue_launch(text: str) -> Launch:
    """Read the launch of the only entry of a queue file."""
    (found,) = QueueReader("queue.yaml", text.encode())
    if isinstance(found, FileFault):
        raise found
    assert isinstance(found, Written)
    return found.entry.demand.launch


def hosts_launch(text: str, folder: Path) -> Launch:
    """Read the launch of the only sub-node of a hosts file."""
    (folder / "hosts.yaml").write_text(text)
    sub_nodes, faults = find_hosts(folder / "hosts.yaml")
    if faults:
        raise faults[0]
    (sub_node,) = sub_nodes
    return sub_node.launch


def readers(folder: Path) -> list[tuple[str, Callable[[str], Launch]]]:
    """Give what begins an item of each file, and what reads the file."""
    return [
        ("- command: x\n", queue_launch),
        ("- hostname: x\n", lambda t: hosts_launch(t, folder)),
    ]


def test_both_files(tmp_path: Path) -> None:
    """An entry and an item of the hosts file may have ``run``, with one key or with both."""
    for start, read in readers(tmp_path):
        assert read(start + "  run: {shell: bash -lc, chdir: work/project}\n") == BOTH
        assert read(start + "  run:\n    chdir: ~/é x\n") == Launch("", "~/é x")
        assert read(start + "  run: {shell: \"bash -c 'x y'\"}\n") == Launch("bash -c 'x y'")
        assert read(start + "  run: [a]\n") == NO_LAUNCH  # a parameter
        assert read(start) == NO_LAUNCH


@pytest.mark.parametrize(
    ("value", "what", "line"),
    [
        ("{}", "this mapping is empty", 2),
        ("{shel: bash}", '"run" has no "shel". Did you mean "shell"?', 2),
        ("{user: root}", '"run" has no "user". Write `run: {shell', 2),
        ("{chdir: [a, b]}", 'the value of "chdir" must be one text', 2),
        ("{chdir: ''}", "this directory is empty", 2),
        ("{shell: ''}", "this shell is empty", 2),
        ("{shell: ' '}", "this shell is empty", 2),
        ('{shell: "\'"}', "a quote in this shell is not closed", 2),
        ('{shell: "a\\nb"}', 'the value of "shell" has a control character', 2),
        ('{chdir: "a\\tb"}', 'the value of "chdir" has a control character', 2),
        ("{chdir: ~bob/x}", "the home directory of another user", 2),
        ("{chdir: $HOME/x}", 'variables are not expanded in "chdir"', 2),
        ('{chdir: "{{ x }}"}', 'the value of "chdir" is no template', 2),
        (f"{{chdir: {'x' * 2000}}}", 'the value of "chdir" has 2,000 characters', 2),
        ("\n    chdir: x\n    chdir: y", '"chdir" stands in this entry twice', 4),
    ],
)
def test_faults(tmp_path: Path, value: str, what: str, line: int) -> None:
    """Whatever is wrong is a fault with its position, and with what to write instead."""
    for start, read in readers(tmp_path):
        with pytest.raises(FileFault) as caught:
            read(f"{start}  run: {value}\n")
        assert what in str(caught.value)
        assert caught.value.position.line == line
        assert caught.value.instead


def test_the_nearest_counts() -> None:
    """The entry wins over its node, and the node over the command line, key by key."""
    job = Job("x", demand=Demand(launch=Launch(chdir="of-entry")))
    sub_node = SubNode(0, "n", launch=Launch("of-node -c", "of-node"))
    (chosen,) = HostsChoice(launch=Launch("of-run -c", "of-run")).of([sub_node])
    assert chosen == sub_node
    assert launch_of(Assignment(1, job, chosen, Command("x"))) == Launch("of-node -c", "of-entry")
    (plain,) = HostsChoice(launch=BOTH).of([SubNode(0, "n")])
    assert plain.launch == BOTH
    assert merged(NO_LAUNCH, NO_LAUNCH) == NO_LAUNCH


def test_canonical() -> None:
    """What is written into consumed.yaml and back into the queue has the same launch."""
    for launch in (BOTH, Launch("bash -c 'it'"), Launch("", "a: b #c")):
        job = Job("x", (("p", "1"),), None, Demand(launch=launch))
        assert queue_launch(canonical(job)) == launch
    assert "run" not in canonical(Job("x"))
    assert read_typed_demand([], []) == NO_DEMAND


def test_typed() -> None:
    """The command line accepts what the files accept."""
    assert read_typed_launch("bash -lc", "work/project") == BOTH
    assert read_typed_launch(None, None) == NO_LAUNCH
    with pytest.raises(PegasusError, match=r"empty\. Write .*, as in `--chdir work/project`\.$"):
        read_typed_launch(None, "")
    with pytest.raises(PegasusError, match=r"empty\. Write .*, as in `--shell 'bash -lc'`\.$"):
        read_typed_launch("", None)
    with pytest.raises(PegasusError, match=r"--shell '\"': a quote in this shell is not closed"):
        read_typed_launch('"', None)


def test_words() -> None:
    """``check`` names what is not usual."""
    assert launch_words(BOTH) == 'in work/project, under "bash -lc"'
    assert launch_words(NO_LAUNCH) == ""


def test_what_a_node_says() -> None:
    """Only what the launch itself printed is a refusal."""
    assert refused_in("refused: no\n") == NotStarted("no", is_final=True)
    assert refused_in("sh: refused: no") is None


@pytest.mark.parametrize("chdir", ["-", "-x", "--", "a\\b", "'", '"', "*", " ", "CDPATH"])
def test_names_of_directories(tmp_path: Path, chdir: str) -> None:
    """A directory is found whatever its name is, and not one that CDPATH names."""
    (tmp_path / "elsewhere" / chdir).mkdir(parents=True)
    code = f"{start_code(Launch(chdir=chdir))}\npwd"
    environment = {"HOME": str(tmp_path), "CDPATH": str(tmp_path / "elsewhere"), "PATH": "/bin"}
    run = ["sh", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"refused: the directory {chdir} does not exist in the home directory\n"
    (tmp_path / chdir).mkdir()
    done = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr) == (f"{tmp_path / chdir}\n", "")
