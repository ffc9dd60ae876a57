# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Orders looked up by what one knows of them, in one shape."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from .durations import parse_duration
from .external_ca import ExternalCA, Order, OrderReference, format_order_reference
from .orders import public
from .vault_errors import PermissionDenied

# What lookup/orders/recent takes for within, in seconds.
SHORTEST, LONGEST = 3600, 168 * 3600

Listed = Dict[str, Any]


def parse_within(value: str) -> str:
    """How far to look back, as Vault reads it. Raises ValueError for what is not a duration from 1h to 168h."""
    seconds = parse_duration(value)
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"{value!r} is not between 1h and 168h, which is how far Vault looks back")
    return f"{seconds}s"


def one_order(external_ca: ExternalCA, role_name: Optional[str], order_id: str) -> List[Listed]:
    """The order with this id, of a role or whichever has it; an empty list if there is none."""
    order = _read(external_ca, role_name, order_id)
    return [] if order is None else [_whole(external_ca.mount, order)]


def listed_orders(
    external_ca: ExternalCA, role_name: Optional[str], within: Optional[str], *, expand: bool
) -> List[Listed]:
    """Recent orders (``within``), active ones of a role, or all; each with its whole status if ``expand``."""
    if within is not None:
        found: List[Listed] = [
            _with_id(external_ca.mount, dict(row))
            for row in external_ca.recent_orders(within)
            if role_name in (None, row["role_name"])
        ]
    elif role_name is not None:
        found = [
            _with_id(external_ca.mount, {"order_id": order_id, "role_name": role_name})
            for order_id in external_ca.active_orders(role_name)
        ]
    else:
        found = [{"order_id": order_id} for order_id in external_ca.order_ids()]
    if not expand:
        return found
    orders = [_read(external_ca, one.get("role_name"), one["order_id"]) for one in found]
    # One that is gone since it was listed is left out.
    whole = [_whole(external_ca.mount, order) for order in orders if order is not None]
    return sorted(whole, key=lambda order: str(order["creation_date"]), reverse=True)


def add_validity(external_ca: ExternalCA, orders: List[Listed], warn: Callable[[str], None]) -> None:
    """Give each order that has issued a certificate its ``not_before`` and ``not_after``, as far as Vault knows it."""
    for order in orders:
        if not order.get("serial_number"):
            continue
        try:
            issued = external_ca.issued_certificate(order["serial_number"])
        except PermissionDenied as error:
            warn(f"The token may not read {error.path}, so the validity of certificates is not known.")
            return
        if issued is not None:
            order.update(not_before=issued["not_before"], not_after=issued["not_after"])


def _read(external_ca: ExternalCA, role_name: Optional[str], order_id: str) -> Optional[Order]:
    if role_name is None:
        return external_ca.find_order(order_id)
    return external_ca.order(OrderReference(role_name, order_id))


def _whole(mount: str, order: Order) -> Listed:
    return _with_id(mount, {**public(order), "csr": order["csr"]})


def _with_id(mount: str, order: Listed) -> Listed:
    return {"id": format_order_reference(mount, OrderReference(order["role_name"], order["order_id"])), **order}
