"""``--retry-on``: only jobs that failed for a given cause are tried again."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.e2e.detaching import not_detached
from tests.e2e.journals import events
from tests.e2e.on_slurm import STEP_ALONE, not_on_slurm
from tests.e2e.run_desk import localhosts, quoted
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes

MakeNodes = Callable[..., Nodes]

OOM = "CUDA out of memory"


def split_job(pegasus: Pegasus, stream: int, marker: str) -> str:
    """Return a job that fails once; the words that tell why come in two writes."""
    tries = pegasus.folder / marker
    return (
        f"echo x >> {tries}; [ $(wc -l < {tries}) -ge 2 ] && exit 0; "
        f"printf 'CUDA out of me' >&{stream}; sleep 0.2; echo mory >&{stream}; exit 1"
    )


@pytest.mark.parametrize("more", [(), ("--detach",)], ids=["attached", "detached"])
def test_a_match_over_two_reads(pegasus: Pegasus, more: tuple[str, ...]) -> None:
    """Words that are printed in two pieces, on either stream, are found; others are not retried."""
    jobs = [split_job(pegasus, stream, f"tries-{stream}") for stream in (1, 2)]
    other = f"echo x >> {pegasus.folder}/tries-3; echo disk full; exit 1"
    queue = "".join(f"- {quoted(each)}\n" for each in [*jobs, other])
    run = ("q", "--retries", "2", "--retry-on", OOM, *more)
    done = pegasus.run(*run, hosts=localhosts(2), queue=queue)
    assert done.status == 1
    assert "3 commands: 2 succeeded, 1 failed." in done.stderr
    tries = [(pegasus.folder / f"tries-{n}").read_text().count("x") for n in (1, 2, 3)]
    assert tries == [2, 2, 1]
    assert done.stderr.count("is not tried again") == 1
    assert re.search(r"Job 3 on localhost \(i=\d\) is not tried again: no --retry-on", done.stderr)


def test_the_ways_to_end(pegasus: Pegasus) -> None:
    """``exit:N``, ``signal:N`` and ``timeout`` select outcomes; all others are final at once."""
    queue = "- exit 137\n- exit 1\n- kill -9 $$\n- kill -15 $$\n- sleep 100\n"
    causes = ("--retry-on", "exit:137,3", "--retry-on", "signal:KILL", "--retry-on", "timeout")
    run = ("q", "--retries", "1", "--timeout", "1", *causes)
    done = pegasus.run(*run, hosts=localhosts(5), queue=queue)
    assert done.status == 1
    tried = [each["job"] for each in events(pegasus, "started")]
    assert {job: tried.count(job) for job in range(1, 6)} == {1: 2, 2: 1, 3: 2, 4: 1, 5: 2}


@not_on_slurm(STEP_ALONE)
@not_detached("a detached command outlives its connection and is not lost")
def test_a_lost_job(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """``lost`` selects jobs whose connection broke."""
    nodes = make_nodes(1)
    lost = "[ -e ~/again ] && exit 0; touch ~/again; echo begun; sleep 1000"
    run = ("q", "--retries", "1", "--retry-on", "lost")
    running = pegasus.on(nodes).start(*run, queue=f"- {quoted(lost)}\n- exit 3\n")
    running.wait_for("begun", on="stdout")
    nodes[0].kill_sessions()
    assert running.wait().status == 1
    tried = [each["job"] for each in events(pegasus, "ended")]
    assert sorted(tried) == [1, 1, 2]


def test_a_broadcast(pegasus: Pegasus) -> None:
    """In a broadcast each sub-node is tried again for what it printed itself."""
    note = f"echo x >> {pegasus.folder}/tries-{{{{ i }}}}"
    queue = f"- {note}; test {{{{ i }}}} = 1 && echo {OOM}; exit 1\n"
    run = ("b", "--retries", "1", "--retry-on", OOM.lower(), "--retry-on", OOM)
    assert pegasus.run(*run, hosts=localhosts(3), queue=queue).status == 1
    tries = [(pegasus.folder / f"tries-{n}").read_text().count("x") for n in range(3)]
    assert tries == [1, 2, 1]


REFUSED = [
    (("--retry-on", "lost"), "Add --retries N, or leave out --retry-on."),
    (("--retries", "1", "--retry-on", "(a"), r"no valid regular expression: missing \): \(a"),
    (("--retries", "1", "--retry-on", "exit:x"), "Write exit:137"),
    (("--retries", "1", "--retry-on", "signal:FOO"), "Write signal:9 or signal:KILL"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_wrong_causes(pegasus: Pegasus, options: tuple[str, ...], words: str) -> None:
    """They are reported before anything is taken, with exit status 2 and the next step."""
    done = pegasus.run("q", *options, hosts="- localhost\n", queue="- echo x\n")
    assert (done.status, done.out) == (2, b"")
    assert re.search(words, done.stderr)
    assert done.stderr.count("\n") == 1
    assert pegasus.queue_file.read_text() == "- echo x\n"
