# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What a mount holds, while there is no mount: nothing to delete, and in check mode everything to create."""

from __future__ import annotations

from typing import Any

import pytest

from ...conftest import RunModule
from ...support import FakeVault

OPTIONS: dict[str, dict[str, Any]] = {
    "vault_extca_role": {"name": "web", "acme_account_name": "main"},
    "vault_extca_acme_account": {
        "name": "main",
        "directory_url": "https://acme.example.com/directory",
        "email_contacts": ["pki@example.com"],
    },
    "vault_extca_dns_provider": {
        "name": "internal",
        "type": "rfc2136",
        "identifiers": ["example.com"],
        "nameserver": "ns1.example.com:53",
        "tsig_key_name": "vault",
        "tsig_secret": "c2VjcmV0",
    },
}


@pytest.mark.parametrize("module", OPTIONS)
def test_there_is_nothing_to_delete(vault: FakeVault, run_module: RunModule, module: str) -> None:
    result = run_module(module, {**OPTIONS[module], "state": "absent"})
    assert result["changed"] is False
    (warning,) = result["warnings"]
    assert warning.startswith("Mount pki-external-ca is not there")
    assert [call.split()[0] for call in vault.calls] == ["GET"]


@pytest.mark.parametrize("module", OPTIONS)
def test_check_mode_says_what_would_be_created(vault: FakeVault, run_module: RunModule, module: str) -> None:
    result = run_module(module, OPTIONS[module], check=True)
    assert result["changed"] is True
    assert result["warnings"][0].startswith("Mount pki-external-ca is not there")


@pytest.mark.parametrize("module", OPTIONS)
def test_to_create_something_a_mount_is_needed(vault: FakeVault, run_module: RunModule, module: str) -> None:
    assert "no handler for route" in run_module(module, OPTIONS[module])["msg"]
    assert [call.split()[0] for call in vault.calls] == ["GET"]
