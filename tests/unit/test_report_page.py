"""`pegasus report`: the page has what happened, whatever text the commands and outputs contain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from pegasus.events import Cut, Ended, Missing, RunEnded, Started, Taken, Unreachable
from pegasus.model import (
    Assignment,
    Cancelled,
    Command,
    Exited,
    Job,
    Killed,
    Lost,
    NotStarted,
    Outcome,
    Stream,
    TimedOut,
)
from pegasus.report import page as page_module
from tests.unit.left_runs import kill
from tests.unit.pages import page_in
from tests.unit.records import (
    NODES,
    end,
    only_run,
    queue_in,
    recording,
    run_some,
    settle,
    show,
    start,
    start_on,
    take,
)

HOSTILE = "<script>alert(1)</script>&amp;<!-- ]]> \"'><img src=x onerror=alert(1)> </pre></li>"
"""Text that would become markup if it was not escaped."""

INVISIBLE = "\0\x1b[31m\x07\u202e\u2066\u2028\x9b"
"""Characters that must not reach a browser as they are."""

OUTCOMES: dict[str, Outcome] = {
    "S": Exited(0),
    "F": Exited(3),
    "K": Killed(9),
    "T": TimedOut(60.0),
    "L": Lost("the connection broke"),
    "C": Cancelled(),
    "N": NotStarted("the directory is missing"),
}


async def test_what_a_page_has(tmp_path: Path) -> None:
    """A lane for each sub-node, a bar for each command with its output, failures, counts."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    page = page_in(queue)
    lanes = [each.attributes["aria-label"] for each in page.all("ul")[2:]]
    assert lanes == [str(node) for node in NODES]
    assert [re.sub(r", after .*", "", label) for label in page.labels] == [
        "Job 1: succeeded",
        "Job 2: exit status: 3",
    ]
    assert "epoch 1" in page.all("pre")[0].text
    (failure,) = page.all("table", "failures")
    for text in ("exit status: 3", "train 2", "no such file", "2.*", "node-2"):
        assert text in failure.text
    (counts,) = page.all("ul", "counts")
    assert counts.text.split() == ["1", "succeeded", "1", "failed"]
    whole = page.all("body")[0].text
    for text in ("Run 1", "done", "exit status 1", str(queue), "0001-run-1"):
        assert text in whole


async def test_each_outcome_has_a_letter_and_a_pattern(tmp_path: Path) -> None:
    """Outcomes differ without colours: by a letter, which chooses the pattern, and in words."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        for number, outcome in enumerate(OUTCOMES.values(), start=1):
            end(record, start(record, number), outcome)
        record.tell(RunEnded(1, "done"))
    page = page_in(queue)
    assert [bar.attributes["class"] for bar in page.bars] == list(OUTCOMES)
    style = page.all("style")[0].text
    patterns = [re.search(rf"^\.{letter} {{(.*)}}", style, re.MULTILINE) for letter in OUTCOMES]
    looks = [re.sub(r"--c: [^;]*;", "", found[1]) for found in patterns if found]
    assert len(set(looks)) == len(OUTCOMES) - 1  # a success is lower than a failure
    assert re.search(r"\.lane button\.S {.*height: \.9rem", style)
    legend = page.all("ul", "legend")[0].text
    assert all(re.search(rf"\b{letter}\b", legend) for letter in OUTCOMES)


@pytest.mark.parametrize("mode", ["queue", "broadcast"])
async def test_text_of_others_is_text(mode: str, tmp_path: Path) -> None:
    """Markup and invisible characters in commands, outputs, names and messages stay text."""
    queue, text = queue_in(tmp_path), HOSTILE + INVISIBLE
    async with recording(queue, broadcast=mode == "broadcast") as record:
        job = Job(f"echo '{text}'", (("x", text),))
        record.tell(Taken(1, job))
        settle(record)
        given = Assignment(1, job, NODES[0], Command(job.command))
        record.tell(Started(given))
        await show(record, given, text.encode("utf-8", "surrogateescape") + b"\xff\n")
        await show(record, given, text.encode("utf-8") + b"\xff\n", Stream.STDERR)
        record.tell(Ended(given, Lost(text), 1.0))
        record.tell(Unreachable(NODES[1], text, None))
        record.tell(RunEnded(1, "done"))
    page = page_in(queue)
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not [each for each in page.elements if "onerror" in each.attributes]
    assert not set(page.source) & (set(INVISIBLE) - set("[31m"))
    assert page.source.encode()  # no half of a surrogate pair
    shown = page.all("main")[0].text
    assert shown.count(HOSTILE.split(maxsplit=1)[0]) >= 5
    assert r"\xff" in shown


async def test_only_its_own_script_can_run(tmp_path: Path) -> None:
    """A policy in the page allows no network and no script but the one that Pegasus wrote."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    page = page_in(queue)
    (policy,) = [each for each in page.all("meta") if "http-equiv" in each.attributes]
    content = policy.attributes["content"]
    assert content.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    links = [each.attributes.get(name) for each in page.elements for name in ("src", "href")]
    assert set(links) == {None, "#failures"}
    assert not [each for each in page.elements if each.tag in {"link", "iframe", "object"}]
    assert "url(" not in page.source


async def test_long_output_is_bounded(tmp_path: Path) -> None:
    """A command of a megabyte, and a last line of a megabyte, add some kilobytes to the page."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        job = Job("echo " + "é" * 1_000_000)
        record.tell(Taken(1, job))
        settle(record)
        given = Assignment(1, job, NODES[0], Command(job.command))
        record.tell(Started(given))
        await show(record, given, "ü".encode() * 500_000)
        record.tell(Ended(given, Exited(1), 1.0))
        record.tell(RunEnded(1, "done"))
    page = page_in(queue)
    assert len(page.source) < 40_000
    assert "…" in page.all("pre")[0].text
    assert "\\x" not in page.all("pre")[0].text  # a character is not cut in its middle


async def test_a_page_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where texts that are full of markup would make a page too large, it shows less of each."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        for number in range(1, 21):
            given = start(record, number)
            await show(record, given, b"\"<>&'" * 100 + b"\n")
            end(record, given)
        record.tell(RunEnded(0, "done"))
    whole = len(page_in(queue).source)
    monkeypatch.setattr(page_module, "LARGEST_PAGE", whole - 10_000)
    page = page_in(queue)
    assert len(page.source) < whole - 10_000
    assert len(page.bars) == len(page.all("pre")) == 20
    assert page.all("pre")[0].text.endswith("…")


async def test_several_tries(tmp_path: Path) -> None:
    """Each try has a bar with its own output; the table of failures has only the last one."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        first = start(record, 1)
        await show(record, first, b"of the first\n")
        record.tell(Ended(first, Exited(1), 1.0, again=True))
        second = start_on(record, 1, first.job, NODES[2])
        await show(record, second, b"of the second\n")
        end(record, second, Exited(2))
        record.tell(RunEnded(1, "done"))
    page = page_in(queue)
    first_label, second_label = page.labels
    assert "Job 1, try 1: exit status: 1" in first_label
    assert "tried again" in first_label
    assert "Job 1, try 2: exit status: 2" in second_label
    of_bars = [each.text for each in page.all("pre")][:2]
    assert of_bars == ["of the first", "of the second"]
    (failures,) = page.all("table", "failures")
    assert failures.text.count("exit status") == 1


async def test_a_run_in_progress(tmp_path: Path) -> None:
    """A command that runs has an open bar up to now, and its last line so far."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        given = start(record, 1)
        await show(record, given, b"epoch 1\repoch 2\r")
        take(record, 2)
        settle(record)
        page = page_in(queue, now=given_at(queue) + 100.0)
        record.tell(RunEnded(130, "aborted"))
    (bar,) = page.bars
    assert bar.attributes["class"] == "R open"
    assert page.labels[0].startswith("Job 1: running for 1 min 40 s")
    assert page.all("pre")[0].text == "epoch 2"  # the last state of a progress bar
    assert "has been running" in page.all("h1")[0].text
    assert page.all("ul", "counts")[0].text.split() == ["1", "running", "1", "taken"]


def given_at(queue: Path) -> float:
    """Give when the only command of a run started."""
    (_, execution) = next(only_run(queue).state.running())
    assert execution.started_at is not None
    return execution.started_at


async def test_an_interrupted_run(tmp_path: Path) -> None:
    """What ran when Pegasus was killed is lost; its bar is open at the end."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        start(record, 1)
        settle(record)
    kill(queue)
    page = page_in(queue)
    assert page.bars[0].attributes["class"] == "L open"
    assert "Pegasus was killed" in page.all("h1")[0].text
    assert "lost: Pegasus was killed" in page.all("table", "failures")[0].text


async def test_a_detached_command(tmp_path: Path) -> None:
    """A detached command that nobody follows goes on, up to now."""
    queue = queue_in(tmp_path)
    async with recording(queue, detached=True) as record:
        given = start_on(record, 1, take(record, 1), NODES[0], "key-1")
        record.tell(Cut(given, "the connection broke"))
        record.tell(RunEnded(0, "left", left=1))
    page = page_in(queue, now=2e9)
    assert page.bars[0].attributes["class"] == "D open"
    assert "detached" in page.labels[0]
    assert not page.all("table", "failures")


async def test_a_broadcast_without_a_sub_node(tmp_path: Path) -> None:
    """The summary names the sub-nodes that a broadcast lacks, and the run that it continues."""
    queue = queue_in(tmp_path)
    async with recording(queue, broadcast=True, resumes="0001-earlier") as record:
        record.tell(Missing(NODES[1], "No route to host"))
        record.tell(RunEnded(1, "done"))
    summary = page_in(queue).all("main")[0].text
    assert f"Missing, since they could not be reached: {NODES[1]} (1 of 3 sub-nodes)." in summary
    assert "It continues the broadcast of run 0001-earlier." in summary


async def test_a_run_without_jobs(tmp_path: Path) -> None:
    """A run that took nothing has empty lanes, and says that nothing was taken."""
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        record.tell(RunEnded(0, "done"))
    page = page_in(queue)
    assert page.bars == []
    assert "Nothing was taken." in page.all("main")[0].text
    assert len(page.all("section", "lane")) == len(NODES)


async def test_many_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of failures has the last ones, and states how many there are."""
    monkeypatch.setattr(page_module, "MOST_FAILURES", 2)
    queue = queue_in(tmp_path)
    async with recording(queue) as record:
        for number in (1, 2, 3):
            end(record, start(record, number), Exited(number))
        record.tell(RunEnded(1, "done"))
    page = page_in(queue)
    (failures,) = page.all("table", "failures")
    assert "exit status: 1" not in failures.text
    assert "the last 2 of 3" in page.all("main")[0].text


async def test_outputs_that_are_gone(tmp_path: Path) -> None:
    """A page is written as well where the outputs were removed."""
    queue = queue_in(tmp_path)
    await run_some(queue)
    for path in await trio.to_thread.run_sync(lambda: list(tmp_path.glob(".pegasus/*/output/*"))):
        await trio.Path(path).unlink()
    assert page_in(queue).all("pre") == []
