# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_mount: enables, tunes, disables, and touches nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...support import NO_CONTENT, NOTHING_THERE, Answer, FakeVault

MODULE = "vault_extca_mount"
MOUNTS = "sys/mounts"
ONE = "sys/mounts/pki-external-ca"
ORDERS = "pki-external-ca/lookup/orders"


def mounts(path: str = "pki-external-ca", **changes: Any) -> Answer:
    entry: dict[str, Any] = {
        "type": "pki-external-ca",
        "accessor": "pki-external-ca_1f3c7d52",
        "description": "certificates",
        "config": {"default_lease_ttl": 3600, "max_lease_ttl": 0, "force_no_cache": False},
        "local": False,
        "seal_wrap": False,
        "options": None,
    }
    entry.update(changes)
    return Answer({"sys/": {"type": "system"}, f"{path}/": entry})


EMPTY = Answer({"sys/": {"type": "system"}})


def test_enables_the_engine_and_returns_the_mount(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, EMPTY, mounts())
    vault.on("POST", ONE, NO_CONTENT)
    result = run_module(
        MODULE, {"description": "certificates", "default_lease_ttl": "1h", "seal_wrap": True}, diff=True
    )
    assert vault.sent[1].body == {
        "type": "pki-external-ca",
        "description": "certificates",
        "seal_wrap": True,
        "config": {"default_lease_ttl": "3600s"},
    }
    assert result["changed"]
    assert result["diff"]["after"] == {"description": "certificates", "default_lease_ttl": 3600, "seal_wrap": True}
    assert result["mount"] == {
        "path": "pki-external-ca",
        "type": "pki-external-ca",
        "accessor": "pki-external-ca_1f3c7d52",
        "description": "certificates",
        "default_lease_ttl": 3600,
        "max_lease_ttl": 0,
        "local": False,
        "seal_wrap": False,
    }


@pytest.mark.parametrize("ttl", ["3600", "1h", "60m", "3600s"])
def test_a_ttl_in_any_spelling_changes_nothing(vault: FakeVault, run_module: RunModule, ttl: str) -> None:
    vault.on("GET", MOUNTS, mounts())
    result = run_module(MODULE, {"default_lease_ttl": ttl, "max_lease_ttl": "0"}, diff=True)
    assert not result["changed"]
    assert result["diff"] == {"before": {}, "after": {}}
    assert vault.calls == ["GET sys/mounts"]


def test_tunes_what_differs(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, mounts(), mounts(description="new"))
    vault.on("POST", f"{ONE}/tune", NO_CONTENT)
    result = run_module(MODULE, {"description": "new"}, diff=True)
    assert vault.sent[1].body == {"description": "new", "default_lease_ttl": "3600s", "max_lease_ttl": "0s"}
    assert result["diff"] == {"before": {"description": "certificates"}, "after": {"description": "new"}}
    assert result["mount"]["description"] == "new"


def test_check_mode_only_reads(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, mounts())
    result = run_module(MODULE, {"description": "new"}, check=True)
    assert (result["changed"], result["mount"]["description"]) == (True, "new")
    assert vault.calls == ["GET sys/mounts"]


def test_check_mode_tells_what_is_certain_of_a_mount_to_come(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, Answer({}))
    result = run_module(MODULE, {"mount": "team/acme/"}, check=True)
    assert result["mount"] == {"path": "team/acme", "type": "pki-external-ca"}


def test_a_nested_path_and_a_namespace(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, mounts("team/acme"))
    result = run_module(MODULE, {"mount": "/team/acme/", "namespace": "alpha"})
    assert result["mount"]["path"] == "team/acme"
    assert vault.sent[0].headers["X-Vault-Namespace"] == "alpha"


@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_mount_of_another_type_is_left_alone(vault: FakeVault, run_module: RunModule, state: str) -> None:
    vault.on("GET", MOUNTS, mounts(type="kv"))
    result = run_module(MODULE, {"state": state, "force": True})
    assert result["failed"]
    assert "is a mount of type kv, not of pki-external-ca; it is left alone" in result["msg"]
    assert vault.calls == ["GET sys/mounts"]


def test_what_is_fixed_when_enabled_cannot_be_changed(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, mounts())
    result = run_module(MODULE, {"local": True})
    assert "local is False and not True" in result["msg"]
    assert "recreate" not in result["msg"]


def test_disables_a_mount_without_orders(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, mounts())
    vault.on("LIST", ORDERS, NOTHING_THERE)
    vault.on("DELETE", ONE, NO_CONTENT)
    result = run_module(MODULE, {"state": "absent"})
    assert result["changed"]
    assert "mount" not in result
    assert vault.calls[-1] == f"DELETE {ONE}"


@pytest.mark.parametrize("check", [True, False])
def test_a_mount_with_orders_is_disabled_only_with_force(vault: FakeVault, run_module: RunModule, check: bool) -> None:
    vault.on("GET", MOUNTS, mounts())
    vault.on("LIST", ORDERS, Answer({"keys": ["id-1", "id-2"]}))
    vault.on("DELETE", ONE, NO_CONTENT)
    result = run_module(MODULE, {"state": "absent"}, check=check)
    assert "holds 2 orders, such as id-1" in result["msg"]
    assert "force: true" in result["msg"]
    assert f"DELETE {ONE}" not in vault.calls
    assert run_module(MODULE, {"state": "absent", "force": True}, check=check)["changed"]
    assert (f"DELETE {ONE}" in vault.calls) is not check


def test_nothing_to_disable(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, EMPTY)
    assert run_module(MODULE, {"state": "absent"})["changed"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"default_lease_ttl": "soon"}, "default_lease_ttl: 'soon' is not a duration"),
        ({"max_lease_ttl": "-1h"}, "max_lease_ttl: '-1h' is not a duration"),
        ({"mount": "a//b"}, "mount 'a//b' is not the path of a mount"),
        ({"mount": "../sys"}, "mount '../sys' is not the path of a mount"),
        ({"url": "vault.test"}, "is not an address of Vault"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    vault: FakeVault, run_module: RunModule, options: dict[str, str], message: str
) -> None:
    result = run_module(MODULE, options)
    assert message in result["msg"]
    assert vault.calls == []


def test_a_vault_that_enables_nothing_is_found_out(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", MOUNTS, EMPTY)
    vault.on("POST", ONE, NO_CONTENT)
    assert "does not list it" in run_module(MODULE, {})["msg"]
