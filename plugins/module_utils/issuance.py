# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""From "a certificate is needed" to the certificate: one that Vault has already, an order that is under way, or a new order."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, cast

from . import order_states
from .certificates import CertificateFacts
from .challenge_proofs import DNS_01
from .challenge_responders import Responder
from .durations import RenewBefore
from .external_ca import Certificate, ExternalCA, Order, OrderReference
from .fulfilment import describe, mark
from .identifiers import same_spelling
from .order_progress import telling
from .orders import (
    Issued,
    Progress,
    failure,
    obtain_certificate,
    patiently,
    unfulfilled,
    unread_order,
    verify,
    wait_for_order,
)
from .polling import Clock, Patience
from .reuse import find_cached, find_issued, find_order
from .unfinished_work import UnfinishedWork
from .vault_errors import ExtcaError, InvalidInput, PermissionDenied, VaultError

AUTO = "auto"
FROM_CACHE = "cached"
FROM_ORDER = "order"

Warn = Callable[[str], None]


class Request(NamedTuple):
    """What is needed. ``csr`` is None where Vault makes the key.

    ``rejected`` is the serial number of a certificate that must not be taken again: revoked, or to be replaced whatever it is.
    """

    role_name: str
    identifiers: List[str]
    renew_before: RenewBefore
    csr: Optional[str] = None
    use_cached: bool = True
    rejected: Optional[str] = None


class Obtained(NamedTuple):
    """A certificate that has been checked. ``reference`` is None where the token may not look up the order behind it."""

    source: str
    reference: Optional[OrderReference]
    certificate: Certificate
    facts: CertificateFacts


class Existing(NamedTuple):
    """What Vault has already: a certificate, or an order that is under way (or has just ended well)."""

    obtained: Optional[Obtained]
    reference: Optional[OrderReference]


class Challenges(NamedTuple):
    """How identifiers may be proven here: one type or ``auto``, and who answers."""

    challenge_type: str
    responders: Sequence[Responder]


def find_existing(
    external_ca: ExternalCA, request: Request, *, lost_order: bool, warn: Warn, now: datetime, clock: Clock
) -> Existing:
    """What serves as well as a new order. Changes nothing.

    ``lost_order`` says that an earlier run may have made an order without learning its id, so that one which has completed in
    the meantime is looked for too.
    """
    if request.csr is None and (request.use_cached or lost_order):
        cached = _find_cached(external_ca, request, warn)
        if cached is not None:
            return Existing(cached, None)
    order = find_order(
        external_ca,
        request.role_name,
        request.identifiers,
        csr=request.csr,
        reuse="valid" if request.csr is not None else "active",
        renew_before=request.renew_before,
        warn=warn,
        now=now,
        clock=clock,
    )
    return Existing(None, OrderReference(request.role_name, order["order_id"]) if order else None)


def _find_cached(external_ca: ExternalCA, request: Request, warn: Warn) -> Optional[Obtained]:
    try:
        found = find_cached(external_ca, request.role_name, request.identifiers, request.renew_before, warn)
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}, so a valid certificate of the role may be ordered again.")
        return None
    if found is None or found.certificate is None or found.serial_number == request.rejected:
        return None
    reference = OrderReference(request.role_name, found.issued["order_id"]) if found.issued else None
    return _checked(FROM_CACHE, reference, found.certificate, request)


def _checked(source: str, reference: Optional[OrderReference], certificate: Certificate, request: Request) -> Obtained:
    """Nothing is installed that does not fit; see :func:`orders.verify`."""
    known = reference or OrderReference(request.role_name, "")
    order = unread_order(known, order_states.COMPLETED, request.identifiers)
    order["csr"] = request.csr or ""
    facts = verify(Issued(order, certificate, 0, 0.0))
    return Obtained(source, reference, certificate, facts)


def fetch_again(external_ca: ExternalCA, request: Request, serial_number: str, warn: Warn) -> Optional[Obtained]:
    """A certificate that is good but for its chain, as Vault has it; None if Vault does not know it (any more)."""
    try:
        same = find_issued(external_ca, serial_number, warn)
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}, so the chain of a certificate cannot be fetched again.")
        return None
    if same is None or same.certificate is None or same.issued is None:
        return None
    reference = OrderReference(same.issued["role_name"], same.issued["order_id"])
    return _checked(FROM_CACHE, reference, same.certificate, request)


def issue(
    external_ca: ExternalCA,
    request: Request,
    work: UnfinishedWork,
    challenges: Challenges,
    patience: Patience,
    *,
    is_new_key: bool,
    warn: Warn,
    now: datetime,
    clock: Clock,
) -> Obtained:
    """The certificate, from wherever it can be had with the least. ``work`` is told of every step that must not be done twice.

    ``is_new_key`` says that no order can exist for the request's key.
    """
    deadline = clock.monotonic() + patience.timeout
    reference = _recorded_order(external_ca, request, work, patience, clock)
    if reference is None and not is_new_key:
        existing = find_existing(
            external_ca, request, lost_order=bool(work.values.get("ordering")), warn=warn, now=now, clock=clock
        )
        if existing.obtained is not None:
            return existing.obtained
        reference = existing.reference
    if reference is None:
        work.note(ordering=True)
        wanted = {"csr": request.csr} if request.csr is not None else {"identifiers": request.identifiers}
        reference = external_ca.new_order(request.role_name, **wanted)
    if work.values.get("order_id") != reference.order_id:
        work.note(order_id=reference.order_id)

    def left() -> Patience:
        return patience._replace(timeout=max(deadline - clock.monotonic(), 0))

    try:
        with telling(reference, patience.timeout, clock=clock) as progress:
            answer_challenges(external_ca, reference, challenges, left, work, warn=warn, progress=progress, clock=clock)
            issued = obtain_certificate(external_ca, reference, left(), progress=progress, clock=clock)
    finally:
        withdraw(challenges.responders, work)
    return _checked(FROM_ORDER, reference, cast(Certificate, issued.certificate), request)


def _recorded_order(
    external_ca: ExternalCA, request: Request, work: UnfinishedWork, patience: Patience, clock: Clock
) -> Optional[OrderReference]:
    """The order that an earlier run has made, unless it has come to nothing."""
    order_id = work.values.get("order_id")
    if not order_id:
        return None
    reference = OrderReference(request.role_name, str(order_id))
    try:
        (order,) = patiently(lambda seconds: (external_ca.order(reference, timeout=seconds),), patience, clock=clock)
    except PermissionDenied:
        return reference  # the token may be permitted to fetch certificates and not to read statuses
    if order is None or order["order_status"] in order_states.TERMINAL - {order_states.COMPLETED}:
        work.note(order_id=None, ordering=False)
        return None
    return reference


def answer_challenges(
    external_ca: ExternalCA,
    reference: OrderReference,
    challenges: Challenges,
    left: Callable[[], Patience],
    work: UnfinishedWork,
    *,
    warn: Warn,
    progress: Progress,
    clock: Clock,
) -> None:
    """Wait until the order needs somebody (or ends without), answer what nobody else does, and tell Vault.

    The responders go on answering afterwards: see :func:`withdraw`. Raises ChallengeNotAnswered, before Vault is told anything,
    for a challenge that this host does not answer as it should.
    """
    try:
        waited = wait_for_order(
            external_ca,
            reference,
            left(),
            until=lambda seen: order_states.is_terminal(seen["order_status"]) or _needs_somebody(seen),
            progress=progress,
            clock=clock,
        )
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}: challenges of the order cannot be seen, and none is fulfilled.")
        return
    order = cast(Order, waited.value)
    if not waited.settled:
        raise failure(order, reference, waited.elapsed, waited.polls, waited.trouble)
    if order_states.is_terminal(order["order_status"]):
        return
    chosen = _responders(order, challenges)
    for identifier, responder in chosen.items():
        proof = describe(external_ca, reference, identifier, responder.challenge_type, left(), clock=clock)
        # Written down before it is done, so that a run that is killed leaves nothing unknown behind.
        paths = responder.leaves_behind(proof)
        if paths:
            work.note(published=sorted({*work.values.get("published", []), *paths}))
        responder.publish(same_spelling(identifier), proof)
    for responder in dict.fromkeys(chosen.values()):
        for warning in responder.check():
            warn(warning)
    for identifier, responder in chosen.items():
        mark(external_ca, reference, [identifier], responder.challenge_type, warn)


def _needs_somebody(order: Order) -> bool:
    return order["order_status"] == order_states.AWAITING_CHALLENGE_FULFILLMENT and bool(unfulfilled(order))


def _responders(order: Order, challenges: Challenges) -> Dict[str, Responder]:
    """What is answered here, and by whom. Raises InvalidInput where somebody is needed and nothing here can do it.

    Some Vaults do not say which names their DNS providers prove. There, a name that could be such a one is left to Vault, as
    long as the order waits for something that is done here.
    """
    chosen: Dict[str, Responder] = {}
    left_to_vault: Optional[InvalidInput] = None
    for identifier in unfulfilled(order):
        try:
            chosen[identifier] = _responder(order, identifier, challenges)
        except InvalidInput as error:
            rows = order["challenges"][identifier]
            if not any(row["challenge_type"] == DNS_01 and row["requires_manual_fulfillment"] is None for row in rows):
                raise
            left_to_vault = error
    if left_to_vault is not None and not chosen:
        raise left_to_vault
    return chosen


def _responder(order: Order, identifier: str, challenges: Challenges) -> Responder:
    offered = [row["challenge_type"] for row in order["challenges"][identifier]]
    for responder in challenges.responders:
        if challenges.challenge_type in (AUTO, responder.challenge_type) and responder.challenge_type in offered:
            return responder
    what = f"The ACME server offers {', '.join(offered)} for {identifier}"
    if challenges.challenge_type not in (AUTO, DNS_01):
        raise InvalidInput(f"{what}, and challenge_type is {challenges.challenge_type}. {_REMEDY}")
    if challenges.challenge_type == DNS_01 or offered == [DNS_01]:
        raise InvalidInput(
            f"{what}, and no DNS provider of Vault's answers it. Give the role {order['role_name']} a DNS provider "
            "(dns_provider_name and dns_provider_type), or use the role certops.vault_extca.certificate with task files for your DNS."
        )
    raise InvalidInput(f"{what}, and nothing is configured here that answers one. {_REMEDY}")


_REMEDY = (
    "Set http_01 or tls_alpn_01, see the role's allowed_challenge_types, or give the role a DNS provider. The order is kept and "
    "used by the next run."
)


def withdraw(responders: Sequence[Responder], work: UnfinishedWork) -> None:
    """Answer no challenge any more, and remove what this run or one before it has published."""
    for responder in responders:
        responder.clean_up()
    paths = work.values.get("published") or []
    for path in sorted(paths, reverse=True):  # files before their directories
        with contextlib.suppress(OSError):
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)
    if paths:
        work.note(published=[])


def is_worth_keeping(work: UnfinishedWork, error: Exception) -> bool:
    """Whether the record of the work serves the next run, after this error."""
    if isinstance(error, ExtcaError) and error.details.get("order_status") in order_states.TERMINAL:
        return False
    if work.values.get("order_id") or work.values.get("moves"):
        return True
    # Whether a request that was not answered has made an order, nobody knows.
    return bool(work.values.get("ordering")) and isinstance(error, VaultError) and error.transient
