"""The checks that CI and developers run: ``nox`` for all of it, ``nox -s unit-3.12`` for a part.

Sessions: unit (once for each Python that is usable here), unit_thorough (all examples), lint,
typing, source (the architecture, and the documents that the code determines), docs (the site, with
its links checked), browser (the HTML report in Chromium), completion (in bash, zsh and fish), e2e
(on every kind of test nodes that works here), e2e_docker and e2e_local for one kind, e2e_clients
for sessions without OpenSSH's multiplexing protocol, slurm (a cluster on this machine), trials,
reliability and mutation (long), estimate (a simulation), bench (Pegasus beside its peers), and
pictures and manual (those of the documents). package checks the wheel, the sdist and the zipapp,
and zipapp writes dist/pegasus.pyz.
Arguments after ``--`` are passed to pytest.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import nox

ROOT = Path(__file__).parent
ON_NODES = ("tests/e2e", "tests/faults", "tests/keepers")  # nodes, or minutes
IN_BROWSER = "tests/browser"
E2E_ON_SLURM = [
    *(
        f"tests/e2e/test_{name}.py"
        for name in (
            *("queue_mode", "broadcast", "terminal", "retry", "retry_on", "limit", "stall"),
            *("barriers", "demands", "gpus", "placement", "steering", "gather", "live", "resume"),
            *("rendered", "report", "logs", "shared_slots", "slots_shown", "status", "daemon"),
            *("notify", "foreign_text", "leftovers"),
        )
    ),
    "tests/faults/test_kill_trees.py",
    "tests/faults/test_interrupt_trials.py",
]
"""Tests of queue mode, broadcast, Ctrl-C and process trees, and what belongs to them."""

SOME_ON_SLURM = (
    *(f"tests/slurm/test_runs.py::{name}" for name in ("test_queue", "test_interrupted_twice")),
    "tests/slurm/test_runs.py::test_cancelled_allocation",
    *(f"tests/slurm/test_requested.py::{name}" for name in ("test_a_queue", "test_with_ssh")),
    "tests/slurm/test_requested_faults.py::test_killed_and_started_again",
)
"""What is most likely to break: one test of each promise, about a minute."""

IN_SHELLS = "tests/completion"
ON_SLURM = "tests/slurm"
REFERENCES = ("commands", "environment", "file", "messages")
OF_SOURCE = [  # of the source and the documents: the same with each Python
    *(f"tests/test_house{part}.py" for part in ("", "_names", "_tests")),
    *(f"tests/unit/test_{name}.py" for name in ("blocks", "manual", "template_manual")),
    *(f"tests/unit/test_{name}_reference.py" for name in REFERENCES),
]
"""What is in none of these are unit tests."""
ON_DOCKER = (  # where containers differ from sshds on loopback addresses
    "tests/e2e/test_nodes.py",
    "tests/e2e/test_queue_mode.py",
    "tests/faults/test_reliability.py",
)
WORKERS = {"docker": 5, "local": 6}  # as many as the processor has time for
TRIALS = "200"  # of the Ctrl-C experiment in full; the default run makes a few
VERSIONS = ("3.11", "3.12", "3.13", "3.14")  # a classifier in pyproject.toml means: tested
LINKS = ROOT / ".nox" / "interpreters"
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")

# Python compiles each module again at each start without its cache: where a machine switches the
# cache off, pytest prepares all tests in each worker, and every `pegasus` starts at half the speed.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "virtualenv"  # uv keeps old builds of an unchanged pyproject
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["unit", "lint", "typing", "source", "docs", "browser", "slurm_some", "e2e"]


def candidates(version: str) -> Iterator[Path]:
    """Yield the candidates for a Python version: on PATH, then in pyenv, newest first."""
    name = f"python{version}"
    for folder in os.get_exec_path():
        yield Path(folder, name)
    homes = {os.environ.get("PYENV_ROOT"), *(f"{home}/.pyenv" for home in own_homes())}
    for home in sorted(filter(None, homes)):
        yield from sorted(Path(home, "versions").glob(f"{version}.*/bin/{name}"), reverse=True)


def own_homes() -> set[str]:
    """Return the home directories that the environment and the system name."""
    homes = {os.environ.get("HOME", "")}
    with suppress(KeyError):
        homes.add(pwd.getpwuid(os.getuid()).pw_dir)
    return homes - {""}


def is_usable(python: Path, version: str) -> bool:
    """Return whether a file is this Python: some of pyenv's only print an error."""
    if not os.access(python, os.X_OK):
        return False
    program = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run(
        [python, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return done.returncode == 0 and done.stdout.decode().strip() == version


def usable_versions() -> list[str]:
    """Find the Pythons that can be used, and put them first on PATH for nox."""
    found: list[str] = []
    for version in VERSIONS:
        python = next((p for p in candidates(version) if is_usable(p, version)), None)
        if python is None:
            continue
        found.append(version)
        link = LINKS / f"python{version}"
        LINKS.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(python)
    os.environ["PATH"] = os.pathsep.join([str(LINKS), *os.get_exec_path()])
    return found


USABLE = usable_versions()


def install(session: nox.Session, *groups: str, others: Sequence[str] = ()) -> None:
    """Install the project with its dependency groups, and other packages."""
    session.install(".", *nox.project.dependency_groups(PYPROJECT, *groups), *others)


@nox.session(python=USABLE or VERSIONS[:1])
def unit(session: nox.Session) -> None:
    """Run all tests that need no node, with each Python that is usable here."""
    absent = [version for version in VERSIONS if version not in USABLE]
    if absent and session.python == USABLE[0]:
        session.log(f"not installed here, and so not tested with: Python {', '.join(absent)}")
    install(session, "tests")
    run_unit(session)


@nox.session
def unit_thorough(session: nox.Session) -> None:
    """Run them with all examples of each property; the unit sessions try a fifth."""
    install(session, "tests")
    run_unit(session, PEGASUS_EXAMPLES=os.environ.get("PEGASUS_EXAMPLES", "1"))


def run_unit(session: nox.Session, **environment: str) -> None:
    """Run the unit tests that may depend on the Python."""
    elsewhere = (*ON_NODES, IN_BROWSER, IN_SHELLS, ON_SLURM, *OF_SOURCE)
    others = (f"--ignore={each}" for each in elsewhere)
    # Some tests wait and others compute: a worker that is done takes over tests of another one.
    beside = ("--numprocesses=3", "--dist=worksteal")
    session.run("pytest", *beside, "tests", *others, *session.posargs, env=environment)


@nox.session
def source(session: nox.Session) -> None:
    """Check the architecture, and the documents that the code determines."""
    install(session, "tests")
    session.run("pytest", "--numprocesses=2", *OF_SOURCE, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the rules of ruff, its formatting, and the rules of flake8-async."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    # The optional rules (ASYNC9..) require a checkpoint on every path; dispatch must have none
    # between a take and its hand-over. Tests wait for conditions of processes that set no event;
    # fakes are async where the real objects are.
    ours = ("--extend-ignore=ASYNC9", "--per-file-ignores=tests/*:ASYNC110,ASYNC124")
    session.run("flake8", "--isolated", "--select=ASYNC", *ours, *asynchronous(), log=False)


def asynchronous() -> list[str]:
    """List the modules that could break a rule on async code: a third of them.

    Without a coroutine, Trio or a handler that catches a cancellation there is nothing to check.
    """
    subject = re.compile(r"^\s*async |^\s*(?:import|from) trio|BaseException|except:", re.MULTILINE)
    modules = sorted(path for part in ("src", "tests") for path in Path(part).rglob("*.py"))
    return [str(path) for path in modules if subject.search(path.read_text(encoding="utf-8"))]


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types with mypy in strict mode."""
    install(session, "typing", others=["nox"])  # for the types that this file uses
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site of the documents, in build/site/; a broken link or anchor is an error.

    This checks the links of docs/, examples/, README.md, CONTRIBUTING.md and CHANGELOG.md to files,
    pages and headings. Nothing is fetched.
    """
    session.install(*nox.project.dependency_groups(PYPROJECT, "docs"))
    strict = ("--nitpicky", "--fail-on-warning", "--fresh-env", "--quiet")
    trees = session.create_tmp()
    session.run("sphinx-build", *strict, "-c", "docs", "-d", trees, ".", "build/site")


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel, the sdist and the zipapp, and run them in clean environments."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "package"))
    session.run("python", "-m", "tests.packaging", "check", *(session.posargs or USABLE))


@nox.session
def zipapp(session: nox.Session) -> None:
    """Write dist/pegasus.pyz, which needs no pip, for each Python that is usable here."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "package"))
    session.run("python", "-m", "tests.packaging", "zipapp", *(session.posargs or USABLE))


@nox.session
def browser(session: nox.Session) -> None:
    """Read the HTML report in Chromium, as people do."""
    install(session, "browser")
    session.run("python", "-m", "tests.browser.needs")
    session.run("pytest", IN_BROWSER, *session.posargs)


@nox.session
def completion(session: nox.Session) -> None:
    """Complete command lines in bash, zsh and fish, at a terminal."""
    install(session, "tests")
    session.run("python", "-m", "tests.completion.needs")
    session.run("pytest", "--numprocesses=2", IN_SHELLS, *session.posargs)


@nox.session
def manual(session: nox.Session) -> None:
    """Generate docs/pegasus.1 and docs/reference/command-line.md from the command line."""
    install(session, "tests")
    session.run("python", "-m", "tests.manual")


@nox.session
def pictures(session: nox.Session) -> None:
    """Make the pictures of the documents, in docs/pictures/."""
    install(session, "browser")
    session.run("python", "-m", "tests.browser.needs")
    session.run("python", "-m", "tests.browser", "pictures")
    session.run("python", "-m", "tests.pictures")


def prepare(session: nox.Session) -> None:
    """Install the project and what the test nodes need."""
    install(session, "tests")
    session.run("python", "-m", "tests.nodes.needs")


def run_e2e(
    session: nox.Session, way: str, tests: Sequence[str] = ON_NODES, **environment: str
) -> None:
    """Run end-to-end tests on one kind of node."""
    session.log(f"end-to-end tests on {way} nodes")
    # Most of them wait, for example for a SIGKILL after ten seconds, so several run in parallel.
    beside = ("--numprocesses=4", "--dist=loadfile")
    env = {"PEGASUS_TEST_NODES": way, **environment}
    session.run("pytest", *beside, *tests, *session.posargs, env=env)


@nox.session
def e2e(session: nox.Session) -> None:
    """Run the end-to-end tests, each on one kind of node: on local ones what no container needs.

    Most of them fork Pegasus from a process that has imported it; e2e_local starts new ones only.
    """
    prepare(session)
    why = str(session.run("python", "-m", "tests.nodes", silent=True)).strip()
    ways = ("docker", "local") if why.startswith("nodes: docker") else ("local",)
    elsewhere = [f"--ignore={file}" for file in ON_DOCKER if "docker" in ways]
    tests = {"docker": ON_DOCKER, "local": (*ON_NODES, *elsewhere)}
    for way in ways:
        beside = (f"--numprocesses={WORKERS[way]}", "--dist=worksteal")
        run_e2e(session, way, (*tests[way], *beside), PEGASUS_TEST_FORK="1")
    session.log(f"ran the end-to-end tests on {' and on '.join(ways)} nodes ({why})")


@nox.session
def e2e_detached(session: nox.Session) -> None:
    """Run the end-to-end tests on local nodes with detached commands in all runs."""
    prepare(session)
    run_e2e(session, "local", ("tests/e2e",), PEGASUS_TEST_DETACH="1")


@nox.session
def slurm(session: nox.Session) -> None:
    """Run the tests that need a Slurm cluster, on one that they start on this machine, as root.

    These are the tests of Slurm itself, trials of its faults, and the end-to-end tests whose nodes
    may be those of an allocation.
    """
    prepare(session)
    session.run("python", "-m", "tests.cluster.needs")
    session.run("pytest", "--numprocesses=3", "--dist=loadfile", ON_SLURM, *session.posargs)
    run_e2e(session, "local", E2E_ON_SLURM, PEGASUS_TEST_SLURM="1")


@nox.session
def slurm_some(session: nox.Session) -> None:
    """Run a few tests on a Slurm cluster, where this user can start one on this machine."""
    prepare(session)
    if os.getuid() != 0:
        session.skip("a Slurm cluster needs root: slurmd starts processes as the user of the job")
    session.run("python", "-m", "tests.cluster.needs")
    session.run("pytest", "--numprocesses=2", "--dist=loadfile", *SOME_ON_SLURM, *session.posargs)


@nox.session
def slurm_reliability(session: nox.Session) -> None:
    """Measure the table of Slurm in docs/why/reliability.md: an hour on an otherwise idle machine.

    As root, on clusters that it starts on this machine.
    """
    prepare(session)
    session.run("python", "-m", "tests.cluster.needs")
    table = ("--trials=20", "--table=docs/why/reliability.md")
    session.run("python", "-m", "tests.slurm.reliability", *table, *session.posargs)


@nox.session
def e2e_docker(session: nox.Session) -> None:
    """Run the end-to-end tests on docker nodes."""
    prepare(session)
    run_e2e(session, "docker")


@nox.session
def e2e_local(session: nox.Session) -> None:
    """Run the end-to-end tests on local nodes."""
    prepare(session)
    run_e2e(session, "local")


@nox.session
def e2e_clients(session: nox.Session) -> None:
    """Run them on local nodes, each command with an ssh client instead of the mux protocol."""
    prepare(session)
    run_e2e(session, "local", PEGASUS_SSH_CLIENTS="1")


@nox.session
def trials(session: nox.Session) -> None:
    """Run the Ctrl-C experiment in full: 200 trials at random moments, on local nodes."""
    prepare(session)
    where = {"PEGASUS_TEST_NODES": "local", "PEGASUS_TRIALS": TRIALS}
    file = "tests/faults/test_interrupt_trials.py"
    session.run("pytest", "--timeout=5400", "-s", file, *session.posargs, env=where)


@nox.session
def reliability(session: nox.Session) -> None:
    """Measure the table of docs/why/reliability.md: over an hour on an otherwise idle machine."""
    prepare(session)
    session.run("pytest", "tests/faults/test_open_files.py", env={"PEGASUS_OPEN_FILES": "1024"})
    trials = ("--trials=50", "--crashes=500", "--detached=1000")
    table = (*trials, "--table=docs/why/reliability.md")
    session.run("python", "-m", "tests.faults.reliability", *table, *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Put faults into copies of Pegasus that the tests have to find: hours, or a --sample."""
    # Pegasus itself is not installed: what the tests start has to be the copy with the fault.
    session.install(*PYPROJECT["project"]["dependencies"])
    session.install(*nox.project.dependency_groups(PYPROJECT, "mutation"))
    session.run("python", "-m", "tests.nodes.needs")
    argv = ("nice", "python", "-m", "tests.mutation", *session.posargs)
    patience = 60.0  # after a Ctrl-C, for the tests to remove their nodes
    session.run(*argv, external=True, interrupt_timeout=patience, terminate_timeout=patience)


@nox.session
def estimate(session: nox.Session) -> None:
    """Print how good the estimate of the remaining time is: 1,000 simulated queues."""
    install(session, "tests")
    session.run("python", "-m", "tests.unit.simulated_runs", *(session.posargs or ("1000",)))


@nox.session
def bench(session: nox.Session) -> None:
    """Compare Pegasus with its peers, into benchmarks/RESULTS.md; 20 minutes on an idle machine."""
    install(session, "bench")
    session.run("python", "-m", "tests.nodes.needs")
    cache = f"--cache={ROOT / '.nox' / 'original'}"  # the original in Rust is built once
    session.run("python", "-m", "benchmarks", cache, *session.posargs)
