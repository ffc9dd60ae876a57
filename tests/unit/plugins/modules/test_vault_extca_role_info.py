# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""vault_extca_role_info: one role or all."""

from __future__ import annotations

from ...conftest import RunModule
from ...support import NOTHING_THERE, Answer, FakeVault
from .test_vault_extca_role import old_role, role

MODULE = "vault_extca_role_info"
PATH = "pki-external-ca/role"


def test_one_role_is_the_same_from_every_vault(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("GET", f"{PATH}/web", role(), old_role())
    first, second = (run_module(MODULE, {"name": "web"}) for _vault in ("new", "old"))
    assert first["changed"] is False
    assert first["roles"] == second["roles"]
    assert first["roles"][0]["dns_provider_type"] == ""


def test_none_is_no_failure(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", PATH, NOTHING_THERE)
    for answer in (NOTHING_THERE, Answer(status=400, errors=["unknown role"])):
        vault.on("GET", f"{PATH}/web", answer)
        assert run_module(MODULE, {"name": "web"})["roles"] == []
    assert run_module(MODULE, {})["roles"] == []


def test_all_roles_by_name_without_one_that_went_away(vault: FakeVault, run_module: RunModule) -> None:
    vault.on("LIST", PATH, Answer({"keys": ["web", "gone", "api"]}))
    vault.on("GET", f"{PATH}/web", role())
    vault.on("GET", f"{PATH}/gone", NOTHING_THERE)
    vault.on("GET", f"{PATH}/api", role(name="api"))
    assert [one["name"] for one in run_module(MODULE, {}, check=True)["roles"]] == ["api", "web"]


def test_a_missing_mount_is_a_failure(vault: FakeVault, run_module: RunModule) -> None:
    assert "no handler for route" in run_module(MODULE, {"name": "web"})["msg"]
