# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The option that names the engine's mount."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  mount:
    description:
      - Path on which the C(pki-external-ca) secrets engine is mounted. May contain slashes.
    type: str
    default: pki-external-ca
    aliases: [engine_mount_point]
requirements:
  - hvac >= 0.11.2 (Python library) on the host that runs the task
  - Vault Enterprise 2.0 or newer
author:
  - certops.vault_extca contributors (@certops)
"""
