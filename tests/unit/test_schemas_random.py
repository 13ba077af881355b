"""Promises of the JSON Schemas for files that nobody would write: they judge as Pegasus does."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pegasus.schemas import SchemaName
from tests.examples import examples
from tests.unit.editors import VERSIONS, file_faults, refusals, schema_faults
from tests.unit.queue_texts import QueueText, queue_texts

MANY = settings(max_examples=examples(300), deadline=None)

TEXTS = ["a", "gpu0", "5", "1.5", "1e-3", "yes", "null", "~", "0x1F", "2001-01-01", "'b-1'"]
"""What may stand for a host, a command and a value, though an editor sees other values."""

WRONG_IN_ANY_PLACE = ["{}", "[]", "[[a]]", "[{a: b}]", "{a: {b: {c: d}}}"]

text = st.sampled_from(TEXTS)
values = text | st.lists(text, min_size=1, max_size=3).map(lambda each: f"[{', '.join(each)}]")


def braces(pairs: Mapping[str, str]) -> str:
    """Write a mapping."""
    return "{" + ", ".join(f"{name}: {value}" for name, value in pairs.items()) + "}"


def mapping(
    usual: dict[str, st.SearchStrategy[str]], names: dict[str, st.SearchStrategy[str]]
) -> st.SearchStrategy[str]:
    """Give mappings: the usual keys are mostly there, each of the other names sometimes."""
    optional = {**usual, **names}
    full = st.fixed_dictionaries(usual, optional=names)
    return (full | st.fixed_dictionaries({}, optional=optional)).map(braces)


def mostly(good: st.SearchStrategy[str], *wrong: str) -> st.SearchStrategy[str]:
    """Give good values, and sometimes a wrong one."""
    return st.one_of(good, good, good, st.sampled_from([*wrong, *WRONG_IN_ANY_PLACE]))


run = mapping(
    {"chdir": mostly(text, "''", "$HOME", "'{{ x }}'", "~bob", "[a]")},
    {"shell": mostly(text, "''", "' '", "'{{ x }}'", "[a]"), "shel": text},
)
pool = st.sampled_from(["8", "'8'", "0-3", "'0-1,6'", "[0, 1]", "[red, 3-4]", "nproc", "nvidia"])
wrong_pools = ["0", "-1", "1.5", "4097", "red", "yes", "null", "''", "nproc 3", "[amd]", "['a b']"]
slots = mapping(
    {"gpu": mostly(pool, *wrong_pools)},
    {
        "cpu": mapping({"probe": mostly(text, "''")}, {"x": text}),
        "1x": pool,
        "'a b'": pool,
    },
)
option = mostly(values)
slurm = mapping({"nodes": option}, {"time": option, "array": option, "Nodes": option})
count = mostly(st.sampled_from(["0", "2", "'3'", "1000000"]), "-1", "1.5", "two", "yes", "1000001")
needs = mapping({"gpu": count}, {"cpu": count, "1x": count})
where = mapping({"model": mostly(values)}, {"hostname": mostly(values), "'a b'": values})
at_most = mapping({"running": count}, {"of": mostly(text, "''", "' x'"), "off": text})

ITEMS: dict[SchemaName, st.SearchStrategy[str]] = {
    "hosts": mapping(
        {"hostname": mostly(values, "''", "-x", "'a b'")},
        {
            "slots": slots | values,
            "slurm": slurm | values,
            "run": run | values,
            "x": mostly(values),
            "needs": needs | values,
        },
    ),
    "queue": mapping(
        {"command": mostly(values, "''", "' '")},
        {
            "needs": needs | values,
            "where": where | values,
            "at_most": at_most | values,
            "run": run | values,
            "barrier": mostly(st.sampled_from(["succeeded", "ended"]), "other"),
            "x": mostly(values),
            "slots": slots | values,
        },
    ),
}


@pytest.mark.parametrize("name", ["hosts", "queue"])
def test_any_item(name: SchemaName) -> None:
    """The schema refuses an item if Pegasus does, and only then, in each version of YAML."""

    @MANY
    @given(ITEMS[name] | mostly(text, "''"))
    def judge(item: str) -> None:
        file = f"- {item}\n"
        faults = file_faults(name, file, Path(folder))
        event("refused" if faults else "accepted")
        assert refusals(name, file) == (len(VERSIONS) if faults else 0), faults

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")
        patch.setenv("SLURM_JOB_NODELIST", "c[1-2]")
        judge()


@settings(max_examples=examples(50), deadline=None)
@given(queue_texts())
def test_any_style(written: QueueText) -> None:
    """A queue file is accepted in whatever style it is written."""
    assert schema_faults("queue", written.data.decode("utf-8-sig")) == []
