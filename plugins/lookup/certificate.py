# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate
author:
  - certops.vault_extca contributors (@certops)
short_description: A certificate that Vault has issued, with its chain and key
version_added: 0.1.0
description:
  - Returns a cached certificate of a role of Vault's C(pki-external-ca) engine, or the certificate of one order, as a dictionary.
  - Nothing is ordered. Where there is no such certificate, the lookup fails.
  - Runs on the controller, as all lookups do. Its result holds the private key; use C(no_log=true) where it is shown or stored.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.connection.plugins
  - certops.vault_extca.auth
  - certops.vault_extca.auth.plugins
  - certops.vault_extca.mount
requirements:
  - cryptography >= 3.1 (Python library)
options:
  _terms:
    description:
      - DNS names of a certificate, as a list, or as a text with commas between them. Each term stands for one certificate.
      - Not needed with O(order_id) or O(id).
    type: list
    elements: raw
  mount:
    vars:
      - name: ansible_vault_extca_mount
  role_name:
    description:
      - Role that has issued the certificate. Required unless O(id) is given.
    type: str
  order_id:
    description:
      - Id of a completed order, in place of names.
    type: str
  id:
    description:
      - Mount, role and order in one, in the form C(<mount>/role/<role_name>/order/<order_id>/certificate). Takes the place of O(mount),
        O(role_name) and O(order_id).
    type: str
  min_validity:
    description:
      - How much longer a cached certificate must be valid at least, as a duration such as V(30d) or V(12h), or as a share of its lifetime
        such as V(33%). Has no meaning for an order.
    type: str
    default: 0s
  certificate_format:
    description:
      - Form of C(certificate).
      - V(pem) is the leaf alone, V(pem_bundle) the leaf followed by its chain, V(der) the leaf as base64 of DER.
    type: str
    choices: [pem, der, pem_bundle]
    default: pem
notes:
  - Options are taken as plugins of community.hashi_vault take them, from variables (C(ansible_hashi_vault_url)), the section
    C([hashi_vault_collection]) of C(ansible.cfg) and the environment (E(ANSIBLE_HASHI_VAULT_ADDR), then E(VAULT_ADDR)).
seealso:
  - module: certops.vault_extca.vault_extca_certificate_info
  - module: certops.vault_extca.vault_extca_certificate
"""

EXAMPLES = r"""
- name: Write a certificate and its chain
  ansible.builtin.copy:
    content: "{{ lookup('certops.vault_extca.certificate', 'www.example.com', role_name='web').fullchain }}"
    dest: /etc/ssl/www.pem
    mode: "0644"

- name: Show until when a certificate with several names is valid
  ansible.builtin.debug:
    msg: "{{ lookup('certops.vault_extca.certificate', ['www.example.com', 'example.com'], role_name='web').not_after }}"

- name: Use the certificate of one order
  ansible.builtin.copy:
    content: "{{ issued.private_key }}{{ issued.fullchain }}"
    dest: /etc/haproxy/www.pem
    mode: "0600"
  vars:
    issued: "{{ lookup('certops.vault_extca.certificate', id=order.id) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: One dictionary for each certificate.
  type: list
  elements: dict
  contains:
    certificate:
      description: The certificate in the form of O(certificate_format).
      type: str
      returned: success
    ca_chain:
      description: Certificates of the issuers, the leaf's issuer first.
      type: list
      elements: str
      returned: success
    fullchain:
      description: The leaf and its chain as one PEM text.
      type: str
      returned: success
    private_key:
      description: The private key. A secret.
      type: str
      returned: when Vault has made the key
    private_key_type:
      description: Type of the private key, V(EC) or V(RSA).
      type: str
      returned: when Vault has made the key
    serial_number:
      description: Serial number, lower-case hex pairs joined by colons.
      type: str
      returned: success
    authority_key_id:
      description: Key id of the issuer, hex pairs joined by colons.
      type: str
      returned: success
    not_before:
      description: Beginning of the validity.
      type: str
      returned: success
    not_after:
      description: End of the validity.
      type: str
      returned: success
    identifiers:
      description: DNS names of the certificate.
      type: list
      elements: str
      returned: success
    order_id:
      description: Id of the order, where the token may look it up.
      type: str
      returned: when it is known
    id:
      description: Mount, role and order in one.
      type: str
      returned: when the order is known
"""

from typing import Any, Dict, List

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.certops.vault_extca.plugins.module_utils.certificate_lookup import look_up_certificates
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import ExtcaError, MissingLibrary

_OWN_VARIABLES = ("ansible_hashi_vault_", "ansible_vault_extca_")


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core ships no types
    def run(self, terms: List[Any], variables: Any = None, **kwargs: Any) -> List[Dict[str, Any]]:
        # Variables arrive as they are written, and may be templates themselves.
        own = {name: value for name, value in (variables or {}).items() if name.startswith(_OWN_VARIABLES)}
        self.set_options(var_options=self._templar.template(own) if own else {}, direct=kwargs)
        try:
            return look_up_certificates(terms, self.get_options(), warn=Display().warning)
        except ExtcaError as error:
            raise AnsibleLookupError(f"certops.vault_extca.certificate: {error.message}") from None
        except ImportError as error:
            raise AnsibleLookupError(f"certops.vault_extca.certificate: {MissingLibrary.of(error).message}") from None
