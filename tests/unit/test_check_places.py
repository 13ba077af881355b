"""What `pegasus check` promises where there are slots, demands and barriers."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from pegasus.commands.check import CheckSettings, check
from pegasus.errors import ExitStatus
from pegasus.findings import find

HOSTS = """\
- hostname: [node-1, node-2]
  slots: {gpu: 2-7}
- hostname: [node-3, node-4]
  slots: {gpu: nvidia, cpu: nproc}
  model: a100
"""
QUEUE = """\
- command: train {{ gpu }} of {{ gpu.count }}
  needs: {gpu: 4}
- barrier: succeeded
- command: evaluate {{ model }} {{ gpu }}
  needs: {gpu: 1, cpu: 8}
  where: {model: [a100, h100]}
- make report
- barrier: ended
- command: echo {{ hostname }}
  where: {hostname: node-4}
"""
LISTED = """\
hosts.yaml: 4 sub-nodes
  0  node-1; slots: gpu 2-7
  1  node-2; slots: gpu 2-7
  2  node-3 (model=a100); slots: gpu nvidia, cpu nproc
  3  node-4 (model=a100); slots: gpu nvidia, cpu nproc

queue.yaml: 4 jobs
  1* train 2,3,4,5 of 4
       on all 4 sub-nodes
     --- barrier: succeeded ---
  2  evaluate a100 0
       on 2 of 4 sub-nodes: node-3 (model=a100), node-4 (model=a100); shown as on node-3 \
(model=a100)
  3  make report
       on all 4 sub-nodes
     --- barrier: ended ---
  4  echo node-4
       on 1 of 4 sub-nodes: node-4 (model=a100)
  * as on node-1, with the first slots; sub-nodes or slots differ in it

No faults.
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own, so that paths are short."""
    monkeypatch.chdir(tmp_path)


def checked(hosts: str, queue: str) -> ExitStatus:
    """Run the command on two files."""
    Path("hosts.yaml").write_text(hosts)
    Path("queue.yaml").write_text(queue)
    settings = CheckSettings(hosts_file=Path("hosts.yaml"), queue_file=Path("queue.yaml"))
    return trio.run(check, settings)


def faults(hosts: str, queue: str, *limit: str) -> list[str]:
    """Give all faults of two files."""
    Path("hosts.yaml").write_text(hosts)
    Path("queue.yaml").write_text(queue)
    return list(map(str, find(Path("hosts.yaml"), Path("queue.yaml"), limit).faults))


def test_where_jobs_can_run(capfd: pytest.CaptureFixture[str]) -> None:
    """Each job has the sub-nodes on which it can run, and is rendered with slots of one of them."""
    assert checked(HOSTS, QUEUE) is ExitStatus.SUCCESS
    assert capfd.readouterr().out == LISTED


def test_jobs_that_can_run_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """Each is an error with the line of the key that is the reason; the others are listed."""
    queue = (
        "- fine\n- command: wide\n  needs: {gpu: 7}\n  where: {hostname: [node-1, node-2]}\n"
        "- command: ['elsewhere {{ gpu }}', b]\n  where: {model: h100}\n"
    )
    assert checked(HOSTS, queue) is ExitStatus.USAGE
    out = capfd.readouterr().out
    assert "  1  fine\n       on all 4 sub-nodes\n" in out
    assert "  3  elsewhere {{ gpu }}\n       nowhere; the faults say why\n" in out
    assert out.endswith(
        'queue.yaml:3:3: this needs 7 slots of gpu, and no sub-node that its "where" accepts has '
        "more than 6 (node-1). Ask for fewer, or change the hosts file.\n"
        'queue.yaml:6:3: "where" asks for model=h100, and no sub-node has that. The sub-nodes have '
        "model=a100.\n2 faults.\n"
    )


def test_only_nodes_that_count_are_tried() -> None:
    """A command need not be valid for a sub-node on which its job can never run."""
    queue = "- command: '{{ model }} {{ cpu }}'\n  needs: {cpu: 1}\n"
    assert faults(HOSTS, queue) == []
    (fault,) = faults(HOSTS, "- '{{ model }}'\n")
    assert fault.startswith('queue.yaml:1:4: on node-1: there is no parameter "model".')


def test_a_name_of_slots_on_some_sub_nodes() -> None:
    """The message says which sub-node has no such slots, and which it has."""
    (fault,) = faults(HOSTS, "- x {{ cpu }}\n")
    words = 'on node-1: there is no parameter "cpu". The sub-node node-1 has no slots called "cpu"'
    assert fault.startswith(f"queue.yaml:1:5: {words}: its slots are called gpu.")


def test_a_limit_leaves_fewer_places() -> None:
    """With ``--limit`` the sub-nodes that it chooses are all that there are."""
    queue = "- command: x\n  needs: {cpu: 1}\n"
    assert faults(HOSTS, queue) == []
    (fault,) = faults(HOSTS, queue, "node-1")
    assert fault.startswith("queue.yaml:2:3: this needs 1 slot of cpu, and no sub-node has a pool")


def test_a_fault_in_the_hosts_file_hides_places() -> None:
    """What a job needs may stand in the part that cannot be read, so only that is a fault."""
    (fault,) = faults(f"{HOSTS}- -x\n", "- command: x\n  needs: {tpu: 1}\n")
    assert fault.startswith("hosts.yaml:6:3: ")


def test_notes_on_parameters_that_look_like_demands(capfd: pytest.CaptureFixture[str]) -> None:
    """A text under such a name is allowed, and probably a mistake: it is noted once."""
    queue = "- {command: x, needs: 4}\n- {command: x, needs: 5, barrier: ended}\n"
    assert checked("- a\n", f"{queue}- {{command: '{{{{ where }}}}', where: b}}\n") is (
        ExitStatus.SUCCESS
    )
    out = capfd.readouterr().out
    notes = [line for line in out.splitlines() if "note:" in line]
    assert notes == [
        (
            'queue.yaml:1:16: note: "needs" is a parameter for templates here. If it is '
            "not meant as one, write `needs: {gpu: 2}`."
        ),
        (
            'queue.yaml:2:26: note: "barrier" is a parameter for templates here. If it is '
            'not meant as one, write "- barrier: succeeded" as an entry of its own.'
        ),
    ]
    assert "sub-nodes:" not in out


def test_files_without_slots_are_listed_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    """No line about places is added where no place is a question."""
    assert checked("- a\n- b\n", "- x {{ hostname }}\n") is ExitStatus.SUCCESS
    assert capfd.readouterr().out == (
        "hosts.yaml: 2 sub-nodes\n  0  a\n  1  b\n\nqueue.yaml: 1 job\n  1* x a\n"
        "  * as on a; sub-nodes differ in it\n\nNo faults.\n"
    )
