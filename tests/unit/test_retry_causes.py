"""``--retry-on``: which ends and which output of a job let it be tried again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import given, settings

from pegasus.errors import PegasusError
from pegasus.events import Ended, Printed, Started
from pegasus.lines import LineSplitter
from pegasus.model import Cancelled, Exited, Killed, Lost, Outcome, Stream, TimedOut
from pegasus.retry_causes import LONGEST_SEARCHED, CauseSearch, read_causes
from tests.examples import examples
from tests.unit.states import given_to

JOB = given_to(1)


async def found(
    expressions: Sequence[str], reads: Sequence[bytes], stream: Stream = Stream.STDOUT
) -> bool:
    """Tell whether a job that printed this is tried again."""
    search = CauseSearch(read_causes(expressions), lambda _: None)
    search.tell(Started(JOB))
    for data in reads:
        await search.show(Printed(JOB, stream, data))
    return search.retries_after(JOB, Exited(1))


ENDS: list[tuple[list[str], Outcome, bool]] = [
    (["exit:137"], Exited(137), True),
    (["exit:137"], Exited(1), False),
    (["exit:1,2", "exit:7"], Exited(2), True),
    (["exit:1,2", "exit:7"], Exited(7), True),
    (["exit:9"], Killed(9), False),
    (["signal:9"], Killed(9), True),
    (["signal:KILL"], Killed(9), True),
    (["signal:sigkill"], Killed(9), True),
    (["signal:9"], Killed(15), False),
    (["signal:9"], Exited(9), False),
    (["lost"], Lost("gone"), True),
    (["timeout"], TimedOut(3.0), True),
    (["lost", "timeout"], Exited(1), False),
    (["lost"], TimedOut(3.0), False),
    (["re:lost"], Lost("gone"), False),
    (["lost"], Cancelled(), False),
]


@pytest.mark.parametrize(("texts", "outcome", "applies"), ENDS)
def test_the_ways_to_end(texts: list[str], outcome: Outcome, *, applies: bool) -> None:
    """``exit:N``, ``signal:N``, ``lost`` and ``timeout`` mean exactly these outcomes."""
    notes: list[str] = []
    search = CauseSearch(read_causes(texts), notes.append)
    assert search.retries_after(JOB, outcome) is applies
    assert len(notes) == (not applies)


def test_a_refusal_is_reported() -> None:
    """A message names the job, its sub-node and how it ended."""
    notes: list[str] = []
    assert not CauseSearch(read_causes(["lost"]), notes.append).retries_after(JOB, Exited(3))
    words = 'no --retry-on applies to "exit status: 3", or to what it printed.'
    assert notes == [f"Job 1 on node-0 is not tried again: {words}"]


def test_without_causes_each_failure_is_one() -> None:
    """``--retries`` without ``--retry-on`` means what it meant before."""
    assert CauseSearch(None, pytest.fail).retries_after(JOB, Exited(3))


INVALID = [
    ("exit:256", "a number from 1 to 255. Write exit:137"),
    ("exit:0", "a number from 1 to 255"),
    ("exit:", "a number from 1 to 255"),
    ("exit:1,x", "`re:exit:1,x` searches for this text"),
    ("exit:²", "a number from 1 to 255"),
    pytest.param("exit:" + "9" * 5000, "a number from 1 to 255", id="exit:9..."),
    pytest.param("signal:" + "9" * 5000, "there is no such signal", id="signal:9..."),
    ("signal:0", "there is no such signal. Write signal:9"),
    ("signal:9999", "there is no such signal"),
    ("signal:SIGNOPE", "`kill -l` lists all"),
    ("(a", r"no valid regular expression: missing \): \(a\. Correct it"),
    ("re:[z-a]", "invalid character class range: z-a"),
    ("(?=a)", r"invalid perl operator: \(\?="),
    (r"(a)\1", r"invalid escape sequence: \\1"),
    ("\udc80", "no valid regular expression"),
    ("", "the expression is empty"),
    ("re:", "the expression is empty"),
    ("a{600}b{600}", "is too large"),
]


@pytest.mark.parametrize(("text", "words"), INVALID)
def test_an_invalid_cause(text: str, words: str) -> None:
    """Before anything is taken, a message names the option, what is wrong and what to write."""
    with pytest.raises(PegasusError, match=words) as caught:
        read_causes([text])
    assert str(caught.value).startswith("--retry-on")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stream", Stream)
async def test_a_match_over_two_reads(stream: Stream) -> None:
    """Wherever the output is divided into reads, the match is found, on either stream."""
    text = b"step 1\nCUDA out of memory. Tried to allocate\nstep 2\n"
    for at in range(len(text)):
        assert await found(["out of memory"], [text[:at], text[at:]], stream)
    assert await found(["out of memory"], [text[i : i + 1] for i in range(len(text))], stream)


async def test_the_last_line_needs_no_newline() -> None:
    """A job that dies in the middle of a line is searched to the last byte."""
    assert await found(["memory$"], [b"out of me", b"mory"])


LINES = [
    ("^b$", b"a\nb\nc\n", True),
    ("^$", b"a\nb\n", False),
    ("^$", b"a\n\nb\n", True),
    (r"a\s+b", b"a\nb\n", False),
    ("a[^x]b", b"a\nb\n", False),
    ("(?s)a.b", b"a\nb\n", False),
    ("(?s)a.b", b"a b\n", True),
    (r"\Ab\z", b"a\nb\nc\n", True),
    ("(?i)OUT OF", b"Out Of\n", True),
    ("é", "é\n".encode(), True),
    (".b", b"\xffb\n", False),
    ("b", b"\xff\x00b\n", True),
    ("50%", b"10%\r50%\r90%\r\n", True),
    ("^50%$", b"10%\r50%\r90%\r\n", True),
    (r"\Qa.(b\E", b"a.(b\n", True),
    ("re:exit:3", b"re:exit:3\n", True),
]


@pytest.mark.parametrize(("expression", "data", "matches"), LINES)
async def test_an_expression_means_a_line(expression: str, data: bytes, *, matches: bool) -> None:
    """A match lies within one line; ``^`` and ``$`` are its ends; any bytes can be searched."""
    assert await found([expression], [data]) is matches


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"b", b"ab", b"\n", b"\r", b"\r\n", b"x" * 40]), max_size=30),
    st.sampled_from(["^ab$", "a.*b", "b$", "^$", "(?s)b.a", "a[^c]b", r"\Aa", "x{30}a|bb"]),
)
def test_the_reads_do_not_matter(reads: list[bytes], expression: str) -> None:
    """The result is that of a search of each line by itself, however the output was divided."""

    async def search() -> tuple[bool, bool]:
        return await found([expression], reads), await found([expression], [b"".join(reads)])

    lines = LineSplitter()
    text = bytes(lines.feed(b"".join(reads))) + bytes(lines.finish())
    single = re.compile(expression.encode())
    expected = any(single.search(line) for line in text.split(b"\n")[:-1])
    assert trio.run(search) == (expected, expected)


async def test_long_output_and_long_lines() -> None:
    """Output of any length is searched whole; of a line, 16 KiB at a time."""
    noise = b"".join(b"%d\n" % number for number in range(60_000))
    assert not await found(["needle"], [noise, noise])
    assert await found(["needle"], [noise + b"a needle\n" + noise])
    assert await found(["needle"], [noise[:-3], b"a needle\n", noise])
    assert await found(["^needle"], [b"x" * LONGEST_SEARCHED + b"needle\n"])
    assert await found(["needle"], [b"x" * 100_000, b" needle ", b"x" * 100_000])


async def test_each_try_and_each_job_has_its_own_output() -> None:
    """What another job printed, or an earlier try, does not count."""
    other = given_to(2, 1)
    search = CauseSearch(read_causes(["memory"]), lambda _: None)
    for assignment in (JOB, other):
        search.tell(Started(assignment))
    await search.show(Printed(JOB, Stream.STDOUT, b"out of memory\n"))
    assert search.retries_after(JOB, Exited(1))
    assert not search.retries_after(other, Exited(1))
    search.tell(Ended(JOB, Exited(1), 1.0, again=True))
    search.tell(Started(JOB))
    assert not search.retries_after(JOB, Exited(1))
    await search.show(Printed(given_to(3), Stream.STDOUT, b"out of memory\n"))  # never started


async def test_no_expression_stops_pegasus() -> None:
    """An expression that takes exponential time elsewhere ends, and other tasks have turns."""
    turns = 0
    hard = ["(a+)+$", "(a|a)*c", "(x+x+)+y", "[ab]*a[ab]{500}c"]
    letters = bytes(Random(1).choices(b"ab", k=16_000))
    lines = (letters + b"!\n") * 4

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        assert not await found(hard, [lines, b"a" * 9_000 + b"!"])
        nursery.cancel_scope.cancel()
    assert turns > 2
