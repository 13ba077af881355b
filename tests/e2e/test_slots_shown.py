"""What a run on real nodes shows of slots: during it, after a kill, and when it is taken over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.e2e.detached import kill
from tests.e2e.on_slurm import OWN_ENTRIES, not_on_slurm
from tests.e2e.runner import Pegasus
from tests.nodes import Nodes, wait_until

MakeNodes = Callable[..., Nodes]

HOSTS = "- hostname: node-1\n  slots: {gpu: 0-3, cpu: nproc}\n"
GATED = "echo {{ gpu }}:{{ cpu }} begins; until [ -e ~/go ]; do sleep 0.05; done; echo ends"
QUEUE = f"""\
- command: {GATED!r}
  needs: {{gpu: 2}}
- command: {GATED!r}
- command: {GATED!r}
  needs: {{gpu: 0}}
- command: exit 3
  needs: {{gpu: 4}}
- barrier: ended
- echo after
"""


def told(pegasus: Pegasus, *words: str) -> str:
    """Ask from a second terminal."""
    return pegasus.start_bare(*words, f"--queue-file={pegasus.queue_file}").wait().stdout


@not_on_slurm(OWN_ENTRIES)
def test_a_run_with_slots_from_its_start_to_its_report(
    pegasus: Pegasus, make_nodes: MakeNodes
) -> None:
    """The log, `status`, `attach`, the summary, `results` and `report` name the same slots."""
    nodes = make_nodes(1)
    there = pegasus.on(nodes)
    running = there.start("q", "--detach", hosts=HOSTS, queue=QUEUE)
    running.wait_for("[node-1 gpu=0,1] 0,1: begins")
    running.wait_for("[node-1 gpu=2] 2: begins")
    running.wait_for("[node-1 #3] : begins")
    said = wait_until(
        lambda: text if "Waiting" in (text := told(there, "status")) else "", what="a reason"
    )
    assert re.search(r"^ +1  node-1  gpu 0,1 ", said, re.MULTILINE)
    assert re.search(r"^node-1  gpu  3 of 4 held, 1 free$", said, re.MULTILINE)
    assert re.search(r"^ +needs 4 slots of gpu", said, re.MULTILINE)

    kill(running)
    (run,) = json.loads(told(there, "status", "--json"))["runs"]
    (gpus, _) = run["sub_nodes"][0]["pools"]
    assert (gpus["size"], gpus["held"], gpus["free"]) == (4, 3, 1)
    assert [slot["job"] for slot in gpus["slots"]] == [1, 1, 2, None]

    again = there.start("q", "--detach")
    again.wait_for("[node-1 gpu=0,1] === following")
    (nodes[0].home / "go").touch()
    done = again.wait()
    for prefix in ("gpu=0,1", "gpu=2", "#3"):
        assert f"[node-1 {prefix}] ends\n" in done.stdout
    assert "[node-1 gpu=0] after\n" in done.stdout
    assert "[Pegasus] Barrier passed: everything above has ended.\n" in done.stderr
    assert "job 1 on node-1 (gpu 0-3): exit status: 3" in done.stderr
    rows = json.loads(told(there, "results", "--json"))
    assert [len(row["slots"][0]["slots"]) for row in rows] == [4, 1]
    page = told(there, "report", "-o", "-")
    assert re.findall(r'<ul aria-label="(node-1[^"]*)"', page) == [
        f"node-1 gpu {number}" for number in range(4)
    ]
