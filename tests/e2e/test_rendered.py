"""Commands that a sub-node cannot run, in real runs."""

from __future__ import annotations

import shlex

import pytest

from tests.e2e.on_slurm import OWN_ENTRIES, not_on_slurm
from tests.e2e.runner import Pegasus


@not_on_slurm(OWN_ENTRIES)
def test_a_retry_never_runs_an_empty_command(pegasus: Pegasus) -> None:
    """A failed job is not tried again where its command would be empty: it has failed."""
    gate = shlex.quote(str(pegasus.folder / "gate"))
    hosts = (
        "- hostname: localhost\n"
        f"  pre: echo begins; until [ -e {gate} ]; do sleep 0.05; done; false\n"
    )
    queue = '- "{{ pre }}"\n- echo joined\n'
    running = pegasus.start("q", "--retries=1", hosts=hosts, queue=queue)
    running.wait_for("] begins", on="stdout")
    pegasus.hosts_file.write_text(f'{hosts}- {{hostname: node-1, pre: ""}}\n')
    assert running.wait_for("] joined", on="stdout").startswith("[node-1")
    (pegasus.folder / "gate").touch()
    done = running.wait()
    assert done.status == 1
    assert "=== run '' ===" not in done.stdout
    assert "2 succeeded" not in done.stderr


@not_on_slurm(OWN_ENTRIES)
@pytest.mark.parametrize("bad", ["", "ü" * 70_000])
def test_a_broadcast_checks_every_command(pegasus: Pegasus, bad: str) -> None:
    """A broadcast takes no job whose command one of its sub-nodes cannot run."""
    long = "x" * 100_000
    hosts = f'- {{hostname: node-1, pre: ": {long}"}}\n- {{hostname: node-2, pre: "{bad}"}}\n'
    queue = '- "{{ pre }}"\n'
    done = pegasus.run("b", hosts=hosts, queue=queue)
    assert done.status == 2
    assert "=== run" not in done.stdout
    assert "this command, filled in, is" in done.stderr
    assert pegasus.queue_file.read_text() == queue


def test_the_lines_of_a_command_reach_the_shell_or_are_refused(pegasus: Pegasus) -> None:
    """After `|` a shell gets the lines; folded, a line that ends in a backslash is an error."""
    command = "printf '<%s>' a \\\n    --lr 0.1\n"
    refused = pegasus.run("q", hosts="- node-1\n", queue=f"- echo first\n- {command}")
    assert refused.status == 2
    assert "] first\n" in refused.stdout
    assert "queue.yaml:1:19: YAML joins the lines of this command with blanks" in refused.stderr
    assert pegasus.queue_file.read_text() == f"- {command}"
    ran = pegasus.run("q", hosts="- node-1\n", queue=f"- |\n  {command}")
    assert ran.status == 0
    assert "<a><--lr><0.1>" in ran.stdout
