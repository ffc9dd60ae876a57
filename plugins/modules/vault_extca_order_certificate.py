#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_order_certificate
short_description: Wait for an order to complete and return its certificate
version_added: 0.1.0
description:
  - Waits until an order of Vault's C(pki-external-ca) engine is completed, and returns its certificate, chain, private key and
    serial number, also as facts.
  - What Vault returns is checked first. The certificate must parse, its key must match the private key (or the order's CSR),
    the chain must be in order, and the serial number and the names must agree with the order's.
  - With O(destination), the certificate is written to files, as one set, where they do not hold it already.
  - Reading changes nothing in Vault. Running the module again returns the same result.
  - In check mode, the certificate of a completed order is returned. For any other order its present state is returned, without
    waiting and without a failure.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.order_certificate
  - certops.vault_extca.order_reference
  - certops.vault_extca.waiting
  - certops.vault_extca.destination
  - certops.vault_extca.destination.returned_key
  - certops.vault_extca.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows names, serial number and validity of the certificate in the files of O(destination).
options:
  certificate_format:
    description:
      - Form of RV(certificate).
      - V(pem) is the leaf alone, V(pem_bundle) the leaf followed by its chain, V(der) the leaf as base64 of DER.
    type: str
    choices: [pem, der, pem_bundle]
    default: pem
  wait:
    description:
      - Whether to wait for the order to complete. If not, the state of an order that goes on is returned, without a certificate.
  facts:
    description:
      - What becomes a fact. V(all) sets C(ansible_facts.vault_extca_order_certificate) with certificate, chain, private key and
        serial number, V(public) leaves the private key out, V(none) sets no facts.
      - A persistent fact cache writes facts to disk or to a database, the private key too. Where one is configured, use V(public)
        or V(none).
    type: str
    choices: [all, public, none]
    default: all
notes:
  - While it waits for more than two seconds, the task shows on the controller each change of the order's state, and a line every 15
    seconds. Not with C(async), nor with callbacks that print something else than the default one's lines, nor where the callback's
    C(display_ok_hosts) is off. The lines hold the order's id, its state and numbers, and are shown with C(no_log=true) too.
  - RV(private_key) is a secret. Use C(no_log=true) on the task, and O(facts=public) or O(facts=none) unless later tasks need the
    key as a fact.
seealso:
  - module: certops.vault_extca.vault_extca_order
  - module: certops.vault_extca.vault_extca_order_challenge_fulfilled
"""

EXAMPLES = r"""
- name: Wait for the certificate
  certops.vault_extca.vault_extca_order_certificate:
    role_name: web
    order_id: "{{ order.order_id }}"
    facts: none
  register: issued
  no_log: true

- name: Install the certificate, its chain and its key
  certops.vault_extca.vault_extca_order_certificate:
    id: "{{ issued.id }}"
    destination:
      fullchain: /etc/ssl/www.pem
      private_key: /etc/ssl/www.key
    mode: "0644"
    facts: none

- name: Read it again by its id
  certops.vault_extca.vault_extca_order_certificate:
    id: "{{ issued.id }}"
    facts: public
  no_log: true
"""

RETURN = r"""
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
  returned: always, once the state is known
  type: str
  sample: completed
certificate:
  description: The certificate in the form of O(certificate_format).
  returned: when the order is completed
  type: str
  sample: "-----BEGIN CERTIFICATE-----\n..."
certificate_format:
  description: Form of RV(certificate).
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
  description: Type of RV(private_key), V(EC) or V(RSA).
  returned: with RV(private_key)
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
  returned: always, once the state is known
  type: float
  sample: 3.141
polls:
  description: How often the order was looked at.
  returned: always, once the state is known
  type: int
  sample: 4
ansible_facts:
  description: Facts, as O(facts) says.
  returned: when the order is completed and O(facts) is not V(none)
  type: dict
  contains:
    vault_extca_order_certificate:
      description: The keys RV(certificate), RV(ca_chain), RV(fullchain), RV(serial_number), and with O(facts=all) RV(private_key).
      type: dict
      returned: success
      sample: {"serial_number": "5f:1c:90:2a:4d:bb:70:11"}
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.delivery import (
    DESTINATION,
    RETURNED_KEY,
    deliver,
    destination_of,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import (
    ORDER_REFERENCE,
    ORDER_REFERENCE_RULES,
    WAITING,
    ExtcaModule,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.order_progress import telling
from ansible_collections.certops.vault_extca.plugins.module_utils.order_results import certificate_result, facts
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import obtain_certificate


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            certificate_format=dict(type="str", choices=["pem", "der", "pem_bundle"], default="pem"),
            facts=dict(type="str", choices=["all", "public", "none"], default="all"),
            **ORDER_REFERENCE,
            **WAITING,
            **DESTINATION,
            **RETURNED_KEY,
        ),
        **ORDER_REFERENCE_RULES,
    )
    with module.external_ca() as external_ca:
        order, destination = module.order_reference(), destination_of(module)
        patience = module.patience() if module.params["wait"] and not module.check_mode else None
        with telling(order, module.params["wait_timeout"]) as progress:
            issued = obtain_certificate(
                external_ca,
                order,
                patience,
                certificate_format=module.params["certificate_format"],
                progress=progress,
            )
        result = deliver(destination, certificate_result(external_ca.mount, order, issued), module.patience())
        module.exit_json(**facts(result, module.params["facts"]), **result)


if __name__ == "__main__":
    main()
