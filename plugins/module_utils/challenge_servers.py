# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Small servers that answer challenges and nothing else: http-01 (RFC 8555 section 8.3) and tls-alpn-01 (RFC 8737)."""

from __future__ import annotations

import http.server
import re
import socket
import socketserver
import ssl
import threading
from typing import Any, Callable, ClassVar, Dict, List, NamedTuple, Optional, Protocol, Tuple

from .challenge_proofs import HTTP_01, TLS_ALPN_01
from .tls_alpn import challenge_context

PATIENCE = 10.0  # seconds, for one answer


class Address(NamedTuple):
    """Where to listen, or to ask."""

    host: str
    port: int

    def local(self) -> Address:
        """The address at which this host reaches what listens here."""
        return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)

    def resolve(self) -> Tuple[int, Any]:
        """The family and the address of a socket that listens here. Raises OSError for a name that nobody knows."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        return family, socket.getaddrinfo(self.host, self.port, family, socket.SOCK_STREAM)[0][4]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """An address such as ``0.0.0.0:80`` or ``[::]:80``. Raises ValueError."""
    found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})", text.strip())
    if not found or not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} is not an address with a port, such as '0.0.0.0:80' or '[::]:80'")
    return Address(found["six"] or found["four"], int(found["port"]))


class ChallengeServer(Protocol):
    """A server of challenges of one type, at a socket that listens already."""

    challenge_type: str

    def publish(self, name: str, value: str) -> None:
        """Answer this challenge from now on."""

    def stop(self) -> None:
        """Accept nobody any more, and close the socket."""

    def finish(self) -> None:
        """Let those who have been accepted have their answer, if it takes no longer than a moment."""


ServerAt = Callable[[socket.socket], ChallengeServer]


class _Serving:
    def __init__(self, listener: socket.socket, handler: Any) -> None:
        self._server = _Server(listener, handler)

    def stop(self) -> None:
        self._server.stop()

    def finish(self) -> None:
        for thread in self._server.answering:
            thread.join(1.0)


class HttpServer(_Serving):
    """Serves challenges of http-01: ``name`` is the path in the URL, ``value`` what is served there."""

    challenge_type = HTTP_01

    def __init__(self, listener: socket.socket) -> None:
        self._contents: Dict[str, str] = {}
        served = self._contents

        class Handler(_HttpHandler):
            contents = served

        super().__init__(listener, Handler)

    def publish(self, name: str, value: str) -> None:
        self._contents[name] = value


class _HttpHandler(http.server.BaseHTTPRequestHandler):
    contents: ClassVar[Dict[str, str]] = {}
    timeout = PATIENCE
    server_version = "acme-challenge"
    sys_version = ""

    def do_GET(self) -> None:
        content = self.contents.get(self.path)
        body = b"no such challenge\n" if content is None else content.encode()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: a module's output is its result."""


class TlsAlpnServer(_Serving):
    """Serves challenges of tls-alpn-01: ``name`` is the server's name, ``value`` the digest that its certificate carries (hex)."""

    challenge_type = TLS_ALPN_01

    def __init__(self, listener: socket.socket) -> None:
        self._contexts: Dict[str, ssl.SSLContext] = {}
        contexts = self._contexts

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(PATIENCE)
                try:
                    # Which one it begins with does not matter: each lets the name decide.
                    any_context = next(iter(contexts.values()))
                    with any_context.wrap_socket(self.request, server_side=True) as connection:
                        connection.unwrap()
                except (OSError, ValueError, StopIteration):
                    pass  # a client that wanted something else; the ACME server says what it did not like

        super().__init__(listener, Handler)

    def publish(self, name: str, value: str) -> None:
        context = challenge_context(name, value)
        # The certificate is chosen by the name that the client asks for (SNI).
        context.sni_callback = lambda connection, asked, _context: _choose(
            connection, self._contexts.get(str(asked).lower())
        )
        self._contexts[name] = context


def _choose(connection: Any, context: Optional[ssl.SSLContext]) -> Optional[int]:
    if context is None:
        return int(ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
    connection.context = context
    return None


class _Server(socketserver.ThreadingTCPServer):
    def __init__(self, listener: socket.socket, handler: Any) -> None:
        self.answering: List[threading.Thread] = []
        super().__init__(listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self.answering = [*(one for one in self.answering if one.is_alive()), thread]
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is not this server's trouble, and nothing may be printed beside the result."""

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
