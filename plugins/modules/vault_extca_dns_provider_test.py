#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_dns_provider_test
short_description: Have Vault try a DNS provider
version_added: 0.1.0
description:
  - Has Vault set the TXT record of a dns-01 challenge through one of its DNS providers, see whether it arrives, and remove it again.
  - If that does not succeed, the task fails with what the provider said.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.dns_provider_test
  - certops.vault_extca.attributes
attributes:
  check_mode:
    support: partial
    details: In check mode nothing is sent to the provider. The task fails only if there is no such provider.
  diff_mode:
    support: none
options:
  name:
    description:
      - Name of the provider.
    type: str
    required: true
  type:
    description:
      - Type of the provider.
    type: str
    required: true
    choices: [aws-route53, azure-dns, google-cloud-dns, rfc2136]
  identifier:
    description:
      - DNS name to test with. The record is set at C(_acme-challenge.) before it.
    type: str
    required: true
  omit_cleanup:
    description:
      - Whether the record stays, so that a person can look at it. The task then reports a change.
    type: bool
    default: false
notes:
  - The test takes as long as the record takes to arrive. For a slow provider, set O(timeout) to some minutes.
seealso:
  - module: certops.vault_extca.vault_extca_dns_provider
"""

EXAMPLES = r"""
- name: See whether Vault can set records below example.com
  certops.vault_extca.vault_extca_dns_provider_test:
    type: rfc2136
    name: internal
    identifier: www.example.com
    timeout: 120
"""

RETURN = r"""
success:
  description: Whether the test has succeeded.
  returned: unless in check mode
  type: bool
  sample: true
message:
  description: What Vault says of a test that has succeeded. What it says of one that has not is in the failure's message.
  returned: success, unless in check mode
  type: str
  sample: DNS provider test completed successfully
identifier:
  description: DNS name that was tested with.
  returned: success
  type: str
  sample: www.example.com
provider_type:
  description: Type of the provider.
  returned: success
  type: str
  sample: rfc2136
provider_name:
  description: Name of the provider.
  returned: success
  type: str
  sample: internal
record_name:
  description: The record that was set, with a trailing dot.
  returned: unless in check mode
  type: str
  sample: _acme-challenge.www.example.com.
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.dns_providers import try_provider
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import DNS_PROVIDER_TYPES
from ansible_collections.certops.vault_extca.plugins.module_utils.identifiers import normalise_identifier


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            type=dict(type="str", required=True, choices=list(DNS_PROVIDER_TYPES)),
            identifier=dict(type="str", required=True),
            omit_cleanup=dict(type="bool", default=False),
        ),
    )
    with module.external_ca() as external_ca:
        omit_cleanup = module.params["omit_cleanup"]
        outcome = try_provider(
            external_ca,
            module.params["type"],
            module.params["name"],
            module.option("identifier", normalise_identifier),
            omit_cleanup=omit_cleanup,
            check_mode=module.check_mode,
        )
        module.exit_json(changed=omit_cleanup, **outcome)


if __name__ == "__main__":
    main()
