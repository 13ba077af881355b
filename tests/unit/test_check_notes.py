"""What `pegasus check` notes: entries that are allowed, and in which something else was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegasus.cli.app import app
from pegasus.findings import find
from pegasus.findings.notes import (
    OPTIONS_OF_BROADCAST,
    OPTIONS_WITH_VALUE,
    OPTIONS_WITHOUT_VALUE,
)


def queue_notes(folder: Path, queue: str) -> list[str]:
    """Give the notes on a queue, without the name of the file."""
    hosts, path = folder / "hosts.yaml", folder / "queue.yaml"
    hosts.write_text("- localhost\n", encoding="utf-8")
    path.write_text(queue, encoding="utf-8")
    found = find(hosts, path)
    assert found.faults == ()
    return [str(note).removeprefix(f"{path}:") for note in found.notes]


@pytest.mark.parametrize(
    ("pair", "typed"),
    [
        ("timeout: 3s", "q --timeout 3s`"),
        ("Timeout: [3s, 4s]", "q --timeout ...`"),
        ("retries: 3", "q --retries 3`"),
        ("retry: 3", "q --retries 3`"),
        ("retry_on: exit:137", "q --retry-on exit:137`"),
        ("notify: say it", "q --notify 'say it'`"),
        ("detach: true", "q --detach`"),
        ("stall: 30m", "q --stall 30m`"),
        ("max-failures: 3", "q --max-failures 3`"),
        ("batch: 2", "b --batch 2`"),
        ("chdir: work", "q --chdir work`, or in the entry `run: {chdir: ...}`"),
    ],
)
def test_a_parameter_named_like_an_option(tmp_path: Path, pair: str, typed: str) -> None:
    """It is said once that it sets nothing, with the option to type."""
    entry = f"- command: x\n  {pair}\n"
    name = pair.partition(":")[0]
    assert queue_notes(tmp_path, entry * 2) == [
        (
            f'2:3: note: "{name}" is a parameter for templates here, and sets nothing. If it is '
            f"not meant as one, write `pegasus {typed}."
        )
    ]


@pytest.mark.parametrize(
    ("pair", "needs"),
    [
        ("gpus: 4", "gpu: 4"),
        ("gpu: '2'", "gpu: 2"),
        ("num_gpus: 1", "gpu: 1"),
        ("CPUs: 8", "cpu: 8"),
    ],
)
def test_a_number_of_gpus(tmp_path: Path, pair: str, needs: str) -> None:
    """What looks like a demand, and no command uses, is said to be a parameter."""
    name = pair.partition(":")[0]
    assert queue_notes(tmp_path, f"- command: x\n  {pair}\n") == [
        (
            f'2:3: note: "{name}" is a parameter for templates here. If it is not meant as one, '
            f"write `needs: {{{needs}}}`."
        )
    ]


@pytest.mark.parametrize(
    ("pair", "place", "what", "ids"),
    [
        ("gpus: 4", "2:3", '"gpus" is a parameter for templates, and no slots', "4"),
        ("num_gpus: 2", "2:3", '"num_gpus" is a parameter for templates, and no slots', "2"),
        ("gpu: 0-3", "2:8", '"0-3" is one text, so this is one sub-node', "0-3"),
    ],
)
def test_gpus_of_a_host(tmp_path: Path, pair: str, place: str, what: str, ids: str) -> None:
    """What looks like slots is said to be a parameter; a range also where a command uses it."""
    path = tmp_path / "hosts.yaml"
    path.write_text(f"- hostname: node-1\n  {pair}\n")
    queue = tmp_path / "queue.yaml"
    queue.write_text("- x {{ gpu }}\n" if "-" in pair else "- x\n")
    (note,) = find(path, queue).notes
    assert str(note).startswith(f"{path}:{place}: note: {what}. For a job on each ")
    assert f" write `slots: {{gpu: {ids}}}`" in str(note)


HOSTS_AS_MEANT = [
    *("gpu: 0", "gpu: [0-3, 4-7]", "gpu: '0-3'", "gpu: 3-0", "cores: 0-31", "gpus: [0, 1]"),
    *("gpus: many", "gpus: 0", "gpus: 1234", "gpu: 0-99999999999", "ngpus: 4"),
    *("gpus: 4\n  slots: {gpu: 0-3}", "gpu: 0-3\n  slots: {disk: 2}"),
]


@pytest.mark.parametrize("pair", HOSTS_AS_MEANT)
def test_hosts_without_a_note(tmp_path: Path, pair: str) -> None:
    """One GPU, sets of them, a text in quotes, ranges for other programs, and what is used."""
    path = tmp_path / "hosts.yaml"
    path.write_text(f"- hostname: node-1\n  {pair}\n")
    (tmp_path / "queue.yaml").write_text("- command: x\n  where: {ngpus: 4}\n- y\n")
    assert find(path, tmp_path / "queue.yaml").notes == ()


def test_single_braces_around_a_parameter(tmp_path: Path) -> None:
    """They are plain text for templates: the tag to write is named."""
    for braces in ("{ lr }", "{lr}"):
        assert queue_notes(tmp_path, f"- command: echo {braces}\n  lr: [1, 2]\n") == [
            (
                '1:12: note: "lr" stands in single braces here, which are plain text. For its '
                "value write `{{ lr }}`."
            )
        ]


def test_numbers_with_commas_and_no_brackets(tmp_path: Path) -> None:
    """They are one text, and the list that was probably meant is shown."""
    assert queue_notes(tmp_path, "- command: x {{ lr }}\n  lr: 1, 2e-3\n") == [
        (
            '2:7: note: the value of "lr" is one text, no list. For a list write `[1, 2e-3]`, else '
            "quote the text."
        )
    ]


@pytest.mark.parametrize("text", ["barrier", "barrier succeeded"])
def test_a_barrier_without_a_colon(tmp_path: Path, text: str) -> None:
    """It is a command, and the form of a barrier is shown."""
    assert queue_notes(tmp_path, f"- {text}\n") == [
        (
            f'1:3: note: "{text}" is a command here, and no barrier. Write "- barrier: '
            'succeeded" or "- barrier: ended".'
        )
    ]


@pytest.mark.parametrize(
    "entry",
    [
        "{command: 'x {{ timeout }}', timeout: [1, 2]}",
        "{command: [x, 'y {{#if retries}}a{{/if}}'], retries: 3}",
        "{command: x, seed: [1, 2, 3]}",
        "{command: 'echo ${lr} ${ lr }', lr: 1}",
        "{command: 'lr={{ lr }} python -c ''print(f\"{lr}\")''', lr: 1}",
        "{command: 'echo {other}', lr: 1}",
        "{command: 'echo {lr,x}', lr: 1}",
        "{command: x, gpus: '1, 2'}",
        '{command: x, gpus: "1, 2"}',
        "{command: x, seed: 1-5, date: 2024-01-02}",
        "{command: x, gpus: 4, needs: {gpu: 0}}",
        "{command: x, gpu: 0, cpus: 04}",
        "{command: x, who: 'Smith, 2'}",
        "'barrier'",
        "barrier.sh",
    ],
)
def test_what_may_be_meant_has_no_note(tmp_path: Path, entry: str) -> None:
    """A parameter that is used, or that only repeats a job, and texts in quotes are no mistake."""
    assert queue_notes(tmp_path, f"- {entry}\n") == []


def test_a_text_with_commas_that_is_no_list_of_numbers(tmp_path: Path) -> None:
    """Numbers without a blank, as for CUDA_VISIBLE_DEVICES, and other words are texts."""
    for value in ("0,1", "a, b", "1, b", "1,"):
        assert queue_notes(tmp_path, f"- command: x {{{{ v }}}}\n  v: {value}\n") == []


def test_the_options_exist() -> None:
    """Each option that a note names is one of the command that it names."""
    for option in OPTIONS_WITH_VALUE | OPTIONS_WITHOUT_VALUE:
        command = "broadcast" if option in OPTIONS_OF_BROADCAST else "queue"
        names = [
            name for each in app[command].assemble_argument_collection() for name in each.names
        ]
        assert f"--{option}" in names
