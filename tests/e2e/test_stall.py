"""``--stall``: a silent command is reported, and goes on as if nothing had been said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.journals import events
from tests.e2e.notifying import kinds_given, saving
from tests.e2e.run_desk import RunDesk, quoted, wait_for
from tests.e2e.runner import Pegasus
from tests.nodes import wait_until


@pytest.mark.parametrize("host", ["localhost", "node-1"])
def test_a_stall_that_is_none(run_desk: RunDesk, host: str) -> None:
    """It is reported once for each silence, also to the notifier; the job succeeds."""
    there = run_desk.there
    folder = there.folder if host == "localhost" else there.nodes[host].home
    first, second = folder / "first-gate", folder / "second-gate"
    text = f"echo begun; {wait_for(first)}; echo between; {wait_for(second)}; echo ended"
    options = ("--stall", "0.5", "--notify", saving(there))
    running = there.start("q", *options, hosts=f"- {host}\n", queue=f"- {quoted(text)}\n")
    running.wait_for(f"[Pegasus] {host}: job 1 has printed nothing for 0.5 s")
    (execution,) = run_desk.run()["jobs"][0]["executions"]
    assert execution["silent_since"] > execution["started_at"]
    assert f"{host}: job 1 has printed nothing for " in run_desk.tell("status").stdout
    first.touch()
    running.wait_for("between", on="stdout")
    running.wait_for("has printed nothing", times=2)
    second.touch()
    done = running.wait()
    for gate in (first, second):
        gate.unlink()
    assert done.status == 0
    assert done.stderr.count("has printed nothing") == 2
    assert "] ended\n" in done.stdout
    assert [each["job"] for each in events(there, "stalled")] == [1, 1]
    assert kinds_given(there) == [("stalled", 1), ("stalled", 1), ("run_ended", None)]
    (execution,) = run_desk.run()["jobs"][0]["executions"]
    assert "silent_since" not in execution


def test_a_command_that_prints_again(run_desk: RunDesk) -> None:
    """``status`` stops to report the silence as soon as the command has printed."""
    there = run_desk.there
    first, second = there.folder / "first-gate", there.folder / "second-gate"
    tick = "while [ ! -e second ]; do echo tick; sleep 0.05; done".replace("second", str(second))
    queue = f"- {quoted(f'{wait_for(first)}; {tick}')}\n".replace(
        f"[ ! -e {second} ]", f'[ ! -e \\"{second}\\" ]'
    )
    running = there.start("q", "--stall", "0.5", hosts="- localhost\n", queue=queue)
    running.wait_for("has printed nothing")
    first.touch()
    running.wait_for("tick", on="stdout")

    def execution() -> dict[str, Any]:
        (found,) = run_desk.run()["jobs"][0]["executions"]
        return dict(found)

    wait_until(lambda: "silent_since" not in execution())
    second.touch()
    assert running.wait().status == 0


def test_a_reader_that_stalls_the_screen(pegasus: Pegasus) -> None:
    """A job that cannot print, because nobody reads the screen, is not reported as silent."""
    reported = pegasus.folder / "reported"
    quiet = f"until [ -e {reported} ]; do sleep 0.05; done"
    queue = f"- yes | head -n 20000\n- {quiet}\n"
    script = 'exec "$@" 2>err | { while [ ! -e reported ]; do sleep 0.05; done; cat >out; }'
    shell = pegasus.__class__(
        pegasus.folder, pegasus.nodes, pegasus.environment, ("sh", "-c", script, "sh")
    )
    hosts = "- localhost\n- localhost\n"
    running = shell.start_bare(*_with_files(pegasus, hosts, queue), "--stall", "0.5")
    err = pegasus.folder / "err"
    wait_until(lambda: err.exists() and "has printed nothing" in err.read_text())
    reported.touch()
    assert running.wait().status == 0
    shell.end()
    assert {each["job"] for each in events(pegasus, "stalled")} == {2}


def _with_files(pegasus: Pegasus, hosts: str, queue: str) -> list[str]:
    pegasus.hosts_file.write_text(hosts)
    pegasus.queue_file.write_text(queue)
    return [*pegasus.program, "q", *pegasus.files()]
