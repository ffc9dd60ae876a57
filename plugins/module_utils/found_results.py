# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""What modules return of a certificate that was issued before."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .durations import format_moment
from .external_ca import Order, OrderReference, format_order_reference
from .order_results import certificate_values
from .orders import Issued, unread_order, verify
from .reuse import Found


def found_certificate(mount: str, role_name: Optional[str], found: Optional[Found]) -> Dict[str, Any]:
    """The return values of a certificate that was issued before, checked; {} for none."""
    if found is None:
        return {}
    result: Dict[str, Any] = {"role_name": role_name, "serial_number": found.serial_number}
    order: Optional[Order] = None
    if found.issued is not None:
        reference = OrderReference(found.issued["role_name"], found.issued["order_id"])
        result.update(found.issued, id=format_order_reference(mount, reference))
        order = unread_order(reference, found.issued["order_status"], found.issued["identifiers"])
    if found.certificate is not None:
        certificate = found.certificate.copy()
        certificate["serial_number"] = found.serial_number
        validity = verify(Issued(order, certificate, 0, 0.0))
        result.update(certificate_values(certificate))
        result.update(
            identifiers=validity.identifiers,
            not_before=format_moment(validity.not_before),
            not_after=format_moment(validity.not_after),
        )
    return result
