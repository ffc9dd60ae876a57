# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Addresses that lead nowhere good: servers with the wrong certificate, full queues, closed ports, a proxy that refuses."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.testbed.ports import free_port

Serve = Callable[[socket.socket], None]


class SmallServer:
    """Hands every connection to a function, in a thread of its own; counts them."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        # A client that goes away in the middle is what many of these are for.
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            connection.settimeout(10)
            self._serve(connection)

    def close(self) -> None:
        """Accept no more."""
        # On Linux a blocked accept() only ends when the socket is shut down.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> SmallServer:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def tls(leaf: trustme.LeafCert) -> Serve:
    """TLS with this certificate, and not a word more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(65536)

    return serve


def refuse_to_proxy(connection: socket.socket) -> None:
    """What a proxy says that wants to know who asks."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def forward_to(port: int) -> Serve:
    """Another way to a port."""

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as onward:
            back = threading.Thread(target=_pump, args=(onward, connection), daemon=True)
            back.start()
            _pump(connection, onward)
            back.join()

    return serve


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Pitfalls:
    """URLs, and the CA that a user would have configured."""

    ca: Path
    wrong_ca: str
    expired: str
    mismatch: str
    full: str
    closed: str
    unknown_name: str
    proxy: str
    plain: str
    other_port: str  # the development Vault's second address


@contextlib.contextmanager
def dug(directory: Path, vault_url: str) -> Iterator[Pitfalls]:
    """All of them, for as long as the block lasts."""
    ours, theirs = trustme.CA(), trustme.CA()
    ca = directory / "listener-ca.pem"
    ours.cert_pem.write_to_path(str(ca))
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    with contextlib.ExitStack() as stack:

        def server(serve: Serve) -> int:
            return stack.enter_context(SmallServer(serve)).port

        wrong_ca = server(tls(theirs.issue_cert("localhost")))
        expired = server(tls(ours.issue_cert("localhost", not_after=past)))
        mismatch = server(tls(ours.issue_cert("vault.example.com")))
        # A queue for one connection, which is never accepted: Linux drops the SYN of the next one, as a firewall does.
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        full = listener.getsockname()[1]
        for _place in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", full))
        yield Pitfalls(
            ca=ca,
            wrong_ca=f"https://localhost:{wrong_ca}",
            expired=f"https://localhost:{expired}",
            mismatch=f"https://localhost:{mismatch}",
            full=f"http://127.0.0.1:{full}",
            closed=f"http://127.0.0.1:{free_port()}",
            unknown_name="http://vault.invalid:8200",
            proxy=f"http://127.0.0.1:{server(refuse_to_proxy)}",
            plain=vault_url.replace("http:", "https:"),
            other_port=f"http://127.0.0.1:{server(forward_to(int(vault_url.rsplit(':', 1)[1])))}",
        )
