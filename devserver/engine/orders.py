# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Orders: what is known of each, and the indices that answer every question without looking at all of them.

An order in memory is an immutable snapshot; a change replaces it. Readers need no lock and never see half a change.
"""

from __future__ import annotations

import bisect
import secrets
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from ..framework import Storage
from .certificates import Issued
from .timestamps import from_text, to_text

NEW = "new"
SUBMITTED = "submitted"
AWAITING = "awaiting-challenge-fulfillment"
VAULT_FULFILLMENT = "vault-challenge-fulfillment"
VAULT_PROPAGATING = "vault-challenge-propagating"
NOTIFY = "notify-acme-server-challenges-completed"
PROCESSING = "processing-challenge"
FETCHING = "fetching-certificate"
COMPLETED = "completed"
EXPIRED = "expired"
REVOKED = "revoked"
ERROR = "error"

STATES = (
    *(NEW, SUBMITTED, AWAITING, VAULT_FULFILLMENT, VAULT_PROPAGATING, NOTIFY, PROCESSING, FETCHING),
    *(COMPLETED, EXPIRED, REVOKED, ERROR),
)
TERMINAL = frozenset({COMPLETED, EXPIRED, REVOKED, ERROR})

_PREFIX = "order/"


@dataclass(frozen=True)
class Challenge:
    """One way to prove an identifier (RFC 8555 section 8), and whether someone says that it is in place."""

    type: str
    token: str
    url: str
    status: str
    error: str = ""
    fulfilled: bool = False


@dataclass(frozen=True)
class Authorization:
    """An ACME authorization of the order (RFC 8555 section 7.1.4).

    ``identifier`` is the order's own, with its ``*.``. ``provider`` (type, name) is the DNS provider that fulfils
    it; ``placed`` says that a TXT record may stand there and has to be cleaned up. ``needed`` is False where
    the ACME server held it valid from the start.
    """

    identifier: str
    url: str
    status: str
    expires: datetime | None
    challenges: tuple[Challenge, ...] = ()
    provider: tuple[str, str] | None = None
    placed: bool = False
    needed: bool = True

    @property
    def open(self) -> bool:
        """Whether something has to be done before the ACME server holds the identifier proved."""
        return self.needed and self.status != "valid"

    def challenge(self, challenge_type: str) -> Challenge | None:
        """The challenge of this type, if the ACME server offers one and the role allows it."""
        return next((one for one in self.challenges if one.type == challenge_type), None)

    @property
    def chosen(self) -> Challenge | None:
        """The challenge to be validated: the one marked as fulfilled, or the DNS provider's."""
        if self.provider:
            return self.challenge("dns-01")
        return next((one for one in self.challenges if one.fulfilled), None)


@dataclass(frozen=True)
class Order:
    """Everything about an order. What its role said is kept from the moment of its creation."""

    id: str
    role_name: str
    account_name: str
    identifiers: tuple[str, ...]
    csr: str  # the client's, in PEM; empty in the identifier workflow
    key_type: str
    population: str
    challenge_types: tuple[str, ...]
    role_provider: tuple[str, str] | None
    state: str
    state_since: datetime
    creation: datetime
    last_update: datetime
    next_work: datetime | None
    expires: datetime | None = None
    last_error: str = ""
    attempts: int = 0  # failures in a row to reach the ACME server or a name server
    order_url: str = ""
    finalize_url: str = ""
    authorization_urls: tuple[str, ...] = ()
    authorizations: tuple[Authorization, ...] | None = None  # None until the ACME server has told them
    private_key: str = ""  # the engine's own, in PEM
    request: str = ""  # the CSR that finalizes the order, in PEM
    issued: Issued | None = None

    @property
    def terminal(self) -> bool:
        """Whether nothing moves this order any more, but for a revocation."""
        return self.state in TERMINAL

    def authorization(self, identifier: str) -> Authorization | None:
        """The authorization of one of the order's identifiers."""
        return next((one for one in self.authorizations or () if one.identifier == identifier), None)

    @property
    def littered(self) -> bool:
        """Whether TXT records of this order may still stand."""
        return any(one.placed for one in self.authorizations or ())


def new_order_id(now: datetime) -> str:
    """A UUID of version 7 (RFC 9562): ids sort by their time."""
    value = (int(now.timestamp() * 1000) & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | (7 << 76)
    return str(uuid.UUID(int=value & ~(0b11 << 62) | (0b10 << 62)))


class Orders:
    """All orders of a mount."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._writing = threading.Lock()  # one change at a time, durable before it is seen
        self._indices = threading.Lock()  # held for moments only
        self._by_id: dict[str, Order] = {}
        self._active: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._active_of_account: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._listed: dict[str, None] = {}
        self._timeline: list[tuple[datetime, str]] = []
        self._by_serial: dict[str, str] = {}
        self._issued: defaultdict[tuple[str, frozenset[str]], list[tuple[datetime, str]]] = defaultdict(list)
        for key in storage.keys(_PREFIX):
            record = storage.get(_PREFIX + key)
            if record is not None:
                order = _from_record(record)
                self._by_id[order.id] = order
                self._index(None, order)

    def get(self, order_id: str) -> Order | None:
        """The order as it is now."""
        return self._by_id.get(order_id)

    def add(self, order: Order) -> None:
        """Store a new order."""
        with self._writing:
            self._store(None, order)

    def change(self, order_id: str, change: Callable[[Order], Order]) -> Order:
        """Replace an order by what ``change`` makes of it, and return what stands then.

        An order that has ended stays as it ended, except that a completed one may be revoked, and that it may
        still be told that its TXT records are gone.
        """
        with self._writing:
            old = self._by_id[order_id]
            new = change(old)
            if old.terminal and new.state != old.state and (old.state, new.state) != (COMPLETED, REVOKED):
                return old
            if new is not old:
                self._store(old, new)
            return new

    def unfinished(self) -> list[Order]:
        """Orders on which work is left to do; for the start of the server."""
        return [order for order in self._by_id.values() if not order.terminal or order.littered]

    def active(self, role_name: str) -> list[str]:
        """Ids of a role's orders that have not ended, oldest first."""
        with self._indices:
            return list(self._active.get(role_name, ()))

    def pending_for_account(self, account_name: str) -> int:
        """How many orders of an ACME account have not ended."""
        with self._indices:
            return len(self._active_of_account.get(account_name, ()))

    def listed(self) -> list[str]:
        """Ids of all active and completed orders, oldest first."""
        with self._indices:
            return list(self._listed)

    def recent(self, since: datetime, limit: int) -> list[Order]:
        """Orders created since then, newest first, at most ``limit``."""
        with self._indices:
            first = bisect.bisect_left(self._timeline, (since, ""))
            newest = self._timeline[max(first, len(self._timeline) - limit) :]
        return [self._by_id[order_id] for _creation, order_id in reversed(newest)]

    def by_serial(self, serial: str) -> Order | None:
        """The order behind a certificate; the serial number as stored."""
        order_id = self._by_serial.get(serial)
        return None if order_id is None else self._by_id[order_id]

    def issued(self, role_name: str, identifiers: Iterable[str]) -> list[Order]:
        """Completed orders of the role's identifier workflow for exactly these identifiers, newest first."""
        with self._indices:
            found = list(self._issued.get((role_name, frozenset(identifiers)), ()))
        return [self._by_id[order_id] for _creation, order_id in reversed(found)]

    def _store(self, old: Order | None, new: Order) -> None:
        self._storage.put(_PREFIX + new.id, _to_record(new))
        with self._indices:
            self._by_id[new.id] = new
            self._index(old, new)

    def _index(self, old: Order | None, new: Order) -> None:
        if old is None:
            bisect.insort(self._timeline, (new.creation, new.id))
        if old is not None and old.state == new.state:
            return
        if new.terminal:
            self._active[new.role_name].pop(new.id, None)
            self._active_of_account[new.account_name].pop(new.id, None)
        else:
            self._active[new.role_name][new.id] = None
            self._active_of_account[new.account_name][new.id] = None
        if new.terminal and new.state != COMPLETED:
            self._listed.pop(new.id, None)
        else:
            self._listed[new.id] = None
        if new.issued is not None:
            self._by_serial[new.issued.serial_number] = new.id
            if not new.csr:
                family = self._issued[(new.role_name, frozenset(new.identifiers))]
                entry = (new.issued.not_before, new.id)
                if new.state == COMPLETED:
                    bisect.insort(family, entry)
                elif entry in family:
                    family.remove(entry)


_MOMENTS = {"state_since", "creation", "last_update", "next_work", "expires", "not_before", "not_after"}
_PAIRS = {"role_provider", "provider"}
_TUPLES = {"identifiers", "challenge_types", "authorization_urls", "chain"}


def _to_record(thing: Any) -> Any:
    if isinstance(thing, datetime):
        return to_text(thing)
    if isinstance(thing, tuple):
        return [_to_record(one) for one in thing]
    if isinstance(thing, (Order, Authorization, Challenge, Issued)):
        return {one.name: _to_record(getattr(thing, one.name)) for one in fields(thing)}
    return thing


def _from_record(record: dict[str, Any]) -> Order:
    values = _values(record)
    if record["authorizations"] is not None:
        values["authorizations"] = tuple(_authorization(one) for one in record["authorizations"])
    if record["issued"] is not None:
        values["issued"] = Issued(**_values(record["issued"]))
    return Order(**values)


def _authorization(record: dict[str, Any]) -> Authorization:
    values = _values(record)
    values["challenges"] = tuple(Challenge(**one) for one in record["challenges"])
    return Authorization(**values)


def _values(record: dict[str, Any]) -> dict[str, Any]:
    values = dict(record)
    for name in _MOMENTS & record.keys():
        values[name] = from_text(record[name])
    for name in (_PAIRS | _TUPLES) & record.keys():
        values[name] = None if record[name] is None else tuple(record[name])
    return values


def with_authorization(order: Order, changed: Authorization) -> Order:
    """The order with one of its authorizations replaced."""
    return replace(
        order,
        authorizations=tuple(
            changed if one.identifier == changed.identifier else one for one in order.authorizations or ()
        ),
    )
