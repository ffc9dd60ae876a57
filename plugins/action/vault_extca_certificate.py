# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from ansible_collections.certops.vault_extca.plugins.plugin_utils.waiting import WaitingAction


class ActionModule(WaitingAction):
    """Shows, while the module waits, how its order gets on."""
