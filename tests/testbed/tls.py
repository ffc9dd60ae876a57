# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A private CA for the services' own TLS certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

LOOPBACK_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class ServerCertificate:
    """Paths of a certificate chain and its key, both PEM."""

    certificate: Path
    key: Path


class PrivateCa:
    """A CA that lives in a directory; ``certificate`` is the path of its own certificate."""

    def __init__(self, directory: Path, name: str = "testbed") -> None:
        self.name = name
        self._directory = directory
        self._ca = trustme.CA(organization_name=f"{name} test CA")
        self.certificate = directory / f"{name}-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.certificate))

    @property
    def pem(self) -> str:
        """The CA's own certificate."""
        return self._ca.cert_pem.bytes().decode()

    def issue(self, *names: str, label: str = "server", common_name: str | None = None) -> ServerCertificate:
        """A certificate for these names (default: loopback), with files named after ``label``."""
        leaf = self._ca.issue_cert(*(names or LOOPBACK_NAMES), common_name=common_name)
        issued = ServerCertificate(self._directory / f"{label}.pem", self._directory / f"{label}.key")
        leaf.cert_chain_pems[0].write_to_path(str(issued.certificate))
        issued.key.touch(mode=0o600)
        leaf.private_key_pem.write_to_path(str(issued.key))
        return issued
