#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_acme_account_info
short_description: Read ACME accounts
version_added: 0.1.0
description:
  - Reads one ACME account that Vault has, or all of them. Keys are never part of it.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.acme_account_info
  - certops.vault_extca.attributes
  - certops.vault_extca.attributes.read_only
options:
  name:
    description:
      - Name of the account. If not given, all accounts are returned.
    type: str
seealso:
  - module: certops.vault_extca.vault_extca_acme_account
"""

EXAMPLES = r"""
- name: Read one account
  certops.vault_extca.vault_extca_acme_account_info:
    name: main
  register: found

- name: Show when its key was made, if there is one
  ansible.builtin.debug:
    msg: "{{ item.account_keys[item.active_key_version | string].key_creation_date }}"
  loop: "{{ found.acme_accounts }}"
  loop_control:
    label: "{{ item.name }}"

- name: Read all accounts
  certops.vault_extca.vault_extca_acme_account_info:
"""

RETURN = r"""
acme_accounts:
  description: The accounts, by name. Empty if there is none, or none of the name that was asked for.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the account.
      type: str
      returned: always
      sample: main
    directory_url:
      description: URL of the ACME server's directory.
      type: str
      returned: always
      sample: https://acme-v02.api.letsencrypt.org/directory
    email_contacts:
      description: E-mail addresses of the account.
      type: list
      elements: str
      returned: always
      sample: [pki@example.com]
    key_type:
      description: Type of the active key.
      type: str
      returned: always
      sample: ec-256
    active_key_version:
      description: Version of the active key.
      type: int
      returned: always
      sample: 0
    account_keys:
      description: All keys by version, without the keys themselves.
      type: dict
      returned: always
      sample: {"0": {"key_type": "ec-256", "key_version": 0, "key_creation_date": "2026-01-31T12:00:00Z"}}
    trusted_ca:
      description: PEM bundle that validates the ACME server's TLS certificate; empty for the system's own.
      type: str
      returned: always
      sample: ""
    creation_date:
      description: When the account was created in Vault.
      type: str
      returned: always
      sample: "2026-01-31T12:00:00Z"
    last_updated_date:
      description: When it was last changed there.
      type: str
      returned: always
      sample: "2026-01-31T12:00:00Z"
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.acme_accounts import find_account
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ExtcaModule


def main() -> None:
    module = ExtcaModule(argument_spec=dict(name=dict(type="str")))
    with module.external_ca() as external_ca:
        name = module.params["name"]
        names = sorted(external_ca.acme_account_names()) if name is None else [name]
        found = [find_account(external_ca, one) for one in names]
        module.exit_json(changed=False, acme_accounts=[one for one in found if one is not None])


if __name__ == "__main__":
    main()
