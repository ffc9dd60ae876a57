# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_dns_provider_test: the provider's own words."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...support import NOTHING_THERE, Answer, FakeVault
from .test_vault_extca_dns_provider import provider

MODULE = "vault_extca_dns_provider_test"
PATH = "pki-external-ca/dns/test/workflow"
OPTIONS = {"name": "internal", "type": "rfc2136", "identifier": "WWW.example.com."}
OUTCOME = {
    "success": True,
    "message": "DNS provider test completed successfully",
    "identifier": "www.example.com",
    "provider_type": "rfc2136",
    "provider_name": "internal",
    "record_name": "_acme-challenge.www.example.com.",
}


@pytest.mark.parametrize("stays", [False, True])
def test_a_record_that_stays_is_a_change(vault: FakeVault, run_module: RunModule, stays: bool) -> None:
    vault.on("POST", PATH, Answer(OUTCOME))
    result = run_module(MODULE, {**OPTIONS, "omit_cleanup": stays})
    assert vault.sent[0].body == {
        "identifier": "www.example.com",
        "provider_type": "rfc2136",
        "provider_name": "internal",
        "omit_cleanup": stays,
    }
    assert result["changed"] is stays
    assert OUTCOME.items() <= result.items()


def test_failure_is_a_failed_task_with_the_providers_words(vault: FakeVault, run_module: RunModule) -> None:
    text = '{"errors": ["NOTAUTH"], "data": {"success": false, "message": "test failed", "record_name": "r."}}'
    vault.on("POST", PATH, Answer(status=400, text=text))
    result = run_module(MODULE, OPTIONS)
    assert result["failed"]
    assert result["msg"].startswith(
        "Vault cannot set records for www.example.com through DNS provider rfc2136/internal: "
    )
    assert "test failed; NOTAUTH. Check the provider's options" in result["msg"]
    assert (result["success"], result["record_name"], result["provider_type"]) == (False, "r.", "rfc2136")


def test_failure_without_words_is_one_too(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("POST", PATH, Answer({**OUTCOME, "success": False, "message": ""}))
    assert "it does not say why" in run_module(MODULE, OPTIONS)["msg"]


def test_another_refusal_is_told_as_it_is(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("POST", PATH, Answer(status=400, errors=["identifier is not allowed"]))
    assert "identifier is not allowed" in run_module(MODULE, OPTIONS)["msg"]


def test_check_mode_only_sees_that_the_provider_exists(vault: FakeVault, run_module: RunModule) -> None:
    path = "pki-external-ca/config/dns/rfc2136/internal"
    vault.on("GET", path, provider(), NOTHING_THERE)
    result = run_module(MODULE, {**OPTIONS, "omit_cleanup": True}, check=True)
    assert (result["changed"], result["provider_name"]) == (True, "internal")
    assert "success" not in result
    assert "There is no DNS provider rfc2136/internal" in run_module(MODULE, OPTIONS, check=True)["msg"]
    assert vault.calls == [f"GET {path}"] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identifier": "192.0.2.1"}, "is an IP address"),
        ({"identifier": "not a name"}, "is not a DNS name"),
        ({"identifier": None}, "missing required arguments: identifier"),
        ({"type": "bind"}, "value of type must be one of"),
        ({"name": "a/b"}, "name 'a/b' cannot be used"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], message: str
) -> None:
    assert message in run_module(MODULE, {**OPTIONS, **options})["msg"]
    assert vault.calls == []
