# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The ``userpass`` and ``ldap`` auth methods.

``ldap`` contacts no directory here: its users and their passwords are written to ``users/<name>``, where a real Vault
keeps only policies and groups. Logins look the same to a client.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ..framework import Field, Kind, MountContext, Operation, Path, Request, Response, invalid
from .common import Config, Method, Table, login

_ROUNDS = 20_000
_WRONG = "invalid username or password"
_LOGIN_FIELDS: Mapping[str, Field] = {"username": Field(), "password": Field()}
_LDAP_CONFIG: Mapping[str, Field] = {
    "url": Field(default="ldap://127.0.0.1"),
    "userdn": Field(),
    "userattr": Field(default="cn"),
    "userfilter": Field(),
    "groupdn": Field(),
    "groupfilter": Field(),
    "groupattr": Field(default="cn"),
    "upndomain": Field(),
    "binddn": Field(),
    "bindpass": Field(),
    "certificate": Field(),
    "insecure_tls": Field(Kind.BOOL),
    "starttls": Field(Kind.BOOL),
    "discoverdn": Field(Kind.BOOL),
    "deny_null_bind": Field(Kind.BOOL, default=True),
    "username_as_alias": Field(Kind.BOOL),
    "case_sensitive_names": Field(Kind.BOOL),
    "use_token_groups": Field(Kind.BOOL),
    "request_timeout": Field(Kind.DURATION, default=90),
    "tls_min_version": Field(default="tls12"),
    "tls_max_version": Field(default="tls12"),
}


class UserPass(Method):
    """Users with a password."""

    type = "userpass"

    def __init__(self, context: MountContext) -> None:
        self._users = _users(context, {})
        update = Operation.UPDATE
        user = "users/(?P<username>[^/]+)"
        self.paths: Sequence[Path] = [
            Path("login/(?P<username>[^/]+)", {update: self._login}, _LOGIN_FIELDS, unauthenticated=True),
            *self._users.paths(),
            Path(f"{user}/password", {update: self._change_password}, _LOGIN_FIELDS),
            Path(
                f"{user}/policies",
                {update: self._change_policies},
                {"username": Field(), "policies": Field(Kind.LIST), "token_policies": Field(Kind.LIST)},
            ),
        ]

    def _login(self, request: Request) -> Response:
        name = request.get("username").lower()
        user = _authenticated(self._users, request)
        return login(user, alias=name, display_name=f"userpass-{name}", metadata={"username": name})

    def _user(self, request: Request) -> dict[str, Any]:
        user = self._users.get(request.get("username"))
        if user is None:
            raise invalid("username does not exist")
        return user

    def _change_password(self, request: Request) -> None:
        user = self._user(request)
        if not request.get("password"):
            raise invalid("missing password")
        self._users.put(request.get("username"), {**user, "password": _hashed(request.get("password"))})

    def _change_policies(self, request: Request) -> None:
        user = self._user(request)
        policies = request.get("token_policies") or request.get("policies")
        self._users.put(request.get("username"), {**user, "token_policies": policies})


class Ldap(Method):
    """Users with a password and groups, in a table of their own instead of a directory."""

    type = "ldap"

    def __init__(self, context: MountContext) -> None:
        self._users = _users(context, {"groups": Field(Kind.LIST)})
        self._groups = Table(context.storage, "groups", {})
        config = Config(context.storage, _LDAP_CONFIG, hidden=frozenset({"bindpass"}), check=_note)
        self.paths: Sequence[Path] = [
            Path("login/(?P<username>[^/]+)", {Operation.UPDATE: self._login}, _LOGIN_FIELDS, unauthenticated=True),
            config.path(),
            *self._users.paths(),
            *self._groups.paths(),
        ]

    def _login(self, request: Request) -> Response:
        name = request.get("username").lower()
        user = _authenticated(self._users, request)
        groups = [self._groups.get(group) or {} for group in user["groups"]]
        policies = tuple(policy for group in groups for policy in group.get("token_policies", ()))
        metadata = {"username": name}
        return login(user, alias=name, display_name=f"ldap-{name}", metadata=metadata, policies=policies)


def _note(request: Request, stored: dict[str, Any]) -> None:
    request.warnings.append(
        "this development server contacts no directory: it knows the users of users/<name>, with password"
    )


def _users(context: MountContext, fields: Mapping[str, Field]) -> Table:
    def check(request: Request, stored: dict[str, Any]) -> None:
        if request.get("password"):
            stored["password"] = _hashed(request.get("password"))
        elif not stored["password"]:
            raise invalid("missing password")

    hidden = frozenset({"password"})
    return Table(context.storage, "users", {**fields, "password": Field()}, hidden=hidden, check=check)


def _authenticated(users: Table, request: Request) -> dict[str, Any]:
    if not request.get("password"):
        raise invalid("missing password")
    user = users.get(request.get("username"))
    if user is None or not _matches(request.get("password"), user["password"]):
        raise invalid(_WRONG)
    return user


def _hashed(password: str, salt: str = "") -> str:
    salt = salt or secrets.token_hex(8)
    return f"{salt}:{hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), _ROUNDS).hex()}"


def _matches(password: str, stored: str) -> bool:
    return hmac.compare_digest(_hashed(password, stored.partition(":")[0]), stored)
