"""Jobs that write down which slots they hold and when, and what a log of them says.

A job writes ``begin SLOTS RUN JOB PID`` and ``end SLOTS RUN JOB PID``. Where another command that
holds one of these slots still lives, it writes ``twice SLOTS …`` as well.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.runner import Pegasus
from tests.nodes import wait_until

_JOB = """\
me="$PEGASUS_SLOTS_GPU $PEGASUS_RUN $PEGASUS_JOB $$"; cd ~/{name} || exit
for slot in $(echo "$PEGASUS_SLOTS_GPU" | tr , ' '); do
  case $(cat /proc/$(cat holder-$slot 2>/dev/null || echo none)/stat 2>/dev/null) in
    "" | *") Z "*) ;; # it is gone, or a zombie that init has not seen yet
    *) echo "twice $me" >> log ;;
  esac
  echo $$ > holder-$slot
done
echo "begin $me" >> log
{work}
for slot in $(echo "$PEGASUS_SLOTS_GPU" | tr , ' '); do rm -f holder-$slot; done
echo "end $me" >> log
"""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log.

    Attributes:
        what: ``begin``, ``end`` or ``twice``.
        slots: the slots of the command.
        run: the name of its run.
        job: the number of its job.
    """

    what: str
    slots: tuple[str, ...]
    run: str
    job: int


@dataclass(frozen=True, slots=True)
class SlotLog:
    """A folder on a node with the log of the jobs there, and the gates that some wait for."""

    folder: Path
    name: str = field(default="")

    def job(self, work: str = ":") -> str:
        """Return the text of a job that writes down what it holds, as a block of a queue file."""
        text = _JOB.format(name=self.name, work=work)
        return "|\n" + "".join(f"    {line}\n" for line in text.splitlines())

    def entry(self, work: str = ":", needs: str = "", count: int = 1) -> str:
        """Return an entry of a queue file with a number of such jobs."""
        more = f"  needs: {{gpu: {needs}}}\n" if needs else ""
        return f"- command: {self.job(work)}{more}  n: {list(range(count))}\n"

    def gated(self, count: int) -> str:
        """Return an entry of jobs that ignore a polite end, until a gate is opened for a slot."""
        until = "until [ -e gate-$PEGASUS_SLOTS_GPU ]; do sleep 0.05; done"
        return self.entry(f"trap '' TERM HUP\n{until}", count=count)

    def open(self, *slots: int) -> None:
        """Open the gates of some slots."""
        for slot in slots:
            (self.folder / f"gate-{slot}").touch()

    def lines(self, *kinds: str) -> list[LogLine]:
        """Read the log."""
        path = self.folder / "log"
        text = path.read_text() if path.exists() else ""
        split = [line.split(" ") for line in text.split("\n")[:-1]]
        lines = [
            LogLine(what, tuple(slots.split(",")), run, int(job))
            for what, slots, run, job, _ in split
        ]
        return [line for line in lines if not kinds or line.what in kinds]

    def wait_for(self, kind: str, count: int = 1) -> list[LogLine]:
        """Wait until there are so many lines of a kind."""
        wait_until(lambda: len(self.lines(kind)) >= count, what=f"{count} times {kind!r}", limit=40)
        return self.lines(kind)

    def held(self) -> dict[str, LogLine]:
        """Replay the log; check that no slot is held twice; give who holds what at its end."""
        held: dict[str, LogLine] = {}
        for line in self.lines():
            assert line.what != "twice", line
            for slot in line.slots:
                if line.what == "begin":
                    assert slot not in held, (line, held[slot])
                    held[slot] = line
                else:
                    del held[slot]
        return held


@contextmanager
def slot_log(pegasus: Pegasus, host: str) -> Iterator[SlotLog]:
    """Make a folder for a log in the home on a node; it is removed after the block."""
    own = Path(pegasus.environment["HOME"])
    home = own if host == "localhost" else pegasus.nodes[host].home
    name = f"slots-{secrets.token_hex(4)}"
    (home / name).mkdir()
    try:
        yield SlotLog(home / name, name)
    finally:
        shutil.rmtree(home / name)
