"""What `pegasus add` promises of demands and barriers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from pegasus.commands.add import AddSettings, add
from pegasus.errors import ExitStatus, PegasusError
from pegasus.launch import Launch
from pegasus.model import AtMost, Barrier, Demand, Entry
from pegasus.queue_file import (
    QueueFile,
    read_typed_barrier,
    read_typed_demand,
    typed_entries,
)
from tests.forked import run_forked


def added(queue: Path, **options: Any) -> str:
    """Run the command, and give the text of the queue file."""
    settings = AddSettings(queue_file=queue, color="never", **{"command": ("x",), **options})
    assert trio.run(add, settings) is ExitStatus.SUCCESS
    return queue.read_text()


def test_a_command_with_demands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are written as a person would write them."""
    queue = tmp_path / "queue.yaml"
    text = added(
        queue,
        params=("lr=1,2",),
        needs=("gpu=2", "cpu=8,ram=0"),
        where=("model=a100,h100", "a b=c", "model=b\\,c"),
        at_most=2,
    )
    assert text == (
        "- command: x\n  lr: [1, 2]\n  needs: {gpu: 2, cpu: 8, ram: 0}\n"
        "  where: {model: [a100, h100, 'b,c'], a b: c}\n  at_most: {running: 2}\n"
    )
    assert f"Added 2 jobs at the end of {queue}." in capfd.readouterr().err


def test_a_barrier(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It goes to the end or to the top."""
    queue = tmp_path / "queue.yaml"
    queue.write_text("- a\n")
    added(queue, command=(), barrier="succeeded")
    text = added(queue, command=(), barrier="ended", top=True)
    assert text == "- barrier: ended\n- a\n- barrier: succeeded\n"
    err = capfd.readouterr().err
    assert f"Added a barrier at the end of {queue}." in err
    assert f"Added a barrier at the top of {queue}." in err


def test_commands_that_are_added_together_count_together() -> None:
    """``--at-most`` limits all commands of one ``pegasus add -``."""
    demand = Demand(at_most=AtMost(2))
    one = typed_entries(["a"], (), demand)
    assert one == [Entry(("a",), (), None, demand)]
    limits = [each.demand.at_most for each in typed_entries(["a", "b"], (), demand)]
    assert limits[0] == limits[1]
    assert limits[0] is not None
    assert limits[0].of


NEED = "a need is a name of slots and their number: --needs gpu=2"


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ("gpu", f"--needs gpu: {NEED}"),
        ("=2", f"--needs =2: {NEED}"),
        ("1=2", f"--needs 1=2: {NEED}"),
        ("gpu=1,", f"--needs gpu=1,: {NEED}"),
        ("gpu=1,gpu=2", "--needs gpu=1,gpu=2: gpu is needed twice. Write one number."),
        ("gpu=x", "--needs gpu=x: the number of slots of gpu must be a whole number of at least"),
        ("gpu=-1", "--needs gpu=-1: the number of slots of gpu must be a whole number of at"),
        ("gpu=1000001", "--needs gpu=1000001: the number of slots of gpu must be at most 1,000,0"),
    ],
)
def test_wrong_needs(needs: str, words: str) -> None:
    """The message says what to type instead."""
    with pytest.raises(PegasusError) as caught:
        read_typed_demand([needs], [])
    assert str(caught.value).startswith(words)


def test_other_wrong_options() -> None:
    """The message says what to type instead."""
    with pytest.raises(PegasusError, match=r"--where model: a condition is a parameter"):
        read_typed_demand([], ["model"])
    with pytest.raises(PegasusError, match=r"--where: this is not UTF-8"):
        read_typed_demand([], ["model=\udcff"])
    with pytest.raises(PegasusError, match=r"--at-most 0: the number of jobs must be a whole"):
        read_typed_demand([], [], 0)
    with pytest.raises(PegasusError, match=r"--barrier done: a barrier is succeeded or ended"):
        read_typed_barrier("done")
    assert read_typed_barrier("ended") == Barrier("ended")
    assert read_typed_demand([], []) == Demand()


def test_where_and_how_they_run(tmp_path: Path) -> None:
    """``--shell`` and ``--chdir`` are in the entry, for each line of standard input; or refused."""
    add = partial(run_forked, cwd=tmp_path)
    done = add(["add", "--shell", "bash -lc", "--chdir", "work/a b", "--needs", "gpu=2", "make"])
    assert done.returncode == 0, done.stderr
    (entry,) = QueueFile(tmp_path / "queue.yaml").entries()
    assert isinstance(entry, Entry)
    assert entry.demand.launch == Launch("bash -lc", "work/a b")
    assert entry.demand.needs == (("gpu", 2),)
    for words, message in [
        (["--shell", "", "make"], "--shell '': "),
        (["--chdir", "~other", "make"], "--chdir '~other': "),
        (["--chdir", "x", "--barrier", "ended"], "--barrier stands without a command"),
    ]:
        done = add(["add", *words])
        assert done.returncode == 2
        assert done.stderr.startswith(f"[Pegasus] {message}")
    assert len(list(QueueFile(tmp_path / "queue.yaml").entries())) == 1


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("needs", {"needs": ("gpu=1",)}),
        ("where", {"where": ("model=a100",)}),
        ("at_most", {"at_most": 1}),
        ("run", {"launch": Launch("bash -lc")}),
        ("run", {"launch": Launch("", "work")}),
    ],
)
def test_a_parameter_with_the_name_of_a_key(
    tmp_path: Path, name: str, option: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """It is a parameter, unless the entry needs the key for an option: then nothing is added."""
    queue = tmp_path / "queue.yaml"
    text = added(queue, params=(f"{name}=1,2",))
    assert text == f"- command: x\n  {name}: [1, 2]\n"
    with pytest.raises(PegasusError, match=f"^--param {name}: beside --"):
        added(queue, params=(f"{name}=1,2",), **option)
    assert queue.read_text() == text
