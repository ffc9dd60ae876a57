# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Services for the session, an engine for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.behaviour.harness import Bench, Engine
from tests.testbed import ChallengeTestServer, Devserver, Pebble, PebbleOptions, PrivateCa

_mounts = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _quiet_environment() -> Iterator[None]:
    """No setting of the user's reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("VAULT_", "ANSIBLE_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Pebble, challtestsrv and a development Vault."""
    ca = PrivateCa(tmp_path_factory.mktemp("ca"))
    with ChallengeTestServer() as chall, Devserver() as vault:
        # What has been proven once is remembered, so that a renewal needs nobody.
        options = PebbleOptions(
            dns_server=chall.dns_server, http_port=chall.http_port, tls_port=chall.tls_port, authz_reuse=100
        )
        with Pebble(ca, options) as pebble:
            yield Bench(ca, pebble, chall, vault)


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    """The engine, freshly mounted, with the ACME account ``main`` and the role ``web``."""
    engine = Engine(bench, f"eco-{next(_mounts)}")
    bench.api("POST", f"sys/mounts/{engine.mount}", {"type": "pki-external-ca"})
    engine.furnish()
    yield engine
    bench.api("DELETE", f"sys/mounts/{engine.mount}")
