# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Services for the whole session, a Vault for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import Bind, ChallengeTestServer, Pebble, PebbleOptions, PrivateCa

from .harness import Server, Services


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Pebble, resolving through and validating at challtestsrv."""
    ca = PrivateCa(tmp_path_factory.mktemp("ca"))
    with ChallengeTestServer() as chall, Pebble(ca, usual(chall)) as pebble:
        yield Services(ca, pebble, chall)


@pytest.fixture(scope="session")
def with_bind(services: Services) -> Iterator[Services]:
    """Pebble, resolving through BIND, and validating at challtestsrv."""
    with Bind() as bind:
        options = replace(usual(services.chall), dns_server=bind.server)
        with Pebble(services.ca, options) as pebble:
            yield replace(services, pebble=pebble, bind=bind)


@pytest.fixture(scope="session")
def pebbles(services: Services) -> Iterator[Callable[..., Services]]:
    """A function that gives services with a Pebble of other habits, started once."""
    started: dict[str, Pebble] = {}

    def start(**options: Any) -> Services:
        key = repr(options)
        if key not in started:
            started[key] = Pebble(services.ca, replace(usual(services.chall), **options))
            started[key].__enter__()
        return replace(services, pebble=started[key])

    yield start
    for pebble in started.values():
        pebble.__exit__(None, None, None)


@pytest.fixture
def servers() -> Iterator[Callable[..., Server]]:
    """A function that starts Vaults; they end with the test."""
    started: list[Server] = []

    def start(services: Services, state_file: Path | None = None, **answers: str) -> Server:
        given = {name.replace("_", "-"): value for name, value in answers.items()}
        started.append(Server(services, state_file, given))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def server(services: Services, servers: Callable[..., Server]) -> Server:
    """A Vault with an account and a role."""
    server = servers(services)
    server.prepare()
    return server


@pytest.fixture
def dns_server(with_bind: Services, servers: Callable[..., Server]) -> Server:
    """A Vault with an account at the Pebble that resolves through BIND, a role, and no provider yet."""
    server = servers(with_bind)
    server.prepare()
    return server


def usual(chall: ChallengeTestServer) -> PebbleOptions:
    """A Pebble that finds challenges at challtestsrv."""
    return PebbleOptions(dns_server=chall.dns_server, http_port=chall.http_port, tls_port=chall.tls_port)
