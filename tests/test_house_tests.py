"""Enforces the architecture for the tests and the benchmarks: which part may import what.

Unit tests may import any module of Pegasus. The tests of the whole program start ``pegasus`` as
users do, and import from it public interfaces only. Benchmarks do so, too. Helpers that two test
modules share are in a module of their own.
"""

from __future__ import annotations

from pathlib import Path

from tests.house import imports, is_internal, other_modules, shown
from tests.test_house import SUB_INTERFACES

SHARED = {
    *("tests.blocks", "tests.contract", "tests.examples", "tests.launch_contract"),
    *("tests.forked", "tests.other_user", "tests.whole_frames", "tests.written"),
}
"""Helpers for unit tests and for tests of the whole program."""

MAY_IMPORT: dict[str, set[str]] = {
    "tests/browser/": {"tests.browser", "tests.nodes"},
    "tests/cluster/": {"tests.cluster", "tests.nodes"},
    "tests/completion/": {"tests.completion", "tests.nodes"},
    "tests/e2e/": {*SHARED, "tests.cluster", "tests.e2e", "tests.nodes"},
    "tests/faults/": {*SHARED, "tests.e2e", "tests.faults", "tests.nodes"},
    "tests/keepers/": {*SHARED, "tests.keepers", "tests.nodes"},
    "tests/manual/": {"tests.manual"},
    "tests/mutation/": {"tests.mutation"},
    "tests/nodes/": {"tests.nodes"},
    "tests/pictures/": set(),
    "tests/packaging/": {"tests.blocks", "tests.packaging"},
    "tests/slurm/": {
        *(*SHARED, "tests.cluster", "tests.e2e", "tests.faults", "tests.nodes", "tests.slurm"),
    },
    "tests/unit/": {*SHARED, "tests.fake_queue", "tests.fakes", "tests.unit"},
    "tests/": {"tests.examples", "tests.house", "tests.test_house"},
    "benchmarks/": {"benchmarks", "tests.cluster", "tests.nodes"},
    "noxfile.py": set(),
}
"""What each part may import of the tests and benchmarks. The first entry that fits applies."""

LISTED: dict[str, set[str]] = {
    # A part of the contract.
    "tests/launch_contract.py": {"tests.contract"},
    # The subject of these is a tool of the tests.
    "tests/unit/test_mutation.py": {"tests.mutation"},
    "tests/unit/test_shards.py": {"tests.faults"},
    "tests/unit/test_manual.py": {"tests.manual"},
    "tests/unit/test_messages_reference.py": {"tests.manual"},
    "tests/unit/test_packaging.py": {"tests.packaging"},
    # A fake nvidia-smi, which needs no node.
    "tests/unit/test_probes.py": {"tests.nodes.fake_gpu"},
    # Queue files, which the unit tests read and generate as well.
    "tests/faults/crash_points.py": {"tests.unit"},
    "tests/faults/test_bad_files.py": {"tests.unit"},
    "tests/faults/test_queue_file_crash.py": {"tests.unit"},
    "tests/faults/test_queue_file_crash_again.py": {"tests.unit"},
    "tests/faults/test_queue_file_crash_middle.py": {"tests.unit"},
    "tests/faults/test_queue_file_no_lock.py": {"tests.unit"},
    "tests/faults/test_queue_file_writer_crash.py": {"tests.unit"},
    # Records, which the unit tests write and read as well.
    "tests/faults/test_record_crash.py": {"tests.unit"},
    "tests/faults/test_taking_over_crash.py": {"tests.unit"},
    "tests/faults/slot_taker.py": {"tests.unit"},
    "tests/faults/test_shared_slots_crash.py": {"tests.unit"},
    # The tutorial is followed with what is installed, too.
    "tests/e2e/test_tutorial.py": {"tests.packaging"},
    # How each sh reports a signal.
    "tests/keepers/test_detached_scripts.py": {"tests.unit"},
    # A local session with the script of Pegasus, as the unit tests of the script open it.
    "tests/faults/test_killed_shells.py": {"tests.unit"},
}
"""Further imports, each with its reason."""

INTERNALS: dict[str, set[str]] = {
    # The scripts of detached commands stop at their lines, and use another place for folders.
    "tests/faults/detached_program.py": {
        "pegasus.transport.follower",
        "pegasus.transport.keeper",
        "pegasus.transport.local",
    },
    # The time that the next two wait is the limit that Pegasus keeps.
    "tests/e2e/test_dropbear.py": {"pegasus.transport.shell"},
    "tests/faults/test_kill_trees.py": {"pegasus.transport.shell", "pegasus.transport.folder"},
    # The outcomes of what a killed Pegasus was running are constants of the run state.
    "tests/faults/test_record_crash.py": {"pegasus.run_state.jobs"},
    # A crash is simulated at a line, or in the middle of a system call, of these modules.
    "tests/faults/test_taking_over_crash.py": {"pegasus.record.folder"},
    "tests/faults/test_queue_file_writer_crash.py": {
        "pegasus.queue_file.departure",
        "pegasus.queue_file.writers",
    },
}
"""Modules inside packages that tests of the whole program import, each with its reason."""

KNOWN_SHARED_TESTS: set[str] = {
    "tests.unit.test_queue_file_fuzz",
    "tests.unit.test_script",
    "tests.unit.test_status",
}
"""Test modules from which others import and whose helpers are still to be moved."""


def parts_of(path: Path) -> set[str]:
    """Return what a module imports of the tests and benchmarks."""
    return {name for name in imports(path) if name.startswith(("tests", "benchmarks"))}


def is_within(name: str, packages: set[str]) -> bool:
    """Return whether a module is one of these packages, or in one of them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_parts_import_what_they_may() -> None:
    """A unit test needs no node, and the test nodes and benchmarks need no test."""
    wrong: list[str] = []
    for path in other_modules():
        starts = [start for start in MAY_IMPORT if shown(path).startswith(start)]
        allowed = MAY_IMPORT[starts[0]] | LISTED.get(shown(path), set())
        found = sorted(parts_of(path))
        wrong += [f"{shown(path)}: {name}" for name in found if not is_within(name, allowed)]
    assert wrong == []


def of_the_program(path: Path) -> set[str]:
    """Return what a module imports of Pegasus."""
    return {name for name in imports(path) if name.partition(".")[0] == "pegasus"}


def test_tools_do_without_the_program() -> None:
    """The test nodes, the mutation session and the checks of packages work without Pegasus."""
    folders = ("tests/nodes/", "tests/mutation/", "tests/packaging/")
    tools = [path for path in other_modules() if shown(path).startswith(folders)]
    assert [shown(path) for path in tools if of_the_program(path)] == []


def test_public_interfaces_only() -> None:
    """Benchmarks and tests of the whole program import public interfaces of Pegasus."""
    folders = ("tests/e2e/", "tests/faults/", "benchmarks/")
    inside = {
        shown(path): {name for name in of_the_program(path) if is_internal(name)}
        - set(SUB_INTERFACES)
        for path in other_modules()
        if shown(path).startswith(folders)
    }
    assert {path: names for path, names in inside.items() if names} == INTERNALS


def test_listed_imports_are_used() -> None:
    """LISTED contains no import that a module does without."""
    used = {shown(path): parts_of(path) for path in other_modules()}
    unused = [
        f"{path}: {package}"
        for path, packages in LISTED.items()
        for package in packages
        if not any(is_within(name, {package}) for name in used.get(path, set()))
    ]
    assert unused == []


def test_helpers_are_not_in_test_modules() -> None:
    """What two test modules share is in a module that pytest does not collect."""
    shared = {
        name
        for path in other_modules()
        for name in parts_of(path)
        if name.rpartition(".")[2].startswith("test_") and name != "tests.test_house"
    }
    assert shared == KNOWN_SHARED_TESTS
