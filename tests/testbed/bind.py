# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""BIND 9 as an authoritative server that takes dynamic updates (RFC 2136) signed with TSIG."""

from __future__ import annotations

import base64
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from .ports import free_port
from .process import Service, answers, program


def _secret() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class TsigKey:
    """A key that may update every dynamic zone; ``algorithm`` as BIND writes it, ``secret`` in base64."""

    name: str
    algorithm: str
    secret: str = field(default_factory=_secret, repr=False)


@dataclass(frozen=True)
class Zone:
    """A zone whose every name has the address 127.0.0.1."""

    name: str
    dynamic: bool = False


DEFAULT_ZONES = (
    Zone("example.com"),
    Zone("example.org"),
    Zone("dyn.example.com", dynamic=True),
    Zone("example.net", dynamic=True),
)

_ZONE_FILE = """\
$TTL 1
@ IN SOA ns.{name}. hostmaster.{name}. 1 60 60 3600 1
@ IN NS ns.{name}.
@ IN A 127.0.0.1
* IN A 127.0.0.1
ns IN A 127.0.0.1
"""

_NAMED_CONF = """\
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile "{directory}/session.key";
    managed-keys-directory "{directory}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    allow-query {{ 127.0.0.1; }};
    allow-transfer {{ 127.0.0.1; }};
    recursion no;
    dnssec-validation no;
    notify no;
}};
controls {{ }};
"""


class Bind(Service):
    """A running named; ``keys`` maps a TSIG algorithm to its key."""

    name = "named"

    def __init__(self, zones: Sequence[Zone] = DEFAULT_ZONES) -> None:
        super().__init__()
        self.zones = tuple(zones)
        self.keys = {
            algorithm: TsigKey(f"extca-{algorithm.removeprefix('hmac-')}", algorithm)
            for algorithm in ("hmac-sha256", "hmac-sha1", "hmac-sha512")
        }
        self.port = 0

    def prepare(self) -> None:
        self.port = free_port()
        text = _NAMED_CONF.format(directory=self.directory, port=self.port)
        for key in self.keys.values():
            text += f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{key.secret}"; }};\n'
        allowed = " ".join(f'key "{key.name}";' for key in self.keys.values())
        for zone in self.zones:
            (self.directory / f"{zone.name}.zone").write_text(_ZONE_FILE.format(name=zone.name))
            update = f"allow-update {{ {allowed} }};" if zone.dynamic else ""
            text += f'zone "{zone.name}" {{ type primary; file "{zone.name}.zone"; {update} }};\n'
        configuration = self.directory / "named.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(text)
        # AppArmor's profile is attached to the installed path and keeps named from reading other directories.
        shutil.copy(program("named"), self.directory / "named")

    def command(self) -> Sequence[str]:
        return [str(self.directory / "named"), "-g", "-n", "1", "-c", str(self.directory / "named.conf")]

    def is_ready(self) -> bool:
        return answers(self.port) and all(self.query(zone.name, "SOA") for zone in self.zones)

    @property
    def server(self) -> str:
        """``host:port`` of the server."""
        return f"127.0.0.1:{self.port}"

    @property
    def dynamic_zones(self) -> list[str]:
        """Names of the zones that take updates."""
        return [zone.name for zone in self.zones if zone.dynamic]

    def query(self, name: str, kind: str = "TXT") -> list[str]:
        """The values of a record as text (TXT without quotes); empty where there is none."""
        question = dns.message.make_query(name, kind)
        try:
            answer = dns.query.udp(question, "127.0.0.1", port=self.port, timeout=2)
        except dns.exception.Timeout:
            return []
        values = (value for rrset in answer.answer for value in rrset if rrset.rdtype == dns.rdatatype.from_text(kind))
        return [str(value).strip('"') for value in values]

    def zone_file(self, zone: str) -> Path:
        """Where a zone's file is."""
        return self.directory / f"{zone}.zone"
