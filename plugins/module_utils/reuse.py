# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""An order that exists already and serves as well as a new one, found in a bounded number of requests.

CAs limit how many certificates they issue for the same names, so a repeated run must not order again.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Callable, List, NamedTuple, Optional, Sequence, Set, cast

from . import order_states
from .certificates import BadCertificate, csr_fingerprint
from .durations import RenewBefore, parse_moment
from .external_ca import Certificate, ExternalCA, IssuedCertificate, Order, OrderReference, RecentOrder
from .identifiers import same_spelling
from .orders import UNKNOWN_AT_FIRST, patiently, read_order, unread_order
from .polling import Clock, Patience, SystemClock
from .vault_errors import NotFound, PermissionDenied

# The longest that lookup/orders/recent looks back. CAs let an order that nobody fulfils expire within about as long.
RECENT = "168h"
# Orders of one role for the same names within a week: more than a few are an accident, and each costs a request.
MOST_CANDIDATES = 10

Warn = Callable[[str], None]


class Found(NamedTuple):
    """A certificate that was issued before. The certificate is None where Vault does not hand it out (revoked) or the token may
    not fetch it; the order behind it where the token may not look it up."""

    serial_number: str
    certificate: Optional[Certificate]
    issued: Optional[IssuedCertificate]


def is_due(not_before: str, not_after: str, renew_before: RenewBefore, now: datetime) -> bool:
    """Whether a certificate with this validity is due for renewal."""
    try:
        begin, end = parse_moment(not_before), parse_moment(not_after)
    except ValueError:
        return True
    return begin is None or end is None or now >= renew_before.moment(begin, end)


def find_cached(
    external_ca: ExternalCA,
    role_name: str,
    identifiers: Sequence[str],
    renew_before: RenewBefore,
    warn: Warn,
    certificate_format: str = "pem",
) -> Optional[Found]:
    """The role's newest certificate of the identifier workflow for exactly these names that is not due nor revoked, or None.

    Two requests at most. Raises PermissionDenied where the token may not read the cache.
    """
    percentage = renew_before.percent
    certificate = external_ca.cached_certificate(
        role_name,
        identifiers=identifiers,
        min_validity_percentage=None if percentage is None else math.ceil(percentage),
        min_validity_seconds=renew_before.seconds,
        certificate_format=certificate_format,
    )
    if certificate is None:
        return None
    serial_number = certificate["serial_number"]
    try:
        issued = external_ca.issued_certificate(serial_number)
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}, so the order behind a cached certificate is not known.")
        return Found(serial_number, certificate, None)
    if (
        issued is None
        or issued["role_name"] != role_name
        or issued["order_status"] != order_states.COMPLETED
        or _names(issued["identifiers"]) != set(identifiers)
    ):
        return None
    return Found(serial_number, certificate, issued)


def find_issued(
    external_ca: ExternalCA, serial_number: str, warn: Warn, certificate_format: str = "pem"
) -> Optional[Found]:
    """The certificate with this serial number and the order behind it, or None. Two requests at most."""
    issued = external_ca.issued_certificate(serial_number)
    if issued is None:
        return None
    certificate = None
    if issued["order_status"] == order_states.COMPLETED:
        try:
            reference = OrderReference(issued["role_name"], issued["order_id"])
            certificate = external_ca.certificate(reference, certificate_format)
        except PermissionDenied as error:
            warn(f"The token may not read {error.path}, so the certificate itself is not returned.")
    return Found(serial_number, certificate, issued)


def find_order(
    external_ca: ExternalCA,
    role_name: str,
    identifiers: Sequence[str],
    *,
    csr: Optional[str],
    reuse: str,
    renew_before: RenewBefore,
    warn: Warn,
    now: Optional[datetime] = None,
    clock: Clock = SystemClock(),
) -> Optional[Order]:
    """An order of this role for the same names (or the same CSR) that ``reuse`` (active, valid, never) permits, or None.

    ``warn`` is told what the token may not read, and so could not be found. Three requests find an order of the identifier
    workflow. For a CSR, each other order for the same names within a week costs one or two more, up to ``MOST_CANDIDATES``.
    """
    if reuse == "never":
        return None
    now = now or datetime.now(timezone.utc)
    completed_too, valid_serial = reuse == "valid", ""
    try:
        if completed_too and csr is None:
            cached = find_cached(external_ca, role_name, identifiers, renew_before, warn)
            if cached is not None and cached.issued is not None:
                return _cached_order(external_ca, role_name, identifiers, cached, clock)
            # A completed order has been found, or found wanting, by its certificate, unless that could not be looked up.
            completed_too = cached is not None
            valid_serial = cached.serial_number if cached else ""
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}, so a valid certificate of role {role_name} may be ordered again.")
    try:
        for candidate in _candidates(external_ca, role_name, identifiers, completed_too, csr):
            order = _read(external_ca, OrderReference(role_name, candidate["order_id"]), clock)
            if order is None or not _is_for(order, csr):
                continue
            if not order_states.is_terminal(order["order_status"]):
                return order
            if _is_valid(external_ca, order, valid_serial, renew_before, now):
                return order
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}, so an order of role {role_name} may be made again.")
    return None


def _cached_order(
    external_ca: ExternalCA, role_name: str, identifiers: Sequence[str], cached: Found, clock: Clock
) -> Optional[Order]:
    issued = cast(IssuedCertificate, cached.issued)
    reference = OrderReference(role_name, issued["order_id"])
    try:
        return _read(external_ca, reference, clock)
    except PermissionDenied:
        # A token may be permitted to fetch certificates and not to read statuses.
        return unread_order(reference, issued["order_status"], identifiers, cached.serial_number)


def _read(external_ca: ExternalCA, reference: OrderReference, clock: Clock) -> Optional[Order]:
    """An order that Vault has just named, with patience for a performance standby that does not know it yet."""
    try:
        return patiently(
            lambda seconds: read_order(external_ca, reference, timeout=seconds),
            Patience(UNKNOWN_AT_FIRST),
            clock=clock,
        )
    except NotFound:
        return None


def _candidates(
    external_ca: ExternalCA, role_name: str, identifiers: Sequence[str], completed_too: bool, csr: Optional[str]
) -> List[RecentOrder]:
    names = set(identifiers)

    def fits(row: RecentOrder) -> bool:
        of_row = _names(row["identifiers"])
        # Vault may take a request's common name for one more identifier; which request it was is compared later.
        return row["role_name"] == role_name and (of_row == names if csr is None else of_row >= names)

    return [
        row
        for row in external_ca.recent_orders(RECENT)
        if fits(row)
        and (
            not order_states.is_terminal(row["order_status"])
            or (completed_too and row["order_status"] == order_states.COMPLETED)
        )
    ][:MOST_CANDIDATES]


def _is_for(order: Order, csr: Optional[str]) -> bool:
    """Whether the order is of the same workflow, and for the same request where there is one."""
    if csr is None or not order["csr"]:
        return csr is None and not order["csr"]
    try:
        return csr_fingerprint(csr) == csr_fingerprint(order["csr"])
    except BadCertificate:
        return False


def _is_valid(
    external_ca: ExternalCA, order: Order, valid_serial: str, renew_before: RenewBefore, now: datetime
) -> bool:
    if order["order_status"] != order_states.COMPLETED or not order["serial_number"]:
        return False
    if order["serial_number"] == valid_serial:
        return True
    issued = external_ca.issued_certificate(order["serial_number"])
    return issued is not None and not is_due(issued["not_before"], issued["not_after"], renew_before, now)


def _names(identifiers: Sequence[str]) -> Set[str]:
    return {same_spelling(one) for one in identifiers}
