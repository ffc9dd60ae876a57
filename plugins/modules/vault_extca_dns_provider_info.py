#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_dns_provider_info
short_description: Read DNS providers
version_added: 0.1.0
description:
  - Reads one DNS provider of the engine, those of one type, or all of them. Secrets are never part of it.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.dns_provider_info
  - certops.vault_extca.attributes
  - certops.vault_extca.attributes.read_only
options:
  type:
    description:
      - Type of the providers. If not given, providers of all types are returned.
    type: str
    choices: [aws-route53, azure-dns, google-cloud-dns, rfc2136]
  name:
    description:
      - Name of the provider. If not given, all providers are returned. Without O(type), those of this name of any type are.
    type: str
seealso:
  - module: certops.vault_extca.vault_extca_dns_provider
"""

EXAMPLES = r"""
- name: Read one provider
  certops.vault_extca.vault_extca_dns_provider_info:
    type: rfc2136
    name: internal

- name: Read all providers of a type
  certops.vault_extca.vault_extca_dns_provider_info:
    type: aws-route53

- name: Read all providers
  certops.vault_extca.vault_extca_dns_provider_info:
  register: found

- name: Show what each is for
  ansible.builtin.debug:
    msg: "{{ item.type }}/{{ item.name }} is for {{ item.identifiers | join(', ') }}"
  loop: "{{ found.dns_providers }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
dns_providers:
  description: The providers, by type and name. Empty if there is none, or none that was asked for.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the provider.
      type: str
      returned: always
      sample: internal
    type:
      description: Type of the provider.
      type: str
      returned: always
      sample: rfc2136
    identifiers:
      description: Domain names and patterns that the provider is for.
      type: list
      elements: str
      returned: always
      sample: ["example.com", "*.example.com"]
    ttl:
      description: Time to live of its records in seconds, however this Vault spells it.
      type: int
      returned: always
      sample: 60
    nameserver:
      description: Name server, as an example of the options of one type. All but the secrets are returned.
      type: str
      returned: for the type V(rfc2136)
      sample: ns1.example.com:53
    creation_date:
      description: When the provider was created.
      type: str
      returned: always
      sample: "2026-01-31T12:00:00Z"
    last_updated_date:
      description: When it was last changed.
      type: str
      returned: always
      sample: "2026-01-31T12:00:00Z"
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.dns_providers import find_provider
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import DNS_PROVIDER_TYPES


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(type=dict(type="str", choices=list(DNS_PROVIDER_TYPES)), name=dict(type="str"))
    )
    with module.external_ca() as external_ca:
        kind, name = module.params["type"], module.params["name"]
        if kind is not None and name is not None:
            providers = [(kind, name)]
        else:
            listed = external_ca.dns_provider_names(kind)
            providers = sorted(pair for pair in listed if name in (None, pair[1]))
        found = [find_provider(external_ca, *pair) for pair in providers]
        module.exit_json(changed=False, dns_providers=[one for one in found if one is not None])


if __name__ == "__main__":
    main()
