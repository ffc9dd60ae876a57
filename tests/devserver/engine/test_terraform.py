# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What Vault's Terraform provider sends, over real HTTP to a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.devserver.contract import assert_conforms
from tests.devserver.engine.harness import Services, eventually, fresh
from tests.testbed import Devserver


@pytest.fixture(scope="module")
def vault() -> Iterator[Devserver]:
    with Devserver() as process:
        yield process


def send(vault: Devserver, method: str, path: str, template: str = "", **arguments: Any) -> requests.Response:
    headers = {"X-Vault-Token": vault.token, "X-Vault-Request": "true"}
    response = requests.request(method, f"{vault.url}/v1/{path}", headers=headers, timeout=20, **arguments)
    if template:
        assert_conforms(method, f"/{{mount}}/{template}", response)
    assert response.ok, response.text
    return response


def test_resources_from_creation_to_destruction(vault: Devserver, services: Services) -> None:
    mount = "tf-test-pki-ext-ca/nested"
    send(vault, "POST", f"sys/mounts/{mount}", json={"type": "pki-external-ca", "description": "PKI External CA test"})

    account = {
        "directory_url": services.pebble.directory_url,
        "eab_key": "",
        "eab_kid": "",
        "email_contacts": ["admin@example.com", "security@example.com"],
        "key_type": "ec-256",
        "trusted_ca": services.ca.pem,
    }
    path, template = f"{mount}/config/acme-account/le", "config/acme-account/{name}"
    written = send(vault, "PUT", path, template, json=account).json()["data"]
    assert {field: written[field] for field in ("directory_url", "email_contacts", "trusted_ca")} == {
        field: account[field] for field in ("directory_url", "email_contacts", "trusted_ca")
    }
    assert written == send(vault, "GET", path, template).json()["data"]
    assert send(vault, "PUT", path, template, json=account).json()["data"] == written

    role = {
        "acme_account_name": "le",
        "allowed_challenge_types": ["http-01"],
        "allowed_domain_options": ["bare_domains", "subdomains"],
        "allowed_domains": ["example.com"],
        "csr_generate_key_type": "ec-256",
        "csr_identifier_population": "cn_first",
        "force": True,
        "name": "example-role",
    }
    path, template = f"{mount}/role/example-role", "role/{name}"
    answer = send(vault, "PUT", path, template, json=role).json()
    assert {field: answer["data"][field] for field in role if field != "force"} == {
        field: value for field, value in role.items() if field != "force"
    }
    (warning,) = answer["warnings"]
    assert warning.endswith("captured from the endpoint's path: [name]"), "and force is known"
    updated = send(vault, "PUT", path, template, json=role | {"csr_generate_key_type": "ec-384"}).json()["data"]
    assert updated["csr_generate_key_type"] == "ec-384"

    name = fresh()
    below = f"{path}/new-order"
    order = {"identifiers": [name]}
    order_id = send(vault, "PUT", below, "role/{name}/new-order", json=order).json()["data"]["order_id"]
    below, template = f"{path}/order/{order_id}", "role/{name}/order/{order_id}"

    def reached(state: str) -> bool:
        status = send(vault, "GET", f"{below}/status", f"{template}/status").json()["data"]
        return bool(status["order_status"] == state)

    eventually(lambda: reached("awaiting-challenge-fulfillment"))
    asked = {"challenge_type": "http-01", "identifier": name}
    challenge = send(vault, "GET", f"{below}/challenge", f"{template}/challenge", params=asked).json()["data"]
    assert challenge["challenge_auth"].startswith(challenge["challenge_token"] + ".")
    services.serve("http-01", name, challenge["challenge_token"], challenge["challenge_auth"])
    fulfilled = send(vault, "PUT", f"{below}/fulfilled-challenge", f"{template}/fulfilled-challenge", json=asked)
    assert fulfilled.status_code == 204
    eventually(lambda: reached("completed"))
    certificate = send(vault, "GET", f"{below}/fetch-cert", f"{template}/fetch-cert").json()["data"]
    assert certificate["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert certificate["private_key_type"] == "EC"

    assert send(vault, "DELETE", f"{path}?force=true", "role/{name}").status_code == 204
    account_path = f"{mount}/config/acme-account/le"
    assert send(vault, "DELETE", account_path, "config/acme-account/{name}").status_code == 204
    assert send(vault, "DELETE", f"sys/mounts/{mount}").status_code == 204


def test_a_dns_provider(vault: Devserver) -> None:
    send(vault, "POST", "sys/mounts/tf-dns", json={"type": "pki-external-ca"})
    provider = {
        "identifiers": ["example.com"],
        "nameserver": "ns1.example.com:53",
        "tsig_algorithm": "hmac-sha256",
        "tsig_key_name": "key.",
        "tsig_secret": "dGVzdA==",
        "ttl": "60s",
    }
    path, template = "tf-dns/config/dns/rfc2136/main", "config/dns/rfc2136/{name}"
    written = send(vault, "PUT", path, template, json=provider).json()["data"]
    assert written == send(vault, "GET", path, template).json()["data"]
    del provider["tsig_secret"]
    updated = send(vault, "PUT", path, template, json=provider | {"ttl": "120s"}).json()["data"]
    assert updated["ttl"] == "2m0s"
    assert send(vault, "DELETE", path, template).status_code == 204
