#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_acme_account
short_description: Register, import or delete an ACME account
version_added: 0.1.0
description:
  - Registers an account at an ACME server and keeps it in Vault, takes over an account that is registered there already, updates
    what may be updated of one, or deactivates and deletes it.
  - After creation, only O(trusted_ca) can be changed. If another option differs, the module fails and names it, unless
    O(recreate=true).
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.acme_account
  - certops.vault_extca.attributes
  - certops.vault_extca.state
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
requirements:
  - cryptography >= 3.1 (Python library), where O(trusted_ca) or O(account_key) is used
options:
  name:
    description:
      - Name of the account in Vault.
    type: str
    required: true
  state:
    description:
      - Whether Vault has this account.
      - V(absent) deactivates it at the ACME server, for good, and deletes it. Vault refuses while a role uses it.
  directory_url:
    description:
      - URL of the ACME server's directory. Required with O(state=present).
    type: str
  email_contacts:
    description:
      - E-mail addresses for the CA to write to, in any order. Required with O(state=present), unless O(account_key) is given.
    type: list
    elements: str
  key_type:
    description:
      - Type of the account's key. Vault's default is V(ec-256).
      - It is compared with the active key. M(certops.vault_extca.vault_extca_acme_account_rotate_key) changes it.
    type: str
    choices: [ec-256, ec-384, ec-521, rsa-2048, rsa-4096, rsa-8192]
  trusted_ca:
    description:
      - Certificates that validate the ACME server's own TLS certificate, as a PEM text. Compared by the certificates, not by the
        white space and comments around them. An empty text removes them.
      - For a file, write C(lookup('ansible.builtin.file', 'ca.pem')).
    type: str
  eab_kid:
    description:
      - Key id of the external account binding, for a CA that asks for one. Used only when the account is registered, never
        compared afterwards.
    type: str
  eab_key:
    description:
      - Key of the external account binding, base64url without padding, as the CA gives it. Used as O(eab_kid).
    type: str
  account_key:
    description:
      - Private key, as a PEM text, of an account that is registered at the ACME server. The account is imported instead of
        registered.
      - An account in Vault with the same directory and a key of this type, be it an older one, is taken for the same account and
        not imported again.
    type: str
  recreate:
    description:
      - Whether an account that differs in what cannot be changed is deleted, and created anew from this task's options.
      - The old account is deactivated at the ACME server, for good.
    type: bool
    default: false
seealso:
  - module: certops.vault_extca.vault_extca_acme_account_info
  - module: certops.vault_extca.vault_extca_acme_account_rotate_key
  - module: certops.vault_extca.vault_extca_role
"""

EXAMPLES = r"""
- name: Register an account with Let's Encrypt
  certops.vault_extca.vault_extca_acme_account:
    name: main
    directory_url: https://acme-v02.api.letsencrypt.org/directory
    email_contacts: [pki@example.com]

- name: Register one with a CA of our own, that asks for an external account binding
  certops.vault_extca.vault_extca_acme_account:
    name: internal
    directory_url: https://acme.example.com/directory
    email_contacts: [pki@example.com]
    key_type: ec-384
    trusted_ca: "{{ lookup('ansible.builtin.file', '/etc/ssl/internal-ca.pem') }}"
    eab_kid: "{{ internal_eab_kid }}"
    eab_key: "{{ internal_eab_key }}"

- name: Take over the account of another ACME client
  certops.vault_extca.vault_extca_acme_account:
    name: inherited
    directory_url: https://acme-v02.api.letsencrypt.org/directory
    account_key: "{{ lookup('ansible.builtin.file', '/root/account.key') }}"

- name: Deactivate it
  certops.vault_extca.vault_extca_acme_account:
    name: inherited
    state: absent
"""

RETURN = r"""
acme_account:
  description: The account. What the check mode cannot know of an account to come is left out there.
  returned: if there is one
  type: dict
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

from ansible_collections.certops.vault_extca.plugins.module_utils.acme_accounts import (
    ACME_ACCOUNT,
    KEY_TYPES,
    find_account,
    key_type_to_import,
    parse_bundle,
    write_account,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.resource_module import ResourceModule


def main() -> None:
    module = ResourceModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            directory_url=dict(type="str"),
            email_contacts=dict(type="list", elements="str"),
            key_type=dict(type="str", choices=list(KEY_TYPES), no_log=False),
            trusted_ca=dict(type="str"),
            eab_kid=dict(type="str"),
            eab_key=dict(type="str", no_log=True),
            account_key=dict(type="str", no_log=True),
            recreate=dict(type="bool", default=False),
        ),
        required_if=[
            ("state", "present", ("directory_url",)),
            ("state", "present", ("email_contacts", "account_key"), True),
        ],
        required_together=[("eab_kid", "eab_key")],
        mutually_exclusive=[("account_key", one) for one in ("email_contacts", "key_type", "eab_kid", "eab_key")],
    )
    with module.external_ca() as external_ca:
        name, account_key = module.params["name"], module.params["account_key"]
        wanted = ACME_ACCOUNT.wanted(module.params)
        if "trusted_ca" in wanted:
            wanted["trusted_ca"] = module.option("trusted_ca", parse_bundle)
        current = module.find(lambda: find_account(external_ca, name))
        if account_key is not None:
            wanted["key_type"] = key_type_to_import(account_key, current)
        change = module.ensure(
            ACME_ACCOUNT,
            name,
            wanted=wanted,
            current=current,
            write=lambda fields: write_account(external_ca, name, fields),
            delete=lambda: external_ca.delete_acme_account(name),
            recreate=module.params["recreate"],
        )
        module.report(change, "acme_account")


if __name__ == "__main__":
    main()
