"""A login that failed -> what a user can type, for the failures whose remedy is known.

Rule 1: pure; the words are those of ssh, see ``messages``.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from pegasus.destination import host_of

_CHANGED = re.compile(r"IDENTIFICATION HAS CHANGED|Host key for \S+ has changed")
_NAME = re.compile(r"Host key for (?P<name>\S+) has changed")
_FILE = re.compile(r"Offending \S+ key in (?P<file>\S+):\d+")
_UNKNOWN = re.compile(r"No \S+ host key is known for (?P<name>\S+)")
_MANY_KEYS = re.compile(r"Too many authentication failures")
_DENIED = re.compile(r"Permission denied")


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a user can do.

    Attributes:
        kind: of the failure; a run says it once for each kind.
        words: sentences, with what to type.
    """

    kind: str
    words: str


def next_step(words: str, to: str, *, has_agent: bool) -> NextStep | None:
    """Give the next step after a login that failed; None where it is not known.

    Args:
        words: of ssh.
        to: the destination.
        has_agent: whether an agent for keys runs here.
    """
    by_hand = f"ssh {shlex.quote(to)}"
    if _CHANGED.search(words):
        file, named = _FILE.search(words), _NAME.search(words)
        name = named["name"] if named else host_of(to)
        where = f" -f {shlex.quote(file['file'])}" if file else ""
        return NextStep(
            "changed",
            f"{to} has another host key than the one that is known. If the machine was installed "
            f"anew, type `ssh-keygen -R {shlex.quote(name)}{where}`. Otherwise find out why before "
            "you connect: somebody may answer in its place.",
        )
    if _UNKNOWN.search(words):
        return NextStep(
            "unknown",
            f"Your configuration of ssh accepts no new host key by itself. Type `{by_hand}`, "
            "compare the key that it shows, and answer yes.",
        )
    if _MANY_KEYS.search(words):
        return NextStep(
            "many",
            f"ssh offered too many keys to {to}. Set `IdentitiesOnly yes` and `IdentityFile` for "
            "it in ~/.ssh/config.",
        )
    if _DENIED.search(words):
        agent = "" if has_agent else " (no agent runs here: `eval $(ssh-agent)` first)"
        return NextStep(
            "denied",
            f"{to} refused the login. `{by_hand}` has to work without a question. If your key has "
            f"a passphrase, type `ssh-add`{agent}. If you have another name there, write "
            "`NAME@HOST` in the hosts file.",
        )
    return None
