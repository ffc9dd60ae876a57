# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""ACME accounts: registered, imported, read, rotated and deactivated."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import urlsplit

from ..framework import Field, Kind, MountContext, Request, Response, invalid
from . import certificates, csr
from .acme_client import AcmeClient, AcmeClients, AcmeError, AcmeProblem, AcmeUnreachable, Credentials
from .orders import Orders
from .timestamps import precise

_log = logging.getLogger(__name__)

_PREFIX = "acme-account/"
_MAILTO = "mailto:"
_TURN_PATIENCE = 10.0  # seconds that a write waits for another one on the same account

_NAME = {"name": Field(required=True)}
WRITE_FIELDS = {
    **_NAME,
    "directory_url": Field(),
    "email_contacts": Field(Kind.LIST),
    "key_type": Field(default="ec-256", allowed=csr.ACCOUNT_KEY_TYPES),
    "eab_kid": Field(),
    "eab_key": Field(),
    "trusted_ca": Field(),
}
IMPORT_FIELDS = {
    **_NAME,
    "directory_url": Field(required=True),
    "account_key": Field(required=True),
    "trusted_ca": Field(),
}
ROTATE_FIELDS = {
    **_NAME,
    "key_type": Field(default="ec-256", allowed=csr.ACCOUNT_KEY_TYPES),
    "force": Field(Kind.BOOL, default=False),
}


class Accounts:
    """The mount's ACME accounts and the way to their servers."""

    def __init__(self, context: MountContext, orders: Orders) -> None:
        self._context = context
        self._storage = context.storage
        self._orders = orders
        self._clients = AcmeClients()
        self._turn = threading.Condition()
        self._busy: set[str] = set()
        self.referring_roles: Callable[[str], list[str]] = lambda name: []  # set by the backend

    def exists(self, request: Request) -> bool:
        """Whether the account named in the request is there."""
        return self.known(request.data["name"])

    def known(self, name: str) -> bool:
        """Whether an account of this name is there."""
        return self._storage.get(_PREFIX + name) is not None

    def client(self, name: str) -> AbstractContextManager[AcmeClient]:
        """A client that speaks as this account."""
        record = self._storage.get(_PREFIX + name)
        if record is None:
            raise AcmeUnreachable(f"the ACME account {name!r} does not exist any more")
        if "next_key" in record:
            record = self._settle(name, record)
        return self._clients.borrow(_credentials(record))

    def close(self) -> None:
        """Drop the connections to ACME servers."""
        self._clients.close()

    def list_names(self, request: Request) -> Response | None:
        """Names of all accounts."""
        names = self._storage.keys(_PREFIX)
        return Response({"keys": names}) if names else None

    def read(self, request: Request) -> Response | None:
        """One account, without its keys."""
        record = self._storage.get(_PREFIX + request.data["name"])
        return None if record is None else Response(_public(record))

    def write(self, request: Request) -> Response:
        """Register a new account, or change trusted_ca of an existing one."""
        name = request.data["name"]
        _check_trusted_ca(request.get("trusted_ca"))
        with self._alone(name):
            record = self._storage.get(_PREFIX + name)
            record = self._register(request) if record is None else self._update(request, record)
            return Response(_public(record))

    def import_account(self, request: Request) -> Response:
        """Take over an account that is registered with a key of the client's."""
        name, trusted_ca = request.data["name"], request.get("trusted_ca")
        directory_url = _directory_url(request.get("directory_url"))
        _check_trusted_ca(trusted_ca)
        try:
            key = csr.key_from_pem(request.get("account_key"))
        except ValueError as error:
            raise invalid(f"account_key: {error}") from None
        key_type = csr.key_type_of(key)
        if key_type not in csr.ACCOUNT_KEY_TYPES:
            raise invalid(f"account_key is of type {key_type}: expected one of {', '.join(csr.ACCOUNT_KEY_TYPES)}")
        with self._alone(name):
            if self.known(name):
                raise invalid(f"ACME account {name!r} exists already")
            credentials = Credentials(directory_url, csr.key_to_pem(key), trusted_ca=trusted_ca)
            try:
                with self._clients.borrow(credentials) as acme:
                    account_url, contacts = acme.find_account()
            except AcmeError as error:
                raise invalid(f"failed to find the ACME account of this key: {error}") from None
            record = self._new_record(name, credentials, key_type, account_url, contacts)
            self._storage.put(_PREFIX + name, record)
        data = _public(record)
        if self._context.answer("OQ-18") == "absent":
            del data["email_contacts"]
        return Response(data)

    def delete(self, request: Request) -> None:
        """Deactivate the account at the ACME server and forget it."""
        name = request.data["name"]
        with self._alone(name):
            if not self.known(name):
                return
            roles = self.referring_roles(name)
            if roles:
                raise invalid(f"ACME account {name!r} is in use by role(s): {', '.join(roles)}")
            if self._orders.pending_for_account(name):
                raise invalid(f"ACME account {name!r} has active orders")
            try:
                with self.client(name) as acme:
                    acme.deactivate()
            except AcmeProblem as problem:
                if problem.code not in ("accountDoesNotExist", "unauthorized"):  # these say that it is gone already
                    raise invalid(f"failed to deactivate ACME account {name!r}: {problem}") from None
            except AcmeError as error:
                raise invalid(f"failed to deactivate ACME account {name!r}: {error}") from None
            self._storage.delete(_PREFIX + name)

    def rotate_key(self, request: Request) -> Response:
        """Give the account a new key at the ACME server."""
        name = request.data["name"]
        with self._alone(name):
            record = self._storage.get(_PREFIX + name)
            if record is None:
                raise invalid(f"ACME account {name!r} does not exist")
            pending = self._orders.pending_for_account(name)
            if pending and not request.get("force"):
                raise invalid(
                    f"ACME account {name!r} has {pending} pending order(s) on its present key; "
                    "wait for them, or set force to rotate anyway"
                )
            if "next_key" in record:
                record = self._settle(name, record)
            old_version = record["active_key_version"]
            key_type = request.get("key_type")
            # Stored first: whatever happens between here and the ACME server's answer, one of the two keys works.
            record["next_key"] = self._key_record(csr.generate_key(key_type))
            self._storage.put(_PREFIX + name, record)
            try:
                with self._clients.borrow(_credentials(record)) as acme:
                    acme.change_key(record["next_key"]["pem"])
            except AcmeError as error:
                if not error.transient:
                    del record["next_key"]
                    self._storage.put(_PREFIX + name, record)
                raise invalid(f"failed to rotate the key of ACME account {name!r}: {error}") from None
            record = self._activate_next(name, record)
        if self._context.answer("OQ-13") == "204":
            return Response()
        return Response(
            {
                "name": name,
                "old_active_key_version": old_version,
                "new_active_key_version": record["active_key_version"],
                "key_type": key_type,
                "rotated_at": record["last_updated_date"],
            }
        )

    def _register(self, request: Request) -> dict[str, Any]:
        name = request.data["name"]
        for field in ("directory_url", "email_contacts"):
            if not request.get(field):
                raise invalid(f"missing required field {field!r}")
        directory_url = _directory_url(request.get("directory_url"))
        kid, hmac_key = request.get("eab_kid"), request.get("eab_key")
        if bool(kid) != bool(hmac_key):
            raise invalid("eab_kid and eab_key must be given together")
        _check_eab_key(hmac_key)
        key_type = request.get("key_type")
        contacts = [_contact(one) for one in request.get("email_contacts")]
        credentials = Credentials(
            directory_url, csr.key_to_pem(csr.generate_key(key_type)), trusted_ca=request.get("trusted_ca")
        )
        try:
            with self._clients.borrow(credentials) as acme:
                account_url = acme.register(contacts, kid, hmac_key)
        except AcmeError as error:
            raise invalid(f"failed to register an ACME account: {error}") from None
        record = self._new_record(name, credentials, key_type, account_url, contacts)
        record["eab"] = _eab_digest(kid, hmac_key)
        self._storage.put(_PREFIX + name, record)
        return record

    def _update(self, request: Request, record: dict[str, Any]) -> dict[str, Any]:
        active = record["account_keys"][str(record["active_key_version"])]
        fixed: dict[str, Any] = {
            "directory_url": record["directory_url"],
            "email_contacts": _addresses(record["email_contacts"]),
            "key_type": active["key_type"],
        }
        for field, value in fixed.items():
            sent = request.get(field)
            if request.has(field) and (_addresses(sent) if isinstance(sent, list) else sent) != value:
                raise invalid(f"{field} of an existing ACME account cannot be changed; only trusted_ca can")
        eab = _eab_digest(request.get("eab_kid"), request.get("eab_key"))
        if eab and eab != record.get("eab"):
            raise invalid("eab_kid and eab_key of an existing ACME account cannot be changed; only trusted_ca can")
        changed = request.has("trusted_ca") and request.get("trusted_ca") != record["trusted_ca"]
        if changed or self._context.answer("OQ-11") == "yes":
            if changed:
                record["trusted_ca"] = request.get("trusted_ca")
            record["last_updated_date"] = precise(self._context.clock.now())
            self._storage.put(_PREFIX + request.data["name"], record)
        return record

    def _new_record(
        self, name: str, credentials: Credentials, key_type: str, account_url: str, contacts: list[str]
    ) -> dict[str, Any]:
        now = precise(self._context.clock.now())
        return {
            "name": name,
            "directory_url": credentials.directory_url,
            "email_contacts": [one.removeprefix(_MAILTO) for one in contacts],
            "trusted_ca": credentials.trusted_ca,
            "account_url": account_url,
            "active_key_version": 0,
            "account_keys": {"0": {"key_type": key_type, "key_creation_date": now, "pem": credentials.key}},
            "creation_date": now,
            "last_updated_date": now,
        }

    def _key_record(self, key: csr.PrivateKey) -> dict[str, Any]:
        now = precise(self._context.clock.now())
        return {"key_type": csr.key_type_of(key), "key_creation_date": now, "pem": csr.key_to_pem(key)}

    def _settle(self, name: str, record: dict[str, Any]) -> dict[str, Any]:
        """Find out whether a key change that was cut off has reached the ACME server."""
        credentials = Credentials(record["directory_url"], record["next_key"]["pem"], "", record["trusted_ca"])
        try:
            with self._clients.borrow(credentials) as acme:
                acme.find_account()
        except AcmeProblem as problem:
            if problem.transient:
                raise
            del record["next_key"]
            self._storage.put(_PREFIX + name, record)
            return record
        return self._activate_next(name, record)

    def _activate_next(self, name: str, record: dict[str, Any]) -> dict[str, Any]:
        record["active_key_version"] += 1
        record["account_keys"][str(record["active_key_version"])] = record.pop("next_key")
        record["last_updated_date"] = precise(self._context.clock.now())
        self._storage.put(_PREFIX + name, record)
        return record

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One write at a time for each account: what comes second finds what came first, or gives up in the end."""
        with self._turn:
            if not self._turn.wait_for(lambda: name not in self._busy, timeout=_TURN_PATIENCE):
                raise invalid(f"another operation on ACME account {name!r} is in progress; try again")
            self._busy.add(name)
        try:
            yield
        finally:
            with self._turn:
                self._busy.discard(name)
                self._turn.notify_all()


def _credentials(record: dict[str, Any]) -> Credentials:
    active = record["account_keys"][str(record["active_key_version"])]
    return Credentials(record["directory_url"], active["pem"], record["account_url"], record["trusted_ca"])


def _public(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": record["name"],
        "directory_url": record["directory_url"],
        "email_contacts": record["email_contacts"],
        "active_key_version": record["active_key_version"],
        "account_keys": {
            version: {
                "key_type": key["key_type"],
                "key_version": int(version),
                "key_creation_date": key["key_creation_date"],
            }
            for version, key in record["account_keys"].items()
        },
        "trusted_ca": record["trusted_ca"],
        "creation_date": record["creation_date"],
        "last_updated_date": record["last_updated_date"],
    }


def _directory_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # half an IPv6 address
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid(f"directory_url {url!r} is not an http or https URL")
    return url


def _contact(address: str) -> str:
    bare = address.removeprefix(_MAILTO)
    if not bare.partition("@")[0] or not bare.partition("@")[2] or "," in bare or " " in bare:
        raise invalid(f"email_contacts: {address!r} is not an e-mail address")
    return _MAILTO + bare


def _addresses(contacts: Iterable[str]) -> set[str]:
    return {one.removeprefix(_MAILTO) for one in contacts}


def _check_trusted_ca(pem: str) -> None:
    if pem:
        try:
            certificates.load_trusted(pem)
        except ValueError:
            raise invalid("trusted_ca holds no certificates in PEM") from None


def _check_eab_key(key: str) -> None:
    try:
        base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise invalid("eab_key is not valid base64url") from None


def _eab_digest(kid: str, key: str) -> str:
    return hashlib.sha256(f"{kid}\n{key}".encode()).hexdigest() if kid or key else ""
