"""GPUs that are found on real nodes: which jobs wait, which go on, what Pegasus says about it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.e2e.gpus import SEEN, GpuNodes, gated, give_gpus, give_program
from tests.e2e.journals import events
from tests.e2e.runner import LIMIT, Pegasus
from tests.nodes import Nodes, wait_until
from tests.nodes.fake_gpu import FakeGpus, uuid_of

MakeNodes = Callable[..., Nodes]

ONE = "- hostname: node-1\n  slots: {gpu: nvidia}\n"
TWO = "- hostname: [node-1, node-2]\n  slots: {gpu: nvidia}\n"


@pytest.fixture
def one(pegasus: Pegasus, make_nodes: MakeNodes) -> GpuNodes:
    """A node with four GPUs."""
    return give_gpus(pegasus, make_nodes, nodes=1, gpus=4)


@pytest.fixture
def two(pegasus: Pegasus, make_nodes: MakeNodes) -> GpuNodes:
    """Two nodes with two GPUs each."""
    return give_gpus(pegasus, make_nodes, nodes=2, gpus=2)


def entry(command: str, needs: str = "") -> str:
    """Write an entry of the queue file."""
    indented = command.replace("\n", "\n    ")
    return f"- command: |\n    {indented}\n" + (f"  needs: {needs}\n" if needs else "")


def test_what_a_job_sees(one: GpuNodes) -> None:
    """Its slots as text and as a number, in the template and in the environment, and its GPUs."""
    queue = (
        entry(SEEN.replace("NAME", "default"))
        + entry(SEEN.replace("NAME", "three"), "{gpu: 3}")
        + entry(SEEN.replace("NAME", "none"), "{gpu: 0}")
    )
    done = one.pegasus.run("q", hosts=ONE, queue=queue)
    assert done.status == 0, done.stderr
    for name, width in (("default", 1), ("three", 3)):
        (line,) = one.read(f"seen-{name}")
        slots = line.partition("|")[0]
        uuids = ",".join(uuid_of(int(slot)) for slot in slots.split(","))
        assert line == f"{slots}|{width}|{slots}|{uuids}|PCI_BUS_ID"
    assert one.read("seen-none") == ["|0|||PCI_BUS_ID"]


def test_quotes_as_docker_wants_them(one: GpuNodes) -> None:
    """``--gpus '"device=0,1"'``: docker gets its own quotes."""
    give_program(one.node(0), "docker")
    command = """docker run --rm --gpus '"device={{ gpu }}"' image train --world {{ gpu.count }}"""
    done = one.pegasus.run("q", hosts=ONE, queue=entry(command, "{gpu: 2}"))
    assert done.status == 0, done.stderr
    given = '<run> <--rm> <--gpus> <"device=0,1"> <image> <train> <--world> <2>'
    assert one.read("started") == [f"docker {given} {uuid_of(0)},{uuid_of(1)}"]


def test_a_gpu_that_others_use(one: GpuNodes) -> None:
    """It is not used; a job that needs it waits, and `status` says who uses it. It is used once it
    is free.
    """
    one.gpus[0].use(2, 12_345, "/usr/bin/python3")
    names = "abc"
    queue = "".join(map(entry, map(gated, names)))
    queue += entry(SEEN.replace("NAME", "wide"), "{gpu: 4}")
    running = one.pegasus.start("q", hosts=ONE, queue=queue)
    assert {one.began(name) for name in names} == {"0", "1", "3"}
    for name in names:
        one.let_end(name)
    wait_until(
        lambda: "12,345 MiB in use by others" in one.status(),
        what="a reason",
        limit=LIMIT,
        glance=0.3,
    )
    assert not one.read("seen-wide")
    one.gpus[0].use(2, 0)
    done = running.wait()
    assert done.status == 0, done.stderr
    assert one.read("seen-wide")[0].startswith("0,1,2,3|4|")


def wait_for_calls(gpus: FakeGpus, count: int) -> None:
    """Wait until the fake was asked so often."""
    wait_until(lambda: len(gpus.calls) >= count, what="a probe", limit=LIMIT)


def test_memory_in_use_that_changes(one: GpuNodes) -> None:
    """The user is told once, with a job by name, whatever jobs wait and however much is used."""
    gpus = one.gpus[0]
    gpus.use(0, 9_000)
    queue = "".join(entry(f"echo {name} >>~/seen", "{gpu: 4}") for name in "ab")
    running = one.pegasus.start("q", hosts=ONE, queue=queue)
    running.wait_for("a job waits")
    for memory in (9_001, 0):
        gpus.use(0, memory)
        wait_for_calls(gpus, len(gpus.calls) + 2)  # a probe asks for GPUs and for programs
    done = running.wait()
    assert done.status == 0, done.stderr
    assert one.read("seen") == ["a", "b"]
    assert done.stderr.count("a job waits") == 1
    assert "queue.yaml:1:1: a job waits (echo a >>~/seen): " in done.stderr


def test_the_limit_of_memory(one: GpuNodes) -> None:
    """``--gpu-busy`` says up to how much memory in use a GPU counts as free."""
    one.gpus[0].use(2, 12_345)
    queue = entry(SEEN.replace("NAME", "wide"), "{gpu: 4}")
    done = one.pegasus.run("q", "--gpu-busy", "20000", hosts=ONE, queue=queue)
    assert done.status == 0, done.stderr


def test_gpus_that_are_sick_or_split(one: GpuNodes) -> None:
    """A GPU with ``[N/A]``, and one with MIG, are not used; `status` says why; the others are."""
    one.gpus[0].say(1, "[N/A]")
    one.gpus[0].split(0)
    queue = "".join(map(entry, map(gated, "abc")))
    running = one.pegasus.start("q", hosts=ONE, queue=queue)
    assert {one.began("a"), one.began("b")} == {"2", "3"}
    wait_until(lambda: "split by MIG" in one.status(), what="a reason", limit=LIMIT, glance=0.3)
    wait_until(
        lambda: "nvidia-smi says [N/A]" in one.status(), what="a reason", limit=LIMIT, glance=0.3
    )
    assert not one.has_begun("c")
    for name in "abc":
        one.let_end(name)
    done = running.wait()
    assert done.status == 0, done.stderr
    assert one.began("c") in {"2", "3"}


def test_a_node_whose_probe_hangs(two: GpuNodes) -> None:
    """It delays no start elsewhere; Pegasus says so once; it is used when its probe answers."""
    two.gpus[0].hang(24)
    queue = "".join(entry(f"echo done >>~/done # {number}") for number in range(6))
    there = "- command: echo done >>~/done\n  where: {hostname: node-1}\n"
    running = two.pegasus.start("q", hosts=TWO, queue=queue + there)
    running.wait_for("node-1: no gpu counts as free: nvidia-smi did not answer within 10 s")
    # All that could start elsewhere had ended before the probe was given up.
    assert two.read("done", node=1) == ["done"] * 6
    assert len(events(two.pegasus, "ended")) == 6
    assert not two.read("done")
    two.gpus[0].recover()
    done = running.wait()
    assert done.status == 0, done.stderr
    assert two.read("done") == ["done"]
    assert done.stderr.count("no gpu counts as free") == 1


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("Lorem ipsum\n", 0, "nvidia-smi printed an unexpected line: 'Lorem ipsum'"),
        (
            "NVIDIA-SMI has failed because it could not talk to the driver.\n",
            9,
            "nvidia-smi ended with exit status: 9: NVIDIA-SMI has failed",
        ),
    ],
)
def test_a_probe_that_fails(two: GpuNodes, text: str, status: int, words: str) -> None:
    """No slot of its node counts as free, Pegasus says why, and the other node goes on."""
    two.gpus[0].print_instead(text, status)
    queue = "".join(map(entry, map(gated, "abc")))
    running = two.pegasus.start("q", hosts=TWO, queue=queue)
    assert {two.began("a"), two.began("b")} == {"0", "1"}
    running.wait_for(f"node-1: no gpu counts as free: {words}")
    assert not two.has_begun("c")
    assert not two.read("began-a")
    two.gpus[0].recover()
    two.began("c")
    assert two.read("began-c")
    for name in "abc":
        two.let_end(name)
    done = running.wait()
    assert done.status == 0, done.stderr
    assert done.stderr.count("no gpu counts as free") == 1


def test_a_gpu_that_disappears(pegasus: Pegasus, make_nodes: MakeNodes) -> None:
    """The numbers of the others shift; no GPU is held twice, since its UUID identifies it."""
    one = give_gpus(pegasus, make_nodes, nodes=1, gpus=2)
    queue = entry(gated("a")) + entry(gated("b")) + entry(SEEN.replace("NAME", "c"))
    running = one.pegasus.start("q", hosts=ONE, queue=queue)
    assert [one.began("a"), one.began("b")] == ["0", "1"]
    one.gpus[0].remove(0)
    one.let_end("a")
    # What is left is GPU 1, which is called 0 now, and b holds it.
    wait_until(
        lambda: [len(each["seen"]) for each in events(one.pegasus, "probed")][-1] == 1,
        limit=LIMIT,
        what="the answer without it",
    )
    assert not one.read("seen-c")
    one.let_end("b")
    done = running.wait()
    assert done.status == 0, done.stderr
    assert one.read("seen-c") == [f"0|1|0|{uuid_of(1)}|PCI_BUS_ID"]


def test_a_node_that_is_removed(two: GpuNodes) -> None:
    """Its connection is closed at once, also that of the probe, and the run goes on without it."""
    queue = "".join(map(entry, map(gated, "abcd")))
    running = two.pegasus.start("q", hosts=TWO, queue=queue)
    for name in "abcd":
        two.began(name)
    there = [name for name in "abcd" if two.read(f"began-{name}")]
    for name in there:
        two.let_end(name)
    running.wait_for("=== done", times=len(there))
    two.pegasus.hosts_file.write_text(TWO.replace("[node-1, node-2]", "node-2"))
    wait_until(lambda: not two.node(0).sshds(), limit=LIMIT, what="the node to be left")
    for name in "abcd":
        two.let_end(name)
    done = running.wait()
    assert done.status == 0, done.stderr


AMD_SMI = """\
#!/bin/sh
case $1 in
  list) echo '[{"gpu": 0, "hip_uuid": "GPU-9f444a2fb30adeb0"}, {"gpu": 1, "hip_id": 0}]';;
  metric) echo '{"gpu_data": [
    {"gpu": 0, "mem_usage": {"used_vram": {"value": 283, "unit": "MB"}}},
    {"gpu": 1, "mem_usage": {"used_vram": {"value": 9001, "unit": "MB"}}}]}';;
esac
"""


def test_amd(one: GpuNodes) -> None:
    """A GPU of AMD is found, and the command sees only this one, by its unique ID."""
    program = one.node(0).home / "bin" / "amd-smi"
    program.write_text(AMD_SMI)
    program.chmod(0o755)
    hosts = "- hostname: node-1\n  slots: {gpu: amd}\n"
    command = "echo {{ gpu }} $ROCR_VISIBLE_DEVICES >>~/seen # {{ n }}"
    queue = f"- command: '{command}'\n  n: [1, 2]\n"
    done = one.pegasus.run("q", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    assert one.read("seen") == ["0 GPU-9f444a2fb30adeb0"] * 2


def test_an_own_probe(one: GpuNodes) -> None:
    """Each line it prints is a slot; a job waits while it prints none."""
    slots = one.node(0).home / "slots"
    slots.write_text("")
    hosts = "- hostname: node-1\n  slots: {gpu: {probe: echo >>~/asked; cat ~/slots}}\n"
    running = one.pegasus.start("q", hosts=hosts, queue=entry(gated("a")))
    wait_until(lambda: len(one.read("asked")) > 1, limit=LIMIT, what="two answers")
    assert not one.has_begun("a")
    slots.write_text("MIG-7\n")
    assert one.began("a") == "MIG-7"
    one.let_end("a")
    assert running.wait().status == 0


def test_processors(one: GpuNodes) -> None:
    """``nproc``: a slot for each processor of the node."""
    processors = int(one.node(0).run("nproc").strip())
    hosts = "- hostname: node-1\n  slots: {cpu: nproc}\n"
    queue = entry("echo {{ cpu.count }} >~/seen", f"{{cpu: {processors}}}")
    done = one.pegasus.run("q", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    assert one.read("seen") == [str(processors)]


def test_the_end_does_not_wait_for_a_probe(one: GpuNodes) -> None:
    """Ctrl-C while a probe hangs: nothing was taken, and nothing is left on the node."""
    one.gpus[0].hang(600)
    queue = entry("echo never")
    running = one.pegasus.start("q", hosts=ONE, queue=queue)
    wait_until(lambda: one.gpus[0].calls, what="a probe")
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    assert one.pegasus.queue_file.read_text() == queue
    wait_until(lambda: not one.node(0).living(), what="the node to be idle")
