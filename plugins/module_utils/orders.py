# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""The life of an order as who waits for it sees it: until challenges are there, until it ends, and why it failed."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set, TypeVar, cast

from . import certificates, order_states
from .challenge_proofs import DNS_01
from .external_ca import Certificate, Challenge, ExternalCA, NoCertificateYet, Order, OrderReference
from .identifiers import same_spelling
from .polling import Clock, Patience, SystemClock, Waited, Waiting, wait_until
from .vault_errors import ExtcaError, NotFound, PermissionDenied, VaultError

# A performance standby may not know an order yet that the active node has just made.
UNKNOWN_AT_FIRST = 5.0

Progress = Callable[[Order, float], None]
Value = TypeVar("Value")


class OrderFailed(ExtcaError):
    """An order that has ended without a certificate, or not in time."""


class Issued(NamedTuple):
    """What became of an order. ``order`` is None where the token may not read statuses, ``certificate`` before the end."""

    order: Optional[Order]
    certificate: Optional[Certificate]
    polls: int
    elapsed: float


def survives(error: Exception, elapsed: float) -> bool:
    """Whether waiting goes on after this error: trouble that passes, or an order that is not known everywhere yet."""
    if isinstance(error, NotFound):
        return elapsed < UNKNOWN_AT_FIRST and not error.errors
    return isinstance(error, VaultError) and error.transient


def read_order(external_ca: ExternalCA, reference: OrderReference, *, timeout: Optional[float] = None) -> Order:
    """An order's status. Raises NotFound, in words, where the role has no such order."""
    order = external_ca.order(reference, timeout=timeout)
    if order is None:
        raise NotFound(
            f"Role {reference.role_name} at {external_ca.mount} has no order {reference.order_id}. "
            "Check role_name, order_id, mount and namespace."
        )
    return order


def unread_order(
    reference: OrderReference, order_status: str, identifiers: Sequence[str], serial_number: str = ""
) -> Order:
    """What is known of an order whose status the token may not read."""
    return Order(
        order_id=reference.order_id,
        role_name=reference.role_name,
        order_status=order_status,
        identifiers=list(identifiers),
        challenges={},
        csr="",
        serial_number=serial_number,
        last_error="",
        creation_date="",
        last_update="",
        next_work_date="",
        expires="",
    )


def patiently(look: Callable[[float], Value], patience: Patience, *, clock: Clock = SystemClock()) -> Value:
    """The first answer to ``look(seconds)``; trouble that passes is survived, and raised only at the deadline."""
    waited = wait_until(look, lambda value: True, patience, survives=survives, clock=clock)
    if waited.value is None:
        raise cast(Exception, waited.trouble)
    return waited.value


def wait_for_order(
    external_ca: ExternalCA,
    reference: OrderReference,
    patience: Patience,
    *,
    until: Callable[[Order], bool],
    progress: Progress = lambda order, elapsed: None,
    clock: Clock = SystemClock(),
) -> Waited[Order]:
    """Read an order's status until ``until`` is satisfied. Raises what does not pass, and the last trouble at the deadline."""
    waited = wait_until(
        lambda seconds: read_order(external_ca, reference, timeout=seconds),
        until,
        patience,
        survives=survives,
        stage=lambda order: order["order_status"],
        progress=progress,
        clock=clock,
    )
    if waited.value is None and waited.trouble is not None:
        raise waited.trouble
    return waited


def wait_for_challenges(
    external_ca: ExternalCA, reference: OrderReference, patience: Optional[Patience], *, clock: Clock = SystemClock()
) -> Order:
    """Wait until the order's challenges are known, or it needs none any more; without patience, the order as it is.

    Raises OrderFailed for an order that has ended without a certificate, or has no challenges in time.
    """
    waited = wait_for_order(
        external_ca,
        reference,
        patience or Patience(UNKNOWN_AT_FIRST),
        until=lambda order: patience is None or order_states.has_challenges(order["order_status"]),
        clock=clock,
    )
    order = cast(Order, waited.value)
    if not waited.settled or order["order_status"] in order_states.TERMINAL - {order_states.COMPLETED}:
        raise failure(order, reference, waited.elapsed, waited.polls, waited.trouble)
    return order


def with_challenges(
    external_ca: ExternalCA,
    reference: OrderReference,
    order: Order,
    patience: Optional[Patience],
    *,
    clock: Clock = SystemClock(),
) -> Order:
    """An order that was just read, waited for only if its challenges are not known yet and there is patience."""
    if patience is None or order_states.has_challenges(order["order_status"]):
        return order
    return wait_for_challenges(external_ca, reference, patience, clock=clock)


def follow_new_order(
    external_ca: ExternalCA,
    reference: OrderReference,
    identifiers: Sequence[str],
    patience: Optional[Patience],
    warn: Callable[[str], None],
    *,
    clock: Clock = SystemClock(),
) -> Order:
    """An order that has just been made, once its challenges are known or, without patience, once it is known everywhere.

    Whatever happens, its id is not lost: where the token may not read it, what is certain of it is returned; every
    exception has ``order_id`` among its details.
    """
    try:
        return wait_for_challenges(external_ca, reference, patience, clock=clock)
    except PermissionDenied as error:
        warn(f"The token may not read {error.path}, so nothing is known of the new order but its id.")
        return unread_order(reference, order_states.NEW, identifiers)
    except ExtcaError as error:
        created = f"Order {reference.order_id} of role {reference.role_name} was created"
        raise ExtcaError(
            f"{created}, and then: {error.message}",
            **{**error.details, **reference._asdict(), "changed": True},
        ) from None


def obtain_certificate(
    external_ca: ExternalCA,
    reference: OrderReference,
    patience: Optional[Patience],
    *,
    certificate_format: str = "pem",
    progress: Progress = lambda order, elapsed: None,
    clock: Clock = SystemClock(),
) -> Issued:
    """Wait for an order to complete (with ``patience``; None looks once) and fetch what it issued.

    Raises OrderFailed for an order that ended otherwise or not in time. A token that may fetch but not read the status gets
    its certificate all the same.
    """
    awaited = AwaitedCertificate(
        external_ca, reference, patience, certificate_format=certificate_format, progress=progress, clock=clock
    )
    awaited.waiting.until_over()
    return awaited.issued()


class _Seen(NamedTuple):
    """One look: the order, if its status may be read, and its certificate, if there is one by now."""

    order: Optional[Order]
    certificate: Optional[Certificate]


class AwaitedCertificate:
    """What :func:`obtain_certificate` does, a look at a time: step ``waiting`` until it is over, then ask for ``issued()``."""

    def __init__(
        self,
        external_ca: ExternalCA,
        reference: OrderReference,
        patience: Optional[Patience],
        *,
        certificate_format: str = "pem",
        progress: Progress = lambda order, elapsed: None,
        clock: Clock = SystemClock(),
    ) -> None:
        self._external_ca = external_ca
        self._reference = reference
        self._patience = patience
        self._format = certificate_format
        self._denied: Optional[PermissionDenied] = None  # reading the status
        self._missing_since: Optional[float] = None  # seconds after which a completed order had no certificate yet
        self.waiting: Waiting[_Seen] = Waiting(
            self._look,
            lambda seen: seen.order is None or order_states.is_terminal(seen.order["order_status"]),
            patience or Patience(0),
            survives=self._survives,
            stage=lambda seen: seen.order and seen.order["order_status"],
            progress=lambda seen, elapsed: progress(seen.order, elapsed) if seen.order else None,
            clock=clock,
        )

    def issued(self) -> Issued:
        """What became of the order. Raises OrderFailed, or the last trouble if that is all there was."""
        waited, reference = self.waiting.waited, self._reference
        if waited.value is None:
            raise self._unseen(waited)
        order, certificate = waited.value
        if order is not None and order["order_status"] != order_states.COMPLETED:
            goes_on = not order_states.is_terminal(order["order_status"])
            if self._patience is not None or not goes_on:
                raise failure(order, reference, waited.elapsed, waited.polls, waited.trouble)
        return Issued(order, certificate, waited.polls, waited.elapsed)

    def _look(self, seconds: float) -> _Seen:
        order: Optional[Order] = None
        if self._denied is None:
            try:
                order = read_order(self._external_ca, self._reference, timeout=seconds)
            except PermissionDenied as error:
                self._denied = error
        if order is not None and order["order_status"] != order_states.COMPLETED:
            return _Seen(order, None)
        return _Seen(order, self._external_ca.certificate(self._reference, self._format, timeout=seconds))

    def _survives(self, error: Exception, elapsed: float) -> bool:
        if not isinstance(error, NoCertificateYet):
            return self._patience is not None and survives(error, elapsed)
        if self._denied is not None:
            return True
        # Of a completed order, only a standby that has not caught up lacks the certificate; one that is gone is not waited for.
        if self._missing_since is None:
            self._missing_since = elapsed
        return self._patience is not None and elapsed - self._missing_since < UNKNOWN_AT_FIRST

    def _unseen(self, waited: Waited[_Seen]) -> Exception:
        if self._denied is None or not isinstance(waited.trouble, NoCertificateYet):
            return cast(Exception, waited.trouble)
        return OrderFailed(
            f"Order {self._reference.order_id} of role {self._reference.role_name} has no certificate after "
            f"{waited.elapsed:.0f} s, and why is not known: the token may fetch the certificate but not read "
            f"{self._denied.path}. Permit read there to see the state.",
            polls=waited.polls,
            elapsed=round(waited.elapsed, 3),
        )


def verify(issued: Issued) -> certificates.CertificateFacts:
    """Check what Vault returned before anybody uses it. Raises OrderFailed with what does not fit."""
    certificate, order = cast(Certificate, issued.certificate), issued.order
    try:
        blocks = certificates.pem_blocks(certificates.as_pem(certificate["certificate"]), "CERTIFICATE")
        if not blocks:
            raise certificates.BadCertificate("there is no PEM certificate in the text")
        facts = certificates.check_certificate(
            blocks[0],
            [certificates.as_pem(one) for one in certificate["ca_chain"]],
            private_key=certificates.key_as_pem(certificate["private_key"]) if certificate["private_key"] else None,
            csr=order["csr"] if order and order["csr"] and not certificate["private_key"] else None,
            serial_number=certificate["serial_number"],
        )
        if not facts.identifiers:
            raise certificates.BadCertificate("the certificate is for no DNS name")
        if order and order["identifiers"]:
            _check_names(facts.identifiers, {same_spelling(one) for one in order["identifiers"]})
    except certificates.BadCertificate as error:
        raise OrderFailed(
            f"What Vault returned for the order cannot be used: {error}. Nothing was returned or written. Check that nothing "
            "between alters Vault's answers, and order anew.",
            **(public(order) if order else {}),
        ) from None
    return facts


def _check_names(certified: Sequence[str], ordered: Set[str]) -> None:
    """A CA certifies what an order is for, no less and no more (RFC 8555 section 7.4)."""
    missing, added = sorted(ordered - set(certified)), sorted(set(certified) - ordered)
    if missing:
        raise certificates.BadCertificate(f"the certificate is for {_join(certified)} and lacks {_join(missing)}")
    if added:
        raise certificates.BadCertificate(f"the certificate is also for {_join(added)}, which nobody has ordered")


def public(order: Order) -> Dict[str, Any]:
    """An order as modules return it: only what every Vault tells."""
    challenges = {
        name: [{key: value for key, value in row.items() if key != "requires_manual_fulfillment"} for row in rows]
        for name, rows in order["challenges"].items()
    }
    return {key: value for key, value in order.items() if key != "csr"} | {"challenges": challenges}


# ---------------------------------------------------------------------- why


def failure(
    order: Order, reference: OrderReference, elapsed: float, polls: int, trouble: Optional[Exception] = None
) -> OrderFailed:
    """The exception for an order that has ended badly, or not in time: state, reason, challenges, and what to do."""
    status = order["order_status"]
    ended = order_states.is_terminal(status)
    sentences = [
        f"Order {reference.order_id} of role {reference.role_name} "
        + (f"ended as {status}" if ended else f"is still {status} after {elapsed:.0f} s")
        + (f": {order['last_error'].rstrip('.')}." if order["last_error"] else ".")
    ]
    if trouble is not None:
        sentences.append(f"The last look failed: {trouble}")
    sentences.extend(_causes(order))
    if order["challenges"] and status != order_states.REVOKED:
        sentences.append(f"Challenges: {_list_challenges(order['challenges'])}.")
    return OrderFailed(" ".join(sentences), **public(order), elapsed=round(elapsed, 3), polls=polls)


def _causes(order: Order) -> List[str]:
    status = order["order_status"]
    if status == order_states.ERROR:
        invalid = [
            f"{one['challenge_type']} of {identifier}"
            for identifier, rows in order["challenges"].items()
            for one in rows
            if one["challenge_status"] == "invalid"
        ]
        found = f"The ACME server found {_join(invalid)} invalid. " if invalid else ""
        return [f"{found}Mend what the error names, then create a new order: a failed one cannot be resumed."]
    if status == order_states.EXPIRED:
        return ["Its challenges were not fulfilled in time. Create a new order."]
    if status == order_states.REVOKED:
        return ["Its certificate was revoked. Create a new order if one is still needed."]
    if status == order_states.AWAITING_CHALLENGE_FULFILLMENT:
        waiting = unfulfilled(order)
        if waiting:
            # Which of several are marked, Vault does not tell.
            which = "" if len(waiting) == 1 else "at least one of "
            return [
                (
                    f"Nobody has marked a challenge of {which}{_join(waiting)} as fulfilled: publish it and run "
                    "vault_extca_order_challenge_fulfilled."
                )
            ]
        return ["Its challenges are marked as fulfilled; Vault has not gone on yet."]
    if status.startswith("vault-challenge"):
        return [
            "Vault's DNS provider has not got its TXT record to all name servers; vault_extca_dns_provider_test tells why."
        ]
    if status in ("notify-acme-server-challenges-completed", "processing-challenge"):
        return ["The ACME server has not finished validating; look again later, with a longer wait_timeout."]
    if status == "fetching-certificate":
        return ["The CA has validated everything and not issued yet; look again later, with a longer wait_timeout."]
    if not order_states.has_challenges(status):
        return [
            "Vault has not got the order to the ACME server; check directory_url and trusted_ca of the ACME account."
        ]
    return []


def unfulfilled(order: Order) -> List[str]:
    """Identifiers that wait for somebody to fulfil one of their challenges."""
    return [
        identifier
        for identifier, rows in order["challenges"].items()
        if rows and not any(_in_hand(one) for one in rows)
    ]


def _in_hand(challenge: Challenge) -> bool:
    if challenge["challenge_status"] != "pending":
        return True
    return challenge["challenge_type"] == DNS_01 and challenge["requires_manual_fulfillment"] is False


def _list_challenges(challenges: Dict[str, List[Challenge]]) -> str:
    rows = [
        f"{identifier} " + ", ".join(f"{one['challenge_type']} {one['challenge_status']}" for one in of_identifier)
        for identifier, of_identifier in sorted(challenges.items())
    ]
    shown = rows[:10]
    return "; ".join(shown) + (f"; and {len(rows) - len(shown)} more" if len(rows) > len(shown) else "")


def _join(names: Sequence[str]) -> str:
    shown = list(names[:5])
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
