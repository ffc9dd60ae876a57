#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_extca_certificate
short_description: Keep a valid certificate on a host
version_added: 0.1.0
description:
  - Sees to it that a host has a valid certificate for some names, issued by any ACME CA through Vault's C(pki-external-ca) engine, and
    tells when it has changed.
  - Decides from the files first. A certificate is good if it parses, its private key matches, its names are exactly O(identifiers), its
    chain is complete and in order, and it is not due for renewal. Vault is not asked then, and a good certificate stays good
    while Vault is down.
  - Where files are missing or differ, and the others hold all that is needed, they are put right without asking Vault.
  - Otherwise takes, in this order, the order that an earlier run was killed over, a cached certificate of the role, an active order for
    the same names, a new order. Challenges are answered by this host, or by Vault's DNS provider.
  - A run that is killed leaves a hidden file beside the first file of O(destination), readable by its owner only. The next run goes on
    from there, without a second order. Runs at the same time for the same files wait for one another.
extends_documentation_fragment:
  - certops.vault_extca.connection
  - certops.vault_extca.auth
  - certops.vault_extca.mount
  - certops.vault_extca.rights.certificate
  - certops.vault_extca.destination
  - certops.vault_extca.destination.returned_key
  - certops.vault_extca.waiting.patience
  - certops.vault_extca.attributes
requirements:
  - cryptography >= 3.1 (Python library) on the host that runs the task
options:
  role_name:
    description:
      - Role to order with.
    type: str
    required: true
  identifiers:
    description:
      - DNS names of the certificate. The first is its common name where this task makes the request.
    type: list
    elements: str
    required: true
  destination:
    required: true
  renew_before:
    description:
      - How long before its end a certificate is renewed, as a duration such as V(30d) or as a share of its lifetime such as V(33%).
    type: str
    default: "33%"
  force:
    description:
      - Whether to renew a certificate that is good. Cached certificates are not used then; an active order is.
    type: bool
    default: false
  check_revocation:
    description:
      - Whether to ask Vault if a certificate that is good otherwise has been revoked. That is one request by its serial number; without
        it, none is made. If Vault does not answer it, or the token may not ask, the task fails.
    type: bool
    default: false
  use_cached:
    description:
      - Whether a certificate that the role has issued before may be used, for example to another host. Only where O(key_source=vault).
    type: bool
    default: true
  key_source:
    description:
      - Where the private key is made. With V(vault), Vault makes it, as the role's C(csr_generate_key_type) says, and keeps a copy.
      - With V(local), it is made on the host and only a certificate signing request leaves it. A new key is made for every renewal,
        unless O(private_key_path) names one.
    type: str
    choices: [vault, local]
    default: vault
  key_type:
    description:
      - Type of the key that is made with O(key_source=local). A certificate for a key of another type is renewed.
    type: str
    choices: [ec-256, ec-384, ec-521, rsa-2048, rsa-4096]
    default: ec-256
  private_key_path:
    description:
      - File of an existing private key (PEM, not encrypted) to use with O(key_source=local), now and for every renewal.
    type: path
  challenge_type:
    description:
      - Type of the challenges by which the names are proven. None are needed while the ACME server remembers earlier proofs.
      - V(auto) leaves to Vault what its DNS provider does, and otherwise uses O(http_01) or O(tls_alpn_01), as is set and offered.
      - With V(dns-01), the role must have a DNS provider. For other DNS, see the role P(certops.vault_extca.certificate#role).
    type: str
    choices: [http-01, dns-01, tls-alpn-01, auto]
    default: auto
  http_01:
    description:
      - How this host answers http-01 challenges. Set one of O(http_01.webroot) and O(http_01.listen).
    type: dict
    suboptions:
      webroot:
        description:
          - Directory from which a web server on this host serves port 80 of the names. Files below C(.well-known/acme-challenge) are
            written for as long as the order takes.
        type: path
      listen:
        description:
          - Address and port at which the task itself answers for as long as the order takes, such as V(0.0.0.0:80) or V([::]:80).
          - If the task is killed, a process that it has started goes on for up to a minute on Linux, so that the order is not lost. The
            next run of the same user, at the same address, takes over from it.
        type: str
      check_address:
        description:
          - Address and port of the web server that serves O(http_01.webroot). What it serves is checked there before Vault is told. An
            empty text leaves the check out.
        type: str
        default: 127.0.0.1:80
  tls_alpn_01:
    description:
      - How this host answers tls-alpn-01 challenges.
    type: dict
    suboptions:
      listen:
        description:
          - Address and port at which the task itself answers for as long as the order takes, such as V(0.0.0.0:443).
          - If the task is killed, it is as with O(http_01.listen).
        type: str
        required: true
attributes:
  check_mode:
    support: full
    details: Tells what would be done and why. Vault is asked what it has, and told nothing.
  diff_mode:
    support: full
    details: Shows names, serial number and validity.
notes:
  - RV(private_key) is a secret. Use C(no_log=true) on the task where it is returned.
  - While it waits for more than two seconds, the task shows on the controller each change of the order's state, and a line every 15
    seconds. Not with C(async), nor with callbacks that print something else than the default one's lines, nor where the callback's
    C(display_ok_hosts) is off. The lines hold the order's id, its state and numbers, and are shown with C(no_log=true) too.
  - In O(destination), the name of the first file that holds the key (or else of the first file) decides where unfinished work is recorded.
    Do not change it while a run is unfinished.
seealso:
  - module: certops.vault_extca.vault_extca_order
  - module: certops.vault_extca.vault_extca_order_certificate
  - plugin: certops.vault_extca.certificate
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Keep a certificate for the web server of this host
  certops.vault_extca.vault_extca_certificate:
    role_name: web
    identifiers: [www.example.com, example.com]
    destination:
      fullchain: /etc/ssl/certs/www.pem
      private_key: /etc/ssl/private/www.key
    http_01:
      webroot: /var/www/html
  notify: Reload nginx

- name: Make the key here, and answer the challenge from the task
  certops.vault_extca.vault_extca_certificate:
    role_name: web
    identifiers: [mail.example.com]
    key_source: local
    key_type: rsa-2048
    destination:
      pem_bundle: /etc/haproxy/mail.pem
    group: haproxy
    private_key_mode: "0640"
    tls_alpn_01:
      listen: 0.0.0.0:443

- name: Keep a keystore for Java, renewed a month before its end
  certops.vault_extca.vault_extca_certificate:
    role_name: web
    identifiers: ["*.example.com"]
    challenge_type: dns-01
    renew_before: 30d
    destination:
      pkcs12: /opt/app/keystore.p12
      pkcs12_passphrase: "{{ keystore_passphrase }}"
    owner: app
    backup: true
"""

RETURN = r"""
reason:
  description: Why the certificate is good, or why it was replaced.
  returned: success
  type: str
  sample: expires in 12 days
source:
  description:
    - Where the certificate is from. V(destination) if the files held it, V(cached) if Vault had it, V(order) if an order has issued it.
    - In check mode, where it would be from.
  returned: success
  type: str
  sample: order
role_name:
  description: Role of the certificate.
  returned: success
  type: str
  sample: web
order_id:
  description: Id of the order that issued the certificate, if Vault was asked and told.
  returned: success
  type: str
  sample: 7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f
id:
  description: Mount, role and order in one, for the option C(id) of the modules that take an order.
  returned: when the order is known
  type: str
  sample: pki-external-ca/role/web/order/7d2f1f0e-3a7c-4b8e-9d55-0d4a6c1b2e3f/certificate
certificate:
  description: The leaf certificate.
  returned: success, except in check mode where there is no good certificate yet
  type: str
  sample: "-----BEGIN CERTIFICATE-----\n..."
ca_chain:
  description: Certificates of the issuers, the leaf's issuer first, as far as the files of O(destination) or Vault tell.
  returned: with RV(certificate)
  type: list
  elements: str
  sample: ["-----BEGIN CERTIFICATE-----\n..."]
fullchain:
  description: The leaf and its chain as one PEM text.
  returned: with RV(certificate)
  type: str
  sample: "-----BEGIN CERTIFICATE-----\n..."
private_key:
  description: The private key, if it is known. A secret; use C(no_log=true).
  returned: when O(destination) has no file for the key and O(private_key_path) names none, or with O(return_private_key=true)
  type: str
  sample: "-----BEGIN PRIVATE KEY-----\n..."
identifiers:
  description: DNS names of the certificate.
  returned: success
  type: list
  elements: str
  sample: [www.example.com, example.com]
serial_number:
  description: Serial number, lower-case hex pairs joined by colons.
  returned: with RV(certificate)
  type: str
  sample: "5f:1c:90:2a:4d:bb:70:11"
not_before:
  description: Beginning of the validity.
  returned: with RV(certificate)
  type: str
  sample: "2026-01-31T12:00:00Z"
not_after:
  description: End of the validity.
  returned: with RV(certificate)
  type: str
  sample: "2026-05-01T12:00:00Z"
next_renewal:
  description: From when on a run renews the certificate, as O(renew_before) says.
  returned: with RV(certificate)
  type: str
  sample: "2026-04-01T19:12:00Z"
files:
  description: Files that were written, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/ssl/private/www.key, /etc/ssl/certs/www.pem]
backup_files:
  description: The copy of each file that was replaced.
  returned: with O(backup=true), when a file was replaced
  type: dict
  sample: {"/etc/ssl/certs/www.pem": "/etc/ssl/certs/www.pem.1234.2026-01-31@12:00:00~"}
"""

from ansible_collections.certops.vault_extca.plugins.module_utils.challenge_proofs import CHALLENGE_TYPES
from ansible_collections.certops.vault_extca.plugins.module_utils.delivery import DESTINATION, RETURNED_KEY
from ansible_collections.certops.vault_extca.plugins.module_utils.desired_certificate import DesiredCertificate
from ansible_collections.certops.vault_extca.plugins.module_utils.extca_module import WAITING, ExtcaModule
from ansible_collections.certops.vault_extca.plugins.module_utils.external_ca import CSR_KEY_TYPES


def main() -> None:
    module = ExtcaModule(
        argument_spec=dict(
            role_name=dict(type="str", required=True),
            identifiers=dict(type="list", elements="str", required=True),
            renew_before=dict(type="str", default="33%"),
            force=dict(type="bool", default=False),
            check_revocation=dict(type="bool", default=False),
            use_cached=dict(type="bool", default=True),
            key_source=dict(type="str", choices=["vault", "local"], default="vault", no_log=False),
            key_type=dict(type="str", choices=list(CSR_KEY_TYPES), default="ec-256", no_log=False),
            private_key_path=dict(type="path", no_log=False),
            challenge_type=dict(type="str", choices=[*CHALLENGE_TYPES, "auto"], default="auto"),
            http_01=dict(
                type="dict",
                options=dict(
                    webroot=dict(type="path"),
                    listen=dict(type="str"),
                    check_address=dict(type="str", default="127.0.0.1:80"),
                ),
                required_one_of=[("webroot", "listen")],
                mutually_exclusive=[("webroot", "listen")],
            ),
            tls_alpn_01=dict(type="dict", options=dict(listen=dict(type="str", required=True))),
            wait_timeout=WAITING["wait_timeout"],
            poll_interval=WAITING["poll_interval"],
            **RETURNED_KEY,
            **{**DESTINATION, "destination": {**DESTINATION["destination"], "required": True}},
        ),
    )
    with module.external_ca() as external_ca:
        module.exit_json(**DesiredCertificate(module, external_ca).ensure())


if __name__ == "__main__":
    main()
