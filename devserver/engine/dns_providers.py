# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""DNS providers: stored settings of four types, of which rfc2136 can be reached from here."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..durations import go_duration
from ..framework import Field, Kind, MountContext, Refusal, Request, Response, invalid
from . import domains
from .dns_rfc2136 import ALGORITHMS, DnsError, NameServer, parse_nameserver
from .timestamps import precise

TYPES = ("aws-route53", "azure-dns", "google-cloud-dns", "rfc2136")

_PREFIX = "dns/"
_DEFAULT_TTL = {"google-cloud-dns": "10s"}
_LONGEST_TTL = 2**31 - 1  # seconds, RFC 2181 section 8
_SECRETS = frozenset({"secret_access_key", "client_secret", "credentials", "tsig_secret"})
_ENVIRONMENTS = ("AzurePublic", "AzureChina", "AzureGovernment")
_PROPAGATION_PATIENCE = 10.0  # seconds that the test workflow waits for its record
_PROPAGATION_PAUSE = 0.1

_SETTINGS: Mapping[str, Mapping[str, Field]] = {
    "aws-route53": {
        "access_key_id": Field(),
        "secret_access_key": Field(),
        "region": Field(default="us-east-1"),
        "hosted_zone_id": Field(),
        "external_id": Field(),
        "assume_role_arn": Field(),
    },
    "azure-dns": {
        "zone_name": Field(),
        "client_id": Field(),
        "client_secret": Field(),
        "tenant_id": Field(),
        "subscription_id": Field(),
        "resource_group_name": Field(),
        "environment": Field(default="AzurePublic", allowed=_ENVIRONMENTS),
    },
    "google-cloud-dns": {
        "zone_name": Field(),
        "credentials": Field(),
        "project": Field(),
        "impersonate_service_account": Field(),
    },
    "rfc2136": {
        "nameserver": Field(),
        "tsig_key_name": Field(),
        "tsig_secret": Field(),
        "tsig_algorithm": Field(allowed=ALGORITHMS),
    },
}
NAME_FIELDS = {"type": Field(required=True), "name": Field(required=True)}
LIST_FIELDS = {"type": Field(required=True)}
TEST_FIELDS = {
    "identifier": Field(required=True),
    "provider_type": Field(required=True, allowed=TYPES),
    "provider_name": Field(required=True),
    "omit_cleanup": Field(Kind.BOOL, default=False),
}


def write_fields(provider_type: str) -> dict[str, Field]:
    """What a write to a provider of this type may send."""
    common = {**NAME_FIELDS, "identifiers": Field(Kind.LIST), "ttl": Field(Kind.DURATION)}
    return {**common, **_SETTINGS[provider_type]}


class DnsProviders:
    """The mount's DNS providers."""

    def __init__(self, context: MountContext) -> None:
        self._context = context
        self._storage = context.storage
        self.referring_roles: Callable[[str, str], list[str]] = lambda kind, name: []  # set by the backend

    def exists(self, request: Request) -> bool:
        """Whether the provider named in the request is there."""
        return self.known(request.data["type"], request.data["name"])

    def known(self, provider_type: str, name: str) -> bool:
        """Whether a provider of this type and name is there."""
        return self._storage.get(f"{_PREFIX}{provider_type}/{name}") is not None

    def name_server(self, provider: tuple[str, str]) -> NameServer:
        """The way to a provider (type, name). Raises DnsError where there is none."""
        provider_type, name = provider
        record = self._storage.get(f"{_PREFIX}{provider_type}/{name}")
        if record is None:
            raise DnsError(f"DNS provider {provider_type}/{name} does not exist any more")
        if provider_type != "rfc2136":
            raise DnsError(
                f"DNS provider {provider_type}/{name} cannot be used: this development server stores its settings "
                "but has no connection to that cloud's DNS; rfc2136 works"
            )
        return NameServer(
            nameserver=record["nameserver"],
            key_name=record["tsig_key_name"],
            secret=record["tsig_secret"],
            algorithm=record["tsig_algorithm"],
            ttl=record["ttl"],
        )

    def choose(self, identifier: str) -> tuple[str, str] | None:
        """The provider whose identifiers cover this one most specifically; the first by name among equals."""
        best: tuple[int, tuple[str, str] | None] = (0, None)
        for provider in self._all():
            match = domains.provider_match(identifier, self._identifiers(provider))
            if match > best[0]:
                best = (match, provider)
        return best[1]

    def covers(self, provider: tuple[str, str], identifier: str) -> bool:
        """Whether this provider's identifiers cover an order's identifier."""
        return domains.provider_match(identifier, self._identifiers(provider)) > 0

    def list_all(self, request: Request) -> Response | None:
        """Every provider as ``type/name``."""
        providers = self._all()
        if not providers:
            return None
        keys = ["/".join(provider) for provider in providers]
        return Response({"keys": keys, "key_info": {key: _key_info(key) for key in keys}})

    def list_type(self, request: Request) -> Response | None:
        """Names of the providers of one type."""
        names = self._storage.keys(f"{_PREFIX}{request.data['type']}/")
        return Response({"keys": names}) if names else None

    def read(self, request: Request) -> Response | None:
        """One provider, without its secrets."""
        record = self._storage.get(_key(request))
        return None if record is None else Response(self._public(record))

    def write(self, request: Request) -> Response:
        """Create a provider, or change the fields that are sent; a secret that is not sent stays."""
        provider_type = request.data["type"]
        now = precise(self._context.clock.now())
        old = self._storage.get(_key(request))
        settings = ("identifiers", *_SETTINGS[provider_type])
        changes = {field: request.get(field) for field in settings if request.has(field) or old is None}
        record = {**(old or {"name": request.data["name"], "type": provider_type, "creation_date": now}), **changes}
        if request.has("ttl"):
            record["ttl"], record["ttl_as_written"] = request.get("ttl"), request.raw["ttl"]
        elif old is None:
            written = _DEFAULT_TTL.get(provider_type, "60s")
            record["ttl"], record["ttl_as_written"] = int(written.removesuffix("s")), written
        if provider_type == "rfc2136":
            record["tsig_algorithm"] = record["tsig_algorithm"] or self._context.answer("OQ-15")
        _check(record)
        record["last_updated_date"] = now
        self._storage.put(_key(request), record)
        return Response(self._public(record))

    def delete(self, request: Request) -> None:
        """Delete a provider that no role names."""
        roles = self.referring_roles(request.data["type"], request.data["name"])
        if roles:
            raise invalid(
                f"DNS provider {request.data['type']}/{request.data['name']} is in use by role(s): {', '.join(roles)}"
            )
        self._storage.delete(_key(request))

    def test_workflow(self, request: Request) -> Response:
        """Write a TXT record for the identifier, look it up, and remove it."""
        provider = (request.get("provider_type"), request.get("provider_name"))
        try:
            identifier = domains.normalise(request.get("identifier"))
        except ValueError as error:
            raise invalid(str(error)) from None
        record_name = domains.record_name(identifier)
        data = {
            "success": True,
            "message": "DNS provider test completed successfully",
            "identifier": identifier,
            "provider_type": provider[0],
            "provider_name": provider[1],
            "record_name": record_name,
        }
        try:
            if not self.known(*provider):
                raise DnsError(f"DNS provider {provider[0]}/{provider[1]} does not exist")
            _try_out(self.name_server(provider), record_name, clean_up=not request.get("omit_cleanup"))
        except DnsError as error:
            message = f"DNS provider test failed: {error}"
            raise Refusal(400, message, data={**data, "success": False, "message": message}) from None
        return Response(data)

    def _all(self) -> list[tuple[str, str]]:
        return [(kind, name) for kind, _slash, name in (key.partition("/") for key in self._storage.keys(_PREFIX))]

    def _identifiers(self, provider: tuple[str, str]) -> Iterable[str]:
        record = self._storage.get(_PREFIX + "/".join(provider))
        return record["identifiers"] if record else ()

    def _public(self, record: dict[str, Any]) -> dict[str, Any]:
        data = {field: value for field, value in record.items() if field not in _SECRETS}
        written = data.pop("ttl_as_written")
        spelling = self._context.answer("OQ-14")
        data["ttl"] = {"go": go_duration(data["ttl"]), "seconds": data["ttl"], "as-written": written}[spelling]
        if self._context.answer("OQ-16") == "absent":
            del data["type"]
        return data


def _try_out(server: NameServer, record_name: str, *, clean_up: bool) -> None:
    value = secrets.token_urlsafe(32)
    server.add_txt(record_name, value)
    try:
        deadline = time.monotonic() + _PROPAGATION_PATIENCE
        while value not in server.lookup_txt(record_name):
            if time.monotonic() > deadline:
                raise DnsError(f"the record {record_name} was accepted but {server.nameserver} does not serve it")
            time.sleep(_PROPAGATION_PAUSE)
    finally:
        if clean_up:
            server.remove_txt(record_name, value)


def _check(record: dict[str, Any]) -> None:
    if not record["identifiers"]:
        raise invalid("missing required field 'identifiers'")
    for identifier in record["identifiers"]:
        try:
            domains.normalise(identifier)
        except ValueError as error:
            raise invalid(f"identifiers: {error}") from None
    if not 0 < record["ttl"] <= _LONGEST_TTL:
        raise invalid(f"ttl must be a positive duration of at most {_LONGEST_TTL} seconds")
    if record["type"] == "rfc2136":
        for field in ("nameserver", "tsig_key_name", "tsig_secret"):
            if not record[field]:
                raise invalid(f"missing required field {field!r}")
        try:
            parse_nameserver(record["nameserver"])
        except ValueError as error:
            raise invalid(f"nameserver: {error}") from None
    if record["type"] == "google-cloud-dns" and record["credentials"]:
        try:
            parsed = json.loads(record["credentials"])
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise invalid("credentials is not a JSON object") from None


def _key(request: Request) -> str:
    return f"{_PREFIX}{request.data['type']}/{request.data['name']}"


def _key_info(key: str) -> dict[str, str]:
    provider_type, _slash, name = key.partition("/")
    return {"name": name, "type": provider_type}
