# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A host that keeps a certificate: its directory, its options, and what stands in its files."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_process import ChallengeProcess
from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_servers import Address, HttpServer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from tests.behaviour.harness import Bench, Engine, Result

MODULE = "certificate"


@dataclass
class Site:
    """One host. ``files`` is what its destination is made of."""

    engine: Engine
    directory: Path

    @property
    def bench(self) -> Bench:
        return self.engine.bench

    @property
    def webroot(self) -> Path:
        return self.directory / "www"

    @property
    def ssl(self) -> Path:
        folder = self.directory / "ssl"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def pair(self) -> dict[str, str]:
        """A destination of the usual two files."""
        return {"fullchain": str(self.ssl / "www.pem"), "private_key": str(self.ssl / "www.key")}

    @property
    def http_here(self) -> dict[str, str]:
        """http-01 answered by the task."""
        return {"listen": f"127.0.0.1:{self.bench.pebble.http_port}"}

    @property
    def http_webroot(self) -> dict[str, str]:
        """http-01 answered by a web server on this host."""
        return {"webroot": str(self.webroot), "check_address": f"127.0.0.1:{self.bench.pebble.http_port}"}

    @property
    def tls_here(self) -> dict[str, str]:
        """tls-alpn-01 answered by the task."""
        return {"listen": f"127.0.0.1:{self.bench.pebble.tls_port}"}

    def options(self, *identifiers: str, **changes: Any) -> dict[str, Any]:
        """Options of the module for these names; http-01 from the task, two files, unless changed."""
        return {
            "role_name": self.engine.role,
            "identifiers": list(identifiers),
            "destination": self.pair,
            "http_01": self.http_here,
            **changes,
        }

    def run(self, options: Mapping[str, Any], **modes: Any) -> Result:
        """Run the module."""
        return self.engine.run(MODULE, options, **modes)

    def run_at_once(self, options: Mapping[str, Any], times: int) -> list[Result]:
        """Run the module in so many processes at once."""
        children = {}
        for number in range(times):
            answer = self.directory / f"result-{number}.json"
            child = os.fork()
            if child == 0:
                try:
                    answer.write_text(json.dumps(self.run(options)))
                finally:
                    os._exit(0)
            children[child] = answer
        for child in children:
            os.waitpid(child, 0)
        return [json.loads(answer.read_text()) for answer in children.values()]

    def calls(self) -> list[str]:
        """Requests to Vault below the mount since the last look, as ``METHOD path``."""
        made = self.bench.requests_made()
        self.bench.forget_requests()
        return [f"{one.method} {one.path.removeprefix(self.engine.mount + '/')}" for one in made]

    def orders(self) -> int:
        """How many orders the mount has seen."""
        listed = self.engine.api("LIST", "lookup/orders/recent?within=168h", expect=(200, 404))
        return len(listed["keys"]) if listed else 0

    def free_ports(self) -> None:
        """End what runs that were killed have left behind to answer challenges: take it over, and stop."""
        for port in (self.bench.pebble.http_port, self.bench.pebble.tls_port):
            ChallengeProcess(HttpServer, Address("127.0.0.1", port)).stop()

    def leftovers(self) -> list[str]:
        """Hidden files in the directory of the certificate."""
        return sorted(path.name for path in self.ssl.iterdir() if path.name.startswith("."))


def leaf(path: Path | str) -> x509.Certificate:
    """The first certificate of a file."""
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def serial(path: Path | str) -> int:
    """Its serial number."""
    return leaf(path).serial_number


def is_pair(certificate: bytes, key: bytes) -> bool:
    """Whether a PEM certificate and a PEM key belong together."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public = load_pem_private_key(key, None).public_key().public_bytes(*form)
    return public == x509.load_pem_x509_certificate(certificate).public_key().public_bytes(*form)


def openssl(*arguments: str, text: str = "") -> str:
    """The output of an openssl command that must succeed."""
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
