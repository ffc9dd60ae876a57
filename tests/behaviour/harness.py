# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The stage of the behaviour tests: real services, an engine of its own for each test, modules run against it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from tests.testbed import ChallengeTestServer, Devserver, Pebble, PrivateCa
from tests.tools.ansible_test import home
from tests.tools.tree import BUILD, REPOSITORY
from tests.unit.running import run_main

Result = dict[str, Any]
TERMINAL = ("completed", "expired", "revoked", "error")
_numbers = itertools.count(1)


def fresh_name(parent: str = "example.com") -> str:
    """A DNS name that no test has used before, so that no earlier authorization counts for it."""
    return f"n{next(_numbers)}.{parent}"


@dataclass(frozen=True)
class Requested:
    """A request that the development Vault has served; ``path`` is below /v1/, status 0 means no answer."""

    method: str
    path: str
    namespace: str
    status: int


@dataclass
class Bench:
    """The services of a test session: Pebble, which validates at challtestsrv, and a development Vault."""

    ca: PrivateCa
    pebble: Pebble
    challtestsrv: ChallengeTestServer
    vault: Devserver
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False
        self.session.verify = str(self.ca.certificate)

    def api(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        namespace: str = "",
        token: str | None = None,
        expect: Sequence[int] = (200, 204),
    ) -> dict[str, Any]:
        """One request to Vault, with the root token unless another is given; the whole envelope, {} for an empty body."""
        headers = {"X-Vault-Token": self.vault.token if token is None else token}
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        answer = self.session.request(method, f"{self.vault.url}/v1/{path}", json=body, headers=headers, timeout=20)
        assert answer.status_code in expect, f"{method} {path}: {answer.status_code} {answer.text}"
        envelope: dict[str, Any] = answer.json() if answer.content else {}
        return envelope

    def dev(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the administrative endpoint, such as ``dev("PUT", "answers", {"OQ-1": "404"})``."""
        answer = self.session.request(method, f"{self.vault.url}/dev/{path}", json=body, timeout=20)
        assert answer.ok, f"{method} /dev/{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def forget_requests(self) -> None:
        """Begin to count anew."""
        self.dev("DELETE", "requests")

    def requests_made(self) -> list[Requested]:
        """The requests to Vault since the log was last forgotten, oldest first."""
        rows = self.dev("GET", "requests")["requests"]
        return [Requested(row["method"], row["path"], row["namespace"], row["status"]) for row in rows]

    @contextlib.contextmanager
    def answers(self, given: Mapping[str, str]) -> Iterator[None]:
        """Put these answers to open questions in force (``{"OQ-1": "404"}``), and the defaults again afterwards."""
        self.dev("PUT", "answers", given)
        try:
            yield
        finally:
            self.dev("DELETE", "answers")

    @contextlib.contextmanager
    def faults(self, *given: Mapping[str, Any]) -> Iterator[None]:
        """Let requests go wrong: ``{"kind": "status", "status": 500, "path": "status$", "count": 2}``."""
        try:
            for one in given:
                self.dev("POST", "faults", one)
            yield
        finally:
            self.dev("DELETE", "faults")

    @contextlib.contextmanager
    def scripts(self, *given: Mapping[str, Any]) -> Iterator[None]:
        """Let orders stay in a state, or fail: ``{"role": "web", "stay": {"processing-challenge": 2}}``."""
        try:
            for one in given:
                self.dev("PUT", "scripts", one)
            yield
        finally:
            self.dev("DELETE", "scripts")

    def token_with(self, policy: str, *, namespace: str = "", name: str = "", **rest: Any) -> str:
        """A token with exactly this policy (HCL or JSON) and the default one."""
        name = name or f"policy-{next(_numbers)}"
        self.api("POST", f"sys/policies/acl/{name}", {"policy": policy}, namespace=namespace)
        created = self.api("POST", "auth/token/create", {"policies": [name], **rest}, namespace=namespace)
        token: str = created["auth"]["client_token"]
        return token

    def account_fields(self, **changes: Any) -> dict[str, Any]:
        """The options (and Vault's parameters) of an ACME account at this Pebble."""
        defaults = {
            "directory_url": self.pebble.directory_url,
            "email_contacts": ["pki@example.com"],
            "trusted_ca": self.ca.pem,
        }
        return defaults | changes

    def publish(self, challenge_type: str, identifier: str, token: str, key_authorization: str) -> None:
        """Put a challenge where Pebble looks for it."""
        if challenge_type == "http-01":
            self.challtestsrv.add_http01(token, key_authorization)
        elif challenge_type == "tls-alpn-01":
            self.challtestsrv.add_tls_alpn_01(identifier, key_authorization)
        else:
            digest = hashlib.sha256(key_authorization.encode()).digest()
            finished = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            # Some Vaults give the finished TXT value, which has no dot.
            value = finished if "." in key_authorization else key_authorization
            record = f"_acme-challenge.{identifier.removeprefix('*.')}"
            self.challtestsrv.clear_txt(record)  # or the answers of many tests for one name would not fit a datagram
            self.challtestsrv.set_txt(record, value)


@dataclass
class Engine:
    """The engine on a mount that one test has for itself; ``account`` and ``role`` exist if it was furnished."""

    bench: Bench
    mount: str
    namespace: str = ""
    account: str = "main"
    role: str = "web"

    def renew(self) -> None:
        """Begin anew: a fresh engine on the same mount."""
        self.bench.api("DELETE", f"sys/mounts/{self.mount}", namespace=self.namespace)
        self.bench.api("POST", f"sys/mounts/{self.mount}", {"type": "pki-external-ca"}, namespace=self.namespace)
        self.furnish()

    def furnish(self, **role: Any) -> None:
        """Make the ACME account and the role, which permits all of example.com, .net and .org."""
        self.api("POST", f"config/acme-account/{self.account}", self.bench.account_fields())
        self.write_role(self.role, **role)

    def write_role(self, name: str, **changes: Any) -> None:
        """Make a role, or change one."""
        defaults = {
            "acme_account_name": self.account,
            "allowed_domains": ["example.com", "example.net", "example.org"],
            "allowed_domain_options": ["bare_domains", "subdomains", "wildcards"],
        }
        self.api("POST", f"role/{name}", defaults | changes)

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None, **rest: Any) -> Any:
        """One request below the mount with the root token; the answer's data."""
        return self.bench.api(method, f"{self.mount}/{path}", body, namespace=self.namespace, **rest).get("data")

    def run(
        self,
        module: str,
        options: Mapping[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        fails: bool | None = False,
    ) -> Result:
        """Run a module here (``vault_extca_`` may be left out); options given as None are left out.

        It must not fail, unless ``fails`` says that it must (True) or may (None).
        """
        name = module if module.startswith("vault_extca_") else f"vault_extca_{module}"
        where = {"url": self.bench.vault.url, "token": self.bench.vault.token, "mount": self.mount}
        if self.namespace:
            where["namespace"] = self.namespace
        result = run_main(name, {**where, **options}, check=check, diff=diff)
        assert fails is None or bool(result.get("failed")) is fails, f"{name}: {result.get('msg', result)}"
        return result

    def order(self, *identifiers: str, role: str = "", csr: str | None = None) -> str:
        """A new order's id; without identifiers or CSR, for a fresh name."""
        body: dict[str, Any] = {"csr": csr} if csr else {"identifiers": list(identifiers) or [fresh_name()]}
        order_id: str = self.api("POST", f"role/{role or self.role}/new-order", body)["order_id"]
        return order_id

    def status(self, order_id: str, role: str = "") -> dict[str, Any]:
        """The order's status as Vault gives it."""
        path = f"role/{role or self.role}/order/{order_id}/status"
        status = self.api("GET", path, expect=(200, 404, 412))
        if status is None:
            # A standby does not know an order yet that has just been made; a little later it does.
            self.bench.dev("POST", "clock", {"advance": 1.5})
            status = self.api("GET", path)
        known: dict[str, Any] = status
        return known

    def wait(self, order_id: str, *states: str, role: str = "", within: float = 20.0) -> dict[str, Any]:
        """The order's status once it is in one of these states."""
        deadline = time.monotonic() + within
        while True:
            status = self.status(order_id, role)
            state = status["order_status"].replace("_", "-")
            if state in states:
                return status
            assert state not in TERMINAL, f"order {order_id} is {state}: {status['last_error']}"
            assert time.monotonic() < deadline, f"order {order_id} is still {state}"
            time.sleep(0.01)

    def publish(self, order_id: str, identifier: str, challenge_type: str = "http-01", role: str = "") -> None:
        """Put an order's challenge where Pebble looks for it, without telling Vault."""
        query = urlencode({"identifier": identifier, "challenge_type": challenge_type})
        found = self.api("GET", f"role/{role or self.role}/order/{order_id}/challenge?{query}")
        self.bench.publish(challenge_type, identifier, found["challenge_token"], found["challenge_auth"])

    def fulfil(self, order_id: str, challenge_type: str = "http-01", role: str = "") -> None:
        """Publish one challenge of each of an order's identifiers, and tell Vault."""
        status = self.wait(order_id, "awaiting-challenge-fulfillment", "completed", role=role)
        if status["order_status"] == "completed":
            return
        for identifier in status["challenges"]:
            self.publish(order_id, identifier, challenge_type, role)
            body = {"identifier": identifier, "challenge_type": challenge_type}
            self.api("POST", f"role/{role or self.role}/order/{order_id}/fulfilled-challenge", body)

    def issue(self, *identifiers: str, role: str = "", csr: str | None = None) -> str:
        """The id of an order that is completed."""
        order_id = self.order(*identifiers, role=role, csr=csr)
        self.fulfil(order_id, role=role)
        self.wait(order_id, "completed", role=role)
        return order_id

    def fetch(self, order_id: str, role: str = "") -> dict[str, Any]:
        """An order's certificate as Vault gives it."""
        certificate: dict[str, Any] = self.api("GET", f"role/{role or self.role}/order/{order_id}/fetch-cert")
        return certificate

    def revoke(self, order_id: str, role: str = "") -> None:
        """Revoke an order's certificate, however this Vault spells the reason."""
        self.api("POST", f"role/{role or self.role}/order/{order_id}/revoke", {"reason": "superseded"})


@dataclass(frozen=True)
class Played:
    """What ansible-playbook did."""

    status: int
    output: str


def play(
    text: str, directory: Path, bench: Bench, *arguments: str, environment: Mapping[str, str] | None = None
) -> Played:
    """Run a playbook given as text; VAULT_ADDR and VAULT_TOKEN are the bench's unless ``environment`` has others."""
    playbook = directory / "playbook.yml"
    playbook.write_text(text)
    # Measuring coverage in every process of Ansible takes half as long again, and modules run in-process tell the same.
    unwanted = ("ANSIBLE_", "VAULT_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    settings = {
        "HOME": str(home()),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "links"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "VAULT_ADDR": bench.vault.url,
        "VAULT_TOKEN": bench.vault.token,
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook), *arguments]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**kept, **settings, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Played(done.returncode, done.stdout)
