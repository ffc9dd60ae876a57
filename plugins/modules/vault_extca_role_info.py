#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_role_info
short_description: Read roles
version_added: 0.1.0
description:
  - Reads one role of the engine, or all of them.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.role_info
  - certops.vault_extca.attributes
  - certops.vault_extca.attributes.read_only
options:
  name:
    description:
      - Name of the role. If not given, all roles are returned.
    type: str
seealso:
  - module: certops.vault_extca.vault_extca_role
"""

EXAMPLES = r"""
- name: Read one role
  certops.vault_extca.vault_extca_role_info:
    name: web
  register: found

- name: Stop if there is none
  ansible.builtin.assert:
    that: found.roles | length == 1

- name: Read all roles
  certops.vault_extca.vault_extca_role_info:
"""

RETURN = r"""
roles:
  description: The roles, by name. Empty if there is none, or none of the name that was asked for.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the role.
      type: str
      returned: always
      sample: web
    acme_account_name:
      description: ACME account that orders.
      type: str
      returned: always
      sample: main
    allowed_domains:
      description: Domains that orders may be for, as the role's allowed domain options read them.
      type: list
      elements: str
      returned: always
      sample: [example.com]
    allowed_domain_options:
      description: How the domains are read.
      type: list
      elements: str
      returned: always
      sample: [bare_domains, subdomains]
    allowed_challenge_types:
      description: Challenges that may prove control of a name.
      type: list
      elements: str
      returned: always
      sample: [http-01]
    csr_generate_key_type:
      description: Type of the keys that Vault makes for certificates.
      type: str
      returned: always
      sample: ec-256
    csr_identifier_population:
      description: Where the names stand in Vault's certificate signing requests.
      type: str
      returned: always
      sample: cn_first
    dns_provider_name:
      description: DNS provider of the role; empty if the providers' own identifiers decide.
      type: str
      returned: always
      sample: ""
    dns_provider_type:
      description: Type of the DNS provider.
      type: str
      returned: always
      sample: ""
    creation_date:
      description: When the role was created.
      type: str
      returned: always
      sample: "2026-01-31T12:00:00Z"
    last_updated_date:
      description: When it was last changed.
      type: str
      returned: always
      sample: "2026-01-31T12:00:00Z"
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.roles import described


def main() -> None:
    module = ExtcaModule(argument_spec=dict(name=dict(type="str")))
    with module.external_ca() as external_ca:
        name = module.params["name"]
        names = sorted(external_ca.role_names()) if name is None else [name]
        found = [described(external_ca.role(one)) for one in names]
        module.exit_json(changed=False, roles=[one for one in found if one is not None])


if __name__ == "__main__":
    main()
