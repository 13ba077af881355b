"""A TCP proxy on loopback that treats connections as bad networks do.

with Proxy("127.0.0.2", 2222) as proxy:
    ...                     # connect to 127.0.0.1, proxy.port
    proxy.delay(0.5)        # each piece of data takes that much longer
    proxy.hold()            # nothing passes any more, without notice
    proxy.abandon()         # all connections are reset, on the client's side only
    proxy.reset()           # all connections are reset, on both sides
    proxy.refuse_after(8)   # the next eight connections are passed on, all others are reset
    proxy.pass_on()         # normal operation
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE = 65536
CONNECTING = 5.0  # seconds to reach the server, which is on this machine
LINGER_NOT = struct.pack("ii", 1, 0)  # closing resets the connection


class Proxy:
    """Passes connections on to one server, as a good or a bad network.

    Attributes:
        port: where it listens on 127.0.0.1.
        seen: how many connections were attempted.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._held = False
        self._closed = False
        self._refuses = False
        self.seen = 0
        self._welcome: int | None = None
        self._delay = 0.0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._abandoned: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        for server in self._abandoned:
            _reset(server)

    # Actions.

    def delay(self, seconds: float) -> None:
        """Delay each piece of data, in both directions."""
        with self._changed:
            self._delay = seconds

    def hold(self) -> None:
        """Pass nothing on, without notice: both sides remain connected."""
        with self._changed:
            self._held = True

    def refuse(self) -> None:
        """Reset all connections, and every new one at once."""
        self._refuses = True
        self.reset()

    def refuse_after(self, count: int) -> None:
        """Accept some more connections, and reset every one after them."""
        self._welcome = self.seen + count

    def pass_on(self) -> None:
        """Pass everything on again at once, with what was held."""
        with self._changed:
            self._held = self._refuses = False
            self._welcome = None
            self._delay = 0.0
            self._changed.notify_all()

    def reset(self) -> None:
        """Reset all connections, on both sides."""
        with self._changed:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def abandon(self) -> None:
        """Reset all connections towards the client; the server gets no notice.

        The data of the server is discarded, as by a network without a route.
        """
        with self._changed:
            pairs, self._pairs = self._pairs, []
            self._abandoned += [server for _, server in pairs]
        for client, _ in pairs:
            _reset(client)

    def connections(self) -> int:
        """Return the number of open connections."""
        with self._changed:
            return len(self._pairs)

    # Implementation.

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True, name="proxy").start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.seen += 1
            if self._refuses or (self._welcome is not None and self.seen > self._welcome):
                _reset(client)
                continue
            try:
                server = socket.create_connection(self._target, CONNECTING)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            with self._changed:
                self._pairs.append((client, server))
            self._spawn(self._pump, client, server)
            self._spawn(self._pump, server, client)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                self._wait_for_leave()
                if source not in self._abandoned:
                    sink.sendall(data)
        self._wait_for_leave()
        if sink not in self._abandoned:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def _wait_for_leave(self) -> None:
        with self._changed:
            if self._delay:
                self._changed.wait_for(lambda: self._closed, self._delay)
            self._changed.wait_for(lambda: self._closed or not self._held)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    with suppress(OSError):
        end.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
    end.close()
