# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Roles: which ACME account issues which names, how, and who proves them."""

from __future__ import annotations

import threading
from typing import Any

from ..framework import Field, Kind, MountContext, Request, Response, invalid
from . import csr, domains
from .accounts import Accounts
from .dns_providers import DnsProviders
from .orders import Orders
from .timestamps import precise
from .worker import Worker

CHALLENGE_TYPES = ("http-01", "dns-01", "tls-alpn-01")

_PREFIX = "role/"

NAME_FIELDS = {"name": Field(required=True)}
DELETE_FIELDS = {**NAME_FIELDS, "force": Field(Kind.BOOL, default=False)}
WRITE_FIELDS = {
    **DELETE_FIELDS,
    "acme_account_name": Field(),
    "allowed_domains": Field(Kind.LIST),
    "allowed_domain_options": Field(Kind.LIST, allowed=domains.OPTIONS),
    "allowed_challenge_types": Field(Kind.LIST, default=CHALLENGE_TYPES, allowed=CHALLENGE_TYPES),
    "csr_generate_key_type": Field(default="ec-256", allowed=csr.CSR_KEY_TYPES),
    "csr_identifier_population": Field(default="cn_first", allowed=csr.POPULATIONS),
    "dns_provider_name": Field(),
    "dns_provider_type": Field(),
}
_PROVIDER_FIELDS = ("dns_provider_name", "dns_provider_type")
_SETTINGS = tuple(name for name in WRITE_FIELDS if name not in DELETE_FIELDS)


class Roles:
    """The mount's roles."""

    def __init__(
        self, context: MountContext, accounts: Accounts, providers: DnsProviders, orders: Orders, worker: Worker
    ) -> None:
        self._context = context
        self._storage = context.storage
        self._accounts = accounts
        self._providers = providers
        self._orders = orders
        self._worker = worker
        self._lock = threading.Lock()
        self._names = set(self._storage.keys(_PREFIX))

    def known(self, name: str) -> bool:
        """Whether a role of this name is there."""
        return name in self._names

    def get(self, name: str) -> dict[str, Any] | None:
        """The role as stored."""
        return self._storage.get(_PREFIX + name)

    def exists(self, request: Request) -> bool:
        """Whether the role named in the request is there."""
        return self.known(request.data["name"])

    def of_account(self, account_name: str) -> list[str]:
        """Names of the roles that use an ACME account."""
        return self._with(acme_account_name=account_name)

    def of_provider(self, provider_type: str, provider_name: str) -> list[str]:
        """Names of the roles that name a DNS provider."""
        return self._with(dns_provider_type=provider_type, dns_provider_name=provider_name)

    def list_names(self, request: Request) -> Response | None:
        """Names of all roles."""
        names = self._storage.keys(_PREFIX)
        return Response({"keys": names}) if names else None

    def read(self, request: Request) -> Response | None:
        """One role."""
        role = self.get(request.data["name"])
        return None if role is None else Response(self._public(role))

    def write(self, request: Request) -> Response:
        """Create a role, or change the fields that are sent."""
        name = request.data["name"]
        if not request.get("acme_account_name"):
            raise invalid("missing required field 'acme_account_name'")
        if self._context.answer("OQ-17") == "unknown":
            ignored = [field for field in _PROVIDER_FIELDS if request.data.pop(field, None) is not None]
            if ignored:
                request.warnings.append(f"Endpoint ignored these unrecognized parameters: [{' '.join(ignored)}]")
        with self._lock:
            now = precise(self._context.clock.now())
            old = self.get(name)
            changes = {field: request.get(field) for field in _SETTINGS if request.has(field) or old is None}
            role = {**(old or {"name": name, "creation_date": now}), **changes}
            self._check(role, old)
            role["last_updated_date"] = now
            self._storage.put(_PREFIX + name, role)
            self._names.add(name)
        return Response(self._public(role))

    def _check(self, role: dict[str, Any], old: dict[str, Any] | None) -> None:
        account = role["acme_account_name"]
        if old is not None and old["acme_account_name"] != account:
            raise invalid(
                f"acme_account_name of an existing role cannot be changed (it is {old['acme_account_name']!r})"
            )
        if not self._accounts.known(account):
            raise invalid(f"ACME account {account!r} does not exist")
        if not role["allowed_challenge_types"]:
            raise invalid("allowed_challenge_types must name at least one challenge type")
        provider_name, provider_type = role["dns_provider_name"], role["dns_provider_type"]
        if bool(provider_name) != bool(provider_type):
            raise invalid("dns_provider_name and dns_provider_type must be set together, or neither of them")
        if provider_name and not self._providers.known(provider_type, provider_name):
            raise invalid(f"DNS provider {provider_type}/{provider_name} does not exist")

    def delete(self, request: Request) -> None:
        """Delete a role; with force, its active orders end in an error first."""
        name = request.data["name"]
        with self._lock:
            active = self._orders.active(name)
            if active and not request.get("force"):
                raise invalid(f"role {name!r} has {len(active)} active order(s); set force to delete it anyway")
            self._storage.delete(_PREFIX + name)
            self._names.discard(name)
        # What another request ordered until the role was gone is found here too.
        for order_id in self._orders.active(name):
            self._worker.abandon(order_id, f"role {name!r} was deleted")

    def _with(self, **wanted: str) -> list[str]:
        roles = ((name, self.get(name)) for name in self._storage.keys(_PREFIX))
        return [name for name, role in roles if role and all(role[field] == value for field, value in wanted.items())]

    def _public(self, role: dict[str, Any]) -> dict[str, Any]:
        hidden = _PROVIDER_FIELDS if self._context.answer("OQ-17") == "unknown" else ()
        return {field: value for field, value in role.items() if field not in hidden}
