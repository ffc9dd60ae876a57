# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The least Vault policy of each module. Written by tests/tools/reference.py."""

from __future__ import annotations


class ModuleDocFragment:
    MOUNT = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(sys/mounts).'
  - 'Vault policy: C(update) on C(sys/mounts/<mount>), to enable it.'
  - 'Vault policy: C(update) on C(sys/mounts/<mount>/tune), to change it.'
  - 'Vault policy: C(delete) on C(sys/mounts/<mount>), for O(state=absent).'
  - 'Vault policy: C(list) on C(<mount>/lookup/orders), for O(state=absent) without O(force).'
"""

    ACME_ACCOUNT = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/config/acme-account/<name>).'
  - 'Vault policy: C(create) and C(update) on C(<mount>/config/acme-account/<name>), to create and to change it.'
  - 'Vault policy: C(delete) on C(<mount>/config/acme-account/<name>), for O(state=absent) and O(recreate).'
  - 'Vault policy: C(create) on C(<mount>/config/acme-account/<name>/import), for O(account_key).'
"""

    ACME_ACCOUNT_INFO = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/config/acme-account/<name>).'
  - 'Vault policy: C(list) on C(<mount>/config/acme-account), without O(name).'
"""

    ACME_ACCOUNT_ROTATE_KEY = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/config/acme-account/<name>).'
  - 'Vault policy: C(update) on C(<mount>/config/acme-account/<name>/rotate-key).'
"""

    ROLE = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<name>).'
  - 'Vault policy: C(create) and C(update) on C(<mount>/role/<name>), to create and to change it.'
  - 'Vault policy: C(delete) on C(<mount>/role/<name>), for O(state=absent).'
"""

    ROLE_INFO = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<name>).'
  - 'Vault policy: C(list) on C(<mount>/role), without O(name).'
"""

    DNS_PROVIDER = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/config/dns/<type>/<name>).'
  - 'Vault policy: C(create) and C(update) on C(<mount>/config/dns/<type>/<name>), to create and to change it.'
  - 'Vault policy: C(delete) on C(<mount>/config/dns/<type>/<name>), for O(state=absent).'
"""

    DNS_PROVIDER_INFO = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/config/dns/<type>/<name>).'
  - 'Vault policy: C(list) on C(<mount>/config/dns/<type>), with O(type) and without O(name).'
  - 'Vault policy: C(list) on C(<mount>/config/dns), without O(type).'
"""

    DNS_PROVIDER_TEST = r"""
options: {}
notes:
  - 'Vault policy: C(update) on C(<mount>/dns/test/workflow).'
  - 'Vault policy: C(read) on C(<mount>/config/dns/<type>/<name>), in check mode.'
"""

    ORDER = r"""
options: {}
notes:
  - 'Vault policy: C(update) on C(<mount>/role/<role_name>/new-order).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status). Without it, the task goes on with a warning.'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/cached), to find a valid certificate. Without it, the task goes on with a
    warning.'
  - 'Vault policy: C(read) on C(<mount>/lookup/cert/+), to find the order of a valid certificate. Without it, the task goes on
    with a warning.'
  - 'Vault policy: C(list) on C(<mount>/lookup/orders/recent), to find an order that is under way. Without it, the task goes on
    with a warning.'
"""

    ORDER_INFO = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status), with O(role_name).'
  - 'Vault policy: C(read) on C(<mount>/lookup/order/+), with O(order_id) alone.'
  - 'Vault policy: C(list) on C(<mount>/role/<role_name>/active-orders), with O(role_name) alone.'
  - 'Vault policy: C(list) on C(<mount>/lookup/orders/recent), with O(within).'
  - 'Vault policy: C(list) on C(<mount>/lookup/orders), without any of them.'
"""

    ORDER_CHALLENGE_INFO = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/challenge).'
"""

    ORDER_CHALLENGE_FULFILLED = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status).'
  - 'Vault policy: C(update) on C(<mount>/role/<role_name>/order/+/fulfilled-challenge).'
"""

    ORDER_CERTIFICATE = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/fetch-cert).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status), to tell why there is no certificate. Without it, the
    task goes on.'
"""

    ORDER_CERTIFICATES = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/fetch-cert).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status), to tell why there is no certificate. Without it, the
    task goes on.'
"""

    CERTIFICATE_INFO = r"""
options: {}
notes:
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/cached), with O(role_name).'
  - 'Vault policy: C(read) on C(<mount>/lookup/cert/+).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/fetch-cert), with O(serial_number). Without it, the task goes on
    with a warning.'
"""

    CERTIFICATE_REVOKE = r"""
options: {}
notes:
  - 'Vault policy: C(update) on C(<mount>/role/<role_name>/order/+/revoke).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status), with O(order_id) or O(id).'
  - 'Vault policy: C(read) on C(<mount>/lookup/cert/+), with O(serial_number).'
"""

    CERTIFICATE = r"""
options: {}
notes:
  - 'Vault policy: C(update) on C(<mount>/role/<role_name>/new-order).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/status).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/challenge).'
  - 'Vault policy: C(update) on C(<mount>/role/<role_name>/order/+/fulfilled-challenge).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/order/+/fetch-cert).'
  - 'Vault policy: C(read) on C(<mount>/role/<role_name>/cached), to find a valid certificate. Without it, the task goes on with a
    warning.'
  - 'Vault policy: C(read) on C(<mount>/lookup/cert/+), to find its order. Without it, the task goes on with a warning.'
  - 'Vault policy: C(read) on C(<mount>/lookup/cert/+), for O(check_revocation).'
  - 'Vault policy: C(list) on C(<mount>/lookup/orders/recent), to find an order that is under way. Without it, the task goes on
    with a warning.'
"""
