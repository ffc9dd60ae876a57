#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_certificate_files
short_description: Look at, or replace, the files of a certificate without asking Vault
version_added: 0.1.0
description:
  - Tells whether the certificate in some files of a host is good, as M(certops.vault_extca.vault_extca_certificate) decides it.
  - With O(certificate), sees to it that the files hold that certificate. They are replaced as one set.
  - Never talks to Vault, and takes none of the options of a connection. The role P(certops.vault_extca.certificate#role) uses it on hosts
    that must not have Vault's token.
extends_documentation_fragment:
  - certops.vault_extca.destination
requirements:
  - cryptography >= 3.1 (Python library) on the host that runs the task
author:
  - certops.vault_extca contributors (@certops)
options:
  identifiers:
    description:
      - DNS names that the certificate must have, these and no others.
    type: list
    elements: str
    required: true
  destination:
    required: true
  renew_before:
    description:
      - How long before its end a certificate is due for renewal, as a duration such as V(30d) or as a share of its lifetime such as
        V(33%).
    type: str
    default: "33%"
  certificate:
    description:
      - The leaf certificate (PEM) that the files are to hold. If not set, the files are only looked at.
    type: str
  ca_chain:
    description:
      - Certificates of the issuers (PEM), the leaf's issuer first.
    type: list
    elements: str
    default: []
  private_key:
    description:
      - The private key (PEM) of O(certificate). Needed if O(destination) has a file for it.
    type: str
  wait_timeout:
    description:
      - Seconds to wait for another task that is at work on the same files.
    type: int
    default: 300
attributes:
  check_mode:
    description: Can run in check mode and tell what would change, without changing anything.
    support: full
  diff_mode:
    description: Shows what changes, or would change, in diff mode. Secrets are never part of it.
    support: full
    details: Shows names, serial number and validity.
seealso:
  - module: certops.vault_extca.vault_extca_certificate
  - module: certops.vault_extca.vault_extca_order_certificate
"""

EXAMPLES = r"""
- name: Look whether the certificate is good
  certops.vault_extca.vault_extca_certificate_files:
    identifiers: [www.example.com]
    destination:
      fullchain: /etc/ssl/certs/www.pem
      private_key: /etc/ssl/private/www.key
  register: installed

- name: Fetch a certificate on the controller, which has Vault's token
  certops.vault_extca.vault_extca_order_certificate:
    id: "{{ order.id }}"
    facts: none
  register: issued
  no_log: true
  delegate_to: localhost
  when: not installed.good

- name: Install it here
  certops.vault_extca.vault_extca_certificate_files:
    identifiers: [www.example.com]
    destination:
      fullchain: /etc/ssl/certs/www.pem
      private_key: /etc/ssl/private/www.key
    certificate: "{{ issued.certificate }}"
    ca_chain: "{{ issued.ca_chain }}"
    private_key: "{{ issued.private_key }}"
  when: not installed.good
  notify: Reload nginx
"""

RETURN = r"""
good:
  description:
    - Whether the files hold a good certificate, before this task or, with O(certificate), afterwards.
    - V(false) too where a run with O(certificate) was cut short after it had begun to replace files. The next such run finishes that, and
      reports the change.
  returned: success
  type: bool
  sample: true
reason:
  description: Why the certificate that was there is good, or why it is not.
  returned: success
  type: str
  sample: expires in 12 days
identifiers:
  description: DNS names of the certificate that the files hold.
  returned: when there is one
  type: list
  elements: str
  sample: [www.example.com]
serial_number:
  description: Serial number, lower-case hex pairs joined by colons.
  returned: when there is a certificate
  type: str
  sample: "5f:1c:90:2a:4d:bb:70:11"
not_before:
  description: Beginning of the validity.
  returned: when there is a certificate
  type: str
  sample: "2026-01-31T12:00:00Z"
not_after:
  description: End of the validity.
  returned: when there is a certificate
  type: str
  sample: "2026-05-01T12:00:00Z"
next_renewal:
  description: From when on the certificate is due for renewal, as O(renew_before) says.
  returned: when there is a certificate
  type: str
  sample: "2026-04-01T19:12:00Z"
files:
  description: Files that were written, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/ssl/private/www.key, /etc/ssl/certs/www.pem]
backup_files:
  description: The copy of each file that was replaced.
  returned: with O(backup=true), when a file was replaced
  type: dict
  sample: {"/etc/ssl/certs/www.pem": "/etc/ssl/certs/www.pem.1234.2026-01-31@12:00:00~"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.certops.vault_extca.plugins.module_utils.delivery import DESTINATION
from ansible_collections.certops.vault_extca.plugins.module_utils.given_certificate import files_of_certificate
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import ExtcaError, MissingLibrary


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            identifiers=dict(type="list", elements="str", required=True),
            renew_before=dict(type="str", default="33%"),
            certificate=dict(type="str"),
            ca_chain=dict(type="list", elements="str", default=[]),
            private_key=dict(type="str", no_log=True),
            wait_timeout=dict(type="int", default=300),
            **{**DESTINATION, "destination": {**DESTINATION["destination"], "required": True}},
        ),
        supports_check_mode=True,
    )
    try:
        module.exit_json(**files_of_certificate(module))
    except ExtcaError as error:
        module.fail_json(msg=error.message, **error.details)
    except ImportError as error:
        module.fail_json(msg=MissingLibrary.of(error).message)


if __name__ == "__main__":
    main()
