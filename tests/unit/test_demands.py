"""Promises of needs, where, at_most and barriers in queue files: their meaning and their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus import grid
from pegasus.demand import group_of
from pegasus.errors import FileFault
from pegasus.model import NO_DEMAND, AtMost, Barrier, Demand, Entry, Job
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, check_text
from pegasus.queue_file.entries import QueueReader, Written, WrittenBarrier
from tests.unit.taking import unfilled

EVERYTHING = Demand((("gpu", 2), ("cpu", 8)), (("model", ("a100", "h100")),), AtMost(2, "disk"))


def read(text: str) -> list[Written | WrittenBarrier | FileFault]:
    """Read a queue file with this text."""
    return list(QueueReader("q.yaml", text.encode()))


def entry(text: str) -> Entry:
    """Read a file with one entry."""
    (found,) = read(text)
    assert isinstance(found, Written), found
    return found.entry


def rest(tmp_path: Path, text: str, n: int = 1) -> str:
    """Take jobs from a file with this text, and give what is left."""
    queue = tmp_path / "q.yaml"
    queue.write_bytes(text.encode())
    assert len(LockedQueue("q.yaml", queue).take(FirstJobs([unfilled] * n)).jobs) == n
    return queue.read_bytes().decode()


@pytest.mark.parametrize(
    "text",
    [
        (
            "- command: x\n  needs: {gpu: 2, cpu: 8}\n  where: {model: [a100, h100]}\n"
            "  at_most: {running: 2, of: disk}\n"
        ),
        (
            "- at_most:\n    of: disk\n    running: 2\n  where:\n    model:\n    - a100\n    "
            "- 'h100'\n  needs:\n    gpu: \"2\"\n    cpu: 8\n  command: x\n"
        ),
        (
            "- {needs: {gpu: 2, cpu: 8}, command: x, where: {model: [a100, h100]}, "
            "at_most: {running: 2, of: disk}}\n"
        ),
        (
            "[{command: [x], at_most: {running: 2, of: disk}, needs: {gpu: 2, cpu: 8}, "
            "where: {model: [a100, h100]}}]"
        ),
        (
            "- command: x\r\n  needs:  # c\r\n    gpu: 2 # d\r\n    # e\r\n\r\n    cpu: 8\r\n"
            "  where: {model: [a100,  # f\r\n    h100]}\r\n  at_most: {running: 2, of: disk}\r\n"
        ),
    ],
)
def test_a_demand_in_every_style(text: str) -> None:
    """In blocks or braces, in any order, with comments between: it means the same."""
    found = entry(text)
    assert (found.commands, found.params, found.demand) == (("x",), (), EVERYTHING)


def test_a_demand_is_no_parameter() -> None:
    """The keys are not in the product, and the jobs of the entry share them."""
    found = entry("- command: [a, b]\n  needs: {gpu: 2}\n  x: [1, 2]\n  where: {m: yes}\n")
    assert found.params == (("x", ("1", "2")),)
    assert found.demand == Demand((("gpu", 2),), (("m", ("yes",)),))
    assert [job.demand for job in grid.jobs(found)] == [found.demand] * 4


@pytest.mark.parametrize("value", ["4", "[a, b]", "", "'{gpu: 2}'", "|\n    gpu: 2"])
@pytest.mark.parametrize("name", ["needs", "where", "at_most", "barrier"])
def test_a_text_or_a_list_stays_a_parameter(name: str, value: str) -> None:
    """Files that worked before mean what they meant."""
    found = entry(f"- command: x\n  {name}: {value}\n")
    assert [name for name, _ in found.params] == [name]
    assert found.demand is NO_DEMAND


def test_values_are_the_texts_that_were_typed() -> None:
    """Conditions are compared as text, so nothing in them is converted."""
    found = entry(
        "- {command: x, where: {m: [010, 1e3, yes, null], hostname: node-1, 'a b': ''}}\n"
    )
    assert found.demand.where == (
        ("m", ("010", "1e3", "yes", "null")),
        ("hostname", ("node-1",)),
        ("a b", ("",)),
    )


PLAIN = "must be a whole number of at least 0. Write `needs: {gpu: 2}`."


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("needs: {gpu: -1}", f"16: the number of slots of gpu {PLAIN}"),
        ("needs: {gpu: 4.0}", f"16: the number of slots of gpu {PLAIN}"),
        ("needs: {gpu: x}", f"16: the number of slots of gpu {PLAIN}"),
        ("needs: {gpu: 04}", f"16: the number of slots of gpu {PLAIN}"),
        ("needs: {gpu: 1e3}", f"16: the number of slots of gpu {PLAIN}"),
        ("needs: {gpu: }", f"16: the number of slots of gpu {PLAIN}"),
        ("needs: {gpu: ٣}", f"16: the number of slots of gpu {PLAIN}"),
        ("needs: {a: 1, gpu: '-1'}", f"22: the number of slots of gpu {PLAIN}"),
        (
            "needs: {gpu: 1000001}",
            "16: the number of slots of gpu must be at most 1,000,000. Write `needs: {gpu: 2}`.",
        ),
        (
            f"needs: {{gpu: {'9' * 5000}}}",
            "16: the number of slots of gpu must be at most 1,000,000. Write `needs: {gpu: 2}`.",
        ),
        (
            "needs: {gpu: [1]}",
            "16: the number of slots of gpu must be one whole number. Write `needs: {gpu: 2}`.",
        ),
        (
            "needs: {gpu: {a: 1}}",
            (
                "16: a value must be a text or a list of texts, and this is a mapping. Quote "
                "it if it is a text."
            ),
        ),
        ("needs: {}", "10: this mapping is empty. Write at least one name and its value in it."),
        ("where: {}", "10: this mapping is empty. Write at least one name and its value in it."),
        ("where: {m: []}", "14: this list is empty. Write at least one value in it."),
        (
            "where: {m: {a: 1}}",
            (
                "14: a value must be a text or a list of texts, and this is a mapping. Quote "
                "it if it is a text."
            ),
        ),
        (
            "where: {m: [[a]]}",
            ("15: a list must hold texts only, and this is a list. Quote it if it is a text."),
        ),
        (
            "needs: {gpu: 1, gpu: 2}",
            '19: "gpu" stands in this entry twice. Remove one.',
        ),
        (
            "needs: {1: 2}",
            (
                '11: "1" cannot be the name of slots. A name is letters, digits, _ and -, as in '
                "`needs: {gpu: 2}`."
            ),
        ),
        (
            "needs: {{ x }}",
            (
                "10: YAML reads these braces as a mapping. Quote the command, or use `|` and "
                "write it on the next line."
            ),
        ),
        (
            "needs: !x {gpu: 1}",
            (
                '10: YAML reads "!x" as a tag and would drop it. Quote the command, or use `|` and '
                "write it on the next line."
            ),
        ),
        (
            "at_most: {runing: 2}",
            '13: "at_most" has no "runing". Did you mean "running"? Write `at_most: {running: 2}`.',
        ),
        (
            "at_most: {running: 2, x: 1}",
            '25: "at_most" has no "x". Write `at_most: {running: 2}`.',
        ),
        (
            "at_most: {of: x}",
            '12: "at_most" does not say how many jobs may run. Write `at_most: {running: 2}`.',
        ),
        (
            "at_most: {running: 0}",
            (
                "22: the number of jobs that may run must be a whole number of at least 1. Write "
                "`at_most: {running: 2}`."
            ),
        ),
        (
            "at_most: {running: 2, of: ' '}",
            (
                '29: the value of "of" must be one name. Write the same name in all entries '
                "that count together."
            ),
        ),
        (
            "at_most: {running: 2, of: [a]}",
            (
                '29: the value of "of" must be one name. Write the same name in all entries '
                "that count together."
            ),
        ),
        (
            "lr: {a: 1}",
            (
                "7: a value must be a text or a list of texts, and this is a mapping. Quote "
                "it if it is a text."
            ),
        ),
    ],
)
def test_a_wrong_demand(key: str, fault: str) -> None:
    """Each fault has the position of the wrong word, and what to write; the rest is read."""
    before, found, after = read(f"- a\n- command: x\n  {key}\n- b\n")
    assert str(found) == f"q.yaml:3:{fault}"
    assert isinstance(before, Written)
    assert isinstance(after, Written)


def test_a_fault_can_point_to_a_key() -> None:
    """A run that cannot run a job names the line of the key that is the reason."""
    text = "- command: x\n  where: 1\n  needs:\n    gpu: 2\n"
    (found,) = read(text)
    assert isinstance(found, Written)
    assert text[found.demand_start("needs") :].startswith("needs:")
    assert found.demand_start("where") == found.demand_start("at_most") == found.item.start


# What remains.


def test_what_remains_keeps_the_demand(tmp_path: Path) -> None:
    """As the user wrote it, and comments are never removed."""
    text = (
        "- command: x\n  # why\n  needs:\n    gpu: '2'  # two\n    cpu: 8\n  lr: [1, 2]\n"
        "  where: {model: [a100,\n    h100]}\n- y\n"
    )
    assert rest(tmp_path, text) == (
        "  # why\n# two\n- command: x\n  needs:\n    gpu: '2'\n    cpu: 8\n  lr: [2]\n"
        "  where: {model: [a100, h100]}\n- y\n"
    )
    assert rest(tmp_path, "[{command: x, needs: {gpu: 2}, a: [1, 2]}, y]") == (
        "[{command: x, needs: {gpu: 2}, a: [2]}, y]"
    )


def test_commands_of_one_entry_count_together_until_the_last(tmp_path: Path) -> None:
    """What remains of several commands has other commands, so it says how they count together."""
    text = "- command: [a, b, c]\n  at_most: {running: 2}\n"
    group = entry(text).demand.at_most
    assert group is not None
    written = f"at_most: {{running: 2, of: {group.of}}}"
    assert rest(tmp_path, text) == f"- command: [b, c]\n  {written}\n"
    assert rest(tmp_path, text, 2) == f"- command: [c]\n  {written}\n"
    own = text.replace("2}", "2, of: mine}")
    assert rest(tmp_path, own) == "- command: [b, c]\n  at_most: {running: 2, of: mine}\n"
    alone = "- command: a\n  at_most: {running: 2}\n  x: [1, 2]\n"
    assert rest(tmp_path, alone) == "- command: a\n  at_most: {running: 2}\n  x: [2]\n"


def test_a_group_is_what_an_entry_says() -> None:
    """It depends on the commands, names and keys, and not on values, positions or the limit."""

    def group(text: str) -> str:
        (group,) = {group_of(job) for job in grid.jobs(entry(text))}
        return group

    first = group("- {command: a, x: [1, 2], at_most: {running: 2}}\n")
    assert first == group("- command: a\n  at_most: {running: 2}\n  x: 3\n")
    assert first == group("- {command: a, x: 1, at_most: {running: 1}}\n")
    others = [
        "- {command: b, x: 1, at_most: {running: 2}}\n",
        "- {command: a, y: 1, at_most: {running: 2}}\n",
        "- {command: a, x: 1, needs: {gpu: 1}, at_most: {running: 2}}\n",
        "- {command: a, x: 1, where: {gpu: 1}, at_most: {running: 2}}\n",
        "- {command: [a, b], x: 1, at_most: {running: 2}}\n",
    ]
    groups = [first, *map(group, others)]
    assert len(set(groups)) == len(groups)
    assert group("- {command: [a, b], at_most: {running: 1, of: disk}}\n") == "disk"
    assert group_of(Job("a")) == ""


# Barriers.


@pytest.mark.parametrize(
    "text", ["- barrier: {}\n", "[{{barrier: '{}'}}]", '- "barrier": {}  # c\n']
)
@pytest.mark.parametrize("kind", ["succeeded", "ended"])
def test_a_barrier(text: str, kind: str) -> None:
    """A mapping with one of two values and without a command is a barrier."""
    (found,) = read(text.format(kind))
    assert isinstance(found, WrittenBarrier)
    assert found.barrier == Barrier(kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        *(
            (
                f"- barrier: {value}\n",
                (
                    '1:12: a barrier is "succeeded" or "ended", and this is neither. Write "- '
                    'barrier: succeeded" or "- barrier: ended".'
                ),
            )
            for value in ("done", "[ended]", "''", "Ended")
        ),
        (
            "- barrier: ended\n  x: 1\n",
            (
                '2:3: a barrier stands alone, and this entry has "x" as well. Write "- barrier: '
                'succeeded" or "- barrier: ended" as an entry of its own, or add a "command".'
            ),
        ),
        (
            "- {needs: {gpu: 1}, barrier: ended}\n",
            (
                '1:4: a barrier stands alone, and this entry has "needs" as well. Write "- '
                'barrier: succeeded" or "- barrier: ended" as an entry of its own, or add a '
                '"command".'
            ),
        ),
        (
            "- barrier: {x: 1}\n",
            (
                "1:12: a value must be a text or a list of texts, and this is a mapping. "
                "Quote it if it is a text."
            ),
        ),
        (
            "- needs: {gpu: 1}\n",
            '1:3: this entry has no "command". Write "- command: [...]" or a plain string.',
        ),
    ],
)
def test_a_wrong_barrier(text: str, fault: str) -> None:
    """Each fault has its position, and both words."""
    (found,) = read(text)
    assert str(found) == f"q.yaml:{fault}"


def test_nothing_is_taken_below_a_barrier(tmp_path: Path) -> None:
    """A take stops there, and every byte from there on stays."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- a\n# c\n- barrier: ended # d\n- b\n")
    taken = LockedQueue("q.yaml", queue).take(FirstJobs([unfilled] * 3))
    assert [each.job.command for each in taken.jobs] == ["a"]
    assert not taken.empty
    assert queue.read_text() == "# c\n- barrier: ended # d\n- b\n"
    assert QueueFile(queue).count() == 1
    assert check_text("q.yaml", queue.read_bytes()).jobs == 1


@pytest.mark.parametrize(
    ("text", "top", "after"),
    [
        ("- a\n", False, "- a\n- barrier: ended\n"),
        ("- a\n", True, "- barrier: ended\n- a\n"),
        ("[a]", False, "[a, {barrier: ended}]"),
        ("", False, "- barrier: ended\n"),
    ],
)
def test_a_barrier_is_added(tmp_path: Path, text: str, after: str, *, top: bool) -> None:
    """It is written as a person would write it."""
    queue = tmp_path / "q.yaml"
    queue.write_text(text)
    LockedQueue("q.yaml", queue).add([Barrier("ended")], top=top)
    assert queue.read_text() == after
