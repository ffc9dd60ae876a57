#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_order_challenge_fulfilled
short_description: Tell Vault that challenges are in place
version_added: 0.1.0
description:
  - Marks challenges of an order of Vault's C(pki-external-ca) engine as fulfilled. When every identifier has one that is, Vault asks the
    ACME server to validate them.
  - Publish the challenges first. The ACME server looks once, and a challenge that it finds invalid ends the order.
  - Nothing is done, and nothing changed, where a challenge is marked already, the order is past that point or needs no challenge.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.order_challenge_fulfilled
  - certops.vault_extca.order_reference
  - certops.vault_extca.waiting
  - certops.vault_extca.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  identifiers:
    description:
      - Identifiers whose challenge is in place. They must be the order's, and O(challenge_type) must be offered for each.
      - If not set, all identifiers that are not proven yet and that offer O(challenge_type). Those that Vault proves by itself through
        a DNS provider are left out, and a warning names those that do not offer the type.
    type: list
    elements: str
    aliases: [identifier]
  challenge_type:
    description:
      - Type of the challenge that is in place.
    type: str
    choices: [http-01, dns-01, tls-alpn-01]
    required: true
  wait:
    description:
      - Whether to wait until the order's challenges are available. If not, nothing is marked for an order whose challenges are not
        available yet; see RV(order_status).
notes:
  - While an order waits for the challenge of another identifier, Vault may not tell which ones are marked. Marking one again is then
    reported as a change until the last one is marked. One task for all identifiers of a type avoids that.
seealso:
  - module: certops.vault_extca.vault_extca_order_challenge_info
  - module: certops.vault_extca.vault_extca_order_certificate
"""

EXAMPLES = r"""
- name: Have all http-01 challenges of the order validated
  certops.vault_extca.vault_extca_order_challenge_fulfilled:
    role_name: web
    order_id: "{{ order.order_id }}"
    challenge_type: http-01

- name: Have the wildcard validated by its TXT record
  certops.vault_extca.vault_extca_order_challenge_fulfilled:
    id: "{{ order.id }}"
    identifiers: ["*.example.com"]
    challenge_type: dns-01
"""

RETURN = r"""
fulfilled:
  description: Identifiers whose challenge was marked by this task, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [www.example.com]
id:
  description: Mount, role and order in one, for the option C(id) of the modules that take an order.
  returned: success
  type: str
  sample: pki-external-ca/role/web/order/7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f/certificate
order_id:
  description: Id of the order.
  returned: success
  type: str
  sample: 7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f
role_name:
  description: Role of the order.
  returned: success
  type: str
  sample: web
identifiers:
  description: Identifiers of the order.
  returned: success
  type: list
  elements: str
  sample: [www.example.com]
order_status:
  description: State of the order.
  returned: success
  type: str
  sample: awaiting-challenge-fulfillment
challenges:
  description: Challenges of the order by identifier, as Vault last saw them; empty while they are not known.
  returned: success
  type: dict
  sample:
    www.example.com:
      - {challenge_type: http-01, challenge_status: pending, expires: "2026-02-07T12:00:00Z"}
expires:
  description: When the order expires unless its challenges are fulfilled; empty while that is not known.
  returned: success
  type: str
  sample: "2026-02-07T12:00:00Z"
last_error:
  description: Vault's last error of the order, if there was one.
  returned: success
  type: str
  sample: ""
serial_number:
  description: Serial number of the certificate; empty until the order is completed.
  returned: success
  type: str
  sample: ""
creation_date:
  description: When the order was created.
  returned: success
  type: str
  sample: "2026-01-31T12:00:00Z"
last_update:
  description: When Vault last changed the order.
  returned: success
  type: str
  sample: "2026-01-31T12:00:01Z"
next_work_date:
  description: When Vault looks at the order again; empty if it does not.
  returned: success
  type: str
  sample: "2026-01-31T12:00:01Z"
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_proofs import CHALLENGE_TYPES
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import (
    ORDER_REFERENCE,
    ORDER_REFERENCE_RULES,
    WAITING,
    ExtcaModule,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.fulfilment import (
    after_marking,
    mark,
    select,
    unmarked,
    warn_of,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.order_results import order_result
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import wait_for_challenges


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            identifiers=dict(type="list", elements="str", aliases=["identifier"]),
            challenge_type=dict(type="str", choices=list(CHALLENGE_TYPES), required=True),
            **ORDER_REFERENCE,
            **WAITING,
        ),
        **ORDER_REFERENCE_RULES,
    )
    with module.external_ca() as external_ca:
        reference, challenge_type = module.order_reference(), module.params["challenge_type"]
        order = wait_for_challenges(external_ca, reference, module.patience() if module.params["wait"] else None)
        selection = select(order, module.params["identifiers"], challenge_type)
        warn_of(selection, challenge_type, module.warn)
        fulfilled = outstanding = unmarked(order, selection.chosen)
        if outstanding and not module.check_mode:
            fulfilled = mark(external_ca, reference, outstanding, challenge_type, module.warn)
            order = after_marking(external_ca, reference, order, outstanding)
        diff = {"diff": {"before": {"fulfilled": []}, "after": {"fulfilled": fulfilled}}} if module._diff else {}
        module.exit_json(
            changed=bool(fulfilled),
            fulfilled=fulfilled,
            **order_result(external_ca.mount, reference, order),
            **diff,
        )


if __name__ == "__main__":
    main()
