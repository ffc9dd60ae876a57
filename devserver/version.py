# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""As what the server reports itself."""

from __future__ import annotations

VERSION = "2.1.0+ent"
CLUSTER_NAME = "vault-cluster-development"
