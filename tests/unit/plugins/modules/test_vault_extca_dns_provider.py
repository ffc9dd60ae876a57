# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_dns_provider: four types, secrets that are never read back, and one meaning of a TTL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ...conftest import RunModule
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault

MODULE = "vault_extca_dns_provider"
PATH = "pki-external-ca/config/dns/rfc2136/internal"
SECRET = "c2VjcmV0LW9mLXRzaWc="
SETTINGS = {
    "identifiers": ["example.com", "*.example.com"],
    "nameserver": "ns1.example.com:53",
    "tsig_key_name": "vault",
    "tsig_algorithm": "hmac-sha256",
}
OPTIONS = {"name": "internal", "type": "rfc2136", "tsig_secret": SECRET, **SETTINGS}


def provider(**changes: Any) -> Answer:
    data: dict[str, Any] = {
        "name": "internal",
        "ttl": "1m0s",
        "creation_date": "2026-01-31T13:00:00+01:00",
        "last_updated_date": "2026-01-31T12:00:00Z",
        **SETTINGS,
        "identifiers": ["*.example.com", "example.com"],
    }
    data.update(changes)
    return Answer(data)


def test_creates_a_provider_and_shows_no_secret(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    vault.on("POST", PATH, provider(ttl="2m0s"))
    result = run_module(MODULE, {**OPTIONS, "ttl": "2m"}, diff=True)
    assert vault.sent[1].body == {**SETTINGS, "ttl": 120, "tsig_secret": SECRET}
    assert result["changed"]
    assert result["diff"]["after"] == {**SETTINGS, "ttl": 120}
    assert (result["dns_provider"]["type"], result["dns_provider"]["ttl"]) == ("rfc2136", 120)
    assert SECRET not in json.dumps(result)


@pytest.mark.parametrize("read", ["1m0s", 60, "60s", "60"])
@pytest.mark.parametrize("written", ["60", "60s", "1m", "1m0s"])
def test_a_ttl_is_a_ttl_however_it_reads(vault: FakeVault, run_module: RunModule, read: Any, written: str) -> None:
    vault.on("GET", PATH, provider(ttl=read, type="rfc2136"))
    result = run_module(MODULE, {**OPTIONS, "ttl": written})
    assert result["changed"] is False
    assert result["dns_provider"]["ttl"] == 60
    assert vault.calls == [f"GET {PATH}"]


def test_a_ttl_that_only_a_later_vault_knows_is_shown_as_it_is(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, provider(ttl="PT1M"))
    assert run_module(MODULE, OPTIONS)["dns_provider"]["ttl"] == "PT1M"


def test_an_update_leaves_the_secret_alone(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, provider())
    vault.on("POST", PATH, provider(nameserver="ns2.example.com:53"))
    result = run_module(MODULE, {**OPTIONS, "nameserver": "ns2.example.com:53"}, diff=True)
    assert vault.sent[1].body == {
        **SETTINGS,
        "identifiers": ["*.example.com", "example.com"],
        "nameserver": "ns2.example.com:53",
        "ttl": 60,
    }
    assert result["diff"] == {
        "before": {"nameserver": "ns1.example.com:53"},
        "after": {"nameserver": "ns2.example.com:53"},
    }


def test_the_secret_is_rewritten_where_that_is_wanted(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, provider())
    vault.on("POST", PATH, provider())
    result = run_module(MODULE, {**OPTIONS, "update_secrets": "always"}, diff=True)
    assert vault.sent[1].body["tsig_secret"] == SECRET
    assert result["changed"]
    assert result["diff"] == {"before": {}, "after": {"tsig_secret": "rewritten"}}


def test_another_key_brings_its_secret_along(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, provider())
    vault.on("POST", PATH, provider(tsig_key_name="vault-2"))
    result = run_module(MODULE, {**OPTIONS, "tsig_key_name": "vault-2"}, diff=True)
    assert (vault.sent[1].body["tsig_key_name"], vault.sent[1].body["tsig_secret"]) == ("vault-2", SECRET)
    assert result["diff"] == {
        "before": {"tsig_key_name": "vault"},
        "after": {"tsig_key_name": "vault-2", "tsig_secret": "rewritten"},
    }


def test_an_existing_provider_needs_no_secret_and_no_repetition(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, provider())
    assert run_module(MODULE, {"name": "internal", "type": "rfc2136"})["changed"] is False


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("aws-route53", {"access_key_id": "AKIA", "secret_access_key": "s3cret", "region": "eu-west-1"}),
        ("azure-dns", {"zone_name": "example.com", "client_secret": "s3cret", "environment": "AzureChina"}),
        ("google-cloud-dns", {"project": "dns-project", "credentials": '{"private_key": "s3cret"}'}),
    ],
)
def test_every_type_has_its_own_settings(
    vault: FakeVault, run_module: RunModule, kind: str, settings: dict[str, str]
) -> None:
    path = f"pki-external-ca/config/dns/{kind}/cloud"
    vault.on("GET", path, NOTHING_THERE)
    vault.on("POST", path, Answer({"name": "cloud", "identifiers": ["example.com"], "ttl": 60}))
    result = run_module(MODULE, {"name": "cloud", "type": kind, "identifiers": ["example.com"], **settings}, diff=True)
    assert vault.sent[1].body == {"identifiers": ["example.com"], **settings}
    assert "s3cret" not in json.dumps(result)


def test_credentials_may_be_a_dictionary(vault: FakeVault, run_module: RunModule) -> None:
    path = "pki-external-ca/config/dns/google-cloud-dns/cloud"
    vault.on("GET", path, NOTHING_THERE)
    vault.on("POST", path, Answer({"name": "cloud", "identifiers": ["example.com"], "ttl": 10}))
    options = {"name": "cloud", "type": "google-cloud-dns", "identifiers": ["example.com"]}
    run_module(MODULE, {**options, "credentials": {"type": "service_account", "private_key": "s3cret"}})
    assert json.loads(vault.sent[1].body["credentials"]) == {"type": "service_account", "private_key": "s3cret"}


def test_absent_deletes_once_whatever_else_is_said(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, provider(), NOTHING_THERE)
    vault.on("DELETE", PATH, NO_CONTENT)
    options = {**OPTIONS, "state": "absent", "update_secrets": "always"}
    assert run_module(MODULE, options)["changed"]
    assert run_module(MODULE, options)["changed"] is False
    assert vault.calls == [f"GET {PATH}", f"DELETE {PATH}", f"GET {PATH}"]


def test_check_mode_only_reads(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE, provider())
    created = run_module(MODULE, OPTIONS, check=True)
    assert created["changed"]
    assert created["dns_provider"] == {"name": OPTIONS["name"], "type": OPTIONS["type"], **SETTINGS}
    assert run_module(MODULE, {**OPTIONS, "ttl": "5m"}, check=True)["dns_provider"]["ttl"] == 300
    assert vault.calls == [f"GET {PATH}"] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region": "eu-west-1"}, "region is an option of type aws-route53, not of rfc2136, whose own options are"),
        ({"zone_name": "example.com"}, "zone_name is an option of type azure-dns"),
        ({"tsig_secret": "not base64!"}, "tsig_secret is not base64"),
        ({"type": "cloudflare"}, "value of type must be one of"),
        ({"type": None}, "missing required arguments: type"),
        ({"tsig_algorithm": "hmac-md5"}, "value of tsig_algorithm must be one of"),
        ({"ttl": "a minute"}, "ttl: 'a minute' is not a duration"),
        ({"name": "../x"}, "name '../x' cannot be used"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], message: str
) -> None:
    result = run_module(MODULE, {**OPTIONS, **options})
    assert message in result["msg"]
    assert "not base64!" not in json.dumps(result)
    assert vault.calls == []


@pytest.mark.parametrize("credentials", ["s3cret", '["s3cret"]'])
def test_credentials_that_are_no_json_object_are_refused_unseen(
    vault: FakeVault, run_module: RunModule, credentials: str
) -> None:
    options = {"name": "cloud", "type": "google-cloud-dns", "identifiers": ["example.com"], "credentials": credentials}
    result = run_module(MODULE, options)
    assert "credentials is not a JSON object" in result["msg"]
    assert "s3cret" not in json.dumps(result)


def test_what_is_missing_to_create_one_is_named(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    result = run_module(MODULE, {"name": "internal", "type": "rfc2136", "nameserver": "ns1.example.com:53"})
    assert "to create it, identifiers, tsig_key_name, tsig_secret are needed" in result["msg"]
    result = run_module(MODULE, {**OPTIONS, "tsig_secret": None}, check=True)
    assert "to create it, tsig_secret is needed" in result["msg"]


def test_a_provider_in_use_is_vaults_to_refuse(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, provider())
    vault.on("DELETE", PATH, Answer(status=400, errors=["in use by role(s): web"]))
    assert "in use by role(s): web" in run_module(MODULE, {**OPTIONS, "state": "absent"})["msg"]
