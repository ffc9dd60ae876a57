# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Revoking what an order has issued, once."""

from __future__ import annotations

import contextlib
from typing import Callable, Tuple

from .external_ca import ExternalCA, OrderReference
from .order_states import COMPLETED, REVOKED
from .orders import OrderFailed, read_order
from .vault_errors import BadRequest, ExtcaError, NotFound


def order_of_serial(external_ca: ExternalCA, serial_number: str) -> Tuple[OrderReference, str]:
    """The order that has issued a certificate, and its state: completed or revoked."""
    issued = external_ca.issued_certificate(serial_number)
    if issued is None:
        raise NotFound(
            f"The engine at {external_ca.mount} has issued no certificate with the serial number {serial_number}. "
            "Check serial_number, mount and namespace."
        )
    reference = OrderReference(issued["role_name"], issued["order_id"])
    return reference, _revocable(reference, issued["order_status"])


def state_of_order(external_ca: ExternalCA, reference: OrderReference) -> str:
    """The state of an order that has issued a certificate: completed or revoked. Raises OrderFailed for all others."""
    return _revocable(reference, read_order(external_ca, reference)["order_status"])


def revoke(external_ca: ExternalCA, reference: OrderReference, reason: str, state_now: Callable[[], str]) -> bool:
    """Revoke an order's certificate. Returns False if somebody else has done so in the meantime, as ``state_now()`` tells."""
    try:
        external_ca.revoke(reference, reason)
    except BadRequest:
        # Where the state cannot be read (any more), it is still the refusal that tells what the matter is.
        with contextlib.suppress(ExtcaError):
            if state_now() == REVOKED:
                return False
        raise
    return True


def _revocable(reference: OrderReference, order_status: str) -> str:
    if order_status not in (COMPLETED, REVOKED):
        raise OrderFailed(
            f"Order {reference.order_id} of role {reference.role_name} has no certificate to revoke: it is {order_status}.",
            order_status=order_status,
            **reference._asdict(),
        )
    return order_status
