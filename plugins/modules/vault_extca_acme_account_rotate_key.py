#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_acme_account_rotate_key
short_description: Give an ACME account a new key
version_added: 0.1.0
description:
  - Has Vault make a new key for an ACME account and exchange it at the ACME server, if the active key is too old or of another
    type than it should be. A repeated task changes nothing until the key is due again.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.acme_account_rotate_key
  - certops.vault_extca.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  name:
    description:
      - Name of the account.
    type: str
    required: true
  older_than:
    description:
      - Age from which the active key is replaced, such as V(90d). V(0s) replaces it whenever the task runs.
      - One of O(older_than) and O(key_type) is required. With both, one reason suffices.
    type: str
  key_type:
    description:
      - Type that the active key is to have. If it has another, it is replaced.
      - If not given, the new key is of the same type as the old one.
    type: str
    choices: [ec-256, ec-384, ec-521, rsa-2048, rsa-4096, rsa-8192]
  force:
    description:
      - Whether the key is replaced although orders are pending that were made with the old one. Vault refuses otherwise.
      - This is Vault's own parameter. It does not replace a key that is not due.
    type: bool
    default: false
seealso:
  - module: certops.vault_extca.vault_extca_acme_account
  - module: certops.vault_extca.vault_extca_acme_account_info
"""

EXAMPLES = r"""
- name: Replace the account's key four times a year
  certops.vault_extca.vault_extca_acme_account_rotate_key:
    name: main
    older_than: 90d

- name: Have a key on the curve P-384
  certops.vault_extca.vault_extca_acme_account_rotate_key:
    name: main
    key_type: ec-384
"""

RETURN = r"""
name:
  description: Name of the account.
  returned: success
  type: str
  sample: main
old_active_key_version:
  description: Version of the key that was active before.
  returned: success
  type: int
  sample: 0
new_active_key_version:
  description: Version of the key that is active now, the same as RV(old_active_key_version) if nothing has changed. In check
    mode, the next version if the key is due.
  returned: success
  type: int
  sample: 1
key_type:
  description: Type of the key that is active now.
  returned: success
  type: str
  sample: ec-384
"""

from datetime import datetime, timezone

from ansible_collections.certops.vault_extca.plugins.module_utils.acme_accounts import (
    KEY_TYPES,
    find_account,
    key_is_due,
)
from ansible_collections.certops.vault_extca.plugins.module_utils.durations import parse_duration
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.vault_errors import InvalidInput


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            older_than=dict(type="str"),
            key_type=dict(type="str", choices=list(KEY_TYPES), no_log=False),
            force=dict(type="bool", default=False),
        ),
        required_one_of=[("older_than", "key_type")],
    )
    with module.external_ca() as external_ca:
        name, key_type = module.params["name"], module.params["key_type"]
        older_than = None if module.params["older_than"] is None else module.option("older_than", parse_duration)
        before = find_account(external_ca, name)
        if before is None:
            raise InvalidInput(
                f"There is no ACME account {name} on mount {external_ca.mount}; vault_extca_acme_account creates one."
            )
        due = key_is_due(before, key_type=key_type, older_than=older_than, now=datetime.now(timezone.utc))
        after = before
        if due:
            key_type = key_type or before["key_type"]
            after = {**before, "active_key_version": before["active_key_version"] + 1, "key_type": key_type}
            if not module.check_mode:
                external_ca.rotate_acme_account_key(name, key_type, module.params["force"])
                after = find_account(external_ca, name) or after
        shown = [{key: one[key] for key in ("active_key_version", "key_type")} for one in (before, after)]
        module.exit_json(
            changed=due,
            name=name,
            old_active_key_version=before["active_key_version"],
            new_active_key_version=after["active_key_version"],
            key_type=after["key_type"],
            **(dict(diff=dict(before=shown[0], after=shown[1])) if module._diff else {}),
        )


if __name__ == "__main__":
    main()
