# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The development Vault as a process of its own."""

from __future__ import annotations

import json
import re
import ssl
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .process import Service
from .tls import PrivateCa, ServerCertificate

REPOSITORY = Path(__file__).resolve().parents[2]
_READY = re.compile(r"^devserver ready: VAULT_ADDR=(?P<address>\S+) VAULT_TOKEN=(?P<token>\S+)$", re.MULTILINE)


class Devserver(Service):
    """A running ``python -m devserver``; keeps its port and token over :meth:`stop` and :meth:`start`."""

    name = "devserver"

    def __init__(
        self,
        *arguments: str,
        ca: PrivateCa | None = None,
        certificate: ServerCertificate | None = None,
        client_ca: PrivateCa | None = None,
        state_file: Path | None = None,
    ) -> None:
        """With ``ca`` it speaks TLS with a certificate of that CA (or the given one); ``arguments`` go to it as is."""
        super().__init__()
        self._arguments = arguments
        self._listen = "127.0.0.1:0"
        self.ca = ca
        self._certificate = certificate
        self._client_ca = client_ca
        self._state_file = state_file
        self._log_seen = 0
        self.url = ""
        self.token = ""

    def prepare(self) -> None:
        if self.ca is not None and self._certificate is None:
            self._certificate = self.ca.issue(label="devserver")
        self._log_seen = self.log.stat().st_size if self.log.exists() else 0

    def command(self) -> Sequence[str]:
        command = [sys.executable, "-m", "devserver", "--listen", self._listen, *self._arguments]
        if self.token and "--root-token" not in self._arguments:
            command += ["--root-token", self.token]
        if self._certificate is not None:
            command += ["--tls-cert", str(self._certificate.certificate), "--tls-key", str(self._certificate.key)]
        if self._client_ca is not None:
            command += ["--tls-client-ca", str(self._client_ca.certificate)]
        if self._state_file is not None:
            command += ["--state-file", str(self._state_file)]
        return command

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}

    def is_ready(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._log_seen)
            ready = _READY.search(log.read().decode(errors="replace"))
        if ready is None:
            return False
        self.url, self.token = ready["address"], ready["token"]
        self._listen = self.url.split("//", 1)[1]
        return True

    def dev(self, method: str, path: str, body: object = None) -> Any:
        """One request to the administrative endpoint, such as ``dev("PUT", "answers", {"OQ-1": "404"})``."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/dev/{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        context = ssl.create_default_context(cadata=self.ca.pem) if self.ca is not None else None
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None
