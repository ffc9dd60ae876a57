#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_role
short_description: Say which certificates may be ordered, and how
version_added: 0.1.0
description:
  - Creates, updates or deletes a role of the engine. A role says which ACME account orders, for which names, with which challenges
    and with what keys.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.role
  - certops.vault_extca.attributes
  - certops.vault_extca.state
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  name:
    description:
      - Name of the role.
    type: str
    required: true
  state:
    description:
      - Whether there is this role.
      - Vault refuses to delete a role with active orders, unless O(force=true).
  acme_account_name:
    description:
      - ACME account that orders. Required with O(state=present). Cannot be changed after creation.
    type: str
  allowed_domains:
    description:
      - Domains that orders may be for, in any order. What they permit depends on O(allowed_domain_options).
      - May hold Vault's templates, such as C({{identity.entity.name}}.users.example.com). Mark such a text with C(!unsafe), so that
        Ansible leaves it alone.
    type: list
    elements: str
  allowed_domain_options:
    description:
      - V(bare_domains) permits the domains themselves, V(subdomains) what is below them, V(globs) what a C(*) in them stands for, and
        V(wildcards) wildcard names. Vault's default is an empty list, with which a domain without a C(*) permits itself alone.
    type: list
    elements: str
    choices: [bare_domains, subdomains, wildcards, globs]
  allowed_challenge_types:
    description:
      - Challenges that may prove control of a name. Vault's default is all three.
    type: list
    elements: str
    choices: [http-01, dns-01, tls-alpn-01]
  csr_generate_key_type:
    description:
      - Type of the key that Vault makes for an order without a certificate signing request. Vault's default is V(ec-256).
    type: str
    choices: [ec-256, ec-384, ec-521, rsa-2048, rsa-4096]
  csr_identifier_population:
    description:
      - Where the names stand in Vault's certificate signing request. V(cn_first) makes the first one the common name too,
        V(sans_only) leaves the common name out. Vault's default is V(cn_first).
    type: str
    choices: [cn_first, sans_only]
  dns_provider_name:
    description:
      - DNS provider that answers the dns-01 challenges of this role. If there is none, the identifiers of the providers decide.
      - Together with O(dns_provider_type) or not at all. Empty texts for both take the provider away.
      - Vault 2.0 knows no DNS provider of a role. There, the module warns that both are ignored.
    type: str
  dns_provider_type:
    description:
      - Type of O(dns_provider_name).
    type: str
    choices: ["", aws-route53, azure-dns, google-cloud-dns, rfc2136]
  force:
    description:
      - Whether a role is deleted although it has active orders, which end with it.
    type: bool
    default: false
seealso:
  - module: certops.vault_extca.vault_extca_acme_account
  - module: certops.vault_extca.vault_extca_dns_provider
  - module: certops.vault_extca.vault_extca_order
  - module: certops.vault_extca.vault_extca_role_info
"""

EXAMPLES = r"""
- name: Permit certificates for example.com and all names below it
  certops.vault_extca.vault_extca_role:
    name: web
    acme_account_name: main
    allowed_domains: [example.com]
    allowed_domain_options: [bare_domains, subdomains]
    allowed_challenge_types: [http-01]

- name: Permit wildcards, proven by a DNS provider, with RSA keys
  certops.vault_extca.vault_extca_role:
    name: wildcard
    acme_account_name: main
    allowed_domains: ["*.example.com"]
    allowed_domain_options: [wildcards]
    allowed_challenge_types: [dns-01]
    csr_generate_key_type: rsa-2048
    dns_provider_name: internal
    dns_provider_type: rfc2136

- name: Permit everybody who logs in a name of their own
  certops.vault_extca.vault_extca_role:
    name: users
    acme_account_name: main
    allowed_domains: [!unsafe "{{identity.entity.name}}.users.example.com"]
    allowed_domain_options: [bare_domains]

- name: Delete a role and end its orders
  certops.vault_extca.vault_extca_role:
    name: users
    state: absent
    force: true
"""

RETURN = r"""
role:
  description: The role. What the check mode cannot know of a role to come is left out there.
  returned: if there is one
  type: dict
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

from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_proofs import CHALLENGE_TYPES
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import CSR_KEY_TYPES, DNS_PROVIDER_TYPES
from ansible_collections.certops.vault_extca.plugins.module_utils.resource_module import ResourceModule
from ansible_collections.certops.vault_extca.plugins.module_utils.roles import (
    CSR_POPULATIONS,
    DOMAIN_OPTIONS,
    ROLE,
    check_dns_provider,
    delete_role,
    described,
    settable,
    write_role,
)


def main() -> None:
    module = ResourceModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            acme_account_name=dict(type="str"),
            allowed_domains=dict(type="list", elements="str"),
            allowed_domain_options=dict(type="list", elements="str", choices=list(DOMAIN_OPTIONS)),
            allowed_challenge_types=dict(type="list", elements="str", choices=list(CHALLENGE_TYPES)),
            csr_generate_key_type=dict(type="str", choices=list(CSR_KEY_TYPES), no_log=False),
            csr_identifier_population=dict(type="str", choices=list(CSR_POPULATIONS)),
            dns_provider_name=dict(type="str"),
            dns_provider_type=dict(type="str", choices=["", *DNS_PROVIDER_TYPES]),
            force=dict(type="bool", default=False),
        ),
        required_if=[("state", "present", ("acme_account_name",))],
    )
    with module.external_ca() as external_ca:
        name, force = module.params["name"], module.params["force"]
        wanted = ROLE.wanted(module.params)
        check_dns_provider(wanted)
        role = module.find(lambda: external_ca.role(name))
        change = module.ensure(
            ROLE,
            name,
            wanted=settable(wanted, role, module.warn) if module.present else wanted,
            current=described(role),
            write=lambda fields: write_role(external_ca, name, fields, module.warn),
            delete=lambda: delete_role(external_ca, name, force=force),
        )
        module.report(change, "role")


if __name__ == "__main__":
    main()
