# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The collection among the things its users run it with: terminals, AWX's runner, execution environments, browsers."""
