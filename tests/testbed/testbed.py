# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""All services together, and their coordinates for Ansible."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from .bind import Bind
from .challtestsrv import ChallengeTestServer
from .devserver import Devserver
from .nginx import Nginx, webroot_server
from .pebble import Pebble, PebbleOptions
from .ports import free_port
from .tls import PrivateCa

Coordinates = dict[str, str | int]


@dataclass(frozen=True)
class TestbedOptions:
    """What the demo does without: everything but the development Vault and one Pebble."""

    __test__ = False  # not a test, whatever pytest makes of its name

    tls_vault: bool = True
    """A second development Vault that speaks TLS and asks for client certificates."""
    bind: bool = True
    """BIND, and a Pebble that resolves through it."""
    eab: bool = True
    """A Pebble that requires external account binding."""
    bare: bool = True
    """A Pebble on whose http and TLS ports nothing listens, for responders that tests start."""
    devserver_arguments: tuple[str, ...] = ()


class Testbed:
    """Starts everything, in a directory of its own.

    The web server on Pebble's http port serves ``webroot``, and what it does not find there comes from challtestsrv;
    so challenges can be published either way. TLS challenges are answered by challtestsrv.
    """

    __test__ = False

    vault: Devserver
    pebble: Pebble
    challtestsrv: ChallengeTestServer
    nginx: Nginx
    tls_vault: Devserver | None = None
    bind: Bind | None = None
    bind_pebble: Pebble | None = None
    eab_pebble: Pebble | None = None
    bare_pebble: Pebble | None = None

    def __init__(self, options: TestbedOptions | None = None) -> None:
        self.options = options or TestbedOptions()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        enter, options = self._stack.enter_context, self.options
        self.directory = Path(enter(tempfile.TemporaryDirectory(prefix="testbed-")))
        self.webroot = self.directory / "webroot"
        (self.webroot / ".well-known" / "acme-challenge").mkdir(parents=True)
        self.ca = PrivateCa(self.directory)

        self.challtestsrv = enter(ChallengeTestServer())
        http_port = free_port()
        server = webroot_server(http_port, self.webroot, fallback_port=self.challtestsrv.http_port)
        self.nginx = enter(Nginx(server, [http_port]))
        dns_server = self.challtestsrv.dns_server
        usual = PebbleOptions(dns_server=dns_server, http_port=http_port, tls_port=self.challtestsrv.tls_port)

        self.pebble = enter(Pebble(self.ca, usual))
        if options.eab:
            self.eab_keys = {"extca-kid-1": secrets.token_urlsafe(32)}
            self.eab_pebble = enter(Pebble(self.ca, replace(usual, eab_keys=self.eab_keys)))
        if options.bare:
            self.bare_pebble = enter(Pebble(self.ca, PebbleOptions(dns_server=dns_server)))
        if options.bind:
            self.bind = enter(Bind())
            self.bind_pebble = enter(Pebble(self.ca, replace(usual, dns_server=self.bind.server)))

        self.vault = enter(Devserver(*options.devserver_arguments))
        if options.tls_vault:
            self.client_ca = PrivateCa(self.directory, "client")
            self.client_certificate = self.client_ca.issue(
                "host.example.com", label="client", common_name="host.example.com"
            )
            self.tls_vault = enter(Devserver(*options.devserver_arguments, ca=self.ca, client_ca=self.client_ca))

    def coordinates(self) -> Coordinates:
        """Everything that a playbook needs to know, as variables: addresses, ports, tokens, paths of files."""
        coordinates: Coordinates = {
            "testbed_vault_url": self.vault.url,
            "testbed_vault_token": self.vault.token,
            "testbed_acme_ca": str(self.ca.certificate),
            "testbed_webroot": str(self.webroot),
            "testbed_http_port": self.pebble.http_port,
            "testbed_tls_port": self.pebble.tls_port,
            "testbed_challtestsrv_url": self.challtestsrv.url,
            "testbed_dns_server": self.challtestsrv.dns_server,
            "testbed_python": sys.executable,
            **self._acme("acme", self.pebble),
        }
        if self.eab_pebble is not None:
            kid, key = next(iter(self.eab_keys.items()))
            coordinates |= self._acme("acme_eab", self.eab_pebble)
            coordinates |= {"testbed_acme_eab_kid": kid, "testbed_acme_eab_key": key}
        if self.bare_pebble is not None:
            coordinates |= self._acme("acme_bare", self.bare_pebble)
            coordinates |= {
                "testbed_acme_bare_http_port": self.bare_pebble.http_port,
                "testbed_acme_bare_tls_port": self.bare_pebble.tls_port,
            }
        if self.bind is not None and self.bind_pebble is not None:
            coordinates |= self._acme("acme_bind", self.bind_pebble)
            coordinates |= self._bind(self.bind)
        if self.tls_vault is not None:
            coordinates |= {
                "testbed_vault_tls_url": self.tls_vault.url,
                "testbed_vault_tls_token": self.tls_vault.token,
                "testbed_vault_tls_ca": str(self.ca.certificate),
                "testbed_client_ca": str(self.client_ca.certificate),
                "testbed_client_certificate": str(self.client_certificate.certificate),
                "testbed_client_key": str(self.client_certificate.key),
            }
        return coordinates

    def _acme(self, prefix: str, pebble: Pebble) -> Coordinates:
        root = self.directory / f"{prefix}-root.pem"
        root.write_text(pebble.root_pem())
        return {
            f"testbed_{prefix}_directory_url": pebble.directory_url,
            f"testbed_{prefix}_management_url": pebble.management_url,
            f"testbed_{prefix}_root": str(root),
        }

    @staticmethod
    def _bind(bind: Bind) -> Coordinates:
        coordinates: Coordinates = {
            "testbed_bind_server": bind.server,
            "testbed_bind_port": bind.port,
            "testbed_bind_zone": bind.dynamic_zones[0],
            "testbed_bind_zone_2": bind.dynamic_zones[1],
        }
        for algorithm, key in bind.keys.items():
            prefix = f"testbed_bind_{algorithm.replace('-', '_')}"
            coordinates |= {f"{prefix}_key_name": key.name, f"{prefix}_key_secret": key.secret}
        return coordinates

    def environment(self) -> dict[str, str]:
        """The coordinates as environment variables (``TESTBED_…``), with Vault's own beside them."""
        variables = {name.upper(): str(value) for name, value in self.coordinates().items()}
        return {**variables, "VAULT_ADDR": self.vault.url, "VAULT_TOKEN": self.vault.token}

    def write_vars(self, path: Path) -> None:
        """Write the coordinates as a file of variables (JSON, hence YAML too), readable by its owner only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(self.coordinates(), stream, indent=2)
            stream.write("\n")
