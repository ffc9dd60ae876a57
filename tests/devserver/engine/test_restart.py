# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The server may end at any moment; with its state file, the next one carries on."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509

from devserver.answers import Answers
from devserver.clock import ServerClock
from devserver.engine import csr, orders
from devserver.engine.backend import ExternalCaBackend
from devserver.engine.order_paths import CHALLENGE_FIELDS, NEW_FIELDS
from devserver.framework import Field, MountContext, Operation, Request
from devserver.scripts import Scripts
from tests.devserver.engine.harness import Server, Services, eventually, fresh
from tests.testbed import Devserver


class Crash(Exception):
    """The server ends here."""


class Recorder:
    """Storage that lets the server end: after so many writes to orders, none is carried out any more."""

    def __init__(self, values: Mapping[str, str], writes: int = 10**9) -> None:
        self.values = dict(values)
        self.states: set[str] = set()
        self._left = writes

    @property
    def crashed(self) -> bool:
        return self._left < 0

    def get(self, key: str) -> dict[str, Any] | None:
        text = self.values.get(key)
        return None if text is None else json.loads(text)

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        self._left -= 1
        if self.crashed:
            raise Crash(key)
        self.values[key] = json.dumps(value)
        self.states.add(value["state"])

    def delete(self, key: str) -> None:
        del self.values[key]

    def keys(self, prefix: str) -> list[str]:
        return sorted(key[len(prefix) :] for key in list(self.values) if key.startswith(prefix))

    def clear(self) -> None:
        self.values.clear()


class NoTemplates:
    """Nobody asks for any here."""

    def render(self, text: str, entity_id: str) -> str | None:
        return None


@pytest.fixture
def begin() -> Iterator[Callable[[Recorder], ExternalCaBackend]]:
    started: list[ExternalCaBackend] = []

    def begin(storage: Recorder) -> ExternalCaBackend:
        context = MountContext("", "pki-external-ca/", storage, ServerClock(), NoTemplates(), Answers(), Scripts())
        started.append(ExternalCaBackend(context))
        started[-1].start()
        return started[-1]

    yield begin
    for backend in started:
        backend.stop()


def test_an_end_before_any_write(
    with_bind: Services, servers: Callable[..., Server], begin: Callable[[Recorder], ExternalCaBackend]
) -> None:
    """A hybrid order passes through every state; whatever was done last and not stored any more, it is carried on."""
    prepared = servers(with_bind)
    prepared.prepare()
    prepared.provider()
    storage = prepared.vault.namespaces[""].mounts["pki-external-ca/"].backend._orders._storage  # type: ignore[attr-defined]
    settings = {key: json.dumps(storage.get(key)) for key in storage.keys("")}
    for writes in itertools.count(1):
        names = (fresh(), fresh("dyn.example.com"))
        first = Recorder(settings, writes)
        backend = begin(first)
        order_id = call(backend, "new_order", NEW_FIELDS, identifiers=list(names))["order_id"]
        finish(with_bind, backend, first, order_id, names[0])
        backend.stop()
        second = Recorder(first.values)
        backend = begin(second)
        finish(with_bind, backend, second, order_id, names[0])
        check_outcome(with_bind, backend, order_id, names[1])
        backend.stop()
        if not first.crashed:
            assert first.states == set(orders.STATES) - {"expired", "revoked", "error"}
            assert writes > len(first.states)
            return


def call(backend: ExternalCaBackend, handler: str, fields: Mapping[str, Field], **data: Any) -> Any:
    """The data that a handler for orders answers with."""
    request = Request(Operation.UPDATE, "", {"name": "web", **data}, fields)
    response = getattr(backend._order_paths, handler)(request)
    return response.data if response is not None else None


def finish(services: Services, backend: ExternalCaBackend, storage: Recorder, order_id: str, by_hand: str) -> None:
    """Fulfil what has to be fulfilled by hand; returns when the order is completed or the server has ended."""

    def finished() -> bool:
        order = backend._orders.get(order_id)
        assert order is not None
        assert order.state != "error", order.last_error
        if order.state == "awaiting-challenge-fulfillment":
            asked = {"order_id": order_id, "identifier": by_hand, "challenge_type": "http-01"}
            told = call(backend, "challenge", CHALLENGE_FIELDS, **asked)
            services.serve("http-01", by_hand, told["challenge_token"], told["challenge_auth"])
            with contextlib.suppress(Crash):
                call(backend, "fulfilled", CHALLENGE_FIELDS, **asked)
        return order.state == "completed" or storage.crashed

    eventually(finished)


def check_outcome(services: Services, backend: ExternalCaBackend, order_id: str, by_provider: str) -> None:
    """The certificate fits the key, and the name server is clean."""
    order = backend._orders.get(order_id)
    assert order is not None
    assert order.issued is not None
    leaf = x509.load_pem_x509_certificate(order.issued.certificate.encode())
    assert csr.key_from_pem(order.private_key).public_key() == leaf.public_key()
    assert services.bind is not None
    eventually(lambda: services.bind and not services.bind.query(f"_acme-challenge.{by_provider}"))


def test_everything_is_there_again(services: Services, servers: Callable[..., Server], tmp_path: Path) -> None:
    state_file = tmp_path / "state.db"
    first = servers(services, state_file)
    first.prepare()
    done = first.issue(fresh())
    name = fresh()
    waiting = first.order(name)
    first.wait(waiting, "awaiting-challenge-fulfillment")
    revoked = first.issue(fresh())
    first.ok("POST", f"role/web/order/{revoked}/revoke", reason="superseded")
    reads = [
        ("GET", "config/acme-account/le"),
        ("GET", "role/web"),
        ("LIST", "role/web/active-orders"),
        ("LIST", "lookup/orders"),
        ("LIST", "lookup/orders/recent"),
        ("GET", f"role/web/order/{done}/status"),
        ("GET", f"role/web/order/{waiting}/status"),
        ("GET", f"role/web/order/{revoked}/status"),
        ("GET", f"role/web/order/{done}/fetch-cert"),
        ("GET", f"lookup/cert/{first.status(done)['serial_number']}"),
    ]
    before = [first.ok(method, path) for method, path in reads]
    first.close()
    second = servers(services, state_file)
    assert [second.ok(method, path) for method, path in reads] == before
    identifiers = ",".join(second.status(done)["identifiers"])
    cached = second.ok("GET", "role/web/cached", identifiers=identifiers, min_validity_percentage=10)
    assert cached == second.fetch(done)
    second.fulfil(waiting, name)
    second.wait(waiting, "completed")


def test_a_killed_process(services: Services, tmp_path: Path) -> None:
    name = fresh()
    with Devserver(state_file=tmp_path / "state.db") as process:
        url, headers = f"{process.url}/v1", {"X-Vault-Token": process.token}
        requests.post(f"{url}/sys/mounts/pki", json={"type": "pki-external-ca"}, headers=headers, timeout=5)
        account = services.account()
        made = requests.post(f"{url}/pki/config/acme-account/le", json=account, headers=headers, timeout=5)
        assert made.status_code == 200, made.text
        role = {"acme_account_name": "le", "allowed_domains": "example.com", "allowed_domain_options": "subdomains"}
        requests.post(f"{url}/pki/role/web", json=role, headers=headers, timeout=5)
        order = requests.post(f"{url}/pki/role/web/new-order", json={"identifiers": name}, headers=headers, timeout=5)
        order_id = order.json()["data"]["order_id"]
        process.kill()
        process.start()
        url = f"{process.url}/v1/pki/role/web/order/{order_id}"

        def status() -> dict[str, Any]:
            data: dict[str, Any] = requests.get(f"{url}/status", headers=headers, timeout=5).json()["data"]
            return data

        eventually(lambda: status()["order_status"] == "awaiting-challenge-fulfillment")
        asked = {"identifier": name, "challenge_type": "http-01"}
        told = requests.get(f"{url}/challenge", params=asked, headers=headers, timeout=5).json()["data"]
        services.serve("http-01", name, told["challenge_token"], told["challenge_auth"])
        assert requests.post(f"{url}/fulfilled-challenge", json=asked, headers=headers, timeout=5).status_code == 204
        process.kill()
        process.start()
        url = f"{process.url}/v1/pki/role/web/order/{order_id}"
        eventually(lambda: status()["order_status"] == "completed")
