# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Services for the session, an engine for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils import polling

from tests.testbed import Bind, ChallengeTestServer, Devserver, Pebble, PebbleOptions, PrivateCa
from tests.unit.running import run_main

from .fault_matrix import staged
from .harness import Bench, Engine, Played, Requested, Result, play
from .pitfalls import Pitfalls
from .stage import Stage
from .uses import Place

_mounts = itertools.count(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why the first try failed of what was tried again, which nobody would see otherwise."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.write_line(f"tried again: {report.nodeid}\n{report.longreprtext[-2000:]}")


@pytest.fixture(scope="session", autouse=True)
def quiet_environment() -> Iterator[None]:
    """No setting of the user's Vault reaches a test, and waiting looks again as soon as services next door can answer."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("VAULT_", "AWS_", "AZURE_")) or name.lower().endswith(("_proxy", "_ca_bundle")):
                patch.delenv(name)
        patch.setattr(polling, "FIRST_PAUSE", 0.02)
        yield


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Pebble, challtestsrv and a development Vault."""
    ca = PrivateCa(tmp_path_factory.mktemp("ca"))
    with ChallengeTestServer() as chall, Devserver() as vault:
        ports = PebbleOptions(dns_server=chall.dns_server, http_port=chall.http_port, tls_port=chall.tls_port)
        with Pebble(ca, ports) as pebble:
            yield Bench(ca, pebble, chall, vault)


@pytest.fixture(scope="session")
def tls_bench(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, PrivateCa]]:
    """A development Vault that speaks TLS, also under a name that no resolver knows, and asks for certificates."""
    client_ca = PrivateCa(tmp_path_factory.mktemp("clients"), "client")
    certificate = bench.ca.issue("localhost", "127.0.0.1", "vault.internal", label="vault")
    with Devserver(ca=bench.ca, certificate=certificate, client_ca=client_ca) as vault:
        yield Bench(bench.ca, bench.pebble, bench.challtestsrv, vault), client_ca


@pytest.fixture
def empty_engine(bench: Bench) -> Iterator[Engine]:
    """The engine, freshly mounted."""
    engine = Engine(bench, f"extca-{next(_mounts)}")
    bench.api("POST", f"sys/mounts/{engine.mount}", {"type": "pki-external-ca"})
    yield engine
    bench.api("DELETE", f"sys/mounts/{engine.mount}", namespace=engine.namespace)


@pytest.fixture
def engine(empty_engine: Engine) -> Engine:
    """The engine, freshly mounted, with the ACME account ``main`` and the role ``web``."""
    empty_engine.furnish()
    return empty_engine


@pytest.fixture(scope="session")
def bind() -> Iterator[Bind]:
    """BIND, with zones that take updates."""
    with Bind() as server:
        yield server


@pytest.fixture(scope="session")
def quiet_pebble(bench: Bench) -> Iterator[Pebble]:
    """A Pebble at whose http port nothing listens, so that what is under test can."""
    with Pebble(bench.ca, PebbleOptions(dns_server=bench.challtestsrv.dns_server)) as pebble:
        yield pebble


@pytest.fixture
def place(engine: Engine, bind: Bind, quiet_pebble: Pebble, tmp_path: Path) -> Place:
    """Where the uses of modules take place."""
    PrivateCa(tmp_path, "other").certificate.rename(tmp_path / "other.pem")
    return Place(engine, bind, quiet_pebble, tmp_path)


@pytest.fixture
def run_module(bench: Bench) -> Callable[..., Result]:
    """``run_module(name, options, check=, diff=)`` runs a module's main(); address and token are given unless set."""

    def run(name: str, options: Mapping[str, Any], *, check: bool = False, diff: bool = False) -> Result:
        return run_main(name, {"url": bench.vault.url, "token": bench.vault.token, **options}, check=check, diff=diff)

    return run


@pytest.fixture
def requests_made(bench: Bench) -> Callable[[], list[Requested]]:
    """``requests_made()`` lists the requests to Vault since this test began, or since ``bench.forget_requests()``."""
    bench.forget_requests()
    return bench.requests_made


@pytest.fixture
def answers(bench: Bench) -> Callable[[Mapping[str, str]], AbstractContextManager[None]]:
    """``with answers({"OQ-1": "404"}):``"""
    return bench.answers


@pytest.fixture
def faults(bench: Bench) -> Callable[..., AbstractContextManager[None]]:
    """``with faults({"kind": "seal", "path": "status", "count": 3}):``"""
    return bench.faults


@pytest.fixture
def scripts(bench: Bench) -> Callable[..., AbstractContextManager[None]]:
    """``with scripts({"role": "web", "fail": "no", "in": "processing-challenge"}):``"""
    return bench.scripts


@pytest.fixture
def run_playbook(bench: Bench, tmp_path: Path) -> Callable[..., Played]:
    """``run_playbook(text, *arguments, environment=…)`` runs ansible-playbook as a process."""

    def run(text: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Played:
        return play(text, tmp_path, bench, *arguments, environment=environment)

    return run


@pytest.fixture(scope="session")
def _staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Pitfalls]]:
    with staged(tmp_path_factory.mktemp("stage")) as both:
        yield both


@pytest.fixture
def stage(_staged: tuple[Stage, Pitfalls]) -> Iterator[Stage]:
    """A Vault of its own for bad days; all is well with it when a test begins."""
    _staged[0].recover()
    yield _staged[0]
    _staged[0].recover()


@pytest.fixture
def pitfalls(_staged: tuple[Stage, Pitfalls]) -> Pitfalls:
    """Addresses that lead nowhere good."""
    return _staged[1]
