#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_order
short_description: Order a certificate, or find the order that serves as well
version_added: 0.1.0
description:
  - Creates an order of Vault's C(pki-external-ca) engine, for identifiers or for a certificate signing request.
  - An order of the same role for the same identifiers (or the same request) is used in its place if there is one that is on its
    way, or completed with a certificate that is not due for renewal. So a repeated run orders nothing.
  - With O(wait=true), the order's challenges are available when the task ends, so that the next task can publish them.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.order
  - certops.vault_extca.request
  - certops.vault_extca.reuse
  - certops.vault_extca.waiting
  - certops.vault_extca.attributes
options:
  role_name:
    description:
      - Role to order with.
    type: str
    required: true
  wait:
    description:
      - Whether to wait until the order's challenges are available, or it is seen to need none.
attributes:
  check_mode:
    support: full
    details: Looks for an order that exists, and predicts a new one where there is none.
  diff_mode:
    support: full
notes:
  - Looking for an order takes three requests, however many orders the mount holds. For a certificate signing request, each order for
    the same names within the last week takes one or two more, for the newest ten of them.
  - Of the orders that are under way, Vault lists the newest 500 of the last week. One that is not among them is not found.
  - An order for a certificate signing request is found for a week (168 hours), since Vault does not list older orders with what
    they are for. After that, a new order is created. With O(identifiers), a valid certificate is found whatever its age.
seealso:
  - module: certops.vault_extca.vault_extca_role
  - module: certops.vault_extca.vault_extca_order_challenge_info
  - module: certops.vault_extca.vault_extca_order_certificate
"""

EXAMPLES = r"""
- name: Order a certificate
  certops.vault_extca.vault_extca_order:
    role_name: web
    identifiers: [www.example.com]
  register: order

- name: Order for a request whose key stays on this host, and renew 30 days before the end
  certops.vault_extca.vault_extca_order:
    role_name: web
    csr_path: /etc/ssl/www.csr
    renew_before: 30d
  register: order

- name: Order anew after a key was lost
  certops.vault_extca.vault_extca_order:
    role_name: web
    identifiers: [www.example.com, example.com]
    reuse: active
  register: order
"""

RETURN = r"""
reused:
  description: Whether the order was there before.
  returned: success
  type: bool
  sample: false
id:
  description: Mount, role and order in one, for the option C(id) of the modules that take an order.
  returned: always, except where check mode predicts a new order
  type: str
  sample: pki-external-ca/role/web/order/7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f/certificate
order_id:
  description: Id of the order.
  returned: always, except where check mode predicts a new order
  type: str
  sample: 7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f
role_name:
  description: Role of the order.
  returned: always
  type: str
  sample: web
identifiers:
  description: Identifiers of the order.
  returned: always
  type: list
  elements: str
  sample: [www.example.com]
order_status:
  description: State of the order. V(new) for a new order that the token may not read.
  returned: always, except where check mode predicts a new order
  type: str
  sample: awaiting-challenge-fulfillment
challenges:
  description: Challenges of the order by identifier, as Vault last saw them; empty while they are not known.
  returned: always, except where check mode predicts a new order
  type: dict
  sample:
    www.example.com:
      - {challenge_type: http-01, challenge_status: pending, expires: "2026-02-07T12:00:00Z"}
expires:
  description: When the order expires unless its challenges are fulfilled; empty while that is not known.
  returned: always, except where check mode predicts a new order
  type: str
  sample: "2026-02-07T12:00:00Z"
last_error:
  description: Vault's last error of the order, if there was one.
  returned: always, except where check mode predicts a new order
  type: str
  sample: ""
serial_number:
  description: Serial number of the certificate; empty until the order is completed.
  returned: always, except where check mode predicts a new order
  type: str
  sample: ""
creation_date:
  description: When the order was created.
  returned: always, except where check mode predicts a new order
  type: str
  sample: "2026-01-31T12:00:00Z"
last_update:
  description: When Vault last changed the order.
  returned: always, except where check mode predicts a new order
  type: str
  sample: "2026-01-31T12:00:01Z"
next_work_date:
  description: When Vault looks at the order again; empty if it does not.
  returned: always, except where check mode predicts a new order
  type: str
  sample: "2026-01-31T12:00:01Z"
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.durations import parse_renew_before
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import (
    REQUEST,
    REQUEST_RULES,
    REUSE,
    WAITING,
    ExtcaModule,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import OrderReference
from ansible_collections.certops.vault_extca.plugins.module_utils.order_results import order_result
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import follow_new_order, with_challenges
from ansible_collections.certops.vault_extca.plugins.module_utils.reuse import find_order
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import NotFound


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(role_name=dict(type="str", required=True), **REQUEST, **REUSE, **WAITING),
        **REQUEST_RULES,
    )
    with module.external_ca() as external_ca:
        role_name, (identifiers, csr) = module.params["role_name"], module.requested()
        patience = module.patience() if module.params["wait"] else None
        renew_before = module.option("renew_before", parse_renew_before)
        found = None
        try:
            found = find_order(
                external_ca,
                role_name,
                identifiers,
                csr=csr,
                reuse=module.params["reuse"],
                renew_before=renew_before,
                warn=module.warn,
            )
        except NotFound as error:
            if not module.check_mode:
                raise
            module.warn(f"Predicting a new order on a mount that is not there yet: {error}")
        if found is not None:
            reference = OrderReference(role_name, found["order_id"])
            order = found if module.check_mode else with_challenges(external_ca, reference, found, patience)
            module.exit_json(changed=False, reused=True, **order_result(external_ca.mount, reference, order))
        result = {"role_name": role_name, "identifiers": identifiers}
        diff = {"diff": {"before": {}, "after": dict(result)}} if module._diff else {}
        if not module.check_mode:
            reference = external_ca.new_order(role_name, identifiers=identifiers, csr=csr)
            order = follow_new_order(external_ca, reference, identifiers, patience, module.warn)
            result = order_result(external_ca.mount, reference, order)
        module.exit_json(changed=True, reused=False, **result, **diff)


if __name__ == "__main__":
    main()
