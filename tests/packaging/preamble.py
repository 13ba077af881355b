"""Ends ``pegasus.pyz`` with a message where it cannot run; shiv runs this before Pegasus.

Rule: this file has to work on a Python that is too old for Pegasus; so some annotations are text.
shiv sets ``archive``, the path of the zipapp, and ``site_packages``, the folder into which it has
extracted what Pegasus requires.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

COMPILED = "_re2"
"""A compiled module that Pegasus requires: there is one file of it for each version of Python."""


def built_for(names: "list[str]") -> "tuple[list[str], str]":
    """Return the versions of Python, and the machine, for which the compiled module is there.

    The names are such as ``_re2.cpython-311-x86_64-linux-gnu.so``.
    """
    tags = [name.split(".")[1].split("-", 2) for name in names]
    versions = sorted({(int(tag[1][0]), int(tag[1][1:])) for tag in tags})
    machines = sorted({tag[2] for tag in tags})
    return [f"{major}.{minor}" for major, minor in versions], ", ".join(machines)


def end_where_it_cannot_run(archive: str, folder: Path) -> None:
    """End the process with status 2 if no file of the module is for this Python."""
    if PathFinder.find_spec(COMPILED, [str(folder)]) is not None:
        return
    found = sorted(path.name for path in folder.glob(COMPILED + ".cpython-*.so"))
    versions, machine = built_for(found)
    here = ".".join(map(str, sys.version_info[:3]))
    sys.stderr.write(
        f"{archive} runs with CPython {', '.join(versions)} on {machine}. This is Python {here} "
        f"({sys.implementation.cache_tag}) on {sys.platform}. Where there is another one, run "
        f"`python{versions[-1]} {archive}`; otherwise install Pegasus with pip.\n"
    )
    sys.exit(2)


if __name__ == "__main__":
    given = globals()
    end_where_it_cannot_run(given["archive"], Path(given["site_packages"], "re2"))
