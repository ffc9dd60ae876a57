#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_order_certificates
short_description: Wait for many orders to complete and return their certificates
version_added: 0.1.0
description:
  - Does for many orders of Vault's C(pki-external-ca) engine, in one task and side by side, what
    M(certops.vault_extca.vault_extca_order_certificate) does for one. There is one login and one pool of connections.
  - The results are keyed by order id. The failure of one order is that order's result; the others are carried to their end, and
    then the task fails.
  - With O(destination), each certificate is written to files of its own, as one set, where they do not hold it already.
  - Reading changes nothing in Vault. Running the module again returns the same results.
  - In check mode, the certificates of completed orders are returned. For any other order its present state is returned, without
    waiting and without a failure.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.order_certificates
  - certops.vault_extca.waiting
  - certops.vault_extca.destination
  - certops.vault_extca.destination.returned_key
  - certops.vault_extca.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows, for each order, names, serial number and validity of the certificate in the files of O(destination).
options:
  role_name:
    description:
      - Role of the orders of O(order_ids).
    type: str
  order_ids:
    description:
      - Ids of orders of the role O(role_name). An id that stands there twice counts once.
    type: list
    elements: str
  ids:
    description:
      - Orders of any mounts and roles, each in the form C(<mount>/role/<role_name>/order/<order_id>/certificate), as RV(certificates.id)
        and M(certops.vault_extca.vault_extca_order) have it. Takes the place of O(mount), O(role_name) and O(order_ids).
    type: list
    elements: str
  concurrency:
    description:
      - How many requests are made at the same time at most, from 1 to 50. Orders that are waited for between two looks do not count.
    type: int
    default: 10
  certificate_format:
    description:
      - Form of RV(certificates.certificate).
      - V(pem) is the leaf alone, V(pem_bundle) the leaf followed by its chain, V(der) the leaf as base64 of DER.
    type: str
    choices: [pem, der, pem_bundle]
    default: pem
  wait:
    description:
      - Whether to wait for the orders to complete. If not, the state of an order that goes on is returned, without a certificate.
  wait_timeout:
    description:
      - Seconds to wait at most, for all orders together.
  destination:
    description:
      - Files that are to hold the certificates, as a template of paths. C({order_id}), C({role_name}) and C({identifier}) are replaced
        in each path; C({identifier}) is the first name of the certificate, with C(_) in the place of the C(*) of a wildcard.
      - For more than one order, each path needs C({order_id}) or C({identifier}). The directories must exist.
      - What is put in can never lead to another directory.
notes:
  - RV(certificates.private_key) is a secret. Use C(no_log=true) on the task.
seealso:
  - module: certops.vault_extca.vault_extca_order
  - module: certops.vault_extca.vault_extca_order_certificate
"""

EXAMPLES = r"""
- name: Order certificates
  certops.vault_extca.vault_extca_order:
    role_name: web
    identifiers: ["{{ item }}"]
  loop: [www.example.com, api.example.com]
  register: ordered

- name: Wait for all of them at once
  certops.vault_extca.vault_extca_order_certificates:
    role_name: web
    order_ids: "{{ ordered.results | map(attribute='order_id') }}"
  register: issued
  no_log: true

- name: Install them, each in files of its own
  certops.vault_extca.vault_extca_order_certificates:
    ids: "{{ ordered.results | map(attribute='id') }}"
    destination:
      fullchain: "/etc/ssl/certs/{identifier}.pem"
      private_key: "/etc/ssl/private/{identifier}.key"

- name: Show when each ends
  ansible.builtin.debug:
    msg: "{{ item.identifiers | join(', ') }} until {{ item.not_after }}"
  loop: "{{ issued.certificates.values() }}"
  loop_control: {label: "{{ item.order_id }}"}
"""

RETURN = r"""
certificates:
  description: What became of each order, by order id. The keys are those that M(certops.vault_extca.vault_extca_order_certificate) returns.
  returned: always, once the orders were looked at
  type: dict
  sample: {"7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f": {"changed": false, "order_status": "completed", "serial_number": "5f:1c:90:2a"}}
  contains:
    changed:
      description: Whether files of this order were written or adjusted.
      returned: success
      type: bool
      sample: false
    failed:
      description: Whether this order failed.
      returned: when it did
      type: bool
      sample: true
    msg:
      description: Why this order failed, and what to do about it.
      returned: when it did
      type: str
      sample: Order 7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f of role web ended as expired.
    id:
      description: Mount, role and order in one.
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
      description: State of the order. V(completed) whenever there is a certificate and the token may not read the state.
      returned: once the state is known
      type: str
      sample: completed
    certificate:
      description: The certificate in the form of O(certificate_format).
      returned: when the order is completed
      type: str
      sample: "-----BEGIN CERTIFICATE-----\n..."
    certificate_format:
      description: Form of RV(certificates.certificate).
      returned: when the order is completed
      type: str
      sample: pem
    ca_chain:
      description: Certificates of the issuers, the leaf's issuer first.
      returned: when the order is completed
      type: list
      elements: str
      sample: ["-----BEGIN CERTIFICATE-----\n..."]
    fullchain:
      description: The leaf and its chain as one PEM text, whatever O(certificate_format) is.
      returned: when the order is completed
      type: str
      sample: "-----BEGIN CERTIFICATE-----\n..."
    private_key:
      description: The private key. A secret; use C(no_log=true).
      returned: when the order is completed and Vault has made the key (an order for identifiers, not for a CSR), unless a file of
        O(destination) holds it and O(return_private_key) is V(false)
      type: str
      sample: "-----BEGIN PRIVATE KEY-----\n..."
    private_key_type:
      description: Type of RV(certificates.private_key), V(EC) or V(RSA).
      returned: with RV(certificates.private_key)
      type: str
      sample: EC
    serial_number:
      description: Serial number, lower-case hex pairs joined by colons; empty until the order is completed.
      returned: once the state is known
      type: str
      sample: "5f:1c:90:2a:4d:bb:70:11"
    authority_key_id:
      description: Key id of the issuer, hex pairs joined by colons.
      returned: when the order is completed
      type: str
      sample: "9a:0f:51"
    not_before:
      description: Beginning of the validity.
      returned: when the order is completed
      type: str
      sample: "2026-01-31T12:00:00Z"
    not_after:
      description: End of the validity.
      returned: when the order is completed
      type: str
      sample: "2026-05-01T12:00:00Z"
    identifiers:
      description: DNS names of the certificate, or of the order while there is none.
      returned: success
      type: list
      elements: str
      sample: [www.example.com]
    challenges:
      description: Challenges of the order by identifier.
      returned: when the order is not completed
      type: dict
      sample: {"www.example.com": [{"challenge_type": "http-01", "challenge_status": "pending", "expires": "2026-02-07T12:00:00Z"}]}
    last_error:
      description: Vault's last error of the order.
      returned: when the order is not completed
      type: str
      sample: ""
    expires:
      description: When the order expires unless its challenges are fulfilled; empty while that is not known.
      returned: when the order is not completed
      type: str
      sample: "2026-02-07T12:00:00Z"
    creation_date:
      description: When the order was created.
      returned: when the order is not completed
      type: str
      sample: "2026-01-31T12:00:00Z"
    last_update:
      description: When Vault last changed the order.
      returned: when the order is not completed
      type: str
      sample: "2026-01-31T12:00:01Z"
    next_work_date:
      description: When Vault looks at the order again; empty if it does not.
      returned: when the order is not completed
      type: str
      sample: "2026-01-31T12:00:01Z"
    files:
      description: Files that were written, or in check mode would be.
      returned: with O(destination), when the order is completed
      type: list
      elements: str
      sample: [/etc/ssl/www.key, /etc/ssl/www.pem]
    backup_files:
      description: The copy of each file that was replaced.
      returned: with O(backup=true), when a file was replaced
      type: dict
      sample: {"/etc/ssl/www.pem": "/etc/ssl/www.pem.1234.2026-01-31@12:00:00~"}
    elapsed:
      description: Seconds waited.
      returned: once the state is known
      type: float
      sample: 3.141
    polls:
      description: How often the order was looked at.
      returned: once the state is known
      type: int
      sample: 4
failed_orders:
  description: Ids of the orders that failed.
  returned: always, once the orders were looked at
  type: list
  elements: str
  sample: []
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.delivery import DESTINATION, RETURNED_KEY
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import WAITING, ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.many_orders import (
    ManyCertificates,
    chosen_orders,
    obtain_certificates,
)


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            role_name=dict(type="str"),
            order_ids=dict(type="list", elements="str"),
            ids=dict(type="list", elements="str"),
            concurrency=dict(type="int", default=10),
            certificate_format=dict(type="str", choices=["pem", "der", "pem_bundle"], default="pem"),
            **WAITING,
            **DESTINATION,
            **RETURNED_KEY,
        ),
        required_one_of=[("order_ids", "ids")],
        required_together=[("role_name", "order_ids")],
        mutually_exclusive=[("order_ids", "ids")],
    )
    with module.external_ca() as external_ca:
        orders, certificates = chosen_orders(module.params), ManyCertificates(module)
        certificates.check_template(orders)
        outcomes = obtain_certificates(
            external_ca,
            orders,
            module.patience() if module.params["wait"] and not module.check_mode else None,
            module.params["concurrency"],
            certificate_format=module.params["certificate_format"],
        )
        for order, outcome in zip(orders, outcomes):
            certificates.add(order, outcome)
        module.exit_json(**certificates.result())


if __name__ == "__main__":
    main()
