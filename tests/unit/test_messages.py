"""What ssh prints of a connection that failed is read for the one message that explains it."""

from __future__ import annotations

import pytest

from pegasus.transport.messages import failure, printed

DENIED = "me@node: Permission denied (publickey)."
REFUSED = "ssh: connect to host a port 1: Connection refused"
BANNER = "****\nAuthorised use only. Access denied to all others.\n****\n"
WEAK = (
    "** WARNING: connection is not using a post-quantum key exchange algorithm.\r\n"
    '** This session may be vulnerable to "store now, decrypt later" attacks.\r\n'
    "** The server may need to be upgraded. See https://openssh.com/pq.html\r\n"
)
EXPIRED = "Your account has expired; please contact your system administrator.\r\n"
CLOSED = "Connection closed by 127.0.0.1 port 24322"
PROXY_ENDED = (
    "kex_exchange_identification: Connection closed by remote host\r\n"
    "Connection closed by UNKNOWN port 65535\r\n"
)
RESET = (
    "kex_exchange_identification: read: Connection reset by peer\r\n"
    "Connection reset by 127.0.0.2 port 2222\r\n"
)
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Someone could be eavesdropping on you right now (man-in-the-middle attack)!
It is also possible that a host key has just been changed.
The fingerprint for the ED25519 key sent by the remote host is
SHA256:abc.
Please contact your system administrator.
Add correct host key in /known to get rid of this message.
Offending ED25519 key in /known:1
  remove with:
  ssh-keygen -f "/known" -R "node"
Host key for node has changed and you have requested strict checking.
Host key verification failed.
"""
OPEN_KEY = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Permissions 0644 for '/key' are too open.
It is required that your private key files are NOT accessible by others.
This private key will be ignored.
Load key "/key": bad permissions
"""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (DENIED, DENIED),
        ("Warning: Permanently added 'node' to the list of known hosts.\r\n" + DENIED, DENIED),
        (BANNER + DENIED, DENIED),
        (WEAK + BANNER + DENIED, DENIED),
        ("Trying a\nssh: connect to host a port 1: Connection refused\r\n", REFUSED),
        (
            CHANGED,
            (
                "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!; "
                "Offending ED25519 key in /known:1; "
                "Host key for node has changed and you have requested strict checking.; "
                "Host key verification failed."
            ),
        ),
        (
            (
                "No ED25519 host key is known for node and you have requested strict checking.\n"
                "Host key verification failed."
            ),
            (
                "No ED25519 host key is known for node and you have requested strict checking.; "
                "Host key verification failed."
            ),
        ),
        (
            OPEN_KEY + DENIED,
            'WARNING: UNPROTECTED PRIVATE KEY FILE!; Load key "/key": bad permissions; ' + DENIED,
        ),
        (
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\n"
                "Disconnected from 10.0.0.1 port 22\r\n"
            ),
            "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
        ),
        (
            (
                "/config: line 1: Bad configuration option: bogus\r\n"
                "/config: terminating, 1 bad configuration options\r\n"
            ),
            "/config: line 1: Bad configuration option: bogus",
        ),
        (
            "Connection timed out during banner exchange\r\nConnection to a port 1 timed out",
            "Connection timed out during banner exchange",
        ),
        ("", ""),
    ],
)
def test_the_message_that_explains(said: str, words: str) -> None:
    """The last message counts, with what is needed to understand it; no banner, no warning."""
    found = failure(said.encode())
    assert found.words == words
    assert not found.before_login


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f"{BANNER}me@gate: Permission denied (publickey).\n", "me@gate: Permission denied"),
        ("ssh: Could not resolve hostname gate: Name or service not known\r\n", "ssh: Could not"),
        (
            (
                "channel 0: open failed: connect failed: Connection refused\r\n"
                "stdio forwarding failed\r\n"
            ),
            "channel 0: open failed: connect failed: Connection refused",
        ),
        ("Connecting to the cloud\nsh: 1: exec: cloud: not found\n", "sh: 1: exec: cloud: not"),
        ("ssh: connect to host 10.0.0.1 port 22: No route to host\r\n", "ssh: connect to host"),
    ],
)
def test_the_reason_for_which_a_jump_ended(said: str, words: str) -> None:
    """Of a jump or a ProxyCommand that ended, its own reason counts, not that ssh was closed."""
    found = failure((said + PROXY_ENDED).encode())
    assert found.words.startswith(words)
    assert not found.before_login


@pytest.mark.parametrize(
    "said",
    [
        RESET,
        WEAK + RESET,
        (
            "kex_exchange_identification: Connection closed by remote host\r\n"
            "Connection closed by 127.0.0.2 port 2222\r\n"
        ),
        "ssh_exchange_identification: read: Connection reset by peer\r\n",
        "ssh_exchange_identification: Connection closed by remote host\r\n",
        "banner exchange: Connection to 127.0.0.1 port 22: Connection reset by peer\r\n",
        (
            "kex_exchange_identification: write: Broken pipe\r\n"
            "banner exchange: Connection to UNKNOWN port -1: Broken pipe\r\n"
        ),
        "ssh_dispatch_run_fatal: Connection to 127.0.0.2 port 22: Connection reset by peer\r\n",
        "Connection closed by 127.0.0.2 port 2222\r\n",
        "ssh: connect to host 127.0.0.1 port 2222: Connection reset by peer\r\n",
        "Hello from the gateway\n" + PROXY_ENDED,
        RESET + PROXY_ENDED,
    ],
)
def test_a_connection_that_was_closed_before_login(said: str) -> None:
    """A connection that sshd closed before login is known as such, also that to a jump."""
    found = failure(said.encode())
    assert found.before_login
    assert "Connection" in found.words or "Broken pipe" in found.words
    assert "UNKNOWN port 65535" not in found.words


def test_warnings_are_not_printed() -> None:
    """Warnings of OpenSSH 10, and of a host key that is new, are nowhere."""
    said = f"{WEAK}Warning: Permanently added 'a' (ED25519) to the list of known hosts.\r\nx\r\n"
    assert printed(said.encode()) == ["x"]


def test_an_account_that_the_node_refuses() -> None:
    """What PAM says before it closes the connection is shown, and the connection tried again."""
    found = failure((BANNER + EXPIRED + CLOSED).encode())
    assert found.words == f"{EXPIRED.strip()}; {CLOSED}"
    assert found.before_login
    assert failure(CLOSED.encode()).words == CLOSED
