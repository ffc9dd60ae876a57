# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""How fast the collection is, measured beside others in one run: ``make bench``."""
