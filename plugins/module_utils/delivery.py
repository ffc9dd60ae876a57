# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The options that say where a certificate goes. What writes files is imported when they are set."""

from __future__ import annotations

from typing import Any, Dict, Optional, Protocol

from ansible.module_utils.basic import AnsibleModule

from .polling import Patience

Spec = Dict[str, Any]

# Documented in plugins/doc_fragments/destination.py. The second half are Ansible's own names for what a file can be given.
DESTINATION: Spec = dict(
    destination=dict(
        type="dict",
        options=dict(
            certificate=dict(type="path"),
            chain=dict(type="path"),
            fullchain=dict(type="path"),
            private_key=dict(type="path", no_log=False),
            pem_bundle=dict(type="path"),
            pkcs12=dict(type="path"),
            pkcs12_passphrase=dict(type="str", no_log=True),
        ),
        required_one_of=[("certificate", "fullchain", "pem_bundle", "pkcs12")],
        required_together=[("pkcs12", "pkcs12_passphrase")],
    ),
    backup=dict(type="bool", default=False),
    private_key_mode=dict(type="raw", default="0600", no_log=False),
    mode=dict(type="raw"),
    owner=dict(type="str"),
    group=dict(type="str"),
    seuser=dict(type="str"),
    serole=dict(type="str"),
    setype=dict(type="str"),
    selevel=dict(type="str"),
    attributes=dict(type="str", aliases=["attr"]),
)
RETURNED_KEY: Spec = dict(return_private_key=dict(type="bool", default=False, no_log=False))


class Delivers(Protocol):
    """A destination, as far as a module needs to know it."""

    def deliver(self, result: Dict[str, Any], patience: Patience) -> Dict[str, Any]:
        """A module's result that holds a certificate, which has been installed."""


def destination_of(module: AnsibleModule) -> Optional[Delivers]:
    """The option destination, if it is set. Raises InvalidInput where its files could not be written."""
    if not module.params["destination"]:
        return None
    from .destination import Destination

    destination = Destination(module)
    if not module.check_mode:
        destination.check_places()
    return destination


def deliver(destination: Optional[Delivers], result: Dict[str, Any], patience: Patience) -> Dict[str, Any]:
    """A module's result, after its certificate, if it has one, was installed at the destination, if there is one."""
    if destination is None or "certificate" not in result:
        return {**result, "changed": False}
    return destination.deliver(result, patience)
