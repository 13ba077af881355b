"""The output of ssh -> why a connection failed, in one line, and whether this may be temporary.

Rule 1: pure; only text.
Rule 2: ssh, the node and a ProxyCommand print to one stream. Where a connection failed, the last
message of ssh counts, with the messages before it that explain it; banners and warnings do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WARNINGS = re.compile(r"Warning: Permanently added |\*\* ")
"""Messages that never explain anything. OpenSSH 10 warns in lines that begin with two stars."""

_BEFORE_LOGIN = re.compile(
    r"(?:kex|ssh)_exchange_identification: (?:(?:read|write): )?"
    r"(?:Connection (?:reset by peer|closed by remote host)|Broken pipe)"
    r"|banner exchange: Connection .*: (?:Connection reset by peer|Broken pipe)"
    r"|ssh_dispatch_run_fatal: Connection .*: (?:Connection (?:reset|closed) by .*|Broken pipe)"
    r"|Connection (?:closed|reset) by .* port -?\d+"
    r"|ssh: connect to host .* port \d+: Connection reset by peer"
    r"|(?:Exceeded MaxStartups|Not allowed at this time)"
)
"""The connection was closed before login: sshd was busy, or refuses this address temporarily."""

_CLOSED_LATE = re.compile(r"Connection closed by .* port -?\d+")
"""The same, where the node may have printed the reason: PAM refuses an account (``pam_nologin``,
``pam_slurm_adopt``, an expired account) after the keys were accepted."""

_PROXY_ENDED = re.compile(r"Connection (?:closed|reset) by UNKNOWN port -?\d+")
"""A jump or a ProxyCommand ended; the reason is in what it printed before."""

_FOLLOWS = re.compile(
    r"Disconnected from |stdio forwarding failed|Connection to .* port \d+ timed out"
    r"|.*: terminating, \d+ bad configuration option"
)
"""Messages that only report that ssh ends, after the one that has the reason."""

_CAUSE = re.compile(
    r"refused|denied|fail|timed out|time-?out|resolve|unreachable|no route|prohibited|unknown|"
    r"not found|not known|no such|unable|cannot|can't|could not|invalid|error",
    re.IGNORECASE,
)
"""Words that mark a message of a jump or a ProxyCommand as the reason why it ended."""

_REFUSED_SESSION = re.compile(r"channel \d+: open failed: ")
"""A master's message about a session that its node has refused; the lane has gone on elsewhere."""

_EXPLAINS = re.compile(
    r"@ +(?P<alarm>WARNING: .*?) *@$"  # a block about a host's key, or about the user's own
    r"|Offending .* in |Host key for .* has changed|No .* host key is known for "
    r"|Load key |no such identity: |sign_and_send_pubkey: "
)
"""Messages that are needed to understand the last one."""


@dataclass(frozen=True, slots=True)
class ConnectFailure:
    """Why a connection failed.

    Attributes:
        words: the reason, in ssh's own words; empty where it printed none.
        before_login: whether the connection was closed before login, which may be temporary.
    """

    words: str
    before_login: bool = False


def printed(output: bytes) -> list[str]:
    """Return the lines that ssh printed, without its warnings."""
    lines = (line.strip() for line in output.decode(errors="replace").splitlines())
    return [line for line in lines if line and not _WARNINGS.match(line)]


def break_words(output: bytes) -> str:
    """Return why a connection broke, from what ssh printed while it was open; may be empty."""
    return "; ".join(line for line in printed(output) if not _REFUSED_SESSION.match(line))


def refuses_sessions(words: str) -> bool:
    """Tell whether a connection works, and its node takes no more sessions over it (MaxSessions).

    Args:
        words: why no command could be started over it, from the master or from an ssh client.
    """
    return "Session open refused by peer" in words


def failure(output: bytes) -> ConnectFailure:
    """Return why a connection failed, from what ssh printed."""
    lines = printed(output)
    if not lines:
        return ConnectFailure("")
    through_proxy = _PROXY_ENDED.match(lines[-1]) is not None
    while len(lines) > 1 and (_FOLLOWS.match(lines[-1]) or _PROXY_ENDED.match(lines[-1])):
        lines.pop()
    if not _BEFORE_LOGIN.match(lines[-1]):
        return ConnectFailure(_explained(lines))
    others = [line for line in lines if not _BEFORE_LOGIN.match(line) and not _FOLLOWS.match(line)]
    causes = [line for line in others if _CAUSE.search(line)]
    if through_proxy and causes:
        return ConnectFailure(_explained(causes))
    if others and _CLOSED_LATE.match(lines[-1]):
        return ConnectFailure(f"{others[-1]}; {lines[-1]}", before_login=True)
    return ConnectFailure(lines[-1], before_login=True)


def _explained(lines: list[str]) -> str:
    """Return the last line, after those that explain it."""
    before = [match["alarm"] or line for line in lines[:-1] if (match := _EXPLAINS.match(line))]
    return "; ".join(dict.fromkeys([*before, lines[-1]]))
