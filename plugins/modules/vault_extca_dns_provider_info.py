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
    access_key_id:
      description: AWS access key; empty if AWS's own ways to find credentials are used.
      type: str
      returned: for the type V(aws-route53)
      sample: AKIAIOSFODNN7EXAMPLE
    region:
      description: AWS region.
      type: str
      returned: for the type V(aws-route53)
      sample: us-east-1
    hosted_zone_id:
      description: Id of the hosted zone; empty if it is looked for.
      type: str
      returned: for the type V(aws-route53)
      sample: ""
    external_id:
      description: External id to assume RV(dns_providers[].assume_role_arn) with.
      type: str
      returned: for the type V(aws-route53)
      sample: ""
    assume_role_arn:
      description: AWS role that is assumed.
      type: str
      returned: for the type V(aws-route53)
      sample: ""
    client_id:
      description: Client id of the service principal.
      type: str
      returned: for the type V(azure-dns)
      sample: 8f2c0d4e-5b6a-4c7d-9e8f-0a1b2c3d4e5f
    tenant_id:
      description: Tenant of the service principal.
      type: str
      returned: for the type V(azure-dns)
      sample: 1c9e2a7b-3d4f-4e5a-8b6c-7d8e9f0a1b2c
    subscription_id:
      description: Subscription of the zone.
      type: str
      returned: for the type V(azure-dns)
      sample: 5a4b3c2d-1e0f-4a9b-8c7d-6e5f4a3b2c1d
    resource_group_name:
      description: Resource group of the zone.
      type: str
      returned: for the type V(azure-dns)
      sample: dns
    environment:
      description: Azure cloud.
      type: str
      returned: for the type V(azure-dns)
      sample: AzurePublic
    zone_name:
      description: Name of the DNS zone.
      type: str
      returned: for the types V(azure-dns) and V(google-cloud-dns)
      sample: example.net
    project:
      description: Google Cloud project of the zone.
      type: str
      returned: for the type V(google-cloud-dns)
      sample: dns-project
    impersonate_service_account:
      description: Service account that is impersonated.
      type: str
      returned: for the type V(google-cloud-dns)
      sample: ""
    nameserver:
      description: Name server that takes the updates.
      type: str
      returned: for the type V(rfc2136)
      sample: ns1.example.com:53
    tsig_key_name:
      description: Name of the TSIG key.
      type: str
      returned: for the type V(rfc2136)
      sample: vault
    tsig_algorithm:
      description: Algorithm of the TSIG key.
      type: str
      returned: for the type V(rfc2136)
      sample: hmac-sha256
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
