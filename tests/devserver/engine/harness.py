# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A development Vault in this process, whose every answer about the engine is held to the contract."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from devserver.framework import Refusal
from devserver.messages import HttpAnswer, HttpRequest, error_answer
from devserver.mounts import MountEntry
from devserver.router import admit, attempt, finish
from devserver.vault import Vault
from tests.devserver.contract import assert_conforms
from tests.testbed import Bind, ChallengeTestServer, Pebble, PrivateCa

MOUNT = "pki-external-ca"
TERMINAL = ("completed", "expired", "revoked", "error")

_NAME = "[^/]+"
_TEMPLATES = [
    (re.compile(pattern.replace("*", _NAME)), f"/{{mount}}/{template}")
    for pattern, template in (
        ("config/acme-account", "config/acme-account"),
        ("config/acme-account/*", "config/acme-account/{name}"),
        ("config/acme-account/*/import", "config/acme-account/{name}/import"),
        ("config/acme-account/*/rotate-key", "config/acme-account/{name}/rotate-key"),
        ("role", "role"),
        ("role/*", "role/{name}"),
        ("config/dns", "config/dns"),
        ("config/dns/(?P<type>*)", "config/dns/{type}"),
        ("config/dns/(?P<type>*)/*", "config/dns/{type}/{name}"),
        ("dns/test/workflow", "dns/test/workflow"),
        ("role/*/new-order", "role/{name}/new-order"),
        ("role/*/active-orders", "role/{name}/active-orders"),
        ("role/*/cached", "role/{name}/cached"),
        ("role/*/order/*/(?P<what>*)", "role/{name}/order/{order_id}/{what}"),
        ("lookup/cert/*", "lookup/cert/{serial}"),
        ("lookup/order/*", "lookup/order/{order_id}"),
        ("lookup/orders", "lookup/orders"),
        ("lookup/orders/recent", "lookup/orders/recent"),
    )
]
_numbers = itertools.count(1)


def fresh(parent: str = "example.com") -> str:
    """A name that no test has used before, so that no authorization of an earlier order counts for it."""
    return f"n{next(_numbers)}.{parent}"


def eventually(condition: Callable[[], Any], *, within: float = 15.0, what: str = "the condition") -> Any:
    """Look again and again until the condition gives something true, and return that."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {within} s"
        time.sleep(0.003)
    return value


@dataclass
class Answer:
    """An HTTP answer."""

    status_code: int
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The whole JSON."""
        body: dict[str, Any] = json.loads(self.content)
        return body

    @property
    def data(self) -> Any:
        """What is in the envelope."""
        return self.body["data"]

    @property
    def error(self) -> str:
        """The errors as one text."""
        return "\n".join(self.body["errors"])


@dataclass
class Services:
    """The real servers around the Vault."""

    ca: PrivateCa
    pebble: Pebble
    chall: ChallengeTestServer
    bind: Bind | None = None

    def account(self, **changes: Any) -> dict[str, Any]:
        """Parameters of an ACME account at this Pebble."""
        defaults = {
            "directory_url": self.pebble.directory_url,
            "email_contacts": ["ops@example.com"],
            "trusted_ca": self.ca.pem,
        }
        return defaults | changes

    def serve(self, kind: str, identifier: str, token: str, key_authorization: str) -> None:
        """Put a challenge in place."""
        if kind == "http-01":
            self.chall.add_http01(token, key_authorization)
        elif kind == "tls-alpn-01":
            self.chall.add_tls_alpn_01(identifier, key_authorization)
        else:
            digest = hashlib.sha256(key_authorization.encode()).digest()
            value = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            self.chall.set_txt(f"_acme-challenge.{identifier.removeprefix('*.')}", value)


@dataclass
class Server:
    """A Vault with the engine mounted."""

    services: Services
    state_file: Path | None = None
    answers: dict[str, str] = field(default_factory=dict)
    check: bool = True

    def __post_init__(self) -> None:
        self.vault = Vault(state_file=self.state_file, root_token="root", answers=self.answers)
        self.vault.start()
        if f"{MOUNT}/" not in self.vault.namespaces[""].mounts:
            self.vault.enable(MountEntry(f"{MOUNT}/", MOUNT, ""))

    def close(self) -> None:
        """Stop it."""
        self.vault.stop()

    def set_answers(self, **answers: str) -> None:
        """Put answers in force: ``set_answers(OQ_1="404")``; all others are the defaults."""
        self.answers = {name.replace("_", "-"): value for name, value in answers.items()}
        self.vault.answers.replace(self.answers)

    def request(self, method: str, path: str, *, token: str = "root", **parameters: Any) -> Answer:
        """One request below the mount, its answer validated."""
        in_query = method in ("GET", "LIST", "DELETE")
        message = HttpRequest(
            method=method,
            path=f"{MOUNT}/{path}",
            query=urlencode(parameters) if in_query else "",
            headers={"x-vault-token": token},
            body=b"" if in_query else json.dumps(parameters).encode(),
        )
        got = _serve(self.vault, message)
        result = Answer(got.status, got.body)
        if self.check:
            assert_conforms(method, _template(path), result, answers=self.answers)
        return result

    def ok(self, method: str, path: str, **parameters: Any) -> Any:
        """As request(), for one that must succeed; returns its data."""
        result = self.request(method, path, **parameters)
        assert result.status_code in (200, 204), f"{method} {path}: {result.status_code} {result.content!r}"
        return result.data if result.content else None

    def refused(self, method: str, path: str, *, status: int = 400, **parameters: Any) -> str:
        """As request(), for one that must be refused; returns the errors as text."""
        result = self.request(method, path, **parameters)
        assert result.status_code == status, f"{method} {path}: {result.status_code} {result.content!r}"
        return result.error

    def prepare(self, account: Mapping[str, Any] | None = None, **role: Any) -> None:
        """An account ``le`` and a role ``web`` for everything in example.com, example.net and example.org."""
        self.ok("POST", "config/acme-account/le", **self.services.account(**(account or {})))
        self.role(**role)

    def role(self, name: str = "web", **changes: Any) -> Any:
        """Write a role with everything allowed."""
        defaults = {
            "acme_account_name": "le",
            "allowed_domains": ["example.com", "example.net", "example.org"],
            "allowed_domain_options": ["bare_domains", "subdomains", "wildcards"],
        }
        return self.ok("POST", f"role/{name}", **(defaults | changes))

    def provider(self, name: str = "bind", **changes: Any) -> Any:
        """Write an rfc2136 provider for the dynamic zones of BIND."""
        assert self.services.bind is not None
        key = self.services.bind.keys["hmac-sha256"]
        zones = self.services.bind.dynamic_zones
        defaults = {
            "identifiers": [*zones, *(f"*.{zone}" for zone in zones)],
            "nameserver": self.services.bind.server,
            "tsig_key_name": key.name,
            "tsig_secret": key.secret,
        }
        return self.ok("POST", f"config/dns/rfc2136/{name}", **(defaults | changes))

    def order(self, *identifiers: str, role: str = "web", **parameters: Any) -> str:
        """A new order's id."""
        asked = {"identifiers": list(identifiers)} if identifiers else {}
        order_id: str = self.ok("POST", f"role/{role}/new-order", **asked, **parameters)["order_id"]
        return order_id

    def status(self, order_id: str, role: str = "web") -> dict[str, Any]:
        """The order as status tells it."""
        status: dict[str, Any] = self.ok("GET", f"role/{role}/order/{order_id}/status")
        return status

    def wait(self, order_id: str, *states: str, role: str = "web", within: float = 15.0) -> dict[str, Any]:
        """The order once it is in one of these states."""
        last: dict[str, Any] = {}

        def reached() -> bool:
            last.update(self.status(order_id, role))
            state = last["order_status"].replace("_", "-")
            assert state in states or state not in TERMINAL, f"in {state}: {last['last_error']}"
            return state in states

        eventually(reached, within=within, what=f"one of {states} (it is {last.get('order_status')})")
        return last

    def challenge(self, order_id: str, identifier: str, kind: str, role: str = "web") -> dict[str, Any]:
        """One challenge."""
        path = f"role/{role}/order/{order_id}/challenge"
        challenge: dict[str, Any] = self.ok("GET", path, identifier=identifier, challenge_type=kind)
        return challenge

    def fulfil(self, order_id: str, identifier: str, kind: str = "http-01", role: str = "web") -> None:
        """Serve a challenge and say so."""
        challenge = self.challenge(order_id, identifier, kind, role)
        self.services.serve(kind, identifier, challenge["challenge_token"], challenge["challenge_auth"])
        self.mark(order_id, identifier, kind, role)

    def mark(self, order_id: str, identifier: str, kind: str = "http-01", role: str = "web") -> None:
        """Say that a challenge is fulfilled."""
        path = f"role/{role}/order/{order_id}/fulfilled-challenge"
        self.ok("POST", path, identifier=identifier, challenge_type=kind)

    def issue(self, *identifiers: str, kind: str = "http-01", role: str = "web", **parameters: Any) -> str:
        """The id of an order that was carried out from beginning to end."""
        order_id = self.order(*identifiers, role=role, **parameters)
        status = self.wait(order_id, "awaiting-challenge-fulfillment", "completed", role=role)
        for identifier in status["challenges"]:
            if status["order_status"] != "completed":
                self.fulfil(order_id, identifier, kind, role)
        self.wait(order_id, "completed", role=role)
        return order_id

    def fetch(self, order_id: str, role: str = "web", **parameters: Any) -> dict[str, Any]:
        """The certificate."""
        certificate: dict[str, Any] = self.ok("GET", f"role/{role}/order/{order_id}/fetch-cert", **parameters)
        return certificate


def _serve(vault: Vault, message: HttpRequest) -> HttpAnswer:
    """What the server does with a request, all on this thread."""
    try:
        call = admit(vault, message)
    except Refusal as refusal:
        return error_answer(refusal)
    return finish(vault, call, attempt(call))


def _template(path: str) -> str:
    for pattern, template in _TEMPLATES:
        match = pattern.fullmatch(path)
        if match is not None:
            for name, value in match.groupdict().items():
                template = template.replace(f"{{{name}}}", value)
            return template
    raise LookupError(f"the contract has no {quote(path)}")
