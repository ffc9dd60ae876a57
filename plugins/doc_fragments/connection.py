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
      - Falls back to the environment variables E(VAULT_AGENT_ADDR) and E(VAULT_ADDR), in the order of Vault's own command line.
    type: str
  proxies:
    description:
      - URL of the proxy for both schemes, or a dictionary from scheme (V(http), V(https)) to URL.
      - Falls back to E(VAULT_PROXY_ADDR), E(VAULT_HTTP_PROXY), and then to the variables that the Python library requests knows.
    type: raw
  ca_cert:
    description:
      - Path of the certificates (a PEM file, or a directory) that validate Vault's TLS certificate, on the host that runs the task.
      - Falls back to E(VAULT_CACERT), E(VAULT_CACERT_BYTES) (the certificates themselves) and E(VAULT_CAPATH).
      - If E(VAULT_TLS_SERVER_NAME) is set, Vault's certificate must be for that name instead of the one in O(url).
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
      - How often a request that fails (refused, reset, status 412, 500, 502 or 503, or one that says when to come back) is repeated;
        V(0) never repeats.
      - A dictionary is handed to the C(Retry) class of the Python library urllib3.
      - What must not be done twice, a new order, an account's new key or the unwrapping of a secret id, is repeated only if it has not
        reached Vault or was turned away (412, 429, 503), whatever this option says. If its answer is lost, the task fails; run again,
        it finds the order.
      - Falls back to E(VAULT_MAX_RETRIES), and then to V(0). Waiting for an order survives such trouble without retries.
    type: raw
  retry_action:
    description:
      - Whether a warning is shown when a request is repeated.
    type: str
    choices: [ignore, warn]
    default: warn
"""

    # For plugins: where options come from that are not given, as in community.hashi_vault.
    PLUGINS = r"""
options:
  url:
    env:
      - name: ANSIBLE_HASHI_VAULT_ADDR
    ini:
      - section: hashi_vault_collection
        key: url
    vars:
      - name: ansible_hashi_vault_url
      - name: ansible_hashi_vault_addr
  proxies:
    env:
      - name: ANSIBLE_HASHI_VAULT_PROXIES
    ini:
      - section: hashi_vault_collection
        key: proxies
    vars:
      - name: ansible_hashi_vault_proxies
  ca_cert:
    env:
      - name: ANSIBLE_HASHI_VAULT_CA_CERT
    ini:
      - section: hashi_vault_collection
        key: ca_cert
    vars:
      - name: ansible_hashi_vault_ca_cert
  validate_certs:
    vars:
      - name: ansible_hashi_vault_validate_certs
  namespace:
    env:
      - name: ANSIBLE_HASHI_VAULT_NAMESPACE
    ini:
      - section: hashi_vault_collection
        key: namespace
    vars:
      - name: ansible_hashi_vault_namespace
  timeout:
    env:
      - name: ANSIBLE_HASHI_VAULT_TIMEOUT
    ini:
      - section: hashi_vault_collection
        key: timeout
    vars:
      - name: ansible_hashi_vault_timeout
  retries:
    env:
      - name: ANSIBLE_HASHI_VAULT_RETRIES
    ini:
      - section: hashi_vault_collection
        key: retries
    vars:
      - name: ansible_hashi_vault_retries
  retry_action:
    env:
      - name: ANSIBLE_HASHI_VAULT_RETRY_ACTION
    ini:
      - section: hashi_vault_collection
        key: retry_action
    vars:
      - name: ansible_hashi_vault_retry_action
"""
