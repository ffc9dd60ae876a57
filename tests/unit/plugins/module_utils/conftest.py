# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The engine's client over a scripted Vault."""

from __future__ import annotations

import pytest
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import ExternalCA
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_connection import VaultConnection

from ...ordering import MOUNT
from ...support import FakeVault


@pytest.fixture
def external_ca(vault: FakeVault) -> ExternalCA:
    """The engine on its default mount."""
    return ExternalCA(VaultConnection({"url": "http://vault.test:8200", "token": "hvs.unit"}, environ={}), MOUNT)
