# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of waiting for an order."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait at most.
      - While it waits, the task survives trouble that passes, such as a connection refused, a sealed Vault, or the statuses
        412, 429 and 5xx.
    type: int
    default: 300
  poll_interval:
    description:
      - Seconds between two looks at the order.
      - If not set, the pauses adapt. They begin with 0.25 seconds, grow to 2 seconds (10 seconds after the first minute), and
        are short again whenever the order's state has changed.
    type: float
"""

    # For modules that always wait.
    PATIENCE = r"""
options:
  wait_timeout:
    description:
      - Seconds to wait at most.
      - While it waits, the task survives trouble that passes, such as a connection refused, a sealed Vault, or the statuses
        412, 429 and 5xx.
    type: int
    default: 300
  poll_interval:
    description:
      - Seconds between two looks at the order.
      - If not set, the pauses adapt. They begin with 0.25 seconds, grow to 2 seconds (10 seconds after the first minute), and
        are short again whenever the order's state has changed.
    type: float
"""
