"""What is installed is complete: the checks of ``nox -s package`` find what is not."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging import contents
from tests.packaging.building import only, version_of
from tests.packaging.clean import Clean, find_python, make_clean, succeeded
from tests.packaging.steps import PackagingFault, run

ROOT = Path(__file__).resolve().parent.parent.parent
PREAMBLE = ROOT / "tests" / "packaging" / "preamble.py"
FILES = {"LICENSE", "docs/tutorial.md", "src/pegasus/__init__.py", "src/pegasus/a.schema.json"}
COMPLETE = {
    "pegasus/__init__.py",
    "pegasus/a.schema.json",
    "pegasus_ssh-2.0.dist-info/METADATA",
    "pegasus_ssh-2.0.dist-info/licenses/LICENSE",
}


def test_files_of_the_checkout() -> None:
    """The sdist must have the documents, the tests, the licence and the schemas."""
    files = contents.files_of(ROOT)
    wanted = {"LICENSE", "docs/tutorial.md", "tests/conftest.py", "noxfile.py"}
    assert wanted | {"src/pegasus/record/status.schema.json", "src/pegasus/py.typed"} <= files
    assert not [name for name in files if "__pycache__" in name]


def test_complete_distributions() -> None:
    """A complete sdist and wheel have no faults; the wheel may have manual pages."""
    manual = "pegasus_ssh-2.0.data/data/share/man/man1/pegasus.1"
    assert contents.faults_of_sdist({*FILES, "PKG-INFO"}, FILES) == []
    assert contents.faults_of_wheel({*COMPLETE, manual}, FILES) == []


def test_sdist_with_leftovers_and_without_files() -> None:
    """A missing file is found, and so is what a run in the checkout has left."""
    names = (FILES - {"LICENSE"}) | {"examples/sweep/consumed.yaml", "examples/a.yaml.lock"}
    assert contents.faults_of_sdist(names, FILES) == [
        "the sdist has no LICENSE",
        "the sdist has examples/a.yaml.lock: remove it here",
        "the sdist has examples/sweep/consumed.yaml: remove it here",
    ]


def test_wheel_with_tests_and_without_schemas() -> None:
    """A wheel has everything in src/, the licence, and nothing else."""
    names = {"pegasus/__init__.py", "tests/conftest.py", "pegasus_ssh-2.0.data/data/etc/a"}
    assert contents.faults_of_wheel(names, FILES) == [
        "the wheel has no pegasus/a.schema.json",
        "the wheel has pegasus_ssh-2.0.data/data/etc/a",
        "the wheel has tests/conftest.py",
        "the wheel has no LICENSE",
    ]


def test_different_wheels() -> None:
    """A file that differs between two wheels, or is in one of them only, is found."""
    found = contents.differences({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 4})
    assert [line.split()[-1] for line in found] == ["b", "c"]


def test_names_in_files(tmp_path: Path) -> None:
    """The names in an sdist are relative to its folder; a wheel has a checksum for each name."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("pegasus_ssh-2.0/src/a.py"), io.BytesIO())
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("pegasus/a.py", "one")
        archive.writestr("pegasus/b.py", "two")
    assert contents.names_in_sdist(tmp_path / "a.tar.gz") == {"src/a.py"}
    sums = contents.sums_in_wheel(tmp_path / "a.whl")
    assert set(sums) == {"pegasus/a.py", "pegasus/b.py"}
    assert sums["pegasus/a.py"] != sums["pegasus/b.py"]


def test_one_file_is_expected(tmp_path: Path) -> None:
    """A build that leaves two wheels, or none, is an error that names them."""
    with pytest.raises(PackagingFault, match="there is nothing"):
        only(tmp_path, "*.whl")
    for name in ("a-1.whl", "a-2.whl"):
        (tmp_path / name).touch()
    with pytest.raises(PackagingFault, match=r"a-1\.whl, a-2\.whl"):
        only(tmp_path, "*.whl")
    assert version_of(Path("pegasus_ssh-2.0.0.dev0-py3-none-any.whl")) == "2.0.0.dev0"


def test_a_step_that_fails() -> None:
    """A program that fails stops the check, with its command, status and output."""
    with pytest.raises(PackagingFault, match=r"`sh -c 'echo no; exit 3'` ended with 3:\nno"):
        run(["sh", "-c", "echo no; exit 3"])
    with pytest.raises(PackagingFault, match=r"python2\.9 is not on PATH"):
        find_python("2.9")


def test_a_clean_environment(tmp_path: Path) -> None:
    """A clean environment has the standard library only, and no variable of the user."""
    clean = make_clean(Path(sys.executable), tmp_path / "clean")
    with pytest.raises(PackagingFault, match="ModuleNotFoundError"):
        clean.run([clean.python, "-c", "import trio"])
    assert set(Clean(tmp_path).variables) == {"PATH", "HOME", "LANG"}


def test_jobs_that_succeeded() -> None:
    """All jobs of the starter files have to succeed, and there has to be one."""
    assert succeeded({"waiting": 0, "runs": [{"counts": {"succeeded": 5, "failed": 0}}]}) == 5
    for counts, waiting in (({"succeeded": 4, "failed": 1}, 0), ({}, 0), ({"succeeded": 1}, 1)):
        with pytest.raises(PackagingFault, match="should succeed"):
            succeeded({"waiting": waiting, "runs": [{"counts": counts}]})


def run_preamble(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the preamble of the zipapp, as shiv does, in front of a program that prints a word."""
    given = {"archive": "pegasus.pyz", "site_packages": str(folder)}
    program = (
        f"import runpy; runpy.run_path({str(PREAMBLE)!r}, {given!r}, '__main__'); print('ran')"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )


def test_zipapp_for_another_python(tmp_path: Path) -> None:
    """On a Python without its compiled modules, the zipapp ends with 2 and names the others."""
    (tmp_path / "re2").mkdir()
    for version in ("32", "311"):
        (tmp_path / "re2" / f"_re2.cpython-{version}-mips-linux-gnu.so").touch()
    done = run_preamble(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pegasus.pyz runs with CPython 3.2, 3.11 on mips-linux-gnu. This is" in done.stderr
    assert "`python3.11 pegasus.pyz`" in done.stderr


def test_zipapp_for_this_python(tmp_path: Path) -> None:
    """On a Python with its compiled modules, the zipapp starts Pegasus and prints nothing."""
    suffix = run([sys.executable, "-c", "import _imp; print(_imp.extension_suffixes()[0])"]).strip()
    (tmp_path / "re2").mkdir()
    (tmp_path / "re2" / f"_re2{suffix}").touch()
    done = run_preamble(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def project() -> Any:
    """Return the project table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def nox_versions() -> list[str]:
    """Return the Pythons for which noxfile.py looks."""
    line = re.search(
        r"^VERSIONS = \((.*?)\)", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE
    )
    assert line
    return re.findall(r'"([\d.]+)"', line[1])


def test_versions_agree() -> None:
    """Every Python of a classifier is tested by nox, and the oldest one is the one required."""
    classified = [
        name.rpartition(" ")[2]
        for name in project()["classifiers"]
        if name.startswith("Programming Language :: Python ::")
    ]
    assert set(classified) <= set(nox_versions())
    assert project()["requires-python"] == f">={nox_versions()[0]}"


def test_public_checks() -> None:
    """The workflow tests each of nox's Pythons, and its token can only read the repository."""
    text = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["unit"]["strategy"]["matrix"]["python"] == nox_versions()
    assert not [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job]
