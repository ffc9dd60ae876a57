#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_order_info
short_description: Look up orders
version_added: 0.1.0
description:
  - Returns one order of Vault's C(pki-external-ca) engine, the active ones of a role, those of the last hours or days, or all
    active and completed ones.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.order_info
  - certops.vault_extca.order_reference
  - certops.vault_extca.attributes
  - certops.vault_extca.attributes.read_only
options:
  role_name:
    description:
      - With O(order_id), the role of the order; the token needs C(read) on its C(status).
      - With O(within), only orders of this role.
      - Alone, all orders of this role that have not come to their end; the token needs C(list) on C(active-orders).
  order_id:
    description:
      - Id of one order. Without O(role_name) it is looked up; the token needs C(read) on C(<mount>/lookup/order/+) for that.
  within:
    description:
      - All orders, whatever their state, that were created within this duration, from V(1h) to V(168h). Vault returns the newest 500
        at most. The token needs C(list) on C(<mount>/lookup/orders/recent).
    type: str
  expand:
    description:
      - Whether each order of a list is read for its whole status. That takes one more request for each order.
    type: bool
    default: false
  validity:
    description:
      - Whether to look up the validity of the certificate of each order whose serial number is known (see O(expand)). That takes one
        more request for each certificate, and C(read) on C(<mount>/lookup/cert/+); without that right, a warning says so.
    type: bool
    default: false
notes:
  - Without O(role_name), O(order_id), O(id) and O(within), all active and completed orders of the mount are returned. The token needs
    C(list) on C(<mount>/lookup/orders) for that.
seealso:
  - module: certops.vault_extca.vault_extca_order
"""

EXAMPLES = r"""
- name: Look at one order
  certops.vault_extca.vault_extca_order_info:
    role_name: web
    order_id: "{{ order.order_id }}"
  register: found

- name: Find the orders of a role that wait for somebody
  certops.vault_extca.vault_extca_order_info:
    role_name: web
    expand: true
  register: active

- name: Show what was ordered today
  certops.vault_extca.vault_extca_order_info:
    within: 24h
  register: recent

- name: Find out when all certificates expire
  certops.vault_extca.vault_extca_order_info:
    expand: true
    validity: true
  register: all_certificates

- name: Count all orders
  certops.vault_extca.vault_extca_order_info:
  register: all_orders
"""

RETURN = r"""
orders:
  description:
    - The orders found, of a list the newest first where Vault says when they were created. Empty if there is none.
    - C(order_id) is always there. For O(within), C(role_name), C(order_status), C(identifiers), C(creation_date) and C(last_update)
      are too. All keys are there for one order and with O(expand=true).
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Mount, role and order in one, for the option C(id) of the modules that take an order.
      returned: when known
      type: str
      sample: pki-external-ca/role/web/order/7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f/certificate
    order_id:
      description: Id of the order.
      returned: when known
      type: str
      sample: 7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f
    role_name:
      description: Role of the order.
      returned: when known
      type: str
      sample: web
    identifiers:
      description: Identifiers of the order.
      returned: when known
      type: list
      elements: str
      sample: [www.example.com]
    order_status:
      description: State of the order.
      returned: when known
      type: str
      sample: awaiting-challenge-fulfillment
    challenges:
      description: Challenges of the order by identifier, as Vault last saw them; empty while they are not known.
      returned: when known
      type: dict
      sample:
        www.example.com:
          - {challenge_type: http-01, challenge_status: pending, expires: "2026-02-07T12:00:00Z"}
    expires:
      description: When the order expires unless its challenges are fulfilled; empty while that is not known.
      returned: when known
      type: str
      sample: "2026-02-07T12:00:00Z"
    last_error:
      description: Vault's last error of the order, if there was one.
      returned: when known
      type: str
      sample: ""
    serial_number:
      description: Serial number of the certificate; empty until the order is completed.
      returned: when known
      type: str
      sample: ""
    not_before:
      description: Beginning of the certificate's validity.
      returned: with O(validity=true), when known
      type: str
      sample: "2026-01-31T12:00:00Z"
    not_after:
      description: End of the certificate's validity.
      returned: with O(validity=true), when known
      type: str
      sample: "2026-05-01T12:00:00Z"
    creation_date:
      description: When the order was created.
      returned: when known
      type: str
      sample: "2026-01-31T12:00:00Z"
    last_update:
      description: When Vault last changed the order.
      returned: when known
      type: str
      sample: "2026-01-31T12:00:01Z"
    next_work_date:
      description: When Vault looks at the order again; empty if it does not.
      returned: when known
      type: str
      sample: "2026-01-31T12:00:01Z"
    csr:
      description: The certificate signing request, if the order is for one; empty otherwise.
      returned: when known
      type: str
      sample: ""
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ORDER_REFERENCE, ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.listing import (
    add_validity,
    listed_orders,
    one_order,
    parse_within,
)


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            within=dict(type="str"),
            expand=dict(type="bool", default=False),
            validity=dict(type="bool", default=False),
            **ORDER_REFERENCE,
        ),
        mutually_exclusive=[("order_id", "id", "within"), ("role_name", "id")],
    )
    with module.external_ca() as external_ca:
        role_name, order_id = module.params["role_name"], module.params["order_id"]
        if order_id is not None:
            orders = one_order(external_ca, role_name, order_id)
        else:
            within = None if module.params["within"] is None else module.option("within", parse_within)
            orders = listed_orders(external_ca, role_name, within, expand=module.params["expand"])
        if module.params["validity"]:
            add_validity(external_ca, orders, module.warn)
        module.exit_json(changed=False, orders=orders)


if __name__ == "__main__":
    main()
