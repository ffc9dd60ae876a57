# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""What modules return of orders and certificates: one shape, whichever module returns it."""

from __future__ import annotations

from typing import Any, Dict

from . import order_states
from .certificates import as_pem, pem_blocks
from .durations import format_moment
from .external_ca import Certificate, Order, OrderReference, format_order_reference
from .orders import Issued, public, verify

FACT = "vault_extca_order_certificate"
_PUBLIC_FACTS = ("certificate", "ca_chain", "fullchain", "serial_number")


def order_result(mount: str, reference: OrderReference, order: Order) -> Dict[str, Any]:
    """The return values of an order, whatever its state."""
    return {"id": format_order_reference(mount, reference), **public(order)}


def certificate_result(mount: str, reference: OrderReference, issued: Issued) -> Dict[str, Any]:
    """The return values of an order's certificate, checked; of an order that goes on, its present state."""
    result: Dict[str, Any] = {
        "id": format_order_reference(mount, reference),
        "order_id": reference.order_id,
        "role_name": reference.role_name,
        "elapsed": round(issued.elapsed, 3),
        "polls": issued.polls,
    }
    if issued.certificate is None:
        if issued.order is not None:
            result.update(public(issued.order))
        return result
    validity = verify(issued)
    result.update(certificate_values(issued.certificate))
    result.update(
        order_status=issued.order["order_status"] if issued.order else order_states.COMPLETED,
        serial_number=validity.serial_number,
        not_before=format_moment(validity.not_before),
        not_after=format_moment(validity.not_after),
        identifiers=issued.order["identifiers"] if issued.order else validity.identifiers,
    )
    return result


def certificate_values(certificate: Certificate) -> Dict[str, Any]:
    """A certificate as Vault gave it, with ``fullchain`` beside it, and without a private key where there is none.

    Every PEM text ends in a line break, so that they can be joined and written as they are.
    """
    leaf = pem_blocks(as_pem(certificate["certificate"]), "CERTIFICATE")[:1]
    values: Dict[str, Any] = {key: value for key, value in certificate.items() if value is not None}
    for key in {"certificate", "private_key"} & values.keys():
        values[key] = _ended(values[key])
    values["ca_chain"] = [_ended(one) for one in certificate["ca_chain"]]
    values["fullchain"] = "".join(leaf + [as_pem(one) for one in certificate["ca_chain"]])
    return values


def _ended(text: str) -> str:
    return as_pem(text) if "-----BEGIN" in text else text


def facts(result: Dict[str, Any], which: str) -> Dict[str, Any]:
    """``{"ansible_facts": …}`` for the option facts: ``all``, ``public`` (no key) or ``none`` ({})."""
    if which == "none" or "certificate" not in result:
        return {}
    chosen = {key: result[key] for key in _PUBLIC_FACTS}
    if which == "all" and "private_key" in result:
        chosen["private_key"] = result["private_key"]
    return {"ansible_facts": {FACT: chosen}}
