# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that say what to order a certificate for."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  identifiers:
    description:
      - DNS names of the certificate. A leftmost label V(*) makes a wildcard.
      - Vault makes the private key and hands it out together with the certificate.
      - Exactly one of O(identifiers), O(csr) and O(csr_path) is required.
    type: list
    elements: str
  csr:
    description:
      - Certificate signing request in PEM, such as M(community.crypto.openssl_csr_pipe) returns it. The private key stays with
        whoever made the request.
    type: str
  csr_path:
    description:
      - File of a certificate signing request in PEM, on the host that runs the task. Of a file that holds more, only the request
        is sent to Vault.
    type: path
requirements:
  - cryptography >= 3.1 (Python library) on the host that runs the task, for O(csr) and O(csr_path)
"""
