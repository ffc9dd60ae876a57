# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_acme_account_rotate_key: only when the key is due."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.acme_accounts import key_is_due
from hypothesis import given
from hypothesis import strategies as st

from ...conftest import RunModule
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault
from .test_vault_extca_acme_account import account

MODULE = "vault_extca_acme_account_rotate_key"
PATH = "pki-external-ca/config/acme-account/main"
ROTATED = {
    "name": "main",
    "old_active_key_version": 0,
    "new_active_key_version": 1,
    "key_type": "ec-384",
    "rotated_at": "2026-01-31T12:00:00Z",
}


@pytest.mark.parametrize("answer", [NO_CONTENT, Answer(ROTATED)], ids=["204", "200"])
def test_another_type_makes_the_key_due_once(vault: FakeVault, run_module: RunModule, answer: Answer) -> None:
    vault.on("GET", PATH, account(), account(("ec-256", "ec-384")))
    vault.on("POST", f"{PATH}/rotate-key", answer)
    result = run_module(MODULE, {"name": "main", "key_type": "ec-384"}, diff=True)
    assert vault.sent[1].body == {"key_type": "ec-384", "force": False}
    assert result["changed"]
    assert (result["old_active_key_version"], result["new_active_key_version"], result["key_type"]) == (0, 1, "ec-384")
    assert result["diff"] == {
        "before": {"active_key_version": 0, "key_type": "ec-256"},
        "after": {"active_key_version": 1, "key_type": "ec-384"},
    }
    again = run_module(MODULE, {"name": "main", "key_type": "ec-384"})
    assert (again["changed"], again["old_active_key_version"], again["new_active_key_version"]) == (False, 1, 1)


def test_age_makes_the_key_due_and_the_type_stays(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account(("rsa-4096",)), account(("rsa-4096", "rsa-4096")))
    vault.on("POST", f"{PATH}/rotate-key", NO_CONTENT)
    result = run_module(MODULE, {"name": "main", "older_than": "0s", "force": True})
    assert vault.sent[1].body == {"key_type": "rsa-4096", "force": True}
    assert result["new_active_key_version"] == 1


@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01T00:00:00Z"])
def test_an_age_that_cannot_be_read_is_told(vault: FakeVault, run_module: RunModule, moment: str) -> None:
    data = dict(account().data or {})
    data["account_keys"] = {"0": {**data["account_keys"]["0"], "key_creation_date": moment}}
    vault.on("GET", PATH, Answer(data))
    result = run_module(MODULE, {"name": "main", "older_than": "90d"})
    assert result["failed"]
    assert result["msg"].startswith(f"Vault's answer has key_creation_date as {moment!r}")


@pytest.mark.parametrize(
    "options", [{"older_than": "500w"}, {"key_type": "ec-256"}, {"key_type": "ec-256", "force": True}]
)
def test_a_key_that_is_not_due_stays(vault: FakeVault, run_module: RunModule, options: dict[str, Any]) -> None:
    vault.on("GET", PATH, account())
    assert run_module(MODULE, {"name": "main", **options})["changed"] is False
    assert vault.calls == [f"GET {PATH}"]


def test_check_mode_foresees_the_next_version(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account())
    result = run_module(MODULE, {"name": "main", "key_type": "ec-521"}, check=True)
    assert (result["changed"], result["new_active_key_version"], result["key_type"]) == (True, 1, "ec-521")
    assert vault.calls == [f"GET {PATH}"]


def test_pending_orders_are_vaults_to_refuse(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, account())
    vault.on("POST", f"{PATH}/rotate-key", Answer(status=400, errors=["2 pending orders; set force"]))
    assert "2 pending orders; set force" in run_module(MODULE, {"name": "main", "key_type": "ec-521"})["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: older_than, key_type"),
        ({"force": True}, "one of the following is required: older_than, key_type"),
        ({"older_than": "a quarter"}, "older_than: 'a quarter' is not a duration"),
        ({"key_type": "ed25519"}, "value of key_type must be one of"),
        ({"name": "a/b", "older_than": "1d"}, "name 'a/b' cannot be used"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, Any], message: str
) -> None:
    assert message in run_module(MODULE, {"name": "main", **options})["msg"]
    assert vault.calls == []


def test_no_account_no_rotation(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", PATH, NOTHING_THERE)
    assert "There is no ACME account main" in run_module(MODULE, {"name": "main", "older_than": "1d"})["msg"]


@given(age=st.integers(0, 10**7), older_than=st.integers(0, 10**7))
def test_a_key_is_due_from_exactly_its_age_on(age: int, older_than: int) -> None:
    now = datetime(2026, 6, 1, tzinfo=timezone.utc)
    made = (now - timedelta(seconds=age)).isoformat()
    held = {"active_key_version": 2, "key_type": "ec-256", "account_keys": {"2": {"key_creation_date": made}}}
    assert key_is_due(held, key_type="ec-256", older_than=older_than, now=now) is (age >= older_than)


def test_a_key_of_unknown_age_is_not_due() -> None:
    held = {"active_key_version": 0, "key_type": "ec-256", "account_keys": {"0": {}}}
    assert key_is_due(held, key_type=None, older_than=0, now=datetime.now(timezone.utc)) is False
