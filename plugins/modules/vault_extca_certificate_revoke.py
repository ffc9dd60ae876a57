#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_certificate_revoke
short_description: Revoke a certificate
version_added: 0.1.0
description:
  - Has the CA revoke a certificate that an order of Vault's C(pki-external-ca) engine has issued.
  - A certificate that is revoked already is left as it is, whatever the reason was.
  - There is no way back.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.certificate_revoke
  - certops.vault_extca.order_reference
  - certops.vault_extca.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  serial_number:
    description:
      - Serial number of the certificate, hex pairs joined by colons or dashes. Takes the place of O(role_name), O(order_id) and O(id).
    type: str
  reason:
    description:
      - Why, in the words of RFC 5280. CAs accept only some of them, and say so.
      - Vault's versions spell them with hyphens or with underscores; this module finds out which.
    type: str
    choices:
      - unspecified
      - key-compromise
      - ca-compromise
      - affiliation-changed
      - superseded
      - cessation-of-operation
      - certificate-hold
      - remove-from-crl
      - privilege-withdrawn
      - aa-compromise
    default: unspecified
seealso:
  - module: certops.vault_extca.vault_extca_certificate_info
"""

EXAMPLES = r"""
- name: Revoke the certificate of an order
  certops.vault_extca.vault_extca_certificate_revoke:
    role_name: web
    order_id: "{{ order.order_id }}"
    reason: superseded

- name: Revoke a certificate whose key was stolen
  certops.vault_extca.vault_extca_certificate_revoke:
    serial_number: "5f:1c:90:2a:4d:bb:70:11"
    reason: key-compromise
"""

RETURN = r"""
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
order_status:
  description: State of the order. V(revoked), also in check mode.
  returned: success
  type: str
  sample: revoked
"""

from typing import Tuple

from ansible_collections.certops.vault_extca.plugins.module_utils.certificates import normalise_serial
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ORDER_REFERENCE, ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import (
    REVOCATION_REASONS,
    OrderReference,
    format_order_reference,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.order_states import REVOKED
from ansible_collections.certops.vault_extca.plugins.module_utils.revocation import (
    order_of_serial,
    revoke,
    state_of_order,
)


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            serial_number=dict(type="str"),
            reason=dict(type="str", choices=list(REVOCATION_REASONS), default="unspecified"),
            **ORDER_REFERENCE,
        ),
        required_one_of=[("order_id", "id", "serial_number")],
        required_together=[("role_name", "order_id")],
        mutually_exclusive=[("order_id", "id", "serial_number")],
    )
    with module.external_ca() as external_ca:

        def find() -> Tuple[OrderReference, str]:
            if module.params["serial_number"] is not None:
                return order_of_serial(external_ca, module.option("serial_number", normalise_serial))
            return module.order_reference(), state_of_order(external_ca, module.order_reference())

        reference, state = find()
        changed = state != REVOKED
        if changed and not module.check_mode:
            changed = revoke(external_ca, reference, module.params["reason"], lambda: find()[1])
        diff = {"diff": {"before": {"order_status": state}, "after": {"order_status": REVOKED}}} if module._diff else {}
        module.exit_json(
            changed=changed,
            id=format_order_reference(external_ca.mount, reference),
            order_status=REVOKED,
            **reference._asdict(),
            **diff,
        )


if __name__ == "__main__":
    main()
