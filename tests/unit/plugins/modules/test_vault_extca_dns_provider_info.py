# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_dns_provider_info: one, of a type, all."""

from __future__ import annotations

import pytest

from ...conftest import RunModule
from ...support import NOTHING_THERE, Answer, FakeVault
from .test_vault_extca_dns_provider import provider

MODULE = "vault_extca_dns_provider_info"
PATH = "pki-external-ca/config/dns"


def named(result: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    return [(one["type"], one["name"]) for one in result["dns_providers"]]


@pytest.fixture
def some(vault: FakeVault) -> FakeVault:
    vault.on("LIST", PATH, Answer({"keys": ["rfc2136/internal", "rfc2136/gone", "aws-route53/internal"]}))
    vault.on("LIST", f"{PATH}/rfc2136", Answer({"keys": ["internal", "gone"]}))
    vault.on("LIST", f"{PATH}/azure-dns", NOTHING_THERE)
    vault.on("GET", f"{PATH}/rfc2136/internal", provider())
    vault.on("GET", f"{PATH}/rfc2136/gone", NOTHING_THERE)
    vault.on("GET", f"{PATH}/aws-route53/internal", Answer({"identifiers": ["example.org"], "ttl": 60}))
    return vault


def test_one(some: FakeVault, run_module: RunModule) -> None:
    result = run_module(MODULE, {"type": "rfc2136", "name": "internal"})
    assert (named(result), result["changed"]) == ([("rfc2136", "internal")], False)
    assert result["dns_providers"][0]["ttl"] == 60
    assert some.calls == [f"GET {PATH}/rfc2136/internal"]


def test_none_is_no_failure(some: FakeVault, run_module: RunModule) -> None:
    assert run_module(MODULE, {"type": "rfc2136", "name": "gone"})["dns_providers"] == []
    assert run_module(MODULE, {"type": "azure-dns"})["dns_providers"] == []
    assert run_module(MODULE, {"name": "other"})["dns_providers"] == []


def test_of_a_type(some: FakeVault, run_module: RunModule) -> None:
    assert named(run_module(MODULE, {"type": "rfc2136"})) == [("rfc2136", "internal")]


@pytest.mark.parametrize("options", [{}, {"name": "internal"}])
def test_of_all_types(some: FakeVault, run_module: RunModule, options: dict[str, str]) -> None:
    assert named(run_module(MODULE, options, check=True)) == [("aws-route53", "internal"), ("rfc2136", "internal")]


def test_a_type_that_only_a_later_vault_has(some: FakeVault, run_module: RunModule) -> None:
    some.on("LIST", PATH, Answer({"keys": ["rfc2136/internal", "zone.api/new"]}))
    some.on("GET", f"{PATH}/zone.api/new", Answer({"identifiers": ["example.org"], "ttl": "1m0s"}))
    assert named(run_module(MODULE, {})) == [("rfc2136", "internal"), ("zone.api", "new")]


def test_a_type_that_does_not_exist(some: FakeVault, run_module: RunModule) -> None:
    assert "value of type must be one of" in run_module(MODULE, {"type": "bind"})["msg"]
