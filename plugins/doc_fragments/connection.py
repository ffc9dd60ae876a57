# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of the connection to Vault, shared by all modules."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - URL of Vault, such as V(https://vault.example.com:8200).
      - Falls back to the environment variable E(VAULT_ADDR).
    type: str
  proxies:
    description:
      - URL of the proxy for both schemes, or a dictionary from scheme (V(http), V(https)) to URL.
      - Falls back to E(VAULT_PROXY_ADDR), E(VAULT_HTTP_PROXY), and then to the variables that the Python library requests knows.
    type: raw
  ca_cert:
    description:
      - Path of the certificates (a PEM file, or a directory) that validate Vault's TLS certificate, on the host that runs the task.
      - Falls back to E(VAULT_CACERT) and E(VAULT_CAPATH).
    type: path
    aliases: [cacert]
  validate_certs:
    description:
      - Whether Vault's TLS certificate is validated. Turn this off only to find out what is wrong.
      - Falls back to the inverse of E(VAULT_SKIP_VERIFY), and then to V(true).
    type: bool
  namespace:
    description:
      - Vault namespace of the mount and of the auth method.
      - Falls back to E(VAULT_NAMESPACE).
    type: str
  timeout:
    description:
      - Seconds within which Vault must accept a connection and answer a request.
      - Falls back to E(VAULT_CLIENT_TIMEOUT), and then to 30 seconds.
    type: int
  retries:
    description:
      - How often a request that fails (refused, reset, status 412, 500, 502 or 503) is repeated; V(0) never repeats.
      - A dictionary is handed to the C(Retry) class of the Python library urllib3.
      - Falls back to E(VAULT_MAX_RETRIES), and then to V(0). Waiting for an order survives such trouble without retries.
    type: raw
  retry_action:
    description:
      - Whether a warning is shown when a request is repeated.
    type: str
    choices: [ignore, warn]
    default: warn
"""
