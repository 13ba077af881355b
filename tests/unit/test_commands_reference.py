"""Promises of the reference: every command and every option that there is stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cyclopts import App

from pegasus.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text()
EVERYWHERE = {"--help", "-h", "--version", "-V"}


def commands() -> list[App]:
    """Give every command."""
    names = {name for name in app if not name.startswith("-")}
    return list({id(app[name]): app[name] for name in sorted(names)}.values())


def short_names(command: App) -> list[str]:
    """Give the other names of a command."""
    return [name for name in app if app[name] is command and name not in command.name]


def section(command: App) -> str:
    """Give what the page says about a command."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    heading = f"pegasus {command.name[0]}"
    (found,) = [each for each in sections if re.search(rf"`{heading}\b", each.splitlines()[0])]
    return found


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name[0])
def test_a_command_and_its_options_are_there(command: App) -> None:
    """Each command has a section, with its short name and all of its options in it."""
    text = section(command)
    for name in short_names(command):
        assert f"`pegasus {name}`" in text
    arguments = command.assemble_argument_collection(default_parameter=app.default_parameter)
    names = {name for argument in arguments for name in argument.names if name.startswith("-")}
    for name in names - EVERYWHERE:
        assert re.search(rf"`{name}[ `]", text), f"{name} is missing"


def test_the_table_at_the_top() -> None:
    """It has every command with its short name."""
    rows = re.findall(r"^\| `pegasus (\w+)` \| (?:`(\w)`)? ?\|", PAGE, re.MULTILINE)
    there = {(each.name[0], "".join(short_names(each))) for each in commands()}
    assert there <= set(rows)


def test_what_all_have_is_said_once() -> None:
    """Help and version are told at the top."""
    for name in EVERYWHERE:
        assert f"`{name}`" in PAGE or f"`pegasus {name}`" in PAGE
