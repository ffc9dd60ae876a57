# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_acme_account: registers, imports, compares by meaning, and keeps secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from ...conftest import RunModule
from ...issuing import SmallCA, key_pem, new_key, pem
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault

MODULE = "vault_extca_acme_account"
PATH = "pki-external-ca/config/acme-account/main"
DIRECTORY = "https://acme.test/directory"
CA = SmallCA()
BUNDLE = pem(CA.root) + pem(CA.intermediate)
OPTIONS = {"name": "main", "directory_url": DIRECTORY, "email_contacts": ["a@example.com", "b@example.com"]}


def account(key_types: tuple[str, ...] = ("ec-256",), **changes: Any) -> Answer:
    data: dict[str, Any] = {
        "name": "main",
        "directory_url": DIRECTORY,
        "email_contacts": ["b@example.com", "a@example.com"],
        "active_key_version": len(key_types) - 1,
        "account_keys": {
            str(version): {"key_type": one, "key_version": version, "key_creation_date": "2026-01-31T13:00:00+01:00"}
            for version, one in enumerate(key_types)
        },
        "trusted_ca": "",
        "creation_date": "2026-01-31T12:00:00.123456789Z",
        "last_updated_date": "2026-01-31T13:00:00+01:00",
    }
    data.update(changes)
    return Answer({key: value for key, value in data.items() if value is not None})


def test_registers_with_external_account_binding_and_shows_no_secret(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    vault.on("POST", PATH, account())
    result = run_module(MODULE, {**OPTIONS, "eab_kid": "kid-1", "eab_key": "c2VjcmV0LWhtYWM"}, diff=True)
    assert vault.sent[1].body == {
        "directory_url": DIRECTORY,
        "email_contacts": ["a@example.com", "b@example.com"],
        "eab_kid": "kid-1",
        "eab_key": "c2VjcmV0LWhtYWM",
    }
    assert result["changed"]
    assert result["diff"]["after"] == {"directory_url": DIRECTORY, "email_contacts": OPTIONS["email_contacts"]}
    assert result["acme_account"]["key_type"] == "ec-256"
    assert result["acme_account"]["creation_date"] == "2026-01-31T12:00:00Z"
    assert result["acme_account"]["account_keys"]["0"]["key_creation_date"] == "2026-01-31T12:00:00Z"
    assert "c2VjcmV0LWhtYWM" not in json.dumps(result)


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"email_contacts": ["mailto:b@example.com", "a@example.com", "a@example.com"]},
        {"key_type": "ec-256"},
        {"eab_kid": "another", "eab_key": "YW5vdGhlcg"},
        {"trusted_ca": ""},
        {"recreate": True},
    ],
)
def test_the_same_account_in_other_words_changes_nothing(
    vault: FakeVault, run_module: RunModule, same: dict[str, Any]
) -> None:
    vault.on("GET", PATH, account())
    assert run_module(MODULE, {**OPTIONS, **same})["changed"] is False
    assert vault.calls == [f"GET {PATH}"]


def test_trusted_ca_compares_by_its_certificates(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account(trusted_ca=BUNDLE))
    other_words = "# our CA\r\n" + BUNDLE.replace("\n", "\r\n") + "\n\n"
    assert run_module(MODULE, {**OPTIONS, "trusted_ca": other_words})["changed"] is False


def test_only_trusted_ca_is_updated_and_the_rest_repeated(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account(("rsa-2048",)))
    vault.on("POST", PATH, account(("rsa-2048",), trusted_ca=BUNDLE))
    options = {**OPTIONS, "email_contacts": ["mailto:a@example.com", "b@example.com"], "trusted_ca": BUNDLE}
    result = run_module(MODULE, options, diff=True)
    assert vault.sent[1].body == {
        "directory_url": DIRECTORY,
        "email_contacts": ["b@example.com", "a@example.com"],
        "key_type": "rsa-2048",
        "trusted_ca": BUNDLE,
    }
    assert result["diff"] == {"before": {"trusted_ca": ""}, "after": {"trusted_ca": BUNDLE}}


def test_vault_gets_the_certificates_and_nothing_around_them(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account())
    vault.on("POST", PATH, account(trusted_ca=BUNDLE))
    run_module(MODULE, {**OPTIONS, "trusted_ca": "our CA\r\n" + pem(CA.root) + "\\n" + pem(CA.intermediate).strip()})
    assert vault.sent[1].body["trusted_ca"] == BUNDLE


@pytest.mark.parametrize(
    ("different", "named"),
    [
        ({"directory_url": "https://other.test/dir"}, "directory_url is 'https://acme.test/directory'"),
        ({"email_contacts": ["c@example.com"]}, "email_contacts is"),
        ({"key_type": "rsa-2048"}, "vault_extca_acme_account_rotate_key changes it"),
    ],
)
def test_what_is_fixed_and_differs_is_named(
    vault: FakeVault, run_module: RunModule, different: dict[str, Any], named: str
) -> None:
    vault.on("GET", PATH, account())
    result = run_module(MODULE, {**OPTIONS, **different})
    assert result["failed"]
    assert named in result["msg"]
    assert "recreate: true" in result["msg"]


def test_recreate_deactivates_and_registers(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account())
    vault.on("DELETE", PATH, NO_CONTENT)
    vault.on("POST", PATH, account(("rsa-2048",)))
    result = run_module(MODULE, {**OPTIONS, "key_type": "rsa-2048", "recreate": True}, diff=True)
    assert vault.calls == [f"GET {PATH}", f"DELETE {PATH}", f"POST {PATH}"]
    assert result["diff"]["before"]["key_type"] == "ec-256"
    assert result["diff"]["after"]["key_type"] == "rsa-2048"


@pytest.mark.parametrize("contacts", [["a@example.com"], None], ids=["in the answer", "not in the answer"])
def test_imports_by_key_and_never_shows_it(vault: FakeVault, run_module: RunModule, contacts: list[str] | None) -> None:
    key = key_pem(new_key())
    vault.on("GET", PATH, NOTHING_THERE, account(email_contacts=["a@example.com"]))
    vault.on("POST", f"{PATH}/import", account(email_contacts=contacts))
    result = run_module(MODULE, {"name": "main", "directory_url": DIRECTORY, "account_key": key}, diff=True)
    assert vault.sent[1].body == {"directory_url": DIRECTORY, "account_key": key}
    assert result["acme_account"]["email_contacts"] == ["a@example.com"]
    assert result["diff"]["after"] == {"directory_url": DIRECTORY, "key_type": "ec-256"}
    assert key.split("\n")[1] not in json.dumps(result)


@pytest.mark.parametrize("held", [("ec-384",), ("ec-384", "rsa-2048")], ids=["as imported", "rotated since"])
def test_an_account_with_such_a_key_is_not_imported_again(
    vault: FakeVault, run_module: RunModule, held: tuple[str, ...]
) -> None:
    vault.on("GET", PATH, account(held))
    options = {
        "name": "main",
        "directory_url": DIRECTORY,
        "account_key": key_pem(ec.generate_private_key(ec.SECP384R1())),
    }
    assert run_module(MODULE, options)["changed"] is False
    assert vault.calls == [f"GET {PATH}"]


def test_trusted_ca_of_an_imported_account_is_updated_without_the_key(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account())
    vault.on("POST", PATH, account(trusted_ca=BUNDLE))
    options = {"name": "main", "directory_url": DIRECTORY, "account_key": key_pem(new_key()), "trusted_ca": BUNDLE}
    assert run_module(MODULE, options)["changed"]
    assert "account_key" not in vault.sent[1].body


def test_an_account_with_another_kind_of_key_is_another_account(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account())
    key = key_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    result = run_module(MODULE, {"name": "main", "directory_url": DIRECTORY, "account_key": key})
    assert "key_type is 'ec-256' and not 'rsa-2048'" in result["msg"]


def test_absent_deletes_once(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account(), NOTHING_THERE)
    vault.on("DELETE", PATH, NO_CONTENT)
    assert run_module(MODULE, {"name": "main", "state": "absent"})["changed"]
    assert run_module(MODULE, {"name": "main", "state": "absent"})["changed"] is False
    assert vault.calls == [f"GET {PATH}", f"DELETE {PATH}", f"GET {PATH}"]


def test_check_mode_only_reads(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    result = run_module(MODULE, {**OPTIONS, "eab_kid": "kid-1", "eab_key": "c2VjcmV0LWhtYWM"}, check=True)
    assert result["changed"]
    told = {"name": OPTIONS["name"], "directory_url": DIRECTORY, "email_contacts": OPTIONS["email_contacts"]}
    assert result["acme_account"] == told
    assert vault.calls == [f"GET {PATH}"]


def test_vaults_refusal_is_told(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    vault.on("POST", PATH, Answer(status=400, errors=["urn:ietf:params:acme:error:externalAccountRequired"]))
    assert "externalAccountRequired" in run_module(MODULE, OPTIONS)["msg"]


def test_an_account_without_an_active_key_is_no_answer_of_vaults(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account(active_key_version=7))
    assert "names no active key" in run_module(MODULE, OPTIONS)["msg"]


KEY_25519 = key_pem(ed25519.Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"email_contacts": None}, "email_contacts, account_key"),
        ({"directory_url": None}, "directory_url"),
        ({"eab_kid": "kid"}, "required together: eab_kid, eab_key"),
        ({"account_key": "-----BEGIN"}, "mutually exclusive: account_key|email_contacts"),
        ({"key_type": "dsa"}, "value of key_type must be one of"),
        ({"trusted_ca": "/etc/ssl/ca.pem"}, "trusted_ca: it is the text of one or more certificates in PEM"),
        ({"trusted_ca": pem(CA.root).replace("MI", "!!", 1)}, "trusted_ca: the certificate cannot be parsed"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], message: str
) -> None:
    result = run_module(MODULE, {**OPTIONS, **options})
    assert message in result["msg"]
    assert vault.calls == []


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("-----BEGIN NOTHING-----", "account_key: the private key cannot be read"),
        (KEY_25519, "account_key is of the type Ed25519PrivateKey, which the engine does not know"),
        (key_pem(ec.generate_private_key(ec.SECP256K1())), "account_key is of the type secp256k1, which"),
        (key_pem(dsa.generate_private_key(2048)), "account_key is of the type DSAPrivateKey, which"),
    ],
)
def test_a_key_that_cannot_be_an_accounts_is_refused_unseen(
    vault: FakeVault, run_module: RunModule, key: str, message: str
) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    result = run_module(MODULE, {"name": "main", "directory_url": DIRECTORY, "account_key": key})
    assert message in result["msg"]
    assert key not in json.dumps(result)
    assert vault.calls == [f"GET {PATH}"]


def test_a_name_that_leads_elsewhere_is_refused(vault: FakeVault, run_module: RunModule) -> None:
    assert "cannot be used" in run_module(MODULE, {**OPTIONS, "name": "../../sys/policies/acl/root"})["msg"]
    assert vault.calls == []
