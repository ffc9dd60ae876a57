# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The ``approle`` auth method: https://developer.hashicorp.com/vault/api-docs/auth/approle."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ..framework import Field, Kind, MountContext, Operation, Path, Request, Response, invalid, not_found
from ..tokens import string_map, timestamp
from .common import Method, Table, login

_ROLE_FIELDS: Mapping[str, Field] = {
    "bind_secret_id": Field(Kind.BOOL, default=True),
    "secret_id_num_uses": Field(Kind.INT),
    "secret_id_ttl": Field(Kind.DURATION),
    "secret_id_bound_cidrs": Field(Kind.LIST),
    "local_secret_ids": Field(Kind.BOOL),
    "role_id": Field(),
}
_SECRET_FIELDS: Mapping[str, Field] = {
    "name": Field(),
    "metadata": Field(Kind.ANY),
    "ttl": Field(Kind.DURATION),
    "num_uses": Field(Kind.INT),
    "cidr_list": Field(Kind.LIST),
    "token_bound_cidrs": Field(Kind.LIST),
    "secret_id": Field(),
}
_WRONG = "invalid role or secret ID"


class AppRole(Method):
    """Roles and their secret ids. A secret id is kept as its hash; it is shown once, when it is made."""

    type = "approle"

    def __init__(self, context: MountContext) -> None:
        self._storage = context.storage
        self._clock = context.clock
        self._roles = Table(
            context.storage,
            "role",
            _ROLE_FIELDS,
            hidden=frozenset({"role_id"}),
            check=self._check_role,
            deleted=self._forget_secrets,
        )
        update, read, delete, list_ = Operation.UPDATE, Operation.READ, Operation.DELETE, Operation.LIST
        role = "role/(?P<name>[^/]+)"
        named = {"name": Field(), "secret_id": Field(), "secret_id_accessor": Field()}
        by_id = {update: self._lookup_secret}
        by_accessor = {update: self._lookup_accessor}
        self.paths: Sequence[Path] = [
            Path(
                "login",
                {update: self._login},
                {"role_id": Field(), "secret_id": Field()},
                unauthenticated=True,
            ),
            *self._roles.paths(),
            Path(
                f"{role}/role-id",
                {read: self._read_role_id, update: self._write_role_id},
                {"name": Field(), "role_id": Field()},
            ),
            Path(f"{role}/secret-id", {update: self._make_secret, list_: self._list_accessors}, _SECRET_FIELDS),
            Path(f"{role}/custom-secret-id", {update: self._make_custom_secret}, _SECRET_FIELDS),
            Path(f"{role}/secret-id/lookup", by_id, named),
            Path(f"{role}/secret-id/destroy", {update: self._destroy_secret, delete: self._destroy_secret}, named),
            Path(f"{role}/secret-id-accessor/lookup", by_accessor, named),
            Path(
                f"{role}/secret-id-accessor/destroy",
                {update: self._destroy_accessor, delete: self._destroy_accessor},
                named,
            ),
        ]

    def _check_role(self, request: Request, stored: dict[str, Any]) -> None:
        if stored["secret_id_bound_cidrs"]:
            raise invalid("secret_id_bound_cidrs: the development server does not look at addresses")
        if not stored["bind_secret_id"]:
            request.warnings.append("this role needs no secret ID: whoever knows its role ID can log in")
        stored["role_id"] = stored["role_id"] or str(uuid.uuid4())

    def _role(self, request: Request) -> dict[str, Any]:
        role = self._roles.get(request.get("name"))
        if role is None:
            raise not_found()
        return role

    def _read_role_id(self, request: Request) -> Response:
        return Response({"role_id": self._role(request)["role_id"]})

    def _write_role_id(self, request: Request) -> None:
        role_id = request.get("role_id")
        if not role_id:
            raise invalid("missing role_id")
        self._roles.put(request.get("name"), {**self._role(request), "role_id": role_id})

    # ------------------------------------------------------------------ secret ids

    def _make_secret(self, request: Request) -> Response:
        return self._stored_secret(request, str(uuid.uuid4()))

    def _make_custom_secret(self, request: Request) -> Response:
        if not request.get("secret_id"):
            raise invalid("missing secret_id")
        return self._stored_secret(request, request.get("secret_id"))

    def _stored_secret(self, request: Request, secret_id: str) -> Response:
        role = self._role(request)
        if not role["bind_secret_id"]:
            raise invalid("bind_secret_id is not set on the role")
        if request.get("cidr_list") or request.get("token_bound_cidrs"):
            raise invalid("cidr_list: the development server does not look at addresses")
        now = self._clock.now().timestamp()
        ttl = request.get("ttl") if request.has("ttl") else role["secret_id_ttl"]
        num_uses = request.get("num_uses") if request.has("num_uses") else role["secret_id_num_uses"]
        if ttl < 0 or num_uses < 0:
            raise invalid("ttl and num_uses cannot be negative")
        stored = {
            "accessor": str(uuid.uuid4()),
            "metadata": _metadata(request.get("metadata")),
            "num_uses": num_uses,
            "ttl": ttl,
            "created": now,
            "expires": now + ttl if ttl else 0,
        }
        key = self._key(request.get("name"), secret_id)
        if self._storage.get(key) is not None:
            raise invalid("SecretID is already registered")
        self._storage.put(key, stored)
        return Response(
            {
                "secret_id": secret_id,
                "secret_id_accessor": stored["accessor"],
                "secret_id_num_uses": num_uses,
                "secret_id_ttl": ttl,
            }
        )

    def _list_accessors(self, request: Request) -> Response:
        self._role(request)
        secrets = (self._live(key) for key in self._keys(request.get("name")))
        return Response({"keys": sorted(secret["accessor"] for secret in secrets if secret is not None)})

    def _lookup_secret(self, request: Request) -> Response | None:
        self._role(request)
        secret = self._live(self._key(request.get("name"), request.get("secret_id")))
        return _shown(secret) if secret is not None else None

    def _lookup_accessor(self, request: Request) -> Response:
        secret = self._live(self._key_of_accessor(request))
        if secret is None:
            raise not_found()
        return _shown(secret)

    def _destroy_secret(self, request: Request) -> None:
        self._storage.delete(self._key(request.get("name"), request.get("secret_id")))

    def _destroy_accessor(self, request: Request) -> None:
        self._storage.delete(self._key_of_accessor(request))

    def _key(self, role_name: str, secret_id: str) -> str:
        return f"secret/{role_name.lower()}/{hashlib.sha256(secret_id.encode()).hexdigest()}"

    def _keys(self, role_name: str) -> list[str]:
        prefix = f"secret/{role_name.lower()}/"
        return [prefix + rest for rest in self._storage.keys(prefix)]

    def _key_of_accessor(self, request: Request) -> str:
        self._role(request)
        for key in self._keys(request.get("name")):
            secret = self._storage.get(key)
            if secret is not None and secret["accessor"] == request.get("secret_id_accessor"):
                return key
        raise not_found()

    def _forget_secrets(self, role_name: str) -> None:
        """A new role of the same name shall not let in who held a secret id of the old one."""
        for key in self._keys(role_name):
            self._storage.delete(key)

    def _live(self, key: str) -> dict[str, Any] | None:
        secret = self._storage.get(key)
        if secret is not None and secret["expires"] and secret["expires"] <= self._clock.now().timestamp():
            self._storage.delete(key)
            return None
        return secret

    # ------------------------------------------------------------------ login

    def _login(self, request: Request) -> Response:
        role_id, secret_id = request.get("role_id"), request.get("secret_id")
        if not role_id:
            raise invalid("missing role_id")
        found = None
        for name in self._storage.keys("role/"):
            role = self._roles.get(name)
            if role is not None and role["role_id"] == role_id:
                found = (name, role)
        if found is None:
            raise invalid(_WRONG)
        name, role = found
        metadata = {"role_name": name}
        if role["bind_secret_id"]:
            if not secret_id:
                raise invalid("missing secret_id")
            metadata.update(self._use_secret(self._key(name, secret_id)))
        return login(role, alias=role_id, display_name="approle", metadata=metadata)

    def _use_secret(self, key: str) -> dict[str, str]:
        secret = self._live(key)
        if secret is None:
            raise invalid(_WRONG)
        if secret["num_uses"] == 1:
            self._storage.delete(key)
        elif secret["num_uses"]:
            self._storage.put(key, {**secret, "num_uses": secret["num_uses"] - 1})
        metadata: dict[str, str] = secret["metadata"]
        return metadata


def _metadata(value: Any) -> dict[str, str]:
    """A map, or a JSON text with one."""
    if not value:
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise invalid("failed to parse the input metadata: it is no JSON") from None
    if not isinstance(value, dict):
        raise invalid("failed to parse the input metadata: it is no map")
    return string_map(value)


def _shown(secret: Mapping[str, Any]) -> Response:
    return Response(
        {
            "cidr_list": [],
            "token_bound_cidrs": [],
            "creation_time": timestamp(secret["created"]),
            "expiration_time": timestamp(secret["expires"]) if secret["expires"] else "0001-01-01T00:00:00Z",
            "last_updated_time": timestamp(secret["created"]),
            "metadata": secret["metadata"],
            "secret_id_accessor": secret["accessor"],
            "secret_id_num_uses": secret["num_uses"],
            "secret_id_ttl": secret["ttl"],
        }
    )
