# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""ACME accounts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from devserver.engine import csr
from devserver.engine.accounts import _credentials
from devserver.engine.acme_client import AcmeProblem
from tests.devserver.engine.harness import Server, Services, fresh

ACCOUNT = "config/acme-account/le"


def engine_of(server: Server) -> Any:
    return server.vault.namespaces[""].mounts["pki-external-ca/"].backend


def account_key(server: Server, version: int = 0) -> str:
    """The key behind an account, which no endpoint gives away."""
    record = engine_of(server)._accounts._storage.get("acme-account/le")
    key: str = record["account_keys"][str(version)]["pem"]
    return key


@pytest.fixture
def bare(services: Services, servers: Callable[..., Server]) -> Server:
    """A Vault with nothing in the engine."""
    return servers(services)


@pytest.mark.parametrize("key_type", ["ec-256", "ec-384", "ec-521", "rsa-2048", "rsa-4096"])
def test_registered_with_every_key_type(bare: Server, key_type: str) -> None:
    created = bare.ok("POST", ACCOUNT, **bare.services.account(key_type=key_type))
    assert created == bare.ok("GET", ACCOUNT)
    assert created["email_contacts"] == ["ops@example.com"]
    assert created["active_key_version"] == 0
    assert created["account_keys"]["0"]["key_type"] == key_type
    assert created["trusted_ca"] == bare.services.ca.pem
    bare.role()
    bare.issue(fresh())


def test_what_registration_refuses(bare: Server) -> None:
    account = bare.services.account
    for parameters, words in (
        (account(directory_url=""), "'directory_url'"),
        (account(email_contacts=[]), "'email_contacts'"),
        (account(directory_url="localhost:14000"), "not an http or https URL"),
        (account(email_contacts=["nobody"]), "'nobody' is not an e-mail address"),
        (account(trusted_ca="rubbish"), "trusted_ca holds no certificates"),
        (
            account(trusted_ca=rf"{bare.services.ca.pem.strip()}\n{bare.services.ca.pem}"),
            "trusted_ca holds no certificates",
        ),
        (account(trusted_ca=""), "is not trusted (trusted_ca)"),
        (account(key_type="ec-111"), "expected one of ec-256"),
        (account(eab_kid="kid"), "eab_kid and eab_key"),
        (account(eab_kid="kid", eab_key="not base64!"), "eab_key is not valid base64url"),
    ):
        assert words in bare.refused("POST", ACCOUNT, **parameters)
    assert bare.request("GET", ACCOUNT).status_code == 404
    assert bare.request("LIST", "config/acme-account").status_code == 404


def test_external_account_binding(pebbles: Callable[..., Services], servers: Callable[..., Server]) -> None:
    key = secrets.token_urlsafe(32)
    services = pebbles(eab_keys={"kid-1": key})
    server = servers(services)
    assert "externalAccountRequired" in server.refused("POST", ACCOUNT, **services.account())
    wrong = secrets.token_urlsafe(32)
    refusal = server.refused("POST", ACCOUNT, **services.account(eab_kid="kid-1", eab_key=wrong))
    assert "urn:ietf:params:acme:error" in refusal
    assert wrong not in refusal
    created = server.ok("POST", ACCOUNT, **services.account(eab_kid="kid-1", eab_key=key))
    assert not {"eab_kid", "eab_key"} & set(created)
    repeated = server.ok("POST", ACCOUNT, **services.account(eab_kid="kid-1", eab_key=key))
    assert repeated == created
    refusal = server.refused("POST", ACCOUNT, **services.account(eab_kid="kid-2", eab_key=key))
    assert "eab_kid" in refusal


def test_only_trusted_ca_changes(server: Server, tmp_path: Any) -> None:
    before = server.ok("GET", ACCOUNT)
    assert server.ok("PUT", ACCOUNT, **server.services.account(key_type="ec-256")) == before
    for field, value in (
        ("directory_url", "https://localhost/dir"),
        ("email_contacts", ["other@example.com"]),
        ("key_type", "rsa-2048"),
    ):
        assert field in server.refused("POST", ACCOUNT, **server.services.account(**{field: value}))
    twice = server.services.ca.pem * 2
    after = server.ok("POST", ACCOUNT, trusted_ca=twice)
    assert after["trusted_ca"] == twice
    assert after["last_updated_date"] > before["last_updated_date"]
    assert after["creation_date"] == before["creation_date"]


def test_contacts_compare_as_a_set(bare: Server) -> None:
    contacts = ["b@example.com", "a@example.com"]
    created = bare.ok("POST", ACCOUNT, **bare.services.account(email_contacts=contacts))
    for same in ("a@example.com,b@example.com", ["mailto:a@example.com", "b@example.com"]):
        assert bare.ok("POST", ACCOUNT, **bare.services.account(email_contacts=same)) == created
    refusal = bare.refused("POST", ACCOUNT, **bare.services.account(email_contacts="a@example.com"))
    assert "email_contacts of an existing ACME account cannot be changed" in refusal


def test_a_bundle_may_say_whose_the_certificates_are(bare: Server) -> None:
    bundle = f"Főtanúsítvány\n=====\n{bare.services.ca.pem}\nRäksmörgås\n"
    created = bare.ok("POST", ACCOUNT, **bare.services.account(trusted_ca=bundle))
    assert created["trusted_ca"] == bundle


def test_two_who_register_one_account_at_once_share_it(bare: Server) -> None:
    parameters = bare.services.account()
    with ThreadPoolExecutor(8) as several:
        created = list(several.map(lambda _one: bare.ok("POST", ACCOUNT, **parameters), range(8)))
    assert all(one == created[0] for one in created)


def test_who_waits_too_long_for_an_account_is_told(bare: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devserver.engine.accounts._TURN_PATIENCE", 0.01)
    with engine_of(bare)._accounts._alone("le"):
        assert "in progress" in bare.refused("POST", ACCOUNT, **bare.services.account())
    bare.ok("POST", ACCOUNT, **bare.services.account())


def test_listed_and_deleted(server: Server) -> None:
    server.ok("POST", "config/acme-account/other", **server.services.account())
    assert server.ok("LIST", "config/acme-account")["keys"] == ["le", "other"]
    assert "in use by role(s): web" in server.refused("DELETE", ACCOUNT)
    server.ok("DELETE", "role/web")
    key = account_key(server)
    server.ok("DELETE", ACCOUNT)
    server.ok("DELETE", ACCOUNT)
    assert server.request("GET", ACCOUNT).status_code == 404
    refusal = server.refused(
        "POST",
        f"{ACCOUNT}/import",
        directory_url=server.services.pebble.directory_url,
        account_key=key,
        trusted_ca=server.services.ca.pem,
    )
    assert "failed to find the ACME account of this key" in refusal, "it was deactivated at the CA"


def test_import(server: Server) -> None:
    parameters: dict[str, Any] = {
        "directory_url": server.services.pebble.directory_url,
        "account_key": account_key(server),
        "trusted_ca": server.services.ca.pem,
    }
    imported = server.ok("POST", "config/acme-account/twin/import", **parameters)
    assert imported["account_keys"]["0"]["key_type"] == "ec-256"
    assert server.ok("GET", "config/acme-account/twin")["email_contacts"] == ["ops@example.com"]
    assert "exists already" in server.refused("POST", "config/acme-account/twin/import", **parameters)
    server.role("imported", acme_account_name="twin")
    server.issue(fresh(), role="imported")


def test_what_import_refuses(bare: Server) -> None:
    stranger = csr.key_to_pem(csr.generate_key("ec-256"))
    good: dict[str, Any] = {
        "directory_url": bare.services.pebble.directory_url,
        "account_key": stranger,
        "trusted_ca": bare.services.ca.pem,
    }
    for changes, words in (
        ({"account_key": ""}, "'account_key'"),
        ({"account_key": stranger[:80]}, "not an unencrypted private key"),
        ({"directory_url": "ftp://x"}, "not an http or https URL"),
        ({"directory_url": "https://[::1"}, "not an http or https URL"),
        ({"account_key": csr.key_to_pem(ec.generate_private_key(ec.SECP256K1()))}, "secp256k1"),
        ({"account_key": csr.key_to_pem(csr.generate_key("rsa-3072"))}, "rsa-3072"),
        ({}, "accountDoesNotExist"),
    ):
        refusal = bare.refused("POST", f"{ACCOUNT}/import", **(good | changes))
        assert words in refusal
        assert stranger.splitlines()[1] not in refusal


def test_a_key_of_its_own_is_loaded_in_no_time() -> None:
    pem = csr.key_to_pem(csr.generate_key("rsa-4096"))

    def cost(load: Callable[[str], csr.PrivateKey]) -> float:
        started = time.thread_time()
        assert csr.key_type_of(load(pem)) == "rsa-4096"
        return time.thread_time() - started

    # A stranger's is checked, which nothing else in the process survives without a delay.
    assert cost(csr.own_key) < cost(csr.key_from_pem) / 5


def test_key_rotation(server: Server) -> None:
    old = account_key(server)
    server.ok("POST", f"{ACCOUNT}/rotate-key", key_type="rsa-2048")
    account = server.ok("GET", ACCOUNT)
    assert account["active_key_version"] == 1
    assert [one["key_type"] for one in account["account_keys"].values()] == ["ec-256", "rsa-2048"]
    server.issue(fresh())
    server.ok("POST", f"{ACCOUNT}/rotate-key")
    server.issue(fresh())
    refusal = server.refused(
        "POST",
        "config/acme-account/old/import",
        directory_url=server.services.pebble.directory_url,
        account_key=old,
        trusted_ca=server.services.ca.pem,
    )
    assert "accountDoesNotExist" in refusal, "the CA knows the first key no more"
    assert "does not exist" in server.refused("POST", "config/acme-account/none/rotate-key")


def test_rotation_waits_for_pending_orders(server: Server) -> None:
    name = fresh()
    order_id = server.order(name)
    server.wait(order_id, "awaiting-challenge-fulfillment")
    before = server.challenge(order_id, name, "http-01")["challenge_auth"]
    assert "1 pending order" in server.refused("POST", f"{ACCOUNT}/rotate-key")
    server.ok("POST", f"{ACCOUNT}/rotate-key", force=True)
    assert server.challenge(order_id, name, "http-01")["challenge_auth"] != before
    server.fulfil(order_id, name)
    server.wait(order_id, "completed")


@pytest.mark.parametrize("reached", [True, False])
def test_a_rotation_that_was_cut_off(server: Server, reached: bool) -> None:
    accounts = engine_of(server)._accounts
    record = accounts._storage.get("acme-account/le")
    record["next_key"] = accounts._key_record(csr.generate_key("ec-384"))
    accounts._storage.put("acme-account/le", record)
    if reached:
        del record["next_key"]
        with accounts._clients.borrow(_credentials(record)) as acme:
            acme.change_key(accounts._storage.get("acme-account/le")["next_key"]["pem"])
    server.issue(fresh())
    assert server.ok("GET", ACCOUNT)["active_key_version"] == (1 if reached else 0)


def test_a_key_that_another_account_has_cannot_be_rotated_to(server: Server) -> None:
    server.ok("POST", "config/acme-account/other", **server.services.account())
    accounts = engine_of(server)._accounts
    taken = accounts._storage.get("acme-account/other")["account_keys"]["0"]["pem"]
    with accounts.client("le") as acme, pytest.raises(AcmeProblem, match="already in use"):
        acme.change_key(taken)
