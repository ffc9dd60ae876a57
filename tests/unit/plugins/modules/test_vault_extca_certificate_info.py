# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_certificate_info: finds what was issued before."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...issuing import SmallCA
from ...ordering import DENIED, ID, MOUNT, ORDER, ORDER_ID, ROLE, looked_up
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault

MODULE = "vault_extca_certificate_info"
LEAF = SmallCA().issue("www.example.com")
DATA = LEAF.data()
SERIAL = DATA["serial_number"]
LOOKUP = f"{MOUNT}/lookup/cert/{SERIAL}"
BY_NAMES: dict[str, Any] = {"role_name": "web", "identifiers": ["www.example.com"]}
BY_SERIAL: dict[str, Any] = {"serial_number": SERIAL}


def scripted(vault: FakeVault, *, issued: Answer | None = None, certificate: Answer | None = None) -> None:
    vault.on("GET", LOOKUP, issued or looked_up())
    vault.on("GET", f"{ROLE}/cached", certificate or Answer(DATA))
    vault.on("GET", f"{ORDER}/fetch-cert", certificate or Answer(DATA))


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        (BY_NAMES, [f"GET {ROLE}/cached", f"GET {LOOKUP}"]),
        (BY_SERIAL, [f"GET {LOOKUP}", f"GET {ORDER}/fetch-cert"]),
        ({"serial_number": SERIAL.replace(":", "-").upper()}, [f"GET {LOOKUP}", f"GET {ORDER}/fetch-cert"]),
    ],
)
def test_a_certificate_is_found(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], calls: list[str]
) -> None:
    scripted(vault)
    result = run_module(MODULE, options)
    assert vault.calls == calls
    assert (result["changed"], result["found"]) == (False, True)
    expected = {
        "id": ID,
        "order_id": ORDER_ID,
        "role_name": "web",
        "order_status": "completed",
        "identifiers": ["www.example.com"],
        "serial_number": SERIAL,
        "not_before": "2026-01-31T12:00:00Z",
        "not_after": "2026-05-01T12:00:00Z",
        "certificate": DATA["certificate"],
        "certificate_format": "pem",
        "ca_chain": DATA["ca_chain"],
        "fullchain": DATA["certificate"] + DATA["ca_chain"][0],
        "authority_key_id": "9a:0f",
        "private_key_type": "EC",
    }
    assert {key: result[key] for key in expected} == expected
    assert "PRIVATE KEY" not in str(result)


@pytest.mark.parametrize("options", [BY_NAMES, BY_SERIAL])
def test_the_private_key_is_returned_only_on_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any]
) -> None:
    scripted(vault)
    assert run_module(MODULE, {**options, "include_private_key": True})["private_key"] == DATA["private_key"]


@pytest.mark.parametrize("nothing", [NOTHING_THERE, NO_CONTENT, Answer(status=400, errors=["nothing cached"])])
def test_an_empty_cache_is_no_failure(vault: FakeVault, run_module: RunModule, nothing: Answer) -> None:
    scripted(vault, certificate=nothing)
    result = run_module(MODULE, BY_NAMES)
    assert set(result) - {"invocation"} == {"changed", "found"}
    assert (result["changed"], result["found"]) == (False, False)


@pytest.mark.parametrize("nothing", [NOTHING_THERE, Answer(status=400, errors=["no such certificate"])])
def test_an_unknown_serial_number_is_no_failure(vault: FakeVault, run_module: RunModule, nothing: Answer) -> None:
    scripted(vault, issued=nothing)
    result = run_module(MODULE, BY_SERIAL)
    assert (result["found"], "certificate" in result) == (False, False)


@pytest.mark.parametrize(
    "issued", [looked_up(status="revoked"), looked_up(ORDER_ID, "completed", "a.example.com"), NOTHING_THERE]
)
def test_a_cached_certificate_that_is_not_the_one_is_not_found(
    vault: FakeVault, run_module: RunModule, issued: Answer
) -> None:
    scripted(vault, issued=issued)
    assert run_module(MODULE, BY_NAMES)["found"] is False


def test_a_revoked_certificate_is_told_and_not_returned(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, issued=looked_up(status="revoked"))
    result = run_module(MODULE, BY_SERIAL)
    assert (result["found"], result["order_status"], result["not_after"]) == (True, "revoked", "2026-05-01T12:00:00Z")
    assert "certificate" not in result
    assert vault.calls == [f"GET {LOOKUP}"]


@pytest.mark.parametrize(
    ("min_validity", "params"),
    [
        (None, {"min_validity_duration": ["0s"]}),
        ("30d", {"min_validity_duration": ["2592000s"]}),
        ("33%", {"min_validity_percentage": ["33"]}),
    ],
)
def test_the_minimum_validity_is_vaults_to_judge(
    vault: FakeVault, run_module: RunModule, min_validity: str | None, params: dict[str, list[str]]
) -> None:
    scripted(vault)
    names = ["www.example.com", "Example.com"]
    run_module(MODULE, {**BY_NAMES, "identifiers": names, "min_validity": min_validity})
    assert vault.sent[0].params == {
        "identifiers": ["www.example.com,example.com"],
        "certificate_format": ["pem"],
        **params,
    }


@pytest.mark.parametrize("options", [BY_NAMES, BY_SERIAL])
def test_the_format_is_vaults_to_make(vault: FakeVault, run_module: RunModule, options: dict[str, Any]) -> None:
    bundle = DATA["certificate"] + DATA["ca_chain"][0]
    scripted(vault, certificate=Answer(LEAF.data(certificate=bundle, certificate_format="pem_bundle")))
    result = run_module(MODULE, {**options, "certificate_format": "pem_bundle"})
    assert (result["certificate"], result["fullchain"]) == (bundle, bundle)
    assert ["pem_bundle"] in [one.params.get("certificate_format") for one in vault.sent]


def test_a_token_that_may_not_look_up_gets_the_cached_certificate(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, issued=DENIED)
    result = run_module(MODULE, BY_NAMES)
    assert (result["found"], result["role_name"], result["identifiers"]) == (True, "web", ["www.example.com"])
    assert "order_id" not in result
    assert "the order behind a cached certificate is not known" in result["warnings"][0]


def test_a_token_that_may_not_fetch_gets_the_order(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, certificate=DENIED)
    result = run_module(MODULE, BY_SERIAL)
    assert (result["found"], result["order_id"]) == (True, ORDER_ID)
    assert "certificate" not in result
    assert "the certificate itself is not returned" in result["warnings"][0]


def test_a_token_that_may_read_neither_is_told_what_it_lacks(vault: FakeVault, run_module: RunModule) -> None:
    scripted(vault, certificate=DENIED)
    vault.on("POST", "sys/capabilities-self", Answer({f"{ROLE}/cached": ["deny"]}))
    assert f"On {ROLE}/cached the token has nothing there, and lacks read." in run_module(MODULE, BY_NAMES)["msg"]


@pytest.mark.parametrize("options", [BY_NAMES, BY_SERIAL])
def test_what_does_not_fit_is_not_returned(vault: FakeVault, run_module: RunModule, options: dict[str, Any]) -> None:
    other = SmallCA().issue("www.example.com").data()
    scripted(vault, certificate=Answer(dict(other, serial_number=SERIAL)))
    result = run_module(MODULE, {**options, "include_private_key": True})
    assert "cannot be used: the certificate's serial number is" in result["msg"]
    assert "PRIVATE KEY" not in str(result)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "one of the following is required: identifiers, serial_number"),
        ({"identifiers": ["www.example.com"]}, "required together: role_name, identifiers"),
        ({**BY_NAMES, **BY_SERIAL}, "mutually exclusive"),
        ({"serial_number": "xyz"}, "serial_number: 'xyz' is not a serial number"),
        ({**BY_NAMES, "identifiers": ["no name"]}, "identifiers: identifier 'no name' is not a DNS name"),
        ({**BY_NAMES, "min_validity": "long"}, "min_validity: 'long' says neither a duration nor a share"),
        ({**BY_NAMES, "certificate_format": "p12"}, "must be one of: pem, der, pem_bundle"),
        ({**BY_NAMES, "role_name": "-"}, "role_name '-' cannot be used"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], complaint: str
) -> None:
    result = run_module(MODULE, options)
    assert result["failed"] is True
    assert complaint in result["msg"]
    assert vault.calls == []
