#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_order_challenge_info
short_description: Find out what fulfils an order's challenges
version_added: 0.1.0
description:
  - Returns the challenges of an order of Vault's C(pki-external-ca) engine together with everything that fulfils them, computed.
  - For http-01 that is a path and its content, for dns-01 the name and value of a TXT record, for tls-alpn-01 the digest and the
    extension of a certificate.
  - An order that needs no challenge, because the ACME server knows the proof already or because it is completed, gives an empty
    list.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.order_challenge_info
  - certops.vault_extca.order_reference
  - certops.vault_extca.waiting
  - certops.vault_extca.attributes
  - certops.vault_extca.attributes.read_only
options:
  identifier:
    description:
      - Identifier to prove. It must be one of the order's, and O(challenge_type) must be offered for it.
      - If not set, all identifiers that are not proven yet and that offer O(challenge_type). Those that Vault proves by itself through
        a DNS provider are left out, and a warning names those that do not offer the type.
    type: str
  challenge_type:
    description:
      - Type of the challenge. A wildcard can only be proven with V(dns-01).
    type: str
    choices: [http-01, dns-01, tls-alpn-01]
    required: true
  wait:
    description:
      - Whether to wait until the order's challenges are available. If not, an order whose challenges are not available yet gives an
        empty list; see RV(order_status).
notes:
  - A wildcard and the name below it are proven by two values of the same TXT record, which must stand there at the same time.
seealso:
  - module: certops.vault_extca.vault_extca_order
  - module: certops.vault_extca.vault_extca_order_challenge_fulfilled
"""

EXAMPLES = r"""
- name: Find out what to publish
  certops.vault_extca.vault_extca_order_challenge_info:
    role_name: web
    order_id: "{{ order.order_id }}"
    challenge_type: http-01
  register: http

- name: Publish it
  ansible.builtin.copy:
    content: "{{ item.http_01.content }}"
    dest: "/var/www/html{{ item.http_01.path }}"
    mode: "0644"
  loop: "{{ http.challenges }}"

- name: Find out the TXT record of a wildcard
  certops.vault_extca.vault_extca_order_challenge_info:
    id: "{{ order.id }}"
    identifier: "*.example.com"
    challenge_type: dns-01
  register: dns
"""

RETURN = r"""
challenges:
  description: The challenges to fulfil.
  returned: success
  type: list
  elements: dict
  contains:
    identifier:
      description: Identifier that the challenge proves.
      returned: success
      type: str
      sample: www.example.com
    challenge_type:
      description: Type of the challenge.
      returned: success
      type: str
      sample: http-01
    challenge_status:
      description: State of the challenge as Vault last saw it, V(pending), V(processing), V(valid) or V(invalid).
      returned: success
      type: str
      sample: pending
    challenge_token:
      description: Token of the challenge.
      returned: success
      type: str
      sample: evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA
    key_authorization:
      description:
        - The token and the thumbprint of the account's key.
        - The CA reads it in public, so it is a secret only until then; C(no_log=true) keeps it out of logs.
      returned: with O(challenge_type=http-01) and O(challenge_type=tls-alpn-01)
      type: str
      sample: evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ
    expires:
      description: When the challenge expires.
      returned: success
      type: str
      sample: "2026-02-07T12:00:00Z"
    http_01:
      description: What fulfils an http-01 challenge. C(content) must be served at C(url), on port 80.
      returned: with O(challenge_type=http-01)
      type: dict
      sample:
        path: /.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA
        url: http://www.example.com/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA
        content: evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ
    dns_01:
      description: What fulfils a dns-01 challenge. The TXT record C(record_name) must hold C(txt_value).
      returned: with O(challenge_type=dns-01)
      type: dict
      sample:
        record_name: _acme-challenge.example.com
        txt_value: gfj9Xq1Wtm_1n9LH8eNeYJzYaFXnTZ0Hk8oUF1Vqk3Y
    tls_alpn_01:
      description:
        - What fulfils a tls-alpn-01 challenge. On port 443, a self-signed certificate for C(server_name) must be shown to clients of the
          ALPN protocol C(acme-tls/1).
        - Its critical extension 1.3.6.1.5.5.7.1.31 holds C(digest) (hex) as an octet string; C(extension) is that value in base64 of
          DER.
      returned: with O(challenge_type=tls-alpn-01)
      type: dict
      sample:
        server_name: www.example.com
        digest: 2c8e0a6d3c0b8e3f4f2f5e1f8e0d1c5e9b7a3d6f8c4b2a1908f7e6d5c4b3a291
        extension: BCAsjgptPAuOP08vXh+ODRxem3o9b4xLKhkI9+bVxLOikQ==
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
  description: State of the order.
  returned: success
  type: str
  sample: awaiting-challenge-fulfillment
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_proofs import CHALLENGE_TYPES
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import (
    ORDER_REFERENCE,
    ORDER_REFERENCE_RULES,
    WAITING,
    ExtcaModule,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import format_order_reference
from ansible_collections.certops.vault_extca.plugins.module_utils.fulfilment import describe, select, warn_of
from ansible_collections.certops.vault_extca.plugins.module_utils.orders import wait_for_challenges


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            identifier=dict(type="str"),
            challenge_type=dict(type="str", choices=list(CHALLENGE_TYPES), required=True),
            **ORDER_REFERENCE,
            **WAITING,
        ),
        **ORDER_REFERENCE_RULES,
    )
    with module.external_ca() as external_ca:
        reference, patience = module.order_reference(), module.patience()
        named, challenge_type = module.params["identifier"], module.params["challenge_type"]
        order = wait_for_challenges(external_ca, reference, patience if module.params["wait"] else None)
        selection = select(order, None if named is None else [named], challenge_type)
        warn_of(selection, challenge_type, module.warn)
        module.exit_json(
            changed=False,
            challenges=[
                describe(external_ca, reference, identifier, challenge_type, patience)
                for identifier in selection.chosen
            ],
            id=format_order_reference(external_ca.mount, reference),
            order_status=order["order_status"],
            **reference._asdict(),
        )


if __name__ == "__main__":
    main()
