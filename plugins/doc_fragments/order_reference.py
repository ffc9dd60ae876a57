# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that name an order."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  role_name:
    description:
      - Role of the order. Required together with O(order_id), unless O(id) is given.
    type: str
  order_id:
    description:
      - Id of the order. Required together with O(role_name), unless O(id) is given.
    type: str
  id:
    description:
      - Mount, role and order in one, in the form C(<mount>/role/<role_name>/order/<order_id>/certificate), as
        M(certops.vault_extca.vault_extca_order_certificate) returns it and as Terraform's provider writes it.
        Takes the place of O(mount), O(role_name) and O(order_id).
    type: str
"""
