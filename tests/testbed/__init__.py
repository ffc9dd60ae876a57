# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Real services for tests and the demo, on free loopback ports: Pebble, BIND 9, nginx and the development Vault.

Everything here is a context manager that has its service answering on entry and gone on exit, whatever happened in
between. Nothing outside of a temporary directory is written, and no service outlives the process that started it.
"""

from __future__ import annotations

from .bind import Bind, TsigKey, Zone
from .challtestsrv import ChallengeTestServer
from .devserver import Devserver
from .nginx import Nginx
from .pebble import Pebble, PebbleOptions
from .ports import free_port
from .process import Service, ServiceError
from .sshd import Sshd
from .testbed import Testbed, TestbedOptions
from .tls import PrivateCa, ServerCertificate

__all__ = [
    "Bind",
    "ChallengeTestServer",
    "Devserver",
    "Nginx",
    "Pebble",
    "PebbleOptions",
    "PrivateCa",
    "ServerCertificate",
    "Service",
    "ServiceError",
    "Sshd",
    "Testbed",
    "TestbedOptions",
    "TsigKey",
    "Zone",
    "free_port",
]
