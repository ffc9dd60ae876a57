# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Pebble, the small ACME CA of the Let's Encrypt project, with its knobs as options."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .ports import free_port
from .process import Service, answers, program
from .tls import PrivateCa


@dataclass(frozen=True)
class PebbleOptions:
    """How a Pebble behaves; the defaults make it quick and predictable."""

    dns_server: str | None = None
    """``host:port`` of the DNS server to resolve with; by default the system's."""
    http_port: int | None = None
    """Where http-01 challenges are fetched; by default a free port that nothing listens on."""
    tls_port: int | None = None
    """Where tls-alpn-01 challenges are fetched; by default a free port that nothing listens on."""
    eab_keys: Mapping[str, str] = field(default_factory=dict)
    """Key id → HMAC key (base64url). With any, every new account must be bound to one of them."""
    authz_reuse: int = 0
    """Percentage of orders that find a valid authorization of an earlier order."""
    nonce_reject: int = 0
    """Percentage of requests refused with ``badNonce``."""
    validity: int | None = None
    """Seconds that a certificate is valid; by default Pebble's own five years."""
    domain_blocklist: Sequence[str] = ()
    """Names that are refused with ``rejectedIdentifier``."""
    chain_length: int = 1
    """Number of intermediates."""
    alternate_roots: int = 0
    """Number of further chains."""
    va_sleep: int | None = None
    """Longest random pause in seconds before a validation; by default none."""


class Pebble(Service):
    """A running Pebble.

    ``directory_url`` and ``management_url`` are https, with a certificate of ``ca``; ``http_port`` and ``tls_port``
    are where it comes to validate.
    """

    name = "pebble"

    def __init__(self, ca: PrivateCa, options: PebbleOptions | None = None) -> None:
        super().__init__()
        self.ca = ca
        self.options = options or PebbleOptions()
        self.http_port = self.options.http_port or free_port()
        self.tls_port = self.options.tls_port or free_port()
        self.port = 0
        self.management_port = 0

    def prepare(self) -> None:
        self.port, self.management_port = free_port(), free_port()
        certificate = self.ca.issue(label=f"pebble-{self.port}")
        pebble: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(certificate.certificate),
            "privateKey": str(certificate.key),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(self.options.eab_keys),
            "externalAccountMACKeys": dict(self.options.eab_keys),
            "domainBlocklist": list(self.options.domain_blocklist),
        }
        if self.options.validity is not None:
            pebble["certificateValidityPeriod"] = self.options.validity
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": pebble}))

    def command(self) -> Sequence[str]:
        command = [program("pebble"), "-config", str(self.directory / "pebble.json")]
        if self.options.dns_server:
            command += ["-dnsserver", self.options.dns_server]
        return command

    def environment(self) -> Mapping[str, str]:
        sleep = self.options.va_sleep
        return {
            "PEBBLE_AUTHZREUSE": str(self.options.authz_reuse),
            "PEBBLE_WFE_NONCEREJECT": str(self.options.nonce_reject),
            "PEBBLE_CHAIN_LENGTH": str(self.options.chain_length),
            "PEBBLE_ALTERNATE_ROOTS": str(self.options.alternate_roots),
            **({"PEBBLE_VA_NOSLEEP": "1"} if sleep is None else {"PEBBLE_VA_SLEEPTIME": str(sleep)}),
        }

    def is_ready(self) -> bool:
        return answers(self.port) and answers(self.management_port)

    @property
    def directory_url(self) -> str:
        """URL of the ACME directory (RFC 8555 section 7.1.1)."""
        return f"https://localhost:{self.port}/dir"

    @property
    def management_url(self) -> str:
        """URL of Pebble's management interface."""
        return f"https://localhost:{self.management_port}"

    def fetch(self, url: str) -> str:
        """The body of one of its pages."""
        context = ssl.create_default_context(cadata=self.ca.pem)
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            return bytes(answer.read()).decode()

    def root_pem(self, index: int = 0) -> str:
        """The root certificate that issued certificates chain to."""
        return self.fetch(f"{self.management_url}/roots/{index}")

    def intermediate_pem(self, index: int = 0) -> str:
        """The intermediate certificate."""
        return self.fetch(f"{self.management_url}/intermediates/{index}")

    def certificate_status(self, serial: int) -> dict[str, Any]:
        """What Pebble knows of a certificate: ``Status`` (Valid or Revoked), ``Reason``, ``RevokedAt``, …

        :raises KeyError: it never issued one with this serial number.
        """
        digits = f"{serial:x}"
        digits = digits.zfill(len(digits) + len(digits) % 2)
        try:
            answer: dict[str, Any] = json.loads(self.fetch(f"{self.management_url}/cert-status-by-serial/{digits}"))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise KeyError(f"Pebble issued no certificate with serial {serial:x}") from error
            raise
        return answer
