"""Slots, demands and barriers as users write them: from the two files to the command."""

from __future__ import annotations

import yaml

from tests.e2e.on_slurm import OWN_ENTRIES, not_on_slurm
from tests.e2e.runner import Done, Pegasus

HOSTS = """\
- hostname: node-1
  slots: {gpu: 2-5}
  model: small
- hostname: node-2
  slots:
    gpu: [a, b]
    cpu: 4
  model: [big]
"""
SHOW = 'echo "{{ hostname }}:{{ gpu }}:{{ gpu.count }}:$PEGASUS_SLOTS_GPU:${PEGASUS_SLOTS_CPU-}"'


def on_queue(pegasus: Pegasus, command: str, *arguments: str) -> Done:
    """Run a command that only knows the queue file."""
    words = [command, f"--queue-file={pegasus.queue_file}", *arguments]
    return pegasus.start_bare(*words).wait()


@not_on_slurm(OWN_ENTRIES)
def test_from_the_files_to_the_command(pegasus: Pegasus) -> None:
    """A command sees the slots that it holds, in its text and its environment, where it may run."""
    queue = f"""\
- command: '{SHOW}'
  needs: {{gpu: 4}}
- barrier: succeeded
- command: '{SHOW}'  # the processors
  needs: {{gpu: 2, cpu: 3}}
  where: {{model: [big, huge]}}
- command: ['{SHOW} first', '{SHOW} second']
  needs: {{gpu: 0}}
  where: {{hostname: node-1}}
  at_most: {{running: 1}}
- command: wide
  needs: {{gpu: 5}}
- command: '{SHOW}'
  needs: {{gpu: 1}}
  where: {{model: small}}
"""
    done = pegasus.run("q", hosts=HOSTS, queue=queue)
    words = "this needs 5 slots of gpu, and no sub-node has more than 4 (node-1 (model=small))"
    assert f"queue.yaml:3:3: {words}" in done.stderr, done.stderr
    assert done.status == 2
    assert sorted(line.partition("] ")[2] for line in done.stdout.splitlines()) == sorted(
        [
            "node-1:2,3,4,5:4:2,3,4,5:",
            "node-2:a,b:2:a,b:0,1,2",
            "node-1::0:: first",
            "node-1::0:: second",
            "node-1:2:1:2:",
        ]
    )
    left = "# the processors\n- command: wide\n  needs: {gpu: 5}\n"
    assert pegasus.queue_file.read_text() == left
    consumed = yaml.safe_load(pegasus.consumed_file.read_text())
    assert consumed[1] == {"barrier": "succeeded"}
    limits = {each["at_most"]["of"] for each in consumed if "at_most" in each}
    assert len(limits) == 1
    again = pegasus.run("q", hosts=HOSTS, queue=pegasus.consumed_file.read_text())
    assert again.status == 0, again.stderr
    assert len(again.stdout.splitlines()) == 5


@not_on_slurm(OWN_ENTRIES)
def test_added_checked_failed_and_tried_again(pegasus: Pegasus) -> None:
    """What is added with demands is checked, run and put back with them, before the barrier."""
    fails = "test -e done || { touch done; echo {{ gpu }}; exit 1; }"
    pegasus.hosts_file.write_text(HOSTS)
    demand = ("--needs=gpu=2", "--where=model=big,huge", "--at-most=1")
    assert on_queue(pegasus, "add", fails, *demand).status == 0
    assert on_queue(pegasus, "add", "--barrier", "succeeded").status == 0
    assert on_queue(pegasus, "add", "echo below").status == 0
    checked = pegasus.run("check")
    assert checked.status == 0
    assert "on 1 of 2 sub-nodes: node-2 (model=big)" in checked.stdout
    assert "--- barrier: succeeded ---" in checked.stdout
    done = pegasus.run("q")
    assert done.stdout == "[node-2 (model=big) gpu=a,b] a,b\n", done.stderr
    retried = on_queue(pegasus, "retry")
    assert "back at the top of" in retried.stderr
    assert yaml.safe_load(pegasus.queue_file.read_text()) == [
        {
            "command": fails,
            "needs": {"gpu": 2},
            "where": {"model": ["big", "huge"]},
            "at_most": {"running": 1},
        },
        {"barrier": "succeeded"},
        "echo below",
    ]
    done = pegasus.run("q")
    assert done.status == 0, done.stderr
    assert done.stdout.endswith("below\n")
    assert not yaml.safe_load(pegasus.queue_file.read_text())
