"""Promises of the canonical form, and of what is written into a queue file."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus.demand import with_group
from pegasus.model import NO_DEMAND, AtMost, Barrier, Demand, Entry, Job
from pegasus.picker import FirstJobs
from pegasus.queue_file import LockedQueue, QueueFile, canonical
from pegasus.queue_file.entries import QueueReader, Written
from pegasus.queue_file.queue import entries_of
from pegasus.yaml_text import events
from tests.examples import examples
from tests.unit.queue_texts import BROKEN_UP, LINES, WORDS
from tests.unit.taking import unfilled

QUICK = settings(max_examples=examples(100), deadline=None)

SIGNS = st.characters(exclude_categories=["Cs"])
SPECIAL = st.sampled_from("\t\n\r\x85\u2028\u2029\ufeff\ufffe\x7f\x1b'\"\\ :#-?,[]{}&*!|>%@`")
TEXTS = st.one_of(
    st.text(SIGNS),
    st.text(SPECIAL),
    st.text(string.printable),
    st.from_regex(r"[-+0-9_.:xbe<=]{1,5}", fullmatch=True),
    st.sampled_from(BROKEN_UP + LINES + WORDS),
)
COMMANDS = TEXTS.filter(lambda text: text.strip() and "\0" not in text)
PARAMS = st.lists(
    st.tuples(TEXTS.filter(lambda name: name != "command"), TEXTS),
    max_size=3,
    unique_by=lambda pair: pair[0],
).map(tuple)
NEEDS = st.lists(
    st.tuples(st.sampled_from(["gpu", "a-b", "_1", "yes"]), st.integers(0, 1_000_000)),
    min_size=1,
    max_size=2,
    unique_by=lambda pair: pair[0],
).map(tuple)
WHERE = st.lists(
    st.tuples(TEXTS, st.lists(TEXTS, min_size=1, max_size=2).map(tuple)),
    max_size=2,
    unique_by=lambda pair: pair[0],
).map(tuple)
AT_MOST = st.builds(AtMost, st.integers(1, 99), st.sampled_from(["", "ab12", "a: b", "ü"]))
DEMANDS = st.builds(Demand, st.none() | NEEDS, WHERE, st.none() | AT_MOST)
JOBS = st.builds(Job, COMMANDS, PARAMS, st.none(), st.just(NO_DEMAND) | DEMANDS)


def read(data: bytes) -> list[Job]:
    """Read jobs as a queue file's."""
    found = list(QueueReader("q.yaml", data))
    assert all(isinstance(one, Written) for one in found), found
    entries = [one.entry for one in found if isinstance(one, Written)]
    return [
        Job(
            entry.commands[0],
            tuple((name, values[0]) for name, values in entry.params),
            None,
            entry.demand,
        )
        for entry in entries
    ]


@QUICK
@given(st.lists(JOBS, min_size=1, max_size=4))
def test_the_canonical_form_of_any_job_reads_back_as_that_job(jobs: list[Job]) -> None:
    """No text there is gets lost or changed on its way through consumed.yaml."""
    data = "".join(map(canonical, jobs)).encode()
    assert read(data) == jobs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "LOADER", yaml.BaseLoader)
        assert read(data) == jobs
    yaml.safe_load(data)


@QUICK
@given(COMMANDS)
def test_a_job_without_parameters_is_two_lines(command: str) -> None:
    """``tail -n 2 consumed.yaml`` is the last job, when it has no parameters."""
    assert canonical(Job(command)).count("\n") == 2


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (Job("echo hi"), "- command:\n  - echo hi\n"),
        (Job("x" * 9000), "- command:\n  - " + "x" * 9000 + "\n"),
        (Job("a\nb\n"), '- command:\n  - "a\\nb\\n"\n'),
        (Job("echo 'a: b'"), "- command:\n  - \"echo 'a: b'\"\n"),
        (Job('say "hi"'), '- command:\n  - say "hi"\n'),
        (
            Job("run", (("lr", "1e-4"), ("bs", "010"))),
            "- command:\n  - run\n  lr:\n  - 1e-4\n  bs:\n  - 010\n",
        ),
        (Job("run", (("x", ""),)), "- command:\n  - run\n  x:\n  - ''\n"),
        (Job("{{ x }}"), "- command:\n  - '{{ x }}'\n"),
        (
            Job("run", (), None, Demand((("gpu", 2), ("cpu", 0)))),
            "- command:\n  - run\n  needs: {gpu: 2, cpu: 0}\n",
        ),
        (
            Job("run", (("x", "1"),), None, Demand(None, (("m", ("a", "b")), ("n", ("010",))))),
            "- command:\n  - run\n  x:\n  - 1\n  where: {m: [a, b], n: 010}\n",
        ),
        (
            Job("run", (), None, Demand(at_most=AtMost(2, "a, b"))),
            "- command:\n  - run\n  at_most: {running: 2, of: 'a, b'}\n",
        ),
        (Barrier("succeeded"), "- barrier: succeeded\n"),
        (Barrier("ended"), "- barrier: ended\n"),
    ],
)  # fmt: skip
def test_the_canonical_form(job: Job | Barrier, text: str) -> None:
    """A mapping with lists of one, the command first, on as few lines as can be."""
    assert canonical(job) == text


def test_very_long_texts_and_names_read_back() -> None:
    """Length is no limit, not even where YAML has one."""
    job = Job("x y" * 40_000, (("n" * 5000, "v: " * 30_000), ("m\n" * 700, "")))
    assert read(canonical(job).encode()) == [job]


@QUICK
@given(JOBS)
def test_the_consumed_file_can_be_run_again(
    tmp_path_factory: pytest.TempPathFactory, job: Job
) -> None:
    """What was taken, copied back into a queue file, is taken as the same job."""
    queue = tmp_path_factory.getbasetemp() / "again.yaml"
    queue.write_bytes(canonical(job).encode())
    assert [each.job for each in LockedQueue("q", queue).take(FirstJobs([unfilled])).jobs] == [job]


ENTRIES = st.builds(
    lambda commands, params, demand: Entry(
        tuple(commands), tuple((n, tuple(v)) for n, v in params), None, demand
    ),
    st.lists(COMMANDS, min_size=1, max_size=2),
    st.lists(
        st.tuples(
            TEXTS.filter(lambda name: name != "command"), st.lists(TEXTS, min_size=1, max_size=2)
        ),
        max_size=2,
        unique_by=lambda pair: pair[0],
    ),
    st.just(NO_DEMAND) | DEMANDS,
)
FILES = [
    "",
    "[]",
    "[ ]  # c\n",
    "# c\n",
    "---\n",
    "...\n",
    "# a\n...\n# b\n",
    "--- # c",
    "- a",
    "- a\n",
    "  - a\n  - b",
    "- |+\n  a\n\n",
    "- |\n  a",
    "- a\n# c\n",
    "- a\n  # c\n...\n",
    "[a]",
    "[a, b]\n",
    "[\n  a,  # c\n  b, # d\n]\n",
    "- a\r\n- b\r\n",
    "\ufeff- a\n",
    "%YAML 1.1\n---\n- a\n",
    "- command: [a, b]\n  x: [1, 2]\n",
    "- ''\n- a\n",
    "- barrier: ended\n",
    "- a\n- barrier: succeeded  # c\n- b\n",
    "- command: a\n  needs:\n    gpu: 2  # c\n    # d\n",
]


@QUICK
@given(
    text=st.sampled_from(FILES),
    entries=st.lists(ENTRIES, min_size=1, max_size=3),
    top=st.booleans(),
)
def test_what_is_added_is_there_and_nothing_else_changes(
    tmp_path_factory: pytest.TempPathFactory, text: str, entries: list[Entry], *, top: bool
) -> None:
    """Whatever the file looks like, what is put in is read back, and every other byte stays."""
    queue = tmp_path_factory.getbasetemp() / "add.yaml"
    queue.write_bytes(text.encode())
    before = [shape(one) for one in QueueFile(queue).entries()]
    LockedQueue("q.yaml", queue).add(entries, top=top)
    now = [shape(one) for one in QueueFile(queue).entries()]
    new = [shape(with_group(entry)) for entry in entries]
    last_line_ends = text[-1:] == "\n" or not before or top or text[0] == "["
    if last_line_ends:
        assert now == (new + before if top else before + new)
    assert is_subsequence(text.encode(), queue.read_bytes())


def shape(one: object) -> object:
    """Say what an entry is, without its place."""
    if not isinstance(one, Entry):
        return str(type(one))
    return one.commands, one.params, one.demand


def is_subsequence(text: bytes, data: bytes) -> bool:
    """Tell whether the text is the data without one piece cut out of it."""
    cut = len(data) - len(text)
    return any(data[:i] + data[i + cut :] == text for i in range(len(text) + 1))


def added(tmp_path: Path, text: str | None, *entries: Entry, top: bool = False) -> str:
    """Add entries to a file with this text, and give its text."""
    queue = tmp_path / "q.yaml"
    if text is not None:
        queue.write_text(text)
    LockedQueue("q.yaml", queue).add(entries, top=top)
    return queue.read_text()


def test_an_entry_is_added_in_the_style_of_people(tmp_path: Path) -> None:
    """What Pegasus puts into a queue file can be read and edited by its owner."""
    grid = Entry(("train {{ bs }}",), (("bs", ("8", "16")), ("lr", ("1e-4",))))
    assert added(tmp_path, "- a\n# end\n", grid, Entry(("set -e\nmake\n",)), Entry(("b",))) == (
        "- a\n# end\n- command: train {{ bs }}\n  bs: [8, 16]\n  lr: 1e-4\n"
        "- |\n  set -e\n  make\n- b\n"
    )
    assert added(tmp_path, "# top\n\n  - a\n", Entry(("b",)), top=True) == "# top\n\n  - b\n  - a\n"
    assert added(tmp_path, "[a]\n", Entry(("b, c",)), top=True) == "['b, c', a]\n"


def test_a_missing_file_is_made(tmp_path: Path) -> None:
    """Adding to no file makes one."""
    assert added(tmp_path, None, Entry(("a",))) == "- a\n"
    assert [file.name for file in tmp_path.iterdir()] == ["q.yaml"]


def test_jobs_are_put_back_as_they_were(tmp_path: Path) -> None:
    """A job that is put back is taken as the same job."""
    queue = tmp_path / "q.yaml"
    demand = Demand((("gpu", 2),), (("m", ("a", "b")),), AtMost(2, "x"))
    jobs = [Job("a: b", (("x", "010"), ("y", " z\n"))), Job("c"), Job("d", (), None, demand)]
    LockedQueue("q.yaml", queue).add(entries_of(jobs), top=True)
    taken = LockedQueue("q.yaml", queue).take(FirstJobs([unfilled] * 4))
    assert [each.job for each in taken.jobs] == jobs


def test_the_queue_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    """Replacing the file keeps who may read it, and follows symbolic links."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "jobs.yaml").write_text("- a\n- b\n")
    (real / "jobs.yaml").chmod(0o640)
    link = tmp_path / "q.yaml"
    link.symlink_to("real/jobs.yaml")
    queue = QueueFile(link)
    locked = LockedQueue(queue.path, queue.real)
    locked.take(FirstJobs([unfilled]))
    locked.add([Entry(("c",))])
    assert link.is_symlink()
    assert link.read_text() == "- b\n- c\n"
    assert sorted(file.name for file in real.iterdir()) == ["consumed.yaml", "jobs.yaml"]
    assert {file.stat().st_mode & 0o777 for file in real.iterdir()} == {0o640}


def test_a_record_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    """A consumed.yaml whose last line was not ended by its editor stays readable."""
    queue = tmp_path / "q.yaml"
    queue.write_text("- a\n")
    (tmp_path / "consumed.yaml").write_text("# mine")
    LockedQueue("q.yaml", queue).take(FirstJobs([unfilled]))
    assert (tmp_path / "consumed.yaml").read_text() == "# mine\n- command:\n  - a\n"
