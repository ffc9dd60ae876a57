# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""pebble-challtestsrv: a DNS server and challenge responder that tests steer."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from typing import Any

from .ports import free_port
from .process import Service, answers, program


class ChallengeTestServer(Service):
    """Answers every name with 127.0.0.1 unless told otherwise.

    ``dns_port`` is the DNS server; ``http_port`` answers http-01, ``tls_port`` tls-alpn-01.
    """

    name = "challtestsrv"

    def __init__(self) -> None:
        super().__init__()
        self.dns_port = self.http_port = self.tls_port = self.management_port = 0

    def prepare(self) -> None:
        self.dns_port, self.http_port, self.tls_port, self.management_port = (free_port() for _port in range(4))

    def command(self) -> Sequence[str]:
        return [
            program("pebble-challtestsrv"),
            *("-dns01", f"127.0.0.1:{self.dns_port}"),
            *("-http01", f"127.0.0.1:{self.http_port}"),
            *("-https01", ""),
            *("-tlsalpn01", f"127.0.0.1:{self.tls_port}"),
            *("-management", f"127.0.0.1:{self.management_port}"),
            *("-defaultIPv4", "127.0.0.1"),
            *("-defaultIPv6", ""),
        ]

    def is_ready(self) -> bool:
        return all(map(answers, (self.dns_port, self.http_port, self.tls_port, self.management_port)))

    @property
    def url(self) -> str:
        """URL of the management interface: POST JSON to ``/add-http01``, ``/set-txt``, …"""
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def dns_server(self) -> str:
        """``host:port`` of the DNS server."""
        return f"127.0.0.1:{self.dns_port}"

    def post(self, endpoint: str, body: dict[str, Any]) -> bytes:
        """One request to the management interface."""
        request = urllib.request.Request(f"{self.url}/{endpoint}", data=json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    def set_a(self, host: str, *addresses: str) -> None:
        """Answer this name with these IPv4 addresses."""
        self.post("add-a", {"host": host, "addresses": addresses})

    def clear_a(self, host: str) -> None:
        """Answer this name with 127.0.0.1 again."""
        self.post("clear-a", {"host": host})

    def set_txt(self, record: str, value: str) -> None:
        """Add a TXT value to a record, such as ``_acme-challenge.www.example.com``."""
        self.post("set-txt", {"host": f"{record.rstrip('.')}.", "value": value})

    def clear_txt(self, record: str) -> None:
        """Remove all TXT values of a record."""
        self.post("clear-txt", {"host": f"{record.rstrip('.')}."})

    def set_servfail(self, host: str) -> None:
        """Answer this name with SERVFAIL."""
        self.post("set-servfail", {"host": host})

    def clear_servfail(self, host: str) -> None:
        """Answer this name again."""
        self.post("clear-servfail", {"host": host})

    def add_http01(self, token: str, key_authorization: str) -> None:
        """Serve ``/.well-known/acme-challenge/<token>``."""
        self.post("add-http01", {"token": token, "content": key_authorization})

    def remove_http01(self, token: str) -> None:
        """Serve it no longer."""
        self.post("del-http01", {"token": token})

    def add_tls_alpn_01(self, host: str, key_authorization: str) -> None:
        """Answer the tls-alpn-01 challenge of a name."""
        self.post("add-tlsalpn01", {"host": host, "content": key_authorization})

    def remove_tls_alpn_01(self, host: str) -> None:
        """Answer it no longer."""
        self.post("del-tlsalpn01", {"host": host})

    def http_requests(self, host: str) -> list[dict[str, Any]]:
        """The http-01 requests received for a name."""
        history: list[dict[str, Any]] = json.loads(self.post("http-request-history", {"host": host})) or []
        return history

    def dns_requests(self, host: str) -> list[dict[str, Any]]:
        """The DNS questions received for a name."""
        history: list[dict[str, Any]] = json.loads(self.post("dns-request-history", {"host": host})) or []
        return history
