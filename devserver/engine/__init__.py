# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The pki-external-ca secrets engine: accounts, roles, DNS providers and orders over a real ACME client."""
