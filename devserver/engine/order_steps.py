# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What moves an order from one state to the next: one function a state, each idempotent.

A step reads a snapshot, talks to the ACME server or a name server without holding anything, and says what becomes
of the order. Whatever it did before a crash it may do again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ..framework import MountContext
from . import csr, domains, orders
from .accounts import Accounts
from .acme_client import AcmeError, problem_text
from .certificates import parse_chain
from .dns_providers import DnsProviders
from .dns_rfc2136 import DnsError
from .orders import Authorization, Challenge, Order, with_authorization
from .proofs import key_authorization, txt_value
from .timestamps import from_text

_log = logging.getLogger(__name__)

AWAITING_REVIEW = timedelta(hours=1)  # how often Vault looks at an order that waits for people
PATIENCE_WITHOUT_EXPIRY = timedelta(hours=24)  # for an order that never reached the ACME server
PROPAGATION_PATIENCE = timedelta(seconds=60)
LONGEST_RETRY = 60.0  # seconds
_CLEANUP_ATTEMPTS = 6
_SETTLED = {"deactivated", "expired", "revoked", "invalid"}


@dataclass(frozen=True)
class Move:
    """Go to another state, with these changes."""

    state: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """Stay, with these changes, and look again after so many seconds."""

    seconds: float
    changes: Mapping[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """The order cannot be carried out."""


class Steps:
    """The states of orders and what to do in each."""

    def __init__(self, context: MountContext, all_orders: orders.Orders, accounts: Accounts, dns: DnsProviders) -> None:
        self._context = context
        self._orders = all_orders
        self._accounts = accounts
        self._dns = dns
        self._steps: Mapping[str, Callable[[Order], Move | Wait]] = {
            orders.NEW: self._submit,
            orders.SUBMITTED: self._authorize,
            orders.AWAITING: self._await,
            orders.VAULT_FULFILLMENT: self._fulfil,
            orders.VAULT_PROPAGATING: self._propagate,
            orders.NOTIFY: self._notify,
            orders.PROCESSING: self._process,
            orders.FETCHING: self._fetch,
        }

    def step(self, order: Order) -> datetime | None:
        """Do what is due, and return when to look at the order again; None for never."""
        if order.terminal:
            return self._clean_up(order)
        now = self._now()
        if now >= _deadline(order):
            return self._end(order, orders.EXPIRED, order.last_error)
        script = self._context.script(order.id, order.role_name)
        stay = float((script.get("stay") or {}).get(order.state, 0))
        stayed = (now - order.state_since).total_seconds()
        if 0 <= stayed < stay:  # less than 0: the clock was moved before the server was started again
            return self._apply(order, Wait(stay - stayed))
        if script.get("fail") and script.get("in", order.state) == order.state:
            return self._end(order, orders.ERROR, str(script["fail"]))
        try:
            outcome = self._steps[order.state](order)
        except Failed as error:
            return self._end(order, orders.ERROR, str(error))
        except (AcmeError, DnsError) as error:
            text = f"failed to work on order {order.id} in state {order.state}: {error}"
            hopeless = isinstance(error, DnsError) and now > order.state_since + PROPAGATION_PATIENCE
            return (
                self._retry(order, text) if error.transient and not hopeless else self._end(order, orders.ERROR, text)
            )
        except Exception as error:  # a defect of this server must not leave an order that hangs for ever
            _log.exception("order %s in state %s", order.id, order.state)
            return self._end(order, orders.ERROR, f"internal error in state {order.state}: {type(error).__name__}")
        return self._apply(order, outcome)

    def fail(self, order: Order, reason: str) -> None:
        """End an order in an error, without talking to anyone; what it left in the DNS is for its next step."""
        now = self._now()
        self._orders.change(order.id, lambda seen: _ended(seen, orders.ERROR, now, last_error=reason))

    # -- one function a state

    def _submit(self, order: Order) -> Move:
        ahead = self._context.clock.ahead()  # before the request: who moves the clock meanwhile has aged the order
        with self._accounts.client(order.account_name) as acme:
            url, body = acme.new_order(order.identifiers)
        return Move(
            orders.SUBMITTED,
            {
                "order_url": url,
                "finalize_url": body["finalize"],
                "authorization_urls": tuple(body["authorizations"]),
                "expires": _expiry(body, ahead) or _deadline(order),
            },
        )

    def _authorize(self, order: Order) -> Move:
        with self._accounts.client(order.account_name) as acme:
            found = [self._authorization(order, url, acme.read(url)) for url in order.authorization_urls]
        by_identifier = {one.identifier: one for one in found}
        missing = [name for name in order.identifiers if name not in by_identifier]
        if missing:
            raise Failed(f"the ACME server offers no authorization for {', '.join(missing)}")
        for one in found:
            if one.open and not one.challenges:
                raise Failed(
                    f"the ACME server offers no challenge for {one.identifier} that the role allows "
                    f"({', '.join(order.challenge_types)})"
                )
        changes = {"authorizations": tuple(by_identifier[name] for name in order.identifiers)}
        if not any(one.open for one in found):
            return Move(orders.FETCHING, changes)
        if any(one.open and one.provider is None for one in found):
            return Move(orders.AWAITING, changes)
        return Move(orders.VAULT_FULFILLMENT, changes)

    def _authorization(self, order: Order, url: str, body: Mapping[str, Any]) -> Authorization:
        name = body["identifier"]["value"]
        identifier = f"*.{name}" if body.get("wildcard") else name
        status = body["status"]
        if status in _SETTLED:
            raise Failed(f"the ACME server holds the authorization for {identifier} {status}")
        challenges = tuple(
            Challenge(one["type"], one.get("token", ""), one["url"], one["status"])
            for one in body["challenges"]
            if one["type"] in order.challenge_types
        )
        provider = None
        if any(one.type == "dns-01" for one in challenges):
            provider = self._provider(order, identifier)
        return Authorization(
            identifier=identifier,
            url=url,
            status=status,
            expires=_expiry(body, self._context.clock.ahead()) or order.expires,
            challenges=challenges,
            provider=provider,
            needed=status != "valid",
        )

    def _provider(self, order: Order, identifier: str) -> tuple[str, str] | None:
        if order.role_provider is None:
            return self._dns.choose(identifier)
        return order.role_provider if self._dns.covers(order.role_provider, identifier) else None

    def _await(self, order: Order) -> Move | Wait:
        waiting = [one for one in _open(order) if one.chosen is None]
        if waiting:
            return Wait(AWAITING_REVIEW.total_seconds())
        automated = any(one.provider for one in _open(order))
        return Move(orders.VAULT_FULFILLMENT if automated else orders.NOTIFY)

    def _fulfil(self, order: Order) -> Move:
        for one in _automated(order):
            server = self._dns.name_server(one.provider or ("", ""))
            # Noted first, so that a crash in between leaves nothing behind for good.
            self._note(order, replace(one, placed=True))
            server.add_txt(domains.record_name(one.identifier), self._txt_value(order, one))
        return Move(orders.VAULT_PROPAGATING)

    def _propagate(self, order: Order) -> Move | Wait:
        for one in _automated(order):
            name = domains.record_name(one.identifier)
            server = self._dns.name_server(one.provider or ("", ""))
            if self._txt_value(order, one) not in server.lookup_txt(name):
                if self._now() > order.state_since + PROPAGATION_PATIENCE:
                    raise Failed(f"the TXT record {name} did not appear at the name server {server.nameserver}")
                return Wait(self._pause(order))
        return Move(orders.NOTIFY)

    def _notify(self, order: Order) -> Move:
        with self._accounts.client(order.account_name) as acme:
            for one in _open(order):
                challenge = one.chosen
                if challenge is None:
                    continue
                try:
                    acme.answer_challenge(challenge.url)
                except AcmeError as error:
                    # After a restart the server may have been told already, and refuses to be told twice.
                    if error.transient or acme.read(challenge.url)["status"] == "pending":
                        raise
        return Move(orders.PROCESSING)

    def _process(self, order: Order) -> Move | Wait:
        changed = order
        problems = []
        with self._accounts.client(order.account_name) as acme:
            for one in _open(order):
                body = acme.read(one.url)
                changed = with_authorization(changed, _refreshed(one, body, self._context.clock.ahead()))
                if body["status"] in _SETTLED:
                    problems.append(
                        f"authorization status is {body['status'].capitalize()} for identifier "
                        f"dns:{one.identifier} within order {order.id}: {_reason(body)}"
                    )
        changes = {"authorizations": changed.authorizations}
        if problems:
            count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
            listed = "".join(f"\t* {one}\n" for one in problems)
            text = f"failed to get authorization for order {order.id}: {count} occurred:\n{listed}\n"
            return Move(orders.ERROR, {**changes, "last_error": text})
        if any(True for _authorization in _open(changed)):
            return Wait(self._pause(order), changes)
        return Move(orders.FETCHING, changes)

    def _fetch(self, order: Order) -> Move | Wait:
        if not order.request:
            return Wait(0, self._own_request(order))  # stored before the ACME server hears of it
        with self._accounts.client(order.account_name) as acme:
            body = acme.read(order.order_url)
            if body["status"] == "ready":
                body = acme.finalize(order.finalize_url, order.request)
            if body["status"] == "invalid":
                problem = problem_text(body["error"]) if body.get("error") else "no reason given"
                raise Failed(f"the ACME server did not issue a certificate for order {order.id}: {problem}")
            if body["status"] != "valid":
                return Wait(self._pause(order))
            pem = acme.download(body["certificate"])
        try:
            issued = parse_chain(pem)
        except ValueError as error:
            raise Failed(f"the ACME server's certificate for order {order.id} could not be parsed: {error}") from None
        if not csr.same_key(order.request, issued.certificate):
            raise Failed(f"the ACME server's certificate for order {order.id} is not for the key of its request")
        return Move(orders.COMPLETED, {"issued": issued})

    def _own_request(self, order: Order) -> dict[str, str]:
        if order.csr:
            return {"request": order.csr}
        key = csr.generate_key(order.key_type)
        return {
            "private_key": csr.key_to_pem(key),
            "request": csr.make_request(key, order.identifiers, order.population),
        }

    # -- what all of them share

    def _txt_value(self, order: Order, authorization: Authorization) -> str:
        challenge = authorization.challenge("dns-01")
        with self._accounts.client(order.account_name) as acme:
            return txt_value(key_authorization(challenge.token if challenge else "", acme.thumbprint))

    def _apply(self, order: Order, outcome: Move | Wait) -> datetime | None:
        now = self._now()
        if isinstance(outcome, Wait):
            due = min(now + timedelta(seconds=outcome.seconds), _deadline(order))
            self._orders.change(order.id, lambda seen: replace(seen, next_work=due, **outcome.changes))
            return due
        if outcome.state in orders.TERMINAL:
            return self._end(order, outcome.state, outcome.changes.get("last_error", ""), outcome.changes)
        self._orders.change(
            order.id,
            lambda seen: replace(
                seen,
                **{"last_error": "", "attempts": 0, **outcome.changes},
                state=outcome.state,
                state_since=now,
                last_update=now,
                next_work=now,
            ),
        )
        return now

    def _end(self, order: Order, state: str, text: str, changes: Mapping[str, Any] | None = None) -> datetime | None:
        now = self._now()
        details = {**(changes or {}), "last_error": text}
        return self._clean_up(self._orders.change(order.id, lambda seen: _ended(seen, state, now, **details)))

    def _retry(self, order: Order, text: str) -> datetime:
        now = self._now()
        due = now + timedelta(seconds=min(LONGEST_RETRY, 0.25 * 2 ** min(order.attempts, 10)))
        self._orders.change(
            order.id,
            lambda seen: replace(seen, last_error=text, attempts=seen.attempts + 1, last_update=now, next_work=due),
        )
        return due

    def _clean_up(self, order: Order) -> datetime | None:
        """Remove the order's TXT records; returns when to try again where that failed."""
        failed = False
        for one in order.authorizations or ():
            if not one.placed:
                continue
            try:
                self._dns.name_server(one.provider or ("", "")).remove_txt(
                    domains.record_name(one.identifier), self._txt_value(order, one)
                )
            except (AcmeError, DnsError) as error:
                _log.warning("order %s: %s", order.id, error)
                if error.transient:
                    failed = True
                    continue
            order = self._note(order, replace(one, placed=False))
        if not failed or order.attempts >= _CLEANUP_ATTEMPTS:
            return None
        due = self._now() + timedelta(seconds=2**order.attempts)
        self._orders.change(order.id, lambda seen: replace(seen, attempts=seen.attempts + 1))
        return due

    def _note(self, order: Order, authorization: Authorization) -> Order:
        return self._orders.change(order.id, lambda seen: with_authorization(seen, authorization))

    def _pause(self, order: Order) -> float:
        """Seconds until the next poll: short at first, then half as long as the order has been waiting."""
        waited = (self._now() - order.state_since).total_seconds()
        return min(2.0, max(0.05, waited / 2))

    def _now(self) -> datetime:
        return self._context.clock.now()


def _deadline(order: Order) -> datetime:
    return order.expires or order.creation + PATIENCE_WITHOUT_EXPIRY


def _ended(order: Order, state: str, now: datetime, **changes: Any) -> Order:
    return replace(order, **changes, attempts=0, state=state, state_since=now, last_update=now, next_work=None)


def _open(order: Order) -> Iterable[Authorization]:
    return (one for one in order.authorizations or () if one.open)


def _automated(order: Order) -> Iterable[Authorization]:
    return (one for one in _open(order) if one.provider is not None)


def _expiry(body: Mapping[str, Any], ahead: timedelta) -> datetime | None:
    """When an ACME server's order or authorization expires, by a clock that is so far ahead of the server's."""
    moment = from_text(body.get("expires"))
    return None if moment is None else moment + ahead


def _refreshed(authorization: Authorization, body: Mapping[str, Any], ahead: timedelta) -> Authorization:
    """The authorization with what the ACME server now says of it; what it does not repeat stays."""
    told = {one["url"]: one for one in body.get("challenges") or ()}
    return replace(
        authorization,
        status=body["status"],
        expires=_expiry(body, ahead) or authorization.expires,
        challenges=tuple(
            replace(one, status=told[one.url]["status"], error=_error_of(told[one.url])) if one.url in told else one
            for one in authorization.challenges
        ),
    )


def _error_of(challenge: Mapping[str, Any]) -> str:
    return problem_text(challenge["error"]) if challenge.get("error") else ""


def _reason(body: Mapping[str, Any]) -> str:
    reasons = [_error_of(one) for one in body.get("challenges") or () if one.get("error")]
    return "; ".join(reasons) or "the ACME server gives no reason"
