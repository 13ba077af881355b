"""The account of a trial of detached commands: what each command did, and what is reported of it.

Rule 1: the evidence is what the commands noted, the journals, the recorded outputs, both files of
the queue, and the folders on the nodes. The output of Pegasus does not count.
Rule 2: all runs are over, and all nodes were reachable for the last one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.ledger import Account, names_in, whole_lines
from tests.faults.trial import read

LINES = 6
"""Lines that a command prints on each stream."""

PAUSE = 0.06
"""Seconds between two lines."""

BULK = 250
"""Kilobytes that one of the commands prints at once."""

COMMAND = """\
me="$PEGASUS_RUN $PEGASUS_JOB $PEGASUS_SUB_NODE {{{{ n }}}}"; echo "begin $me" >> {notes}; i=0
[ {{{{ n }}}} != 1 ] || dd if=/dev/zero bs=1000 count={bulk} 2>/dev/null | tr '\\0' b
while [ $i -lt {lines} ]; do
  i=$((i + 1)); echo "out {{{{ n }}}} $i"; echo "err {{{{ n }}}} $i" >&2; sleep {pause}
done
echo "end $me" >> {notes}; exit $(({{{{ n }}}} % 3))
"""


def queue_text(jobs: int, notes: Path) -> str:
    """Return a queue of jobs that note when they begin and end, and print known lines."""
    text = COMMAND.format(notes=notes, lines=LINES, pause=PAUSE, bulk=BULK)
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    numbers = ", ".join(map(str, range(jobs)))
    return f"# a comment\n- command: |\n{lines}\n  n: [{numbers}]\n# another\n"


def expected_output(name: str, stream: str) -> bytes:
    """Return what a job prints on a stream in an undisturbed run."""
    word = "out" if stream == "stdout" else "err"
    bulk = b"b" * (BULK * 1000) if name == "1" and stream == "stdout" else b""
    return bulk + "".join(f"{word} {name} {i}\n" for i in range(1, LINES + 1)).encode()


@dataclass(slots=True)
class Try:
    """One start of a command, as the journal of its run has it.

    Attributes:
        key: the name of its folder.
        ends: the outcomes; ``returned`` where it is said never to have started.
    """

    key: str
    ends: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class RunStory:
    """What the journal of a run says of its commands.

    Attributes:
        folder: of the run.
        mode: of the run.
        taken: the ``n`` of each job, by its number.
        tries: by job and sub-node.
        keys: of all folders that were made.
    """

    folder: Path
    mode: str = "queue"
    taken: dict[int, str] = field(default_factory=dict)
    tries: dict[tuple[int, int], list[Try]] = field(default_factory=lambda: defaultdict(list))
    keys: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, folder: Path) -> RunStory:
        """Read a journal."""
        story = cls(folder)
        for event in whole_lines(read(folder / "journal.jsonl") or b""):
            story.add(event)
        return story

    def add(self, event: dict[str, Any]) -> None:
        """Add a line."""
        place = (event.get("job", 0), event.get("sub_node", 0))
        match event["event"]:
            case "run_started":
                self.mode = event["mode"]
            case "taken":
                self.taken[event["job"]] = event["params"]["n"]
            case "prepared":
                self.keys.add(event["key"])
            case "started":
                self.tries[place].append(Try(event.get("detached", "")))
            case "returned":
                self.end(place, {"kind": "returned"})
            case "ended":
                self.end(place, event["outcome"])

    def end(self, place: tuple[int, int], outcome: dict[str, Any]) -> None:
        """Add an end to the last try."""
        if not self.tries[place]:
            self.tries[place].append(Try(""))
        self.tries[place][-1].ends.append(outcome)

    def is_settled(self) -> bool:
        """Return whether each start has an end."""
        return all(one.ends for tries in self.tries.values() for one in tries)

    def output(self, job: int, sub_node: int, stream: str) -> bytes:
        """Return a recorded output."""
        stem = f"{job}-{sub_node}" if self.mode == "broadcast" else str(job)
        return read(self.folder / "output" / f"{stem}.{stream}") or b""


def stories(folder: Path) -> list[RunStory]:
    """Read all journals beside a queue file."""
    return [RunStory.read(path.parent) for path in sorted(folder.glob(".pegasus/*/journal.jsonl"))]


def left_folders(base: Path) -> list[str]:
    """Return the folders of detached commands that are left."""
    return sorted(path.name for path in base.glob("pegasus-*/*"))


@dataclass(slots=True)
class DetachedLook:
    """What is known of a trial that is over.

    Attributes:
        folder: of the queue.
        notes: the file in which the commands note what they do.
        jobs: how many there were.
        may_be_lost: keys of commands whose keeper was killed; None: all of them may be lost.
    """

    folder: Path
    notes: Path
    jobs: int
    may_be_lost: set[str] | None
    account: Account = field(default_factory=Account)
    begun: Counter[tuple[str, int, int, str]] = field(default_factory=Counter)
    ended: Counter[tuple[str, int, int, str]] = field(default_factory=Counter)

    def settle(self) -> Account:
        """Account for every job."""
        self._read_notes()
        account, found = self.account, stories(self.folder)
        account.jobs = self.jobs
        for story in found:
            for job, name in story.taken.items():
                self._settle_job(story, job, name)
            if strange := {place for place in story.tries if place[0] not in story.taken}:
                account.wrong.append(
                    f"{story.folder.name}: ends of jobs that it has not: {strange}"
                )
        self._settle_files(found)
        return account

    def _read_notes(self) -> None:
        for line in (read(self.notes) or b"").decode().splitlines():
            what, run, job, sub_node, name = line.split()
            counts = self.begun if what == "begin" else self.ended
            counts[run, int(job), int(sub_node), name] += 1

    def _settle_files(self, found: list[RunStory]) -> None:
        account = self.account
        waits = names_in(self.folder / "queue.yaml")
        consumed = names_in(self.folder / "consumed.yaml")
        taken = Counter(name for story in found for name in story.taken.values())
        begun = {name for _, _, _, name in self.begun}
        for name in map(str, range(self.jobs)):
            if waits[name] + consumed[name] != 1 or taken[name] > 1:
                column = account.twice if taken[name] > 1 or waits[name] else account.lost
                words = f"waits {waits[name]}, consumed {consumed[name]}, taken {taken[name]}"
                column.append(f"{name}: {words}")
            if waits[name] and name in begun:
                account.wrong.append(f"{name} waits in the queue, and has begun")
            if consumed[name] and not taken[name]:
                account.unrecorded += 1
                if name in begun:
                    account.lost.append(f"{name} has begun, and no journal knows it")
        for (run, job, sub_node, name), count in self.begun.items():
            if count > 1:
                account.twice.append(f"{name} began {count} times on {sub_node} in {run} ({job})")

    def _settle_job(self, story: RunStory, job: int, name: str) -> None:
        account = self.account
        places = [place for place in story.tries if place[0] == job]
        begun = {key[2] for key in self.begun if key[3] == name}
        if story.mode == "queue" and len(begun) > 1:
            account.twice.append(f"{name} began on {begun}")
        if unknown := begun - {sub_node for _, sub_node in places}:
            account.wrong.append(f"{name} began on {unknown}, and is said not to have started")
        reported = not places
        for _, sub_node in places:
            tries = story.tries[job, sub_node]
            for words in self._faults_of(story, job, sub_node, name, tries):
                account.wrong.append(f"{name} on {sub_node}: {words}: {tries}")
            if any(len(one.ends) == 0 for one in tries):
                account.lost.append(f"{name} on {sub_node} has no end: {tries}")
            if any(len(one.ends) > 1 for one in tries):
                account.twice.append(f"{name} on {sub_node} has several ends: {tries}")
            last = tries[-1].ends[-1:] or [{"kind": "lost"}]
            account.counted[last[0]["kind"]] += 1
            reported |= last[0]["kind"] in {"lost", "not_started", "returned", "killed"}
        account.reported += reported
        account.ended += not reported

    def _faults_of(
        self, story: RunStory, job: int, sub_node: int, name: str, tries: list[Try]
    ) -> Iterator[str]:
        """Compare what is reported of a command with what it noted and printed."""
        begun = sum(n for k, n in self.begun.items() if k[2:] == (sub_node, name))
        ended = sum(n for k, n in self.ended.items() if k[2:] == (sub_node, name))
        started = [one for one in tries if not any(is_no_start(end) for end in one.ends)]
        if len(started) > 1:
            yield "several starts"
        if begun and not started:
            yield "said not to have started, and has begun"
        for one in started:
            for end in one.ends:
                yield from self._faults_of_end(end, one.key, name, begun=begun, ended=ended)
        if started or story.mode == "broadcast":
            kinds = {end["kind"] for one in started for end in one.ends}
            yield from self._faults_of_output(story, job, sub_node, name, kinds)

    def _faults_of_output(
        self, story: RunStory, job: int, sub_node: int, name: str, kinds: set[str]
    ) -> Iterator[str]:
        """Compare what is recorded of the output with that of an undisturbed run."""
        for stream in ("stdout", "stderr"):
            printed, whole = story.output(job, sub_node, stream), expected_output(name, stream)
            if kinds == {"exited"} and printed != whole:
                yield f"{stream} differs: {len(printed)} bytes, {printed[-60:]!r}"
            if not whole.startswith(printed):
                yield f"{stream} is no beginning: {len(printed)} bytes, {printed[-60:]!r}"
            if not kinds and printed:
                yield f"{stream} of a command that has not begun"

    def _faults_of_end(
        self, end: dict[str, Any], key: str, name: str, *, begun: int, ended: int
    ) -> Iterator[str]:
        match end["kind"]:
            case "exited":
                if end["status"] != int(name) % 3:
                    yield "another status"
                if begun != 1 or ended != 1:
                    yield f"an exit, and it noted {begun} begins and {ended} ends"
            case kind:
                if self.may_be_lost is not None and key not in self.may_be_lost:
                    yield f"{kind}, though its keeper was not killed; it noted {ended} ends"


def is_no_start(end: dict[str, Any]) -> bool:
    """Return whether an end says that the command never started."""
    return end["kind"] in {"returned", "not_started"}
