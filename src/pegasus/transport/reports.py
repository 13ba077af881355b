"""Separates the reports of a follower (see ``follower``) from the output in the same stream.

Rule 1: pure; it neither reads nor waits.
Rule 2: a byte that is not part of a report belongs to the output, and is returned exactly once, in
order.
"""

from __future__ import annotations

from dataclasses import dataclass

REPORT_LIMIT = 4096
"""Bytes of a report that are kept: a report is shorter, unless a node sends invalid data."""


@dataclass(frozen=True, slots=True)
class Report:
    """A line of a follower's own.

    Attributes:
        kind: one letter.
        words: the rest of the line.
    """

    kind: str
    words: str


class Reports:
    """Finds the reports in one output: a mark, a letter, words, and the end of the line.

    Args:
        mark: precedes each report.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._held = b""

    def feed(self, data: bytes) -> list[bytes | Report]:
        """Process the next bytes; return output and reports, in order."""
        if not self._held and self._mark[:1] not in data:
            return [data]  # no report: the common case, for the cost of a memchr
        data, self._held = self._held + data, b""
        found: list[bytes | Report] = []
        while data:
            before, mark, after = data.partition(self._mark)
            line, newline, rest = after.partition(b"\n")
            if not mark:
                keep = self._beginning_of_mark(before)
                before, self._held = before[: len(before) - keep], before[len(before) - keep :]
                rest = b""
            elif newline or len(line) > REPORT_LIMIT:
                pass
            else:
                self._held, rest = mark + after, b""
            if before:
                found.append(before)
            if mark and not self._held:
                words = line[:REPORT_LIMIT].decode(errors="replace")
                found.append(Report(words[:1], words[1:]))
            data = rest
        return found

    def _beginning_of_mark(self, data: bytes) -> int:
        """Return how many bytes at the end of the data may be the beginning of a mark."""
        start = data.rfind(self._mark[:1], max(0, len(data) - len(self._mark) + 1))
        return len(data) - start if start >= 0 and self._mark.startswith(data[start:]) else 0
