# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_acme_account_info: one account or all."""

from __future__ import annotations

from ...conftest import RunModule
from ...support import NOTHING_THERE, Answer, FakeVault
from .test_vault_extca_acme_account import account

MODULE = "vault_extca_acme_account_info"
PATH = "pki-external-ca/config/acme-account"


def test_one_account(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{PATH}/main", account(("ec-256", "rsa-2048")))
    result = run_module(MODULE, {"name": "main"})
    assert result["changed"] is False
    assert [(one["name"], one["key_type"]) for one in result["acme_accounts"]] == [("main", "rsa-2048")]


def test_none_is_no_failure(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{PATH}/main", NOTHING_THERE)
    vault.on("LIST", PATH, NOTHING_THERE)
    assert run_module(MODULE, {"name": "main"})["acme_accounts"] == []
    assert run_module(MODULE, {})["acme_accounts"] == []


def test_all_accounts_by_name_without_one_that_went_away(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", PATH, Answer({"keys": ["main", "gone", "backup"]}))
    vault.on("GET", f"{PATH}/main", account())
    vault.on("GET", f"{PATH}/gone", NOTHING_THERE)
    vault.on("GET", f"{PATH}/backup", account(name="backup"))
    result = run_module(MODULE, {}, check=True)
    assert [one["name"] for one in result["acme_accounts"]] == ["backup", "main"]


def test_a_missing_mount_is_a_failure(vault: FakeVault, run_module: RunModule) -> None:
    result = run_module(MODULE, {})
    assert result["failed"]
    assert "no handler for route" in result["msg"]


def test_what_the_token_lacks_is_told(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", PATH, Answer(status=403, errors=["permission denied"]))
    vault.on("POST", "sys/capabilities-self", Answer({PATH: ["read"]}))
    assert "lacks list" in run_module(MODULE, {})["msg"]
