# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""An order that exists already and serves as well as a new one, found in a bounded number of requests.

CAs limit how many certificates they issue for the same names, so a repeated run must not order again.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Callable, List, Optional, Sequence, Set

from . import order_states
from .certificates import csr_fingerprint
from .durations import RenewBefore, parse_moment
from .external_ca import Certificate, ExternalCA, Order, OrderReference, RecentOrder
from .identifiers import normalise_identifier
from .vault_errors import PermissionDenied

# The longest that lookup/orders/recent looks back. CAs let an order that nobody fulfils expire within about as long.
RECENT = "168h"
# Orders of one role for the same names within a week: more than a few are an accident, and each costs a request.
MOST_CANDIDATES = 10


def is_due(not_before: str, not_after: str, renew_before: RenewBefore, now: datetime) -> bool:
    """Whether a certificate with this validity is due for renewal."""
    begin, end = parse_moment(not_before), parse_moment(not_after)
    return begin is None or end is None or now >= renew_before.moment(begin, end)


def find_cached(
    external_ca: ExternalCA, role_name: str, identifiers: Sequence[str], renew_before: RenewBefore
) -> Optional[Certificate]:
    """The role's newest certificate of the identifier workflow for exactly these names that is not due, or None."""
    percentage, seconds = renew_before.percent, renew_before.seconds
    return external_ca.cached_certificate(
        role_name,
        identifiers=identifiers,
        min_validity_percentage=None if percentage is None else math.ceil(percentage),
        min_validity_seconds=seconds,
    )


def find_order(
    external_ca: ExternalCA,
    role_name: str,
    identifiers: Sequence[str],
    *,
    csr: Optional[str],
    reuse: str,
    renew_before: RenewBefore,
    warn: Callable[[str], None],
    now: Optional[datetime] = None,
) -> Optional[Order]:
    """An order of this role for the same names (or the same CSR) that ``reuse`` (active, valid, never) permits, or None.

    ``warn`` is told what the token may not read, and so could not be found.
    """
    if reuse == "never":
        return None
    now = now or datetime.now(timezone.utc)
    if reuse == "valid" and csr is None:
        found = _by_cached_certificate(external_ca, role_name, identifiers, renew_before, warn)
        if found is not None:
            return found
    for candidate in _candidates(external_ca, role_name, identifiers, reuse, csr, warn):
        order = external_ca.order(OrderReference(role_name, candidate["order_id"]))
        if order is not None and _serves(external_ca, order, csr, renew_before, now):
            return order
    return None


def _by_cached_certificate(
    external_ca: ExternalCA,
    role_name: str,
    identifiers: Sequence[str],
    renew_before: RenewBefore,
    warn: Callable[[str], None],
) -> Optional[Order]:
    try:
        certificate = find_cached(external_ca, role_name, identifiers, renew_before)
        if certificate is None:
            return None
        issued = external_ca.issued_certificate(certificate["serial_number"])
        if issued is None or issued["role_name"] != role_name or issued["order_status"] != order_states.COMPLETED:
            return None
        if _names(issued["identifiers"]) != set(identifiers):
            return None
        return external_ca.order(OrderReference(role_name, issued["order_id"]))
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}, so a valid certificate of role {role_name} may be ordered again.")
        return None


def _candidates(
    external_ca: ExternalCA,
    role_name: str,
    identifiers: Sequence[str],
    reuse: str,
    csr: Optional[str],
    warn: Callable[[str], None],
) -> List[RecentOrder]:
    try:
        recent = external_ca.recent_orders(RECENT)
    except PermissionDenied as error:
        warn(
            f"The token may not list {error.path}, so an order of role {role_name} that is under way may be made again."
        )
        return []
    names = set(identifiers)
    # A completed order of the identifier workflow has been found, or found wanting, by its certificate.
    completed_too = reuse == "valid" and csr is not None
    return [
        row
        for row in recent
        if row["role_name"] == role_name
        and _names(row["identifiers"]) == names
        and (
            not order_states.is_terminal(row["order_status"])
            or (completed_too and row["order_status"] == order_states.COMPLETED)
        )
    ][:MOST_CANDIDATES]


def _serves(
    external_ca: ExternalCA, order: Order, csr: Optional[str], renew_before: RenewBefore, now: datetime
) -> bool:
    if (csr is None) != (not order["csr"]):
        return False
    if csr is not None and csr_fingerprint(csr) != csr_fingerprint(order["csr"]):
        return False
    if not order_states.is_terminal(order["order_status"]):
        return True
    if order["order_status"] != order_states.COMPLETED or not order["serial_number"]:
        return False
    issued = external_ca.issued_certificate(order["serial_number"])
    return issued is not None and not is_due(issued["not_before"], issued["not_after"], renew_before, now)


def _names(identifiers: Sequence[str]) -> Set[str]:
    """Vault's spelling made ours; what is no DNS name to us matches nothing that was asked for."""
    names = set()
    for one in identifiers:
        try:
            names.add(normalise_identifier(one))
        except ValueError:
            names.add(one)
    return names
