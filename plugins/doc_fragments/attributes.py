# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attributes of modules."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
  diff_mode:
    description: Shows what changes, or would change, in diff mode. Secrets are never part of it.
  action_group:
    description: Use C(group/certops.vault_extca.vault_extca) in C(module_defaults) to set options for all modules at once.
    support: full
    membership: [certops.vault_extca.vault_extca]
"""

    # For modules that only read.
    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: This module changes nothing.
  diff_mode:
    support: N/A
    details: This module changes nothing.
"""
