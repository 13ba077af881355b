"""Enforces the architecture of docs/why/house.md: floors, doors, public interfaces and sizes.

A room is a top-level module or package of Pegasus. Imports go to lower floors only. A library
that stands for something outside is a door: only the rooms that are listed for it may import it.
"""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.house import (
    ROOT,
    SOURCE,
    imports,
    in_source,
    is_internal,
    modules,
    other_modules,
    room_of,
    shown,
    tree_of,
)

FLOORS = {
    "__init__": 0,
    "buffers": 0,
    "colour": 0,
    "duration": 0,
    "launch": 0,
    "errors": 0,
    "model": 0,
    "schemas": 0,
    "share": 0,
    "demand": 1,
    "destination": 1,
    "estimate": 1,
    "events": 1,
    "grid": 1,
    "holds": 1,
    "lines": 1,
    "living": 1,
    "node_sets": 1,
    "ownership": 1,
    "shell_text": 1,
    "slot_words": 1,
    "starting": 1,
    "template": 1,
    "terminal_modes": 1,
    "terminal_text": 1,
    "barriers": 2,
    "durable": 2,
    "editor": 2,
    "interrupt": 2,
    "probes": 2,
    "placement": 2,
    "process": 2,
    "standard_streams": 2,
    "allocation": 2,
    "rendered": 2,
    "detachment": 2,
    "launch_text": 2,
    "picker": 2,
    "last_line": 2,
    "retry_causes": 2,
    "run_state": 2,
    "sub_node_names": 2,
    "writer_thread": 2,
    "yaml_text": 2,
    "dispatch": 3,
    "event_bus": 3,
    "hosts_file": 3,
    "orders": 3,
    "panel": 3,
    "queue_file": 3,
    "record": 3,
    "screen": 3,
    "transport": 3,
    "allocations": 4,
    "digest": 4,
    "candidates": 4,
    "findings": 4,
    "notifier": 4,
    "gather": 4,
    "shared_slots": 4,
    "stalls": 4,
    "report": 4,
    "resuming": 4,
    "commands": 5,
    "options": 5,
    "cli": 6,
    "__main__": 7,
}
"""The floor of each room."""

STAIRS = {
    ("errors", "model"),
    ("__init__", "errors"),
    ("model", "launch"),
    ("launch_text", "yaml_text"),
}
"""Imports within a floor: an error contains a position, which ``model`` defines; ``model`` is as
large as a file may be; and both kinds of files have ``run``, whose readers may not import each
other."""

DOORS: dict[str, set[str]] = {
    "yaml": {"yaml_text"},
    "ClusterShell": {"node_sets"},
    "filelock": {"queue_file"},
    "fcntl": {"allocations", "process", "queue_file", "record"},
    "chevron": {"template"},
    "jmespath": {"template"},
    "pluralizer": {"template"},
    "textcase": {"template"},
    "cyclopts": {"candidates", "cli", "options"},
    "jinja2": {"report"},
    "rich": {"cli", "screen", "terminal_text", "report", "panel"},
    "signal": {
        "interrupt",
        "process",
        "model",
        "editor",
        "queue_file",
        "terminal_modes",
        "retry_causes",
    },
    "subprocess": {"process", "terminal_modes"},
    "termios": {"editor", "terminal_modes"},
    "random": {"dispatch"},
    "re2": {"retry_causes"},
    "secrets": {"allocations", "transport"},
}
"""The libraries that stand for something outside, and the rooms that import them. ``model``,
``queue_file`` and ``retry_causes`` read names of signals from ``signal`` and send none."""

SUB_INTERFACES = {
    "pegasus.record.taking_over": "continues a record, and loads Trio",
    "pegasus.record.recording": "writes a record, and loads Trio, which the readers do without",
    "pegasus.queue_file.count_following": "counts the jobs beside a run, and loads Trio",
    "pegasus.queue_file.job_source": "takes the jobs of a run, and loads Trio",
    "pegasus.report.ends": "each reader loads only the report that it shows",
    "pegasus.report.job_numbers": "each reader loads only the report that it shows",
    "pegasus.report.left": "each reader loads only the report that it shows",
    "pegasus.report.outputs": "each reader loads only the report that it shows",
    "pegasus.report.overview": "each reader loads only the report that it shows",
    "pegasus.report.page": "loads jinja2, which no other command needs",
    "pegasus.report.page_file": "each reader loads only the report that it shows",
    "pegasus.report.results": "each reader loads only the report that it shows",
    "pegasus.report.results_table": "each reader loads only the report that it shows",
    "pegasus.report.retried": "each reader loads only the report that it shows",
    "pegasus.report.run_meant": "each reader loads only the report that it shows",
    "pegasus.report.status_json": "each reader loads only the report that it shows",
    "pegasus.report.summary": "each reader loads only the report that it shows",
    "pegasus.report.watching": "loads rich, as ``tables`` does",
    "pegasus.report.tables": "loads rich, which takes as long as all else that status needs",
}
"""Modules inside a package that are a public interface of it, each with the reason."""

EXITS = {"cli", "__main__"}
"""Rooms that may end the process."""

COMMANDS_LIMIT = 3_000
"""Lines in commands/, which only composes other rooms. This number goes up with a new command, such
as ``report`` or ``wait``, and otherwise only down."""

FILE_LIMIT = 400
FUNCTION_LIMIT = 60


def test_imports_go_down() -> None:
    """A room imports from lower floors only, and never from its own."""
    for path in modules():
        room = room_of(path)
        for name in imports(path):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top != "pegasus" or other in {"", room, "__version__"}:
                continue
            allowed = FLOORS[other] < FLOORS[room] or (room, other) in STAIRS
            assert allowed, f"{room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"


def test_every_room_has_a_floor() -> None:
    """Each top-level module and package has an entry in FLOORS."""
    without = {room_of(path) for path in modules()} - set(FLOORS)
    assert sorted(without) == [], "give it a floor, here and in docs/why/house.md"


def test_every_floor_has_its_room() -> None:
    """FLOORS and DOORS contain no room that does not exist."""
    listed = set(FLOORS).union(*DOORS.values(), *STAIRS)
    assert sorted(listed - {room_of(path) for path in modules()}) == [], "remove it"


def test_there_are_no_import_cycles() -> None:
    """No module imports itself by way of others, inside a package neither."""
    by_name = {name_of(path): path for path in modules()}
    graph = {name: set(imports(path)) & set(by_name) for name, path in by_name.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        pytest.fail(f"import cycle: {' <- '.join(fault.args[1])}")


def name_of(path: Path) -> str:
    """Return the full name of a module of Pegasus."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_doors() -> None:
    """A library that stands for something outside is imported by the rooms listed for it only."""
    for path in modules():
        room = room_of(path)
        for name in imports(path):
            top = name.partition(".")[0]
            if top in DOORS:
                assert room in DOORS[top], f"{room} imports {top}"


def test_every_door_is_used() -> None:
    """DOORS contains no room that does not import the library."""
    used = {(name.partition(".")[0], room_of(path)) for path in modules() for name in imports(path)}
    listed = {(library, room) for library, rooms in DOORS.items() for room in rooms}
    assert sorted(listed - used) == [], "remove the room from the door"


def internals() -> set[tuple[str, str]]:
    """Return which module imports which inside of a package of another room."""
    return {
        (in_source(path), name)
        for path in modules()
        for name in imports(path)
        if is_internal(name)
        and name not in SUB_INTERFACES
        and not name.startswith(f"pegasus.{room_of(path)}.")
    }


def test_rooms_use_public_interfaces() -> None:
    """A room imports what a package exports in its ``__init__``, and no module inside it."""
    assert sorted(internals()) == [], "export what is needed from the package"


def test_every_sub_interface_is_used() -> None:
    """SUB_INTERFACES contains no module that only its own package imports."""
    used = {
        name
        for path in modules()
        for name in imports(path)
        if not name.startswith(f"pegasus.{room_of(path)}.")
    }
    assert sorted(set(SUB_INTERFACES) - used) == [], "remove it from SUB_INTERFACES"


def test_commands_only_compose() -> None:
    """commands/ stays small: rules of the domain belong to lower rooms."""
    lines = sum(
        path.read_text(encoding="utf-8").count("\n") for path in (SOURCE / "commands").glob("*.py")
    )
    assert lines <= COMMANDS_LIMIT, f"commands/ has {lines} lines: move rules to a lower floor"


def test_who_prints_and_exits() -> None:
    """Output goes through the screen or a command's own output; only the outermost rooms exit."""
    for path in modules():
        room = room_of(path)
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called != "print", f"{shown(path)}:{node.lineno} prints"
                if called in {"sys.exit", "exit", "os._exit", "quit"}:
                    assert room in EXITS, f"{shown(path)}:{node.lineno} ends the process"


def test_only_rendered_makes_a_command() -> None:
    """A command is rendered and checked, since one room alone can create it."""
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "Command",
                "model.Command",
            }:
                assert room_of(path) == "rendered", f"{shown(path)}:{node.lineno} makes a Command"


def test_sizes() -> None:
    """A file has at most 400 lines, a function at most 60, and each module states its purpose."""
    for path in [*modules(), *other_modules()]:
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= FILE_LIMIT, f"{shown(path)} has {lines} lines: split it by noun"
        assert ast.get_docstring(tree_of(path)), f"{shown(path)} does not state its purpose"
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                long = (node.end_lineno or node.lineno) - node.lineno + 1
                where = f"{shown(path)}:{node.lineno} {node.name}"
                assert long <= FUNCTION_LIMIT, f"{where} has {long} lines: split it"


def test_no_module_without_a_noun() -> None:
    """No module collects what belongs nowhere."""
    names = {path.stem for path in [*modules(), *other_modules()]}
    assert not names & {"utils", "util", "helper", "common", "misc"}


def test_the_documented_floors() -> None:
    """The table of docs/why/house.md has each room once, on its floor."""
    plan = (ROOT / "docs" / "why" / "house.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (\d+) \| `(\w+)` \|", plan, re.MULTILINE)
    documented = sorted((room, int(floor)) for floor, room in table)
    floors = sorted((room, floor) for room, floor in FLOORS.items() if not room.startswith("__"))
    assert documented == floors
