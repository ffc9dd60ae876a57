# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""What the auth methods share: the token parameters of Vault's ``tokenutil``, and tables of named objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..framework import Field, Handler, Kind, Login, Operation, Path, Request, Response, Storage, invalid, not_found

#: Parameters that decide on the tokens of a login, with the names that they had before Vault 1.2 behind them.
TOKEN_FIELDS: Mapping[str, Field] = {
    "token_policies": Field(Kind.LIST),
    "token_ttl": Field(Kind.DURATION),
    "token_max_ttl": Field(Kind.DURATION),
    "token_explicit_max_ttl": Field(Kind.DURATION),
    "token_period": Field(Kind.DURATION),
    "token_num_uses": Field(Kind.INT),
    "token_no_default_policy": Field(Kind.BOOL),
    "token_type": Field(default="default", allowed=("", "default", "service", "default-service")),
    "token_bound_cidrs": Field(Kind.LIST),
    "policies": Field(Kind.LIST),
    "ttl": Field(Kind.DURATION),
    "max_ttl": Field(Kind.DURATION),
    "period": Field(Kind.DURATION),
}
_OLD_NAMES = {"policies": "token_policies", "ttl": "token_ttl", "max_ttl": "token_max_ttl", "period": "token_period"}


class Table:
    """Named objects below one path, such as roles: written in part or as a whole, read, listed, deleted.

    ``hidden`` fields are stored and never read back. ``check`` may refuse, or complete, what is about to be stored.
    ``deleted`` is told the name of an object that is gone.
    """

    def __init__(
        self,
        storage: Storage,
        prefix: str,
        fields: Mapping[str, Field],
        *,
        hidden: frozenset[str] = frozenset(),
        check: Callable[[Request, dict[str, Any]], None] | None = None,
        deleted: Callable[[str], None] | None = None,
    ) -> None:
        self._storage = storage
        self._prefix = prefix
        self.fields: Mapping[str, Field] = {**fields, **TOKEN_FIELDS, "name": Field()}
        self._hidden = hidden
        self._check = check
        self._deleted = deleted

    def paths(self) -> list[Path]:
        """The table's rows in the backend."""
        one: Mapping[Operation, Handler] = {
            Operation.READ: self._read,
            Operation.UPDATE: self._write,
            Operation.DELETE: self._delete,
        }
        return [
            Path(self._prefix, {Operation.LIST: self._list}),
            Path(
                f"{self._prefix}/(?P<name>[^/]+)",
                one,
                self.fields,
                exists=lambda request: self.get(request.data["name"]) is not None,
            ),
        ]

    def get(self, name: str) -> dict[str, Any] | None:
        """The object of this name; letter case does not matter."""
        return self._storage.get(f"{self._prefix}/{name.lower()}")

    def put(self, name: str, stored: Mapping[str, Any]) -> None:
        """Store an object."""
        self._storage.put(f"{self._prefix}/{name.lower()}", stored)

    def _write(self, request: Request) -> Response | None:
        name = request.get("name").lower()
        before = self.get(name)
        stored = before or {field: request.get(field) for field in self.fields if field not in (*_OLD_NAMES, "name")}
        sent = {_OLD_NAMES.get(field, field): value for field, value in request.data.items() if field != "name"}
        stored.update(sent)
        for field in ("token_ttl", "token_max_ttl", "token_period", "token_explicit_max_ttl", "token_num_uses"):
            if stored[field] < 0:
                raise invalid(f"{field!r} cannot be negative")
        if stored["token_max_ttl"] and stored["token_ttl"] > stored["token_max_ttl"]:
            raise invalid("'token_ttl' cannot be greater than 'token_max_ttl'")
        if stored["token_bound_cidrs"]:
            raise invalid("token_bound_cidrs: the development server does not look at addresses")
        if self._check is not None:
            self._check(request, stored)
        self.put(name, stored)
        return Response() if not request.warnings else Response(status=200)

    def _read(self, request: Request) -> Response:
        stored = self.get(request.get("name"))
        if stored is None:
            raise not_found()
        shown = {field: value for field, value in stored.items() if field not in self._hidden}
        return Response(dict(sorted(shown.items())))

    def _delete(self, request: Request) -> None:
        name = request.get("name").lower()
        self._storage.delete(f"{self._prefix}/{name}")
        if self._deleted is not None:
            self._deleted(name)

    def _list(self, request: Request) -> Response:
        return Response({"keys": self._storage.keys(f"{self._prefix}/")})


def login(
    stored: Mapping[str, Any],
    *,
    alias: str,
    display_name: str,
    metadata: Mapping[str, str],
    policies: tuple[str, ...] = (),
) -> Response:
    """The answer to a login, with the token parameters of what is stored for it."""
    return Response(
        login=Login(
            alias=alias,
            display_name=display_name,
            policies=(*stored["token_policies"], *policies),
            metadata=metadata,
            ttl=stored["token_ttl"],
            max_ttl=stored["token_max_ttl"],
            explicit_max_ttl=stored["token_explicit_max_ttl"],
            period=stored["token_period"],
            num_uses=stored["token_num_uses"],
            no_default_policy=stored["token_no_default_policy"],
        )
    )


class Config:
    """The ``config`` of an auth method: one object."""

    def __init__(
        self,
        storage: Storage,
        fields: Mapping[str, Field],
        *,
        hidden: frozenset[str] = frozenset(),
        check: Callable[[Request, dict[str, Any]], None] | None = None,
    ) -> None:
        self._storage = storage
        self._fields = fields
        self._hidden = hidden
        self._check = check

    def path(self) -> Path:
        """The row in the backend."""
        return Path("config", {Operation.READ: self._read, Operation.UPDATE: self._write}, self._fields)

    def get(self) -> dict[str, Any]:
        """What is configured, defaults included."""
        request = Request(Operation.READ, "config", {}, self._fields)
        return {**{field: request.get(field) for field in self._fields}, **(self._storage.get("config") or {})}

    def _write(self, request: Request) -> Response:
        stored = {**self.get(), **request.data}
        if self._check is not None:
            self._check(request, stored)
        self._storage.put("config", stored)
        return Response()

    def _read(self, request: Request) -> Response:
        if self._storage.get("config") is None:
            raise not_found()
        shown = {field: value for field, value in self.get().items() if field not in self._hidden}
        return Response(dict(sorted(shown.items())))


class Method:
    """What every auth method is besides its paths."""

    def start(self) -> None:
        """Nothing runs in the background."""

    def stop(self) -> None:
        """Nothing runs in the background."""
