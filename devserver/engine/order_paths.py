# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The endpoints about orders and the certificates that came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ..framework import Field, Kind, MountContext, Refusal, Request, Response, invalid, not_found
from . import certificates, csr, domains, orders
from .accounts import Accounts
from .acme_client import AcmeError, AcmeProblem
from .orders import Authorization, Challenge, Order, Orders, new_order_id, with_authorization
from .proofs import key_authorization, txt_value
from .roles import CHALLENGE_TYPES, Roles
from .timestamps import NEVER, with_offset, zulu
from .worker import Worker

REASONS: Mapping[str, int] = {  # RFC 5280 section 5.3.1
    "unspecified": 0,
    "key-compromise": 1,
    "ca-compromise": 2,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation-of-operation": 5,
    "certificate-hold": 6,
    "remove-from-crl": 8,
    "privilege-withdrawn": 9,
    "aa-compromise": 10,
}
RECENT_LIMIT = 500
_RECENT_RANGE = (3600, 168 * 3600)  # seconds
_STANDBY_LAG = timedelta(seconds=1)  # how long a performance standby does not know a new order (OQ-9)

_ROLE = {"name": Field(required=True)}
_ORDER = {**_ROLE, "order_id": Field(required=True)}
_FORMAT = {"certificate_format": Field(default="pem", allowed=certificates.FORMATS)}
ROLE_FIELDS = _ROLE
ORDER_FIELDS = _ORDER
NEW_FIELDS = {**_ROLE, "identifiers": Field(Kind.LIST), "csr": Field()}
CHALLENGE_FIELDS = {
    **_ORDER,
    "identifier": Field(required=True),
    "challenge_type": Field(required=True, allowed=CHALLENGE_TYPES),
}
FETCH_FIELDS = {**_ORDER, **_FORMAT}
REVOKE_FIELDS = {**_ORDER, "reason": Field()}
CACHED_FIELDS = {
    **_ROLE,
    **_FORMAT,
    "identifiers": Field(Kind.LIST),
    "min_validity_duration": Field(Kind.DURATION),
    "min_validity_percentage": Field(Kind.INT),
}
LOOKUP_ORDER_FIELDS = {"order_id": Field(required=True)}
LOOKUP_CERT_FIELDS = {"serial": Field(required=True)}
RECENT_FIELDS = {"within": Field(Kind.DURATION, default=3600)}


class OrderPaths:
    """Handlers of the order, cached and lookup endpoints."""

    def __init__(
        self, context: MountContext, all_orders: Orders, roles: Roles, accounts: Accounts, worker: Worker
    ) -> None:
        self._context = context
        self._orders = all_orders
        self._roles = roles
        self._accounts = accounts
        self._worker = worker

    def new_order(self, request: Request) -> Response:
        """Create an order for identifiers or a CSR that the role allows."""
        name = request.data["name"]
        role = self._roles.get(name)
        if role is None:
            raise invalid(f"role {name!r} does not exist")
        identifiers, pem = request.get("identifiers"), request.get("csr")
        if bool(identifiers) == bool(pem):
            raise invalid("exactly one of identifiers and csr must be provided")
        try:
            names = csr.identifiers_of_request(pem) if pem else map(domains.normalise, identifiers)
            identifiers = list(dict.fromkeys(names))
        except ValueError as error:
            raise invalid(str(error)) from None
        refused = self._refused(role, identifiers, request.entity_id)
        if refused:
            raise invalid(f"identifier(s) not allowed by role {name!r}: {', '.join(refused)}")
        now = self._context.clock.now()
        provider = (role["dns_provider_type"], role["dns_provider_name"])
        order = Order(
            id=new_order_id(now),
            role_name=name,
            account_name=role["acme_account_name"],
            identifiers=tuple(identifiers),
            csr=pem,
            key_type=role["csr_generate_key_type"],
            population=role["csr_identifier_population"],
            challenge_types=tuple(role["allowed_challenge_types"]),
            role_provider=provider if all(provider) else None,
            state=orders.NEW,
            state_since=now,
            creation=now,
            last_update=now,
            next_work=now,
        )
        self._orders.add(order)
        if not self._roles.known(name):  # deleted while this order was being made
            self._worker.abandon(order.id, f"role {name!r} was deleted")
        self._worker.wake(order.id)
        return Response({"order_id": order.id})

    def status(self, request: Request) -> Response:
        """The order below its role."""
        return Response(self._public(self._below_role(request)))

    def lookup_order(self, request: Request) -> Response:
        """The order by its id alone."""
        order = self._orders.get(request.data["order_id"])
        if order is None:
            raise not_found()
        self._standby(order)
        return Response(self._public(order))

    def challenge(self, request: Request) -> Response:
        """What it takes to fulfil one challenge."""
        order = self._below_role(request)
        authorization, challenge = self._find_challenge(order, request)
        try:
            with self._accounts.client(order.account_name) as acme:
                proof = key_authorization(challenge.token, acme.thumbprint)
        except AcmeError as error:
            raise invalid(str(error)) from None
        if challenge.type == "dns-01" and self._context.answer("OQ-5") == "txt-value":
            proof = txt_value(proof)
        return Response(
            {
                "challenge_token": challenge.token,
                "challenge_auth": proof,
                "challenge_status": challenge.status,
                "expires": zulu(authorization.expires),
            }
        )

    def fulfilled(self, request: Request) -> None:
        """Take note that a challenge is in place, and get on with the order."""
        order = self._write_below_role(request)
        authorization, challenge = self._find_challenge(order, request)
        if challenge.fulfilled or order.state != orders.AWAITING:
            return self._fulfilled_before(order, challenge)
        identifier, challenge_type = authorization.identifier, challenge.type
        now = self._context.clock.now()
        self._orders.change(order.id, lambda seen: _with_fulfilled(seen, identifier, challenge_type, now))
        self._worker.wake(order.id)
        return None

    def _fulfilled_before(self, order: Order, challenge: Challenge) -> None:
        if self._context.answer("OQ-4") == "400":
            raise invalid(
                f"challenge {challenge.type} cannot be marked as fulfilled: it is {challenge.status}, "
                f"and the order is in state {self._spelt(order.state)}"
            )

    def fetch(self, request: Request) -> Response:
        """The certificate of a completed order."""
        order = self._below_role(request)
        if order.issued is None:
            answer = self._context.answer("OQ-1")
            if answer == "404":
                raise not_found()
            if answer == "200":
                return Response(status=200)
            raise invalid(f"order {order.id} is not completed: it is in state {self._spelt(order.state)}")
        if order.state == orders.REVOKED and self._context.answer("OQ-10") == "400":
            raise invalid(f"the certificate of order {order.id} is revoked")
        return Response(self._certificate(order, request.get("certificate_format")))

    def revoke(self, request: Request) -> None:
        """Revoke the certificate at the ACME server."""
        order = self._write_below_role(request)
        reason = self._reason(request)
        if order.state == orders.REVOKED:
            if self._context.answer("OQ-6") == "400":
                raise invalid(f"the certificate of order {order.id} is revoked already")
            return
        if order.state != orders.COMPLETED or order.issued is None:
            raise invalid(f"order {order.id} has no certificate: it is in state {self._spelt(order.state)}")
        try:
            with self._accounts.client(order.account_name) as acme:
                acme.revoke(order.issued.certificate, reason)
        except AcmeProblem as problem:
            if problem.code != "alreadyRevoked":
                raise invalid(f"failed to revoke the certificate of order {order.id}: {problem}") from None
        except AcmeError as error:
            raise invalid(f"failed to revoke the certificate of order {order.id}: {error}") from None
        now = self._context.clock.now()
        self._orders.change(
            order.id, lambda seen: replace(seen, state=orders.REVOKED, state_since=now, last_update=now)
        )

    def active(self, request: Request) -> Response | None:
        """Ids of the role's orders that have not ended."""
        if not self._roles.known(request.data["name"]):
            raise self._nothing_there(f"role {request.data['name']!r} does not exist")
        keys = self._orders.active(request.data["name"])
        return Response({"keys": keys}) if keys else None

    def cached(self, request: Request) -> Response:
        """The newest certificate that the role's identifier workflow issued and that is valid long enough."""
        name = request.data["name"]
        role = self._roles.get(name)
        if role is None:
            raise self._nothing_there(f"role {name!r} does not exist")
        if request.has("min_validity_duration") == request.has("min_validity_percentage"):
            raise invalid("exactly one of min_validity_duration and min_validity_percentage must be provided")
        if not 0 <= request.get("min_validity_percentage") <= 100:
            raise invalid("min_validity_percentage must be between 0 and 100")
        if request.get("min_validity_duration") < 0:
            raise invalid("min_validity_duration must not be negative")
        if not request.get("identifiers"):
            raise invalid("missing required field 'identifiers'")
        try:
            identifiers = [domains.normalise(one) for one in request.get("identifiers")]
        except ValueError as error:
            raise invalid(str(error)) from None
        # A private key is handed out here, so the caller must be one for whom the role would order it.
        if not self._refused(role, identifiers, request.entity_id):
            for order in self._orders.issued(name, identifiers):
                if order.issued is not None and self._valid_enough(order.issued, request):
                    return Response(self._certificate(order, request.get("certificate_format")))
        answer = self._context.answer("OQ-3")
        if answer == "204":
            return Response(status=204)
        if answer == "400":
            raise invalid("no cached certificate satisfies the request")
        raise not_found()

    def lookup_cert(self, request: Request) -> Response:
        """The order behind a serial number."""
        serial = certificates.parse_serial(request.data["serial"])
        order = self._orders.by_serial(serial) if serial else None
        if order is None or order.issued is None:
            raise not_found()
        return Response(
            {
                "order_status": self._spelt(order.state),
                "role_name": order.role_name,
                "order_id": order.id,
                "identifiers": list(order.identifiers),
                "not_before": zulu(order.issued.not_before),
                "not_after": zulu(order.issued.not_after),
            }
        )

    def list_orders(self, request: Request) -> Response | None:
        """Ids of all active and completed orders."""
        keys = self._orders.listed()
        return Response({"keys": keys}) if keys else None

    def list_recent(self, request: Request) -> Response | None:
        """Orders of the last hours, newest first."""
        within = request.get("within")
        if not _RECENT_RANGE[0] <= within <= _RECENT_RANGE[1]:
            raise invalid("within must be a duration between 1h and 168h")
        found = self._orders.recent(self._context.clock.now() - timedelta(seconds=within), RECENT_LIMIT)
        if not found:
            return None
        info = {
            order.id: {
                "creation_date": with_offset(order.creation),
                "identifiers": list(order.identifiers),
                "last_update": with_offset(order.last_update),
                "order_status": self._spelt(order.state),
                "role_name": order.role_name,
            }
            for order in found
        }
        return Response({"keys": list(info), "key_info": info})

    # -- what they share

    def _below_role(self, request: Request) -> Order:
        order = self._orders.get(request.data["order_id"])
        name = request.data["name"]
        if not self._roles.known(name):
            raise self._nothing_there(f"role {name!r} does not exist")
        if order is None or order.role_name != name:
            raise self._nothing_there(f"order {request.data['order_id']} does not exist below role {name!r}")
        self._standby(order)
        return order

    def _write_below_role(self, request: Request) -> Order:
        order = self._orders.get(request.data["order_id"])
        name = request.data["name"]
        if not self._roles.known(name):
            raise invalid(f"role {name!r} does not exist")
        if order is None or order.role_name != name:
            raise invalid(f"order {request.data['order_id']} does not exist below role {name!r}")
        return order

    def _nothing_there(self, text: str) -> Refusal:
        return not_found() if self._context.answer("OQ-2") == "404" else invalid(text)

    def _standby(self, order: Order) -> None:
        answer = self._context.answer("OQ-9")
        if answer != "found" and self._context.clock.now() < order.creation + _STANDBY_LAG:
            raise not_found() if answer == "404" else Refusal(412, "required index state not present")

    def _refused(self, role: Mapping[str, Any], identifiers: list[str], entity_id: str) -> list[str]:
        render = self._context.templates.render
        allowed = [render(one, entity_id) if "{{" in one else one for one in role["allowed_domains"]]
        filled = [one for one in allowed if one]
        options = role["allowed_domain_options"]
        return [one for one in identifiers if not domains.covered_by_role(one, filled, options)]

    def _find_challenge(self, order: Order, request: Request) -> tuple[Authorization, Challenge]:
        try:
            identifier = domains.normalise(request.get("identifier"))
        except ValueError as error:
            raise invalid(str(error)) from None
        if identifier not in order.identifiers:
            raise invalid(f"identifier {identifier!r} is not part of order {order.id}")
        if order.authorizations is None:
            raise invalid(
                f"order {order.id} has no challenges yet: it is in state {self._spelt(order.state)}"
                + (f" ({order.last_error})" if order.last_error else "")
            )
        authorization = order.authorization(identifier)
        if authorization is None or not authorization.needed:
            raise invalid(f"identifier {identifier!r} needs no challenge: the ACME server holds it valid already")
        challenge = authorization.challenge(request.get("challenge_type"))
        if challenge is None:
            offered = ", ".join(one.type for one in authorization.challenges)
            raise invalid(
                f"no {request.get('challenge_type')} challenge for identifier {identifier!r}; there is {offered}"
            )
        return authorization, challenge

    def _reason(self, request: Request) -> int:
        hyphens = self._context.answer("OQ-12") == "hyphens"
        reason = request.get("reason")
        if not reason:
            if hyphens:
                raise invalid("missing required field 'reason'")
            return REASONS["unspecified"]
        known = {name if hyphens else name.replace("-", "_"): code for name, code in REASONS.items()}
        if reason not in known:
            raise invalid(f"invalid value {reason!r} for field 'reason': expected one of {', '.join(known)}")
        return known[reason]

    def _certificate(self, order: Order, certificate_format: str) -> dict[str, Any]:
        if order.issued is None:
            raise not_found()
        data = certificates.answer(order.issued, order.private_key, certificate_format)
        if order.csr and self._context.answer("OQ-7") == "empty":
            data |= {"private_key": "", "private_key_type": ""}
        return data

    def _valid_enough(self, issued: certificates.Issued, request: Request) -> bool:
        remaining = (issued.not_after - self._context.clock.now()).total_seconds()
        if request.has("min_validity_duration"):
            return remaining > 0 and remaining >= request.get("min_validity_duration")
        lifetime = (issued.not_after - issued.not_before).total_seconds()
        return remaining > 0 and remaining >= lifetime * request.get("min_validity_percentage") / 100

    def _public(self, order: Order) -> dict[str, Any]:
        return {
            "order_status": self._spelt(order.state),
            "role_name": order.role_name,
            "identifiers": list(order.identifiers),
            "csr": order.csr,
            "creation_date": with_offset(order.creation),
            "last_update": with_offset(order.last_update),
            "next_work_date": with_offset(order.next_work),
            "expires": zulu(order.expires) if order.expires else NEVER,
            "last_error": order.last_error,
            "serial_number": order.issued.serial_number if order.issued else "",
            "challenges": self._challenges(order),
        }

    def _challenges(self, order: Order) -> dict[str, Any] | None:
        """Challenges that the order needed; None before the ACME server has told them."""
        if order.authorizations is None:
            return None
        manual = self._context.answer("OQ-19") == "present"
        return {
            one.identifier: [_challenge(one, challenge, manual) for challenge in one.challenges]
            for one in order.authorizations
            if one.needed
        }

    def _spelt(self, state: str) -> str:
        return state if self._context.answer("OQ-8") == "hyphens" else state.replace("-", "_")


def _challenge(authorization: Authorization, challenge: Challenge, manual: bool) -> dict[str, str]:
    data = {
        "challenge_type": challenge.type,
        "challenge_status": challenge.status,
        "expires": zulu(authorization.expires),
    }
    if manual:
        by_vault = authorization.provider is not None and challenge.type == "dns-01"
        data["requires_manual_fulfillment"] = "false" if by_vault else "true"
    if challenge.error:
        data["error"] = challenge.error
    return data


def _with_fulfilled(order: Order, identifier: str, challenge_type: str, now: datetime) -> Order:
    """The order with this challenge as the one that proves the identifier, and with work due."""
    authorization = order.authorization(identifier)
    if authorization is None or order.state != orders.AWAITING:
        return order
    marked = tuple(replace(one, fulfilled=one.type == challenge_type) for one in authorization.challenges)
    due = replace(order, next_work=now)
    return with_authorization(due, replace(authorization, challenges=marked, provider=None))
