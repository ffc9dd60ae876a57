# SPDX-License-Identifier: BSD-2-Clause
# Copyright: certops.vault_extca contributors
"""Challenges of an order: which of them wait for somebody, what fulfils them, and telling Vault that it is done."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from . import order_states
from .challenge_proofs import DNS_01, proof
from .external_ca import Challenge, ChallengeDetails, ExternalCA, Order, OrderReference
from .identifiers import normalise_identifiers, same_spelling
from .orders import patiently, read_order, unfulfilled, wait_for_order
from .polling import Clock, Patience, SystemClock
from .vault_errors import BadRequest, InvalidInput, UnexpectedAnswer, VaultError

# How long Vault may take to see that the last challenge is marked, in seconds.
TAKES_NOTICE = 5.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_AUTHORIZATION = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?")


class Selection(NamedTuple):
    """Identifiers, as the order spells them: those to fulfil with one type, and those that wait but lack the type."""

    chosen: List[str]
    lacking: List[str]


def select(order: Order, identifiers: Optional[Sequence[str]], challenge_type: str) -> Selection:
    """The identifiers of an order whose challenge of this type is to be fulfilled.

    None stands for all that are not proven yet and that Vault does not prove by itself through a DNS provider. Of a completed
    order, and for an identifier without challenges, there is nothing to fulfil. Raises InvalidInput for a name that is not
    the order's and for a type that is not offered.
    """
    of_order = {same_spelling(one): one for one in order["identifiers"]}
    rows = _rows(order)
    names = list(of_order)
    if identifiers is not None:
        try:
            names = normalise_identifiers(identifiers)
        except ValueError as error:
            raise InvalidInput(f"{error}.") from None
        for name in names:
            if name not in of_order:
                raise InvalidInput(
                    f"identifier {name!r} is not part of order {order['order_id']}, which is for "
                    f"{', '.join(order['identifiers'])}."
                )
    if order["order_status"] == order_states.COMPLETED:
        return Selection([], [])
    waiting = [name for name in names if rows.get(name) and (identifiers is not None or _waits(rows[name]))]
    offering = [name for name in waiting if any(row["challenge_type"] == challenge_type for row in rows[name])]
    lacking = [name for name in waiting if name not in offering]
    if lacking and (identifiers is not None or not offering):
        raise InvalidInput(_not_offered(lacking, rows, challenge_type))
    return Selection([of_order[name] for name in offering], [of_order[name] for name in lacking])


def warn_of(selection: Selection, challenge_type: str, warn: Callable[[str], None]) -> None:
    """Tell of identifiers that were not named and that nothing is done about."""
    if selection.lacking:
        warn(
            f"{challenge_type} is not offered for {', '.join(selection.lacking)}; fulfil a challenge of another type for "
            f"{'it' if len(selection.lacking) == 1 else 'them'}."
        )


def describe(
    external_ca: ExternalCA,
    reference: OrderReference,
    identifier: str,
    challenge_type: str,
    patience: Patience,
    *,
    clock: Clock = SystemClock(),
) -> Dict[str, Any]:
    """One challenge and everything that fulfils it; see :func:`challenge_proofs.proof` for the keys of each type."""
    details: ChallengeDetails = patiently(
        lambda seconds: external_ca.challenge(reference, identifier, challenge_type, timeout=seconds),
        patience,
        clock=clock,
    )
    if not details["challenge_auth"]:
        raise UnexpectedAnswer(
            f"Vault gave no key authorization for the {challenge_type} challenge of {identifier}. Look at the order's state "
            "with vault_extca_order_info, and create a new order if it has ended."
        )
    # Both go into paths, files and records of whoever publishes them.
    if not (_TOKEN.fullmatch(details["challenge_token"]) and _AUTHORIZATION.fullmatch(details["challenge_auth"])):
        raise UnexpectedAnswer(
            f"The {challenge_type} challenge of {identifier} has other characters in its token or key authorization than those of "
            "base64url (RFC 8555 section 8.1), and must not be published. Check directory_url of the ACME account, and mount."
        )
    return {
        "identifier": identifier,
        "challenge_type": challenge_type,
        "challenge_status": details["challenge_status"],
        "challenge_token": details["challenge_token"],
        "expires": details["expires"],
        **proof(challenge_type, same_spelling(identifier), details["challenge_token"], details["challenge_auth"]),
    }


def unmarked(order: Order, chosen: Sequence[str]) -> List[str]:
    """Those of the chosen identifiers that may not be marked yet, as far as Vault tells.

    Only an order that awaits fulfilment has any. Vault goes on when the last challenge is marked and not before, and until
    then it does not say which ones are.
    """
    if order["order_status"] != order_states.AWAITING_CHALLENGE_FULFILLMENT:
        return []
    rows = _rows(order)
    return [
        identifier
        for identifier in chosen
        if all(row["challenge_status"] not in ("processing", "valid") for row in rows[same_spelling(identifier)])
    ]


def mark(
    external_ca: ExternalCA,
    reference: OrderReference,
    identifiers: Sequence[str],
    challenge_type: str,
    warn: Callable[[str], None],
) -> List[str]:
    """Tell Vault that these challenges are in place; returns those that it had not been told of before."""
    marked = []
    for identifier in identifiers:
        try:
            external_ca.fulfil_challenge(reference, identifier, challenge_type)
            marked.append(identifier)
        except BadRequest as error:
            order = read_order(external_ca, reference)
            if order["order_status"] != order_states.AWAITING_CHALLENGE_FULFILLMENT:
                break  # somebody else has marked the last one in the meantime
            # What Vault refuses here is a challenge that is offered and pending, of an order that awaits it.
            said = "; ".join(error.errors) or f"status {error.status}"
            warn(f"Vault takes the {challenge_type} challenge of {identifier} to be fulfilled already: {said}")
    return marked


def after_marking(
    external_ca: ExternalCA,
    reference: OrderReference,
    order: Order,
    marked: Sequence[str],
    *,
    clock: Clock = SystemClock(),
) -> Order:
    """The order once Vault has taken notice of the last mark, so that a repeated run sees that there is nothing to do.

    ``order`` is the order as it was before, ``marked`` what is marked by now; the order is not read again where it waits for other
    identifiers.
    """
    if not set(unfulfilled(order)) <= set(marked):
        return order
    try:
        waited = wait_for_order(
            external_ca,
            reference,
            Patience(TAKES_NOTICE),
            until=lambda seen: seen["order_status"] != order_states.AWAITING_CHALLENGE_FULFILLMENT,
            clock=clock,
        )
    except VaultError:
        return order  # the marks are made, and who needs the order's state next reads it
    return waited.value or order


def _rows(order: Order) -> Dict[str, List[Challenge]]:
    return {same_spelling(identifier): rows for identifier, rows in order["challenges"].items()}


def _waits(rows: Sequence[Challenge]) -> bool:
    return not any(row["challenge_status"] == "valid" or _by_vault(row) for row in rows)


def _by_vault(row: Challenge) -> bool:
    return row["challenge_type"] == DNS_01 and row["requires_manual_fulfillment"] is False


def _not_offered(lacking: Sequence[str], rows: Dict[str, List[Challenge]], challenge_type: str) -> str:
    offered = "; ".join(
        f"{name} has {', '.join(row['challenge_type'] for row in rows[name])}" for name in list(lacking)[:5]
    )
    wildcard = " A wildcard can only be proven with dns-01." if any(name.startswith("*.") for name in lacking) else ""
    return (
        f"challenge_type {challenge_type} is not offered for {', '.join(list(lacking)[:5])}: {offered}.{wildcard} "
        "The role's allowed_challenge_types and the ACME server decide what is offered."
    )
