# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that say which order serves as well as a new one."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  reuse:
    description:
      - Which order of the same role for the same identifiers, or the same certificate signing request, is used in place of a new
        one.
      - V(active) uses one that is still on its way. V(valid) also uses a completed one whose certificate is valid and not due for
        renewal, see O(renew_before). V(never) always creates a new order, so that the task is never idempotent.
      - CAs limit how many certificates they issue for the same names within a week, and how many orders may be under way.
    type: str
    choices: [active, valid, never]
    default: valid
  renew_before:
    description:
      - How long before its end a certificate is due for renewal with O(reuse=valid).
      - A duration such as V(30d) or V(12h), or a share of the certificate's lifetime such as V(33%).
    type: str
    default: 33%
"""
