"""``run``, ``--shell`` and ``--chdir`` on real nodes, and what an exit status 127 says."""

from __future__ import annotations

from tests.e2e.runner import Pegasus


def test_shell_and_directory(pegasus: Pegasus) -> None:
    """The entry wins over the hosts file, and that over the command line, for each key."""
    home = pegasus.nodes[0].home
    for name in ("of-run", "of-host", "of-entry"):
        (home / name).mkdir()
    queue = (
        "- echo 1 $PWD $0\n"
        "- command: echo 2 $PWD $0\n  run: {chdir: of-entry}\n"
        "- command: echo 3 $PWD $0 ${BASH_VERSION:+bash}\n  run: {shell: bash -c}\n"
    )
    hosts = "- hostname: node-1\n  run: {chdir: of-host}\n"
    done = pegasus.run("q", "--chdir", "of-run", "--shell", "sh -ec", hosts=hosts, queue=queue)
    assert done.status == 0, done.stderr
    assert f"] 1 {home}/of-host sh" in done.stdout
    assert f"] 2 {home}/of-entry sh" in done.stdout
    assert f"] 3 {home}/of-host bash bash" in done.stdout
    done = pegasus.run("q", "--chdir", "of-run", hosts="- node-1\n", queue="- pwd\n")
    assert f"] {home}/of-run\n" in done.stdout


def test_missing_directory(pegasus: Pegasus) -> None:
    """A directory that a node does not have is named; the node goes on with other jobs."""
    queue = "- command: echo never\n  run: {chdir: not/there}\n- echo after\n"
    done = pegasus.run("q", hosts="- node-1\n", queue=queue)
    assert done.status == 1
    reason = "not started: the directory not/there does not exist in the home directory"
    assert f"=== done ({reason}) ===" in done.stderr
    assert "] after\n" in done.stdout
    assert "never\n" not in done.stdout
    assert "cannot be reached" not in done.stderr
    assert pegasus.queue_file.read_text() == ""
    back = pegasus.start_bare("retry", *pegasus.files()[1:2]).wait()
    assert back.status == 0, back.stderr
    assert "run: {chdir: not/there}" in pegasus.queue_file.read_text()


def test_missing_program(pegasus: Pegasus) -> None:
    """The first exit status 127 of a run is explained: where and how the command ran."""
    queue = "- command: X={{ x }} ./train.sh --lr {{ x }}\n  x: [1, 2, 3]\n"
    done = pegasus.run("q", hosts="- node-1\n", queue=queue)
    assert done.status == 1
    assert done.stderr.count("[Pegasus] Exit status 127: a program was not found on node-1.") == 1
    assert "The command ran in the home directory, under `sh -c`, without a login" in done.stderr
    assert "It begins with `./train.sh`." in done.stderr
