"""What `pegasus check` promises: what the files stand for, and everything that is wrong."""

from __future__ import annotations

import os
import pty
import re
import termios
import time
from pathlib import Path

import pytest
import trio

from pegasus.commands.check import CheckSettings, check
from pegasus.errors import ExitStatus, PegasusError
from pegasus.findings import FIRST_SHOWN, find, trial

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "check-before-you-run.md"
QUIZ_HOSTS, QUIZ_QUEUE, QUIZ_OUTPUT = re.findall(
    r"^```\w+\n(?:\$ pegasus check\n)?(.*?)^```$", HOW_TO.read_text(), re.DOTALL | re.MULTILINE
)[:3]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own, so that paths are short."""
    monkeypatch.chdir(tmp_path)


def checked(hosts: str | None, queue: str | None, **options: object) -> ExitStatus:
    """Run the command on two files."""
    for name, text in ("hosts.yaml", hosts), ("queue.yaml", queue):
        if text is not None:
            Path(name).write_text(text)
    settings = CheckSettings(
        hosts_file=Path("hosts.yaml"),
        queue_file=Path("queue.yaml"),
        **options,  # type: ignore[arg-type]
    )
    return trio.run(check, settings)


def faults(hosts: str, queue: str) -> list[str]:
    """Give all faults of two files."""
    Path("hosts.yaml").write_text(hosts)
    Path("queue.yaml").write_text(queue)
    return list(map(str, find(Path("hosts.yaml"), Path("queue.yaml")).faults))


def test_the_quiz(capfd: pytest.CaptureFixture[str]) -> None:
    """Sub-nodes and jobs in order, filled in, and what differs marked: as the how-to shows it."""
    assert checked(QUIZ_HOSTS, QUIZ_QUEUE) is ExitStatus.SUCCESS
    out, err = capfd.readouterr()
    assert err == ""
    assert out == QUIZ_OUTPUT
    assert Path("queue.yaml").read_text() == QUIZ_QUEUE
    assert sorted(path.name for path in Path().iterdir()) == ["hosts.yaml", "queue.yaml"]


def test_another_sub_node(capfd: pytest.CaptureFixture[str]) -> None:
    """``--sub-node`` fills in for that one; one that is not there is refused."""
    checked(QUIZ_HOSTS, QUIZ_QUEUE, sub_node=2)
    assert "1* echo hi from node-3\n" in capfd.readouterr().out
    for number in (-1, 3):
        with pytest.raises(PegasusError, match="the sub-nodes 0 to 2"):
            checked(QUIZ_HOSTS, QUIZ_QUEUE, sub_node=number)


@pytest.mark.parametrize(
    ("command", "marked"),
    [
        ("echo plain", False),
        ("echo {{ hostname }}", True),
        ("echo {{ laziness }}", True),
        ("echo {{ same }}", False),
        ("{{#if extra}}echo{{else}}echo{{/if}}", True),
        ("{{#if (eq same 'x')}}echo{{else}}{{ hostname }}{{/if}}", False),
    ],
)
def test_what_differs_between_sub_nodes(
    *,
    command: str,
    marked: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A star stands where something was filled in that is not the same on every sub-node."""
    hosts = (
        "- {hostname: a, laziness: 1, same: x}\n- {hostname: b, laziness: 2, same: x, extra: 1}\n"
    )
    checked(hosts, f'- "{command}"\n')
    assert ("  1* echo" in capfd.readouterr().out) is marked


@pytest.mark.parametrize("queue", ["", "[]\n", "# nothing\n"])
def test_an_empty_queue_is_no_fault(queue: str, capfd: pytest.CaptureFixture[str]) -> None:
    """No jobs is a number of jobs."""
    assert checked("- a\n", queue) is ExitStatus.SUCCESS
    assert "queue.yaml: 0 jobs\n\nNo faults.\n" in capfd.readouterr().out


def test_every_fault_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """All that is wrong with both files is said, each with its file, line and column."""
    hosts = '- good\n- "two words"\n- -oProxyCommand=x\n- {hostname: "{{ i }}", j: 1}\n'
    queue = (
        "- ! x\n- echo 'a: b'\n- echo {{ ok\n- command: a\n  x: []\n- fine\n"
        "- |\n  set -e\n  echo {{ nope }}\n- hostname: a\n"
    )
    assert checked(hosts, queue) is ExitStatus.USAGE
    out = capfd.readouterr().out
    places = [line.partition(": ")[0] for line in out.splitlines() if ".yaml:" in line]
    assert places == [
        "hosts.yaml",
        "queue.yaml",
        "hosts.yaml:2:3",
        "hosts.yaml:3:3",
        "hosts.yaml:4:14",
        "queue.yaml:1:3",
        "queue.yaml:2:3",
        "queue.yaml:3:8",
        "queue.yaml:5:6",
        "queue.yaml:9:8",
        "queue.yaml:10:3",
    ]
    assert out.endswith("9 faults.\n")
    assert "hosts.yaml: 1 sub-node, as far as it can be read\n" in out
    assert "! set -e\n     echo {{ nope }}\n" in out


def test_files_that_are_missing(capfd: pytest.CaptureFixture[str]) -> None:
    """Both are told at once."""
    assert checked(None, None) is ExitStatus.USAGE
    out = capfd.readouterr().out
    assert "hosts.yaml:1:1: there is no such file" in out
    assert "queue.yaml:1:1: there is no such file" in out


def test_a_hosts_file_without_hosts() -> None:
    """That is a fault of its own; commands are looked at all the same."""
    found = faults("[]\n", "- a {{\n")
    assert [each.partition(": ")[0] for each in found] == ["hosts.yaml:1:1", "queue.yaml:1:5"]


def test_a_template_that_only_some_sub_nodes_can_fill() -> None:
    """The fault names a sub-node on which it is so; where it is so on all, none is named."""
    hosts = "- a\n- hostname: [b, c]\n  gpu: 0\n"
    (some,) = faults(hosts, "- echo {{ gpu }}\n")
    assert some.startswith('queue.yaml:1:8: on a: there is no parameter "gpu"')
    (every,) = faults(hosts, "- echo {{ cpu }}\n")
    assert every.startswith('queue.yaml:1:8: there is no parameter "cpu"')


def test_a_value_that_a_helper_cannot_take() -> None:
    """The fault names the values of the first job that cannot be filled in."""
    queue = "- command: x {{ str_to_json v }}\n  v: ['1', bad]\n  w: [same]\n"
    (fault,) = faults("- a\n", queue)
    assert fault.startswith("queue.yaml:1:14: with v=bad: this text is no JSON")


def test_a_branch_that_only_some_values_take() -> None:
    """Every value is tried, so an unknown name in a branch is found."""
    queue = '- command: "{{#if (eq v 3)}}{{ nope }}{{/if}}x"\n  v: [1, 2, "3"]\n'
    assert faults("- a\n", queue.replace("eq v 3", "eq v '3'")) != []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("['', a]", "with v='': this command, filled in, is empty"),
        (f"[a, {'b' * 131_100}]", "long"),
    ],
)
def test_a_command_that_is_wrong_only_when_filled_in(values: str, words: str) -> None:
    """Empty or too long after filling in is found, too."""
    (fault,) = faults("- a\n", f'- command: "{{{{ v }}}}"\n  v: {values}\n')
    assert words in fault
    assert len(fault) < 500


def test_a_fault_is_told_once() -> None:
    """However many jobs and sub-nodes meet it."""
    hosts = "- hostname: [a, b, c]\n"
    queue = f"- command: x {{{{ y }}}}\n  n: {list(range(100))}\n"
    assert len(faults(hosts, queue)) == 1


def test_the_first_ones_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    """Of many jobs and sub-nodes the first are listed, with ``--all`` every one."""
    hosts = f"- hostname: {[f'n{n}' for n in range(30)]}\n"
    queue = f"- command: a {{{{ n }}}}\n  n: {list(range(1500))}\n"
    checked(hosts, queue)
    out = capfd.readouterr().out
    assert f"{FIRST_SHOWN}  a {FIRST_SHOWN - 1}\n  … and 1,480 more; --all lists them\n" in out
    assert "  19  n19\n  … and 10 more; --all lists them\n" in out
    checked(None, None, every=True)
    out = capfd.readouterr().out
    assert "  1,500  a 1499\n" in out
    assert "  29  n29\n" in out
    assert "more" not in out


def test_a_million_jobs(capfd: pytest.CaptureFixture[str]) -> None:
    """An entry that stands for a million jobs is counted and looked through at once.

    Every value of it is tried, and it is said that not every combination was.
    """
    lists = "".join(f"  {name}: {list(range(100))}\n" for name in "abc")
    command = "x {{ a }} {{ b }} {{#if (eq c '73')}}{{ d }}{{/if}}"
    queue = f"- command: {command}\n{lists}"
    began = time.monotonic()
    assert checked(QUIZ_HOSTS, queue) is ExitStatus.USAGE
    assert time.monotonic() - began < 2
    out = capfd.readouterr().out
    assert "queue.yaml: 1,000,000 jobs, as far" in out
    assert "Tried 100 of the 1,000,000 ways" in out
    assert 'c=73: there is no parameter "d"' in out


def test_up_to_a_limit_every_filling_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the limit nothing is left to chance: a fault of one single combination is found."""
    lists = "".join(f"  {name}: {list(range(20))}\n" for name in "ab")
    condition = "{{#if (and (eq a '3') (eq b '7'))}}{{ d }}{{/if}}"
    queue = f'- command: "x {condition}"\n{lists}'
    (fault,) = faults("- a\n- b\n", queue.replace("  a:", "  unused: [x, y, z]\n  a:"))
    assert fault.startswith("queue.yaml:1:50: with a=3, b=7: there is no parameter")
    monkeypatch.setattr(trial, "MOST_FILLINGS", 399)
    assert faults("- a\n", queue) == []


def test_commands_and_names_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    """In a pipe every character comes through; each line of a command has its indentation."""
    hosts = '- {hostname: a, x: "é\\e[1m"}\n'
    checked(hosts, '- |\n  one \U0001f600\n\n  two\n- "tab\\there \\e[2J"\n')
    out = capfd.readouterr().out
    assert "  0  a (x=é\x1b[1m)\n" in out
    assert "  1  one \U0001f600\n\n     two\n  2  tab\there \x1b[2J\n" in out


def shown(hosts: str, queue: str) -> str:
    """Check two files at a terminal, and give what it shows."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 40))
    kept = os.dup(1)
    os.dup2(theirs, 1)
    try:
        checked(hosts, queue)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(theirs)
    out = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    os.close(ours)
    assert max(map(len, out.splitlines())) <= 40
    return out


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal lines are folded behind their numbers, and nothing plays tricks on it."""
    monkeypatch.setenv("COLUMNS", "40")
    out = shown("- a\n", f'- "{"word " * 12}"\n- "clear \\e[2J\\a"\n')
    assert "  1  word word" in out
    assert "\n     " in out
    assert "  2  clear ^G\n" in out


def test_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes, faults and places are wrapped between their words, with all of them."""
    monkeypatch.setenv("COLUMNS", "40")
    hosts = "- {hostname: [first, second, third], gpus: 4, r: a}\n- fourth\n"
    queue = '- command: "echo {{ y }}"\n  where: {r: a}\n'
    out = shown(hosts, queue)
    for words in ("on 3 of 4 sub-nodes: first", "For a job on each GPU", "there is no"):
        assert words in " ".join(out.split()), out
    vocabulary = {"parameter", "templates,", "sub-nodes:", "names", "Write", "slots."}
    assert vocabulary <= {*out.split()}, out


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """``| head`` ends it quietly, with the status that the files deserve."""
    reading, writing = os.pipe()
    os.close(reading)
    kept = os.dup(1)
    os.dup2(writing, 1)
    try:
        status = checked("- a\n", "- b\n- [c\n")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(writing)
    assert status is ExitStatus.USAGE


def test_connect(capfd: pytest.CaptureFixture[str]) -> None:
    """Each sub-node is tried; one that answers is told from one that does not, in ssh's words."""
    Path("config").write_text("Host *\n  HostName 127.0.0.1\n  Port 1\n")
    options = {"connect": True, "ssh_config": Path("config")}
    assert checked("- localhost\n- hostname: gone\n  x: 1\n", "- a\n", **options) == 1
    out = capfd.readouterr().out
    assert "  0  localhost: answers, after " in out
    assert "  1  gone (x=1): no answer, after " in out
    assert "Connection refused" in out
    assert out.endswith("1 of 2 sub-nodes can be used.\n")
    assert checked("- localhost\n- localhost\n", None, **options) == 0
    assert checked("- gone\n", None, **options) == 2
    assert checked("- localhost\n", "- [a\n", **options) == 2


def test_limit(capfd: pytest.CaptureFixture[str]) -> None:
    """Only what ``--limit`` chooses is shown, with its numbers; commands are filled in for it."""
    hosts = "- hostname: node-[1-4]\n  x: [a]\n"
    limit = ("node-[3-9]",)
    assert checked(hosts, "- echo {{ hostname }}\n", limit=limit) is ExitStatus.SUCCESS
    assert capfd.readouterr().out.splitlines() == [
        "hosts.yaml: 2 of 4 sub-nodes",
        "  2  node-3 (x=a)",
        "  3  node-4 (x=a)",
        "",
        "queue.yaml: 1 job",
        "  1* echo node-3",
        "  * as on node-3 (x=a); sub-nodes differ in it",
        "",
        "--limit node-[3-9]: hosts.yaml has no node-[5-9].",
        "No faults.",
    ]
    assert checked(None, None, limit=limit, sub_node=3) is ExitStatus.SUCCESS
    assert "  1* echo node-4\n" in capfd.readouterr().out
    with pytest.raises(PegasusError, match="the sub-nodes 2 to 3, as far as --limit chooses them"):
        checked(None, None, limit=limit, sub_node=0)
    with pytest.raises(PegasusError, match=r"hosts\.yaml has no such host"):
        checked(None, None, limit=("x",))


def test_limit_of_a_file_with_faults(capfd: pytest.CaptureFixture[str]) -> None:
    """A name that is not found may be in the part of the file that cannot be read: no error."""
    limit = ("node-1", "other")
    assert checked("- node-1\n- 'other\n", "", limit=limit) is ExitStatus.USAGE
    assert "1 of 1 sub-node, as far as it can be read\n  0  node-1\n" in capfd.readouterr().out
    assert checked("'\n", "", limit=limit) is ExitStatus.USAGE
