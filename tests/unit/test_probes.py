"""What a node answers about its slots is read as documented, and never breaks Pegasus."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegasus import probes
from pegasus.events import SlotSeen
from pegasus.model import Exited, Killed, Lost, Outcome, Pool, PoolKind, Slot, TimedOut
from pegasus.probes import ProbeAnswer, read_answer
from tests.examples import examples
from tests.nodes.fake_gpu import FakeGpus, Gpu, uuid_of

NVIDIA = Pool("gpu", "nvidia")
AMD = Pool("gpu", "amd")
DONE = Exited(0)


def read(pool: Pool, text: str, outcome: Outcome = DONE, err: str = "") -> ProbeAnswer:
    """Read an answer; it is the same for the words of the probe as for its bytes."""
    return read_answer(pool, outcome, text.encode(), err.encode())


def free(answer: ProbeAnswer) -> list[str]:
    """The ids of the slots that are free."""
    assert not answer.words
    return [each.slot.id for each in answer.seen if not each.used_by]


def used(answer: ProbeAnswer) -> dict[str, str]:
    """Who uses the others."""
    return {each.slot.id: each.used_by for each in answer.seen if each.used_by}


def ask(gpus: FakeGpus, pool: Pool = NVIDIA, sh: str = "sh") -> ProbeAnswer:
    """Run the real command of the probe with the fake programs."""
    done = subprocess.run(
        [*sh.split(), "-c", probes.command_of(pool)],
        env={"PATH": f"{gpus.programs}:/usr/bin:/bin"},
        capture_output=True,
        check=False,
        timeout=20,
    )
    return read_answer(pool, Exited(done.returncode), done.stdout, done.stderr)


@pytest.fixture
def gpus(tmp_path: Path) -> FakeGpus:
    """Four GPUs that nobody uses."""
    return FakeGpus(tmp_path / "bin", [Gpu() for _ in range(4)])


# NVIDIA.

H100 = "0, GPU-dfe75dfa-8528-2223-c907-96c27851e3b7, {memory}, {mig}, Default\n"


@pytest.mark.parametrize(("memory", "is_free"), [("0", True), ("500", True), ("501", False)])
def test_memory_decides_whether_a_gpu_is_in_use(memory: str, *, is_free: bool) -> None:
    """A GPU is used by others where more of its memory is in use than the limit, 500 MiB."""
    answer = read(NVIDIA, H100.format(memory=memory, mig="Disabled"))
    assert (free(answer) == ["0"]) is is_free
    assert answer.seen[0].slot == Slot("0", "GPU-dfe75dfa-8528-2223-c907-96c27851e3b7")


def test_who_uses_a_gpu_is_named(gpus: FakeGpus) -> None:
    """The message says how much memory is in use, and by which programs, where that is known."""
    gpus.use(2, 12_345, "/usr/bin/python3")
    answer = ask(gpus)
    assert free(answer) == ["0", "1", "3"]
    assert used(answer)["2"].startswith("12,345 MiB in use by others: python3")


@pytest.mark.parametrize("sh", ["dash", "bash --posix", "busybox sh", "zsh --emulate sh"])
def test_any_sh_can_ask(gpus: FakeGpus, sh: str) -> None:
    """The commands are plain ``sh``."""
    if shutil.which(sh.partition(" ")[0]) is None:
        pytest.skip(f"{sh} is not installed")
    gpus.use(2, 12_345, "/usr/bin/python3")
    gpus.unknown_field("mig.mode.current")
    answer = ask(gpus, sh=sh)
    assert free(answer) == ["0", "1", "3"]
    assert "python3" in used(answer)["2"]
    assert "in its PATH" in ask(gpus, AMD, sh).words
    assert free(ask(gpus, Pool("cpu", "nproc"), sh))


def test_programs_that_are_not_known_change_nothing() -> None:
    """In a container the programs are missing, or have no name: memory alone decides."""
    text = H100.format(memory="2575", mig="Disabled")
    alone = read(NVIDIA, text)
    assert used(alone) == {"0": "2,575 MiB in use by others"}
    assert read(NVIDIA, f"{text}app, [N/A], , [Not Found]\napp, x\napp\n") == alone


@pytest.mark.parametrize("value", ["[N/A]", "[Not Supported]", "[Unknown Error]", "ERR!"])
def test_a_gpu_that_is_sick_is_not_used(gpus: FakeGpus, value: str) -> None:
    """It is not used, and its own words say why; the others are."""
    gpus.say(1, value)
    answer = ask(gpus)
    assert free(answer) == ["0", "2", "3"]
    assert used(answer) == {"1": f"nvidia-smi says {value} for its memory in use"}


def test_a_gpu_that_is_lost_is_not_used() -> None:
    """Its UUID is not known any more; or nvidia-smi lists it no more, and warns."""
    others = H100.format(memory="0", mig="Disabled")
    lost = "1, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]\n"
    answer = read(NVIDIA, others + lost, Exited(15))
    assert free(answer) == ["0"]
    assert used(answer) == {"1": "nvidia-smi says [GPU is lost] for it"}
    warning = "Unable to determine the device handle for GPU1: 0000:5F:00.0: Unknown Error\n"
    assert free(read(NVIDIA, warning + others, Exited(0))) == ["0"]
    assert "device handle for GPU1" in read(NVIDIA, warning, Exited(0)).words


def test_a_warning_harms_nothing() -> None:
    """An infoROM that is damaged, which nvidia-smi reports with status 14, is no reason to stop."""
    text = H100.format(memory="0", mig="Disabled")
    warned = f"{text}WARNING: infoROM is corrupted at gpu 0000:5F:00.0\n"
    assert free(read(NVIDIA, warned, Exited(14))) == ["0"]


def test_a_gpu_with_mig_is_not_offered_as_a_whole(gpus: FakeGpus) -> None:
    """It is said so, with what to do; its rows in the list of processes break nothing."""
    gpus.split(0)
    answer = ask(gpus)
    assert free(answer) == ["1", "2", "3"]
    assert used(answer) == {"0": "split by MIG: offer its parts with a probe of your own"}


def test_only_the_gpus_of_the_hosts_file(gpus: FakeGpus) -> None:
    """``nvidia 1-2``: only these; where there is none of them, the words say which there are."""
    assert free(ask(gpus, Pool("gpu", "nvidia", ("1", "2")))) == ["1", "2"]
    none = ask(gpus, Pool("gpu", "nvidia", ("6", "7")))
    assert none.words == "nvidia-smi lists none of the GPUs 6,7, but 0, 1, 2, 3"


def test_a_gpu_that_disappears(gpus: FakeGpus) -> None:
    """The others keep their identity, also where their numbers shift."""
    before = {each.slot.key for each in ask(gpus).seen}
    gpus.remove(1)
    after = ask(gpus)
    assert free(after) == ["0", "1", "2"]
    assert {each.slot.key for each in after.seen} == before - {uuid_of(1)}


def test_an_old_driver(gpus: FakeGpus) -> None:
    """A driver that does not know MIG is asked without it."""
    gpus.unknown_field("mig.mode.current")
    assert free(ask(gpus)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("No devices were found\n", 6, "ended with exit status: 6: No devices were found"),
        (
            "NVIDIA-SMI has failed because …\n",
            9,
            "ended with exit status: 9: NVIDIA-SMI has failed",
        ),
        ("Failed to initialize NVML: Driver/library version mismatch", 18, "version mismatch"),
        ("hello\n", 0, "printed an unexpected line: 'hello'"),
        (f"{H100.format(memory='0', mig='Disabled')}\x1b[2J\n", 0, "printed an unexpected line"),
        ("", 0, "lists no GPU"),
        (H100.format(memory="0", mig="Disabled") * 2, 0, "lists two GPUs with the same number"),
    ],
)
def test_an_answer_that_is_not_valid(text: str, status: int, words: str) -> None:
    """No slot counts as free, and the words say what nvidia-smi printed."""
    answer = read(NVIDIA, text, Exited(status))
    assert not answer.seen
    assert answer.words.startswith("nvidia-smi ")
    assert words in answer.words


def test_a_sentence_of_the_program_in_a_sentence_of_pegasus() -> None:
    """What the program printed last loses its full stop: a full stop or a comma follows."""
    answer = read(NVIDIA, "NVIDIA-SMI has failed.\nIs the driver running?..\n", Exited(9))
    assert answer.words == "nvidia-smi ended with exit status: 9: Is the driver running?"


def test_a_node_without_the_program(tmp_path: Path) -> None:
    """The words say that it is missing, and what to write instead."""
    tools = tmp_path / "bin"
    tools.mkdir()
    sh = shutil.which("sh")
    assert sh is not None
    for pool in (NVIDIA, AMD):
        done = subprocess.run(
            [sh, "-c", probes.command_of(pool)],
            env={"PATH": str(tools)},
            capture_output=True,
            check=False,
        )
        answer = read_answer(pool, Exited(done.returncode), done.stdout, done.stderr)
        assert "in its PATH: write its GPUs in the hosts file" in answer.words


@pytest.mark.parametrize("kind", ["nvidia", "amd", "nproc", "probe"])
def test_a_probe_that_does_not_answer(kind: PoolKind) -> None:
    """The words say how long it was waited for; whatever it printed meanwhile does not count."""
    answer = read(Pool("gpu", kind), "0\n", TimedOut(10.0))
    assert answer.words.endswith(" did not answer within 10 s")
    assert read(Pool("gpu", kind), "0\n", Killed(9)).words.endswith("killed by signal 9 (SIGKILL)")
    assert read(Pool("gpu", kind), "0\n", Lost("reset")).words.endswith("lost: reset")


# AMD.


def amd_smi(listed: object, metrics: object, status: int = 0) -> ProbeAnswer:
    """Read an answer of ``amd-smi``."""
    text = f"amd-smi\n{json.dumps(listed)}\n====\n{json.dumps(metrics)}\n"
    return read(AMD, text, Exited(status))


def vram(gpu: int, used_mb: object) -> dict[str, object]:
    """Return what ``amd-smi`` says about a GPU."""
    return {"gpu": gpu, "mem_usage": {"used_vram": {"value": used_mb, "unit": "MB"}}}


LISTED = [
    {"gpu": 0, "bdf": "0000:83:00.0", "hip_id": 1, "hip_uuid": "GPU-9f444a2fb30adeb0"},
    {"gpu": 1, "bdf": "0000:8b:00.0", "hip_id": 0, "hip_uuid": "GPU-b7d181671a192e45"},
]


@pytest.mark.parametrize("wrapped", [False, True])
def test_amd_smi(*, wrapped: bool) -> None:
    """The list of GPUs, plain or inside an object as newer versions print it."""
    metrics = [vram(0, 283), vram(1, 9001)]
    answer = amd_smi(LISTED, {"gpu_data": metrics} if wrapped else metrics)
    assert answer.seen == (
        SlotSeen(Slot("0", "GPU-9f444a2fb30adeb0")),
        SlotSeen(Slot("1", "GPU-b7d181671a192e45"), "9,001 MiB in use by others"),
    )


def test_amd_smi_without_unique_ids() -> None:
    """A user outside the groups of the GPUs gets numbers only: those of the driver's order."""
    listed = [{**each, "hip_uuid": "N/A"} for each in LISTED]
    answer = amd_smi(listed, [vram(0, 0), vram(1, 0)])
    assert [each.slot for each in answer.seen] == [Slot("0", "1"), Slot("1", "0")]
    answer = amd_smi([], [vram(0, 0), vram(1, 0)])
    assert [each.slot for each in answer.seen] == [Slot("0", "0"), Slot("1", "1")]


def test_amd_smi_with_memory_that_is_not_known() -> None:
    """Such a GPU is not used; the other one is."""
    answer = amd_smi(LISTED, [vram(0, "N/A"), vram(1, 0)])
    assert used(answer) == {"0": "its memory in use is not known"}
    assert used(amd_smi(LISTED, [{"gpu": 0, "mem_usage": "N/A"}])) == used(answer)


def test_rocm_smi() -> None:
    """Each card, with its unique ID as ROCR_VISIBLE_DEVICES takes it, and its memory in bytes."""
    cards = {
        "card1": {"Unique ID": "0x719d230578348e8c", "VRAM Total Used Memory (B)": "7028736"},
        "card0": {"Unique ID": "0xabcdef123456", "VRAM Total Used Memory (B)": "1073741824"},
        "card2": {"VRAM Total Used Memory (B)": "0"},
        "system": {"Driver version": "6.10.5"},
    }
    answer = read(AMD, f"rocm-smi\nWARNING: a GPU sleeps\n{json.dumps(cards)}\n")
    assert [each.slot for each in answer.seen] == [
        Slot("0", "GPU-0000abcdef123456"),
        Slot("1", "GPU-719d230578348e8c"),
        Slot("2", "2"),
    ]
    assert used(answer) == {"0": "1,024 MiB in use by others"}


@pytest.mark.parametrize("text", ["rocm-smi\nnothing\n", "amd-smi\n[]\n====\nnothing\n", "nothing"])
def test_amd_answers_that_are_not_valid(text: str) -> None:
    """No slot counts as free."""
    assert "printed an unexpected line" in read(AMD, text).words


def test_the_programs_of_amd(tmp_path: Path) -> None:
    """``amd-smi`` is asked where it gives unique IDs, else ``rocm-smi``, else ``amd-smi`` alone."""
    programs = tmp_path / "bin"
    programs.mkdir()
    gpus = FakeGpus(programs, [])

    def write(name: str, text: str) -> None:
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)

    metric = json.dumps([vram(0, 0)])
    write("amd-smi", f"""case $1$2 in list-e) exit 2;; metric*) echo '{metric}';; esac""")
    assert ask(gpus, AMD).seen == (SlotSeen(Slot("0", "0")),)
    write("rocm-smi", """echo '{"card0": {"Unique ID": "0x1234"}}'""")
    assert ask(gpus, AMD).seen[0].slot == Slot("0", "GPU-0000000000001234")
    listed = json.dumps(LISTED)
    write("amd-smi", f"""case $1 in list) echo '{listed}';; metric) echo '{metric}';; esac""")
    assert ask(gpus, AMD).seen == (SlotSeen(Slot("0", "GPU-9f444a2fb30adeb0")),)


# Processors, and the user's own probe.


def test_processors(gpus: FakeGpus) -> None:
    """A slot for each processor; no other number is believed."""
    assert len(ask(gpus, Pool("cpu", "nproc")).seen) >= 1
    assert free(read(Pool("cpu", "nproc"), "3\n")) == ["0", "1", "2"]
    for text in ("", "0", "-1", "many", "1e9", "99999999"):
        assert read(Pool("cpu", "nproc"), text).words.startswith("nproc printed an unexpected line")


OWN = Pool("gpu", "probe", command="echo MIG-1; echo; echo ' MIG-2 '")


def test_an_own_probe(gpus: FakeGpus) -> None:
    """Each line is a slot that is free; no line means that none is, which is no error."""
    assert free(ask(gpus, OWN)) == ["MIG-1", "MIG-2"]
    assert read(OWN, "") == ProbeAnswer()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\n", "the probe printed 'a b', which is no name of a slot"),
        ("a\na\n", "the probe printed 'a' twice"),
        ("\x1b[1m\n", "which is no name of a slot"),
        ("x" * 1000 + "!\n", "…', which is no name of a slot"),
        ("\n".join(map(str, range(10_001))), "the probe printed 10,001 slots"),
        (
            "some-long-name-of-a-slot\n" * 4_000,
            "the probe printed 64 KiB or more: let it print less",
        ),
    ],
)
def test_an_own_probe_that_is_wrong(text: str, words: str) -> None:
    """The words quote the line, shortened and without control characters."""
    answer = read(OWN, text)
    assert words in answer.words
    assert not answer.seen
    assert len(answer.words) < 250
    assert answer.words.isprintable()


# Any bytes.

LINES = st.sampled_from(
    [
        b"0, GPU-dfe75dfa-8528-2223, 0, Disabled, Default",
        b"[N/A], GPU-dfe75dfa, [N/A], , ",
        b"app, GPU-dfe75dfa-8528-2223, me, /usr/bin/python3",
        b"amd-smi",
        b"rocm-smi",
        b"====",
        b'[{"gpu": 0, "mem_usage": {"used_vram": "1 MB"}}]',
        b'{"gpu_data": [{"gpu": "\\u0663"}, {"gpu": true}, 1, []]}',
        b'{"card0": {"Unique ID": 5, "VRAM Total Used Memory (B)": []}, "card9": 1}',
        b"[" * 3000,
        "٣".encode(),
        b"8",
    ]
)


@given(
    kind=st.sampled_from(["nvidia", "amd", "nproc", "probe"]),
    data=st.lists(st.one_of(LINES, st.binary(max_size=30)), max_size=6),
    err=st.binary(max_size=20),
    status=st.sampled_from([0, 2, 9, 14, 127]),
)
@settings(max_examples=examples(40), deadline=None)
def test_any_bytes(kind: PoolKind, data: list[bytes], err: bytes, status: int) -> None:
    """Whatever a node prints gives slots or words, which a message can contain."""
    pool = Pool("gpu", kind)
    answer = read_answer(pool, Exited(status), b"\n".join(data), err)
    assert bool(answer.words) != bool(answer.seen) or (kind == "probe" and answer == ProbeAnswer())
    assert answer.words.isprintable()
    assert len({each.slot.key for each in answer.seen}) == len(answer.seen)
    for each in answer.seen:
        assert each.slot.id.isascii()
        assert each.slot.key.isprintable()
        assert "," not in each.slot.key
        assert each.used_by.isprintable()
