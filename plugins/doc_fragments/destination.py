# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options that say where a certificate goes on the host."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  destination:
    description:
      - Files that are to hold the certificate, as absolute paths; their directories must exist. At least one of
        O(destination.certificate), O(destination.fullchain), O(destination.pem_bundle) and O(destination.pkcs12) is required.
      - They are replaced as one set. All new files are complete beside the old ones before the first is renamed, a failure half-way
        restores the old set, and what a run that is killed could not finish, the next one does.
      - Where a path is a symbolic link, the file that it leads to is replaced.
    type: dict
    suboptions:
      certificate:
        description: File of the leaf certificate (PEM).
        type: path
      chain:
        description: File of the issuers' certificates, the leaf's issuer first (PEM).
        type: path
      fullchain:
        description: File of the leaf followed by its chain (PEM), as nginx and most servers want it.
        type: path
      private_key:
        description: File of the private key (PEM).
        type: path
      pem_bundle:
        description: File of the private key, the leaf and its chain (PEM), as HAProxy wants it.
        type: path
      pkcs12:
        description:
          - File of the private key, the leaf and its chain as PKCS#12, as Java and Windows want it. The name of the entry (the alias of
            Java's C(keytool)) is the first identifier.
          - Requires O(destination.pkcs12_passphrase).
        type: path
      pkcs12_passphrase:
        description: Passphrase of O(destination.pkcs12). A file that it does not open is written anew.
        type: str
  backup:
    description:
      - Whether a copy of each old file is kept under a name with a timestamp. Copies of private keys are as secret as the keys.
    type: bool
    default: false
  private_key_mode:
    description:
      - Permissions of the files that hold the private key (O(destination.private_key), O(destination.pem_bundle) and
        O(destination.pkcs12)), as O(mode) is written.
    type: raw
    default: "0600"
  mode:
    description:
      - Permissions of the files that hold no private key, such as V("0644") (quoted) or V(u=rw,g=r).
      - If not set, an existing file keeps its own, and a new one has what the umask leaves.
    type: raw
  owner:
    description:
      - Name or id of the user that owns the files. If not set, an existing file keeps its owner.
    type: str
  group:
    description:
      - Name or id of the group that owns the files. If not set, an existing file keeps its group.
    type: str
  seuser:
    description:
      - User part of the files' SELinux context; V(_default) is what the policy says.
    type: str
  serole:
    description:
      - Role part of the files' SELinux context; V(_default) is what the policy says.
    type: str
  setype:
    description:
      - Type part of the files' SELinux context; V(_default) is what the policy says.
    type: str
  selevel:
    description:
      - Level part of the files' SELinux context; V(_default) is what the policy says.
    type: str
  attributes:
    description:
      - Attributes of the files, as C(chattr) takes them. An immutable file cannot be replaced by the next renewal.
    type: str
    aliases: [attr]
"""

    # For modules that get a key from Vault.
    RETURNED_KEY = r"""
options:
  return_private_key:
    description:
      - Whether the private key is returned although O(destination) has a file for it.
      - If it has none, a key that Vault has made is returned in any case.
    type: bool
    default: false
"""
