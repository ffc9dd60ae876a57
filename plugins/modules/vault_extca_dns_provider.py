#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_dns_provider
short_description: Let Vault answer dns-01 challenges itself
version_added: 0.1.0
description:
  - Creates, updates or deletes a DNS provider of the engine. With one, Vault sets and removes the TXT records of dns-01 challenges, and
    nobody has to fulfil them.
  - Secrets cannot be read back from Vault, hence not be compared. O(update_secrets) says when they are written.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.dns_provider
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
      - Name of the provider.
    type: str
    required: true
  type:
    description:
      - Type of the provider. Providers of different types may have the same name.
      - Options that belong to another type are refused.
    type: str
    required: true
    choices: [aws-route53, azure-dns, google-cloud-dns, rfc2136]
  state:
    description:
      - Whether there is this provider. Vault refuses to delete one that a role names.
  identifiers:
    description:
      - Domain names that the provider is for, in any order. A leftmost C(*.) makes a pattern of one. Required to create a provider.
    type: list
    elements: str
  ttl:
    description:
      - Time to live of the TXT records, in seconds or as a text such as V(60s) or V(2m). Vault's default is 60 seconds, and 10
        seconds for O(type=google-cloud-dns).
    type: str
  update_secrets:
    description:
      - When the secrets O(secret_access_key), O(client_secret), O(credentials) and O(tsig_secret) are written.
      - V(on_create) writes them when the provider is created, and afterwards only with a change of the option that tells which
        secret it is, O(access_key_id), O(client_id) or O(tsig_key_name).
      - V(always) writes them whenever the task runs, which then always reports a change.
    type: str
    choices: [on_create, always]
    default: on_create
  access_key_id:
    description:
      - AWS access key, for O(type=aws-route53). If not given, AWS's own ways to find credentials are used where Vault runs.
    type: str
  secret_access_key:
    description:
      - Secret of O(access_key_id).
    type: str
  region:
    description:
      - AWS region, for O(type=aws-route53). Vault's default is V(us-east-1).
    type: str
  hosted_zone_id:
    description:
      - Id of the hosted zone, for O(type=aws-route53). If not given, it is looked for.
    type: str
  external_id:
    description:
      - External id to assume O(assume_role_arn) with, for O(type=aws-route53).
    type: str
  assume_role_arn:
    description:
      - AWS role to assume, for O(type=aws-route53).
    type: str
  zone_name:
    description:
      - Name of the DNS zone, for O(type=azure-dns) and O(type=google-cloud-dns).
    type: str
  client_id:
    description:
      - Client id of the service principal, for O(type=azure-dns).
    type: str
  client_secret:
    description:
      - Secret of O(client_id).
    type: str
  tenant_id:
    description:
      - Tenant of the service principal, for O(type=azure-dns).
    type: str
  subscription_id:
    description:
      - Subscription of the zone, for O(type=azure-dns).
    type: str
  resource_group_name:
    description:
      - Resource group of the zone, for O(type=azure-dns).
    type: str
  environment:
    description:
      - Azure cloud, for O(type=azure-dns). Vault's default is V(AzurePublic).
    type: str
    choices: [AzurePublic, AzureChina, AzureGovernment]
  credentials:
    description:
      - Key of a service account, the JSON of Google's key file, for O(type=google-cloud-dns). If not given, Google's own ways to find
        credentials are used where Vault runs.
    type: json
  project:
    description:
      - Google Cloud project of the zone, for O(type=google-cloud-dns).
    type: str
  impersonate_service_account:
    description:
      - Service account to impersonate, for O(type=google-cloud-dns).
    type: str
  nameserver:
    description:
      - Name server that takes dynamic updates (RFC 2136), as V(host:port). Required to create one of O(type=rfc2136).
    type: str
  tsig_key_name:
    description:
      - Name of the TSIG key (RFC 8945). Required to create one of O(type=rfc2136).
    type: str
  tsig_secret:
    description:
      - The TSIG key, base64. Required to create one of O(type=rfc2136).
    type: str
  tsig_algorithm:
    description:
      - Algorithm of the TSIG key. A provider that is created gets V(hmac-sha256) by default.
    type: str
    choices: [hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512]
seealso:
  - module: certops.vault_extca.vault_extca_dns_provider_info
  - module: certops.vault_extca.vault_extca_dns_provider_test
  - module: certops.vault_extca.vault_extca_role
"""

EXAMPLES = r"""
- name: Answer dns-01 challenges through a name server of our own
  certops.vault_extca.vault_extca_dns_provider:
    name: internal
    type: rfc2136
    identifiers: [example.com, "*.example.com"]
    nameserver: ns1.example.com:53
    tsig_key_name: vault
    tsig_algorithm: hmac-sha256
    tsig_secret: "{{ tsig_secret }}"

- name: Answer them through Route 53, and set the secret anew
  certops.vault_extca.vault_extca_dns_provider:
    name: aws
    type: aws-route53
    identifiers: [example.org]
    access_key_id: AKIAIOSFODNN7EXAMPLE
    secret_access_key: "{{ route53_secret }}"
    update_secrets: always

- name: Answer them through Google Cloud DNS
  certops.vault_extca.vault_extca_dns_provider:
    name: google
    type: google-cloud-dns
    identifiers: [example.net]
    project: dns-project
    credentials: "{{ lookup('ansible.builtin.file', '/root/service-account.json') }}"

- name: Delete a provider
  certops.vault_extca.vault_extca_dns_provider:
    name: aws
    type: aws-route53
    state: absent
"""

RETURN = r"""
dns_provider:
  description: The provider, without its secrets. What the check mode cannot know of a provider to come is left out there.
  returned: if there is one
  type: dict
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
      description: External id to assume RV(dns_provider.assume_role_arn) with.
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

from ansible_collections.certops.vault_extca.plugins.module_utils.dns_providers import (
    DNS_PROVIDERS,
    FIELD_OPTIONS,
    find_provider,
    to_create,
    wanted_of_type,
    write_provider,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import parse_duration
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import DNS_PROVIDER_TYPES
from ansible_collections.certops.vault_extca.plugins.module_utils.resource_module import ResourceModule


def main() -> None:
    module = ResourceModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            type=dict(type="str", required=True, choices=list(DNS_PROVIDER_TYPES)),
            identifiers=dict(type="list", elements="str"),
            ttl=dict(type="str"),
            update_secrets=dict(type="str", choices=["on_create", "always"], default="on_create", no_log=False),
            **FIELD_OPTIONS,
        ),
    )
    with module.external_ca() as external_ca:
        kind, name = module.params["type"], module.params["name"]
        wanted = wanted_of_type(kind, module.params) if module.present else {}
        if "ttl" in wanted:
            wanted["ttl"] = module.option("ttl", parse_duration)
        current = module.find(lambda: find_provider(external_ca, kind, name))
        if module.present and current is None:
            wanted = to_create(kind, name, wanted)
        change = module.ensure(
            DNS_PROVIDERS[kind],
            name,
            wanted=wanted,
            current=current,
            write=lambda fields: write_provider(external_ca, kind, name, fields),
            delete=lambda: external_ca.delete_dns_provider(kind, name),
            rewrite=module.params["update_secrets"] == "always",
        )
        module.report(change, "dns_provider")


if __name__ == "__main__":
    main()
