# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Auth methods: each recognises somebody and says so with a ``framework.Login``; the core makes the token."""
