#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_mount
short_description: Enable, tune or disable the pki-external-ca secrets engine
version_added: 0.1.0
description:
  - Enables Vault's C(pki-external-ca) secrets engine on a path, changes the settings of its mount, or disables it.
  - A path on which something else is mounted is left alone; the module fails.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.mount
  - certops.vault_extca.attributes
  - certops.vault_extca.state
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  mount:
    description:
      - Path of the mount. May contain slashes.
  state:
    description:
      - Whether the engine is enabled on this path.
      - V(absent) disables it. Everything that it stores is gone then, its accounts, roles and orders with their private keys.
  description:
    description:
      - What people read beside the mount. An empty text removes it.
    type: str
  default_lease_ttl:
    description:
      - Default lease duration, in seconds or as a text such as V(90s), V(1h30m) or V(30d). V(0) takes the system's default.
    type: str
  max_lease_ttl:
    description:
      - Longest lease duration, written as O(default_lease_ttl). V(0) takes the system's own.
    type: str
  local:
    description:
      - Whether the mount stays out of replication to other clusters. Cannot be changed after creation.
    type: bool
  seal_wrap:
    description:
      - Whether what the engine stores is encrypted with the seal a second time. Cannot be changed after creation.
    type: bool
  force:
    description:
      - Whether a mount that still holds orders may be disabled. Their certificates can be neither read nor revoked through Vault
        then.
    type: bool
    default: false
seealso:
  - module: certops.vault_extca.vault_extca_acme_account
  - name: API of the mounts
    description: Reference of what this module uses.
    link: https://developer.hashicorp.com/vault/api-docs/system/mounts
"""

EXAMPLES = r"""
- name: Enable the engine
  certops.vault_extca.vault_extca_mount:
    description: Certificates from ACME CAs

- name: Enable it for a team, on a path and with durations of its own
  certops.vault_extca.vault_extca_mount:
    mount: team/acme
    default_lease_ttl: 30d
    max_lease_ttl: 90d

- name: Disable it, whatever it holds
  certops.vault_extca.vault_extca_mount:
    mount: team/acme
    state: absent
    force: true
"""

RETURN = r"""
mount:
  description: The mount. What the check mode cannot know, such as the accessor of a mount to come, is left out there.
  returned: if there is one
  type: dict
  contains:
    path:
      description: Path of the mount.
      type: str
      returned: always
      sample: pki-external-ca
    type:
      description: Type of the secrets engine.
      type: str
      returned: always
      sample: pki-external-ca
    accessor:
      description: Vault's own name for the mount.
      type: str
      returned: always
      sample: pki-external-ca_1f3c7d52
    description:
      description: What people read beside the mount.
      type: str
      returned: always
      sample: Certificates from ACME CAs
    default_lease_ttl:
      description: Default lease duration in seconds, V(0) for the system's default.
      type: int
      returned: always
      sample: 0
    max_lease_ttl:
      description: Longest lease duration in seconds, V(0) for the system's own.
      type: int
      returned: always
      sample: 7776000
    local:
      description: Whether the mount stays out of replication.
      type: bool
      returned: always
      sample: false
    seal_wrap:
      description: Whether what it stores is encrypted with the seal a second time.
      type: bool
      returned: always
      sample: false
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.durations import parse_duration
from ansible_collections.certops.vault_extca.plugins.module_utils.mounts import (
    MOUNT,
    find_mount,
    refuse_to_lose_orders,
    write_mount,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.resource_module import ResourceModule


def main() -> None:
    module = ResourceModule(
        argument_spec=dict(
            description=dict(type="str"),
            default_lease_ttl=dict(type="str"),
            max_lease_ttl=dict(type="str"),
            local=dict(type="bool"),
            seal_wrap=dict(type="bool"),
            force=dict(type="bool", default=False),
        ),
    )
    with module.external_ca() as external_ca:
        wanted = MOUNT.wanted(module.params)
        for name in ("default_lease_ttl", "max_lease_ttl"):
            if name in wanted:
                wanted[name] = module.option(name, parse_duration)
        current = find_mount(external_ca)
        if current is not None and not module.present and not module.params["force"]:
            refuse_to_lose_orders(external_ca)
        change = module.ensure(
            MOUNT,
            external_ca.mount,
            wanted=wanted,
            current=current,
            write=lambda fields: write_mount(external_ca, fields, enabled=current is not None),
            delete=external_ca.disable,
        )
        module.report(change, "mount")


if __name__ == "__main__":
    main()
