#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_certificate_info
short_description: Find a certificate that was issued before
version_added: 0.1.0
description:
  - Returns the newest certificate that a role of Vault's C(pki-external-ca) engine has issued for exactly these identifiers and that
    stays valid long enough, or the certificate with a serial number.
  - Where there is none, the task does not fail; see RV(found).
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.certificate_info
  - certops.vault_extca.attributes
  - certops.vault_extca.attributes.read_only
options:
  role_name:
    description:
      - Role that has issued the certificate. Required together with O(identifiers).
    type: str
  identifiers:
    description:
      - DNS names of the certificate; their order does not matter. Certificates for certificate signing requests are not found this way.
    type: list
    elements: str
  min_validity:
    description:
      - How much longer the certificate must be valid at least, for O(identifiers).
      - A duration such as V(30d) or V(12h), or a share of the certificate's lifetime such as V(33%).
    type: str
    default: 0s
  serial_number:
    description:
      - Serial number of the certificate, hex pairs joined by colons or dashes. Takes the place of O(role_name) and O(identifiers).
        A certificate that has expired is found too.
    type: str
  certificate_format:
    description:
      - Form of RV(certificate).
      - V(pem) is the leaf alone, V(pem_bundle) the leaf followed by its chain, V(der) the leaf as base64 of DER.
    type: str
    choices: [pem, der, pem_bundle]
    default: pem
  include_private_key:
    description:
      - Whether RV(private_key) is returned. Vault hands the key out with the certificate, and it is dropped here unless asked for.
      - Use C(no_log=true) on a task that asks for it.
    type: bool
    default: false
notes:
  - All who may read C(cached) or C(fetch-cert) may read the private key.
seealso:
  - module: certops.vault_extca.vault_extca_order_certificate
  - module: certops.vault_extca.vault_extca_certificate_revoke
"""

EXAMPLES = r"""
- name: Look for a certificate that is good for another month
  certops.vault_extca.vault_extca_certificate_info:
    role_name: web
    identifiers: [www.example.com]
    min_validity: 30d
  register: cached

- name: Find out which order a certificate came of
  certops.vault_extca.vault_extca_certificate_info:
    serial_number: "{{ cached.serial_number }}"
  register: issued

- name: Fetch the private key too
  certops.vault_extca.vault_extca_certificate_info:
    role_name: web
    identifiers: [www.example.com]
    include_private_key: true
  register: with_key
  no_log: true
"""

RETURN = r"""
found:
  description: Whether there is such a certificate.
  returned: success
  type: bool
  sample: true
id:
  description: Mount, role and order in one, for the option C(id) of the modules that take an order.
  returned: when found, and the token may look up the order
  type: str
  sample: pki-external-ca/role/web/order/7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f/certificate
order_id:
  description: Id of the order.
  returned: when found, and the token may look up the order
  type: str
  sample: 7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f
role_name:
  description: Role of the order.
  returned: when found
  type: str
  sample: web
order_status:
  description: State of the order. V(revoked) if the certificate is.
  returned: when found, and the token may look up the order
  type: str
  sample: completed
identifiers:
  description: DNS names of the certificate.
  returned: when found
  type: list
  elements: str
  sample: [www.example.com]
serial_number:
  description: Serial number, lower-case hex pairs joined by colons.
  returned: when found
  type: str
  sample: "5f:1c:90:2a:4d:bb:70:11"
not_before:
  description: Beginning of the validity.
  returned: when found
  type: str
  sample: "2026-01-31T12:00:00Z"
not_after:
  description: End of the validity.
  returned: when found
  type: str
  sample: "2026-05-01T12:00:00Z"
certificate:
  description: The certificate in the form of O(certificate_format).
  returned: when found and not revoked
  type: str
  sample: "-----BEGIN CERTIFICATE-----\n..."
certificate_format:
  description: Form of RV(certificate).
  returned: when found and not revoked
  type: str
  sample: pem
ca_chain:
  description: Certificates of the issuers, the leaf's issuer first.
  returned: when found and not revoked
  type: list
  elements: str
  sample: ["-----BEGIN CERTIFICATE-----\n..."]
fullchain:
  description: The leaf and its chain as one PEM text, whatever O(certificate_format) is.
  returned: when found and not revoked
  type: str
  sample: "-----BEGIN CERTIFICATE-----\n..."
authority_key_id:
  description: Key id of the issuer, hex pairs joined by colons.
  returned: when found and not revoked
  type: str
  sample: "9a:0f:51"
private_key:
  description: The private key. A secret; use C(no_log=true).
  returned: with O(include_private_key=true), when Vault has made the key
  type: str
  sample: "-----BEGIN PRIVATE KEY-----\n..."
private_key_type:
  description: Type of the private key, V(EC) or V(RSA).
  returned: when Vault has made the key
  type: str
  sample: EC
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.certificates import normalise_serial
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import parse_renew_before
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.found_results import found_certificate
from ansible_collections.certops.vault_extca.plugins.module_utils.identifiers import normalise_identifiers
from ansible_collections.certops.vault_extca.plugins.module_utils.reuse import find_cached, find_issued


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            role_name=dict(type="str"),
            identifiers=dict(type="list", elements="str"),
            min_validity=dict(type="str", default="0s"),
            serial_number=dict(type="str"),
            certificate_format=dict(type="str", choices=["pem", "der", "pem_bundle"], default="pem"),
            include_private_key=dict(type="bool", default=False, no_log=False),
        ),
        required_one_of=[("identifiers", "serial_number")],
        mutually_exclusive=[("identifiers", "serial_number"), ("role_name", "serial_number")],
        required_together=[("role_name", "identifiers")],
    )
    with module.external_ca() as external_ca:
        certificate_format = module.params["certificate_format"]
        if module.params["serial_number"] is not None:
            serial_number = module.option("serial_number", normalise_serial)
            found = find_issued(external_ca, serial_number, module.warn, certificate_format)
        else:
            identifiers = module.option("identifiers", normalise_identifiers)
            min_validity = module.option("min_validity", parse_renew_before)
            role_name = module.params["role_name"]
            found = find_cached(external_ca, role_name, identifiers, min_validity, module.warn, certificate_format)
        result = found_certificate(external_ca.mount, module.params["role_name"], found)
        if not module.params["include_private_key"]:
            result.pop("private_key", None)
        module.exit_json(changed=False, found=found is not None, **result)


if __name__ == "__main__":
    main()
