# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""A development Vault: Vault's core HTTP API and its pki-external-ca engine, over a real ACME client."""
