"""``add`` and ``retry`` compare names with the hosts file, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.commands.add import AddSettings, add
from pegasus.errors import ExitStatus, PegasusError
from pegasus.findings import find_misfits
from pegasus.model import Entry
from tests.unit.typed_input import standard_input

HOSTS = "- hostname: [node-1, node-2]\n  model: [a100, h100]\n- node-3\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with a hosts file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    return tmp_path


QUEUE = Path("queue.yaml")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            AddSettings(queue_file=QUEUE, command=("echo {{ modell }}",)),
            '`echo {{ modell }}`: there is no parameter "modell". Did you mean "model"?',
        ),
        (
            AddSettings(queue_file=QUEUE, command=("echo {{ x }} {{ y }}",), params=("x=1,2",)),
            'there is no parameter "y"',
        ),
        (
            AddSettings(queue_file=QUEUE, command=("echo",), where=("modell=a100",)),
            '"where" asks for the parameter "modell"',
        ),
        (
            AddSettings(queue_file=QUEUE, command=("echo",), where=("model=b200",)),
            "no sub-node has that",
        ),
        (
            AddSettings(queue_file=QUEUE, command=("echo",), needs=("gpu=2",)),
            "no sub-node has a pool of that name",
        ),
    ],
)
async def test_refused(folder: Path, settings: AddSettings, words: str) -> None:
    """A job with a name that no sub-node has is not added, and the message names the file."""
    with pytest.raises(PegasusError) as caught:
        await add(settings)
    assert words in str(caught.value)
    assert "Nothing was added." in str(caught.value)
    assert not (folder / QUEUE).exists()


async def test_a_line_of_standard_input(folder: Path) -> None:
    """The message names the line and its command, and both places for the name; a fault once."""
    lines = b"echo a\n\necho {{ x }}\necho {{ x }} 2\n"
    with standard_input(lines), pytest.raises(PegasusError) as caught:
        await add(AddSettings(queue_file=QUEUE, command=("-",)))
    said = str(caught.value)
    assert said.startswith('standard input:3: `echo {{ x }}`: there is no parameter "x".')
    assert "Add `--param x=…`, or name it in hosts.yaml. 1 more command does not fit" in said
    assert not (folder / QUEUE).exists()


@pytest.mark.parametrize("command", ["echo {{ hostname }}", "echo {{ model }}", "echo plain"])
async def test_added(folder: Path, command: str) -> None:
    """A job that one of the sub-nodes can run is added."""
    assert await add(AddSettings(queue_file=QUEUE, command=(command,))) is ExitStatus.SUCCESS
    assert command in (folder / "queue.yaml").read_text()


@pytest.mark.parametrize("text", [None, "- [\n", "- slurm: {}\n", ""])
async def test_nothing_to_compare_with(folder: Path, text: str | None) -> None:
    """Without a hosts file, or with a faulty one, the job is added."""
    (folder / "hosts.yaml").unlink()
    if text is not None:
        (folder / "hosts.yaml").write_text(text)
    assert (
        await add(AddSettings(queue_file=QUEUE, command=("echo {{ anything }}",)))
        is ExitStatus.SUCCESS
    )


def test_a_queue_elsewhere(folder: Path) -> None:
    """The hosts file of this folder is not meant for a queue of another one, unless it is named."""
    entries = [Entry(("echo {{ nope }}",))]
    assert find_misfits(Path("hosts.yaml"), Path("elsewhere/queue.yaml"), entries) == []
    assert find_misfits(folder / "hosts.yaml", Path("elsewhere/queue.yaml"), entries) != []
