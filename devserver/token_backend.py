# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``auth/token/``: making, looking up, renewing and revoking tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .framework import Field, Kind, Operation, Path, Refusal, Request, Response, invalid
from .mounts import Namespace
from .tokens import DEFAULT_TTL, Token, auth_block, describe, string_map

if TYPE_CHECKING:
    from .vault import Vault

_CREATE_FIELDS = {
    "id": Field(),
    "policies": Field(Kind.LIST),
    "meta": Field(Kind.MAP),
    "metadata": Field(Kind.MAP),
    "no_parent": Field(Kind.BOOL),
    "no_default_policy": Field(Kind.BOOL),
    "renewable": Field(Kind.BOOL, default=True),
    "ttl": Field(Kind.DURATION),
    "lease": Field(Kind.DURATION),
    "explicit_max_ttl": Field(Kind.DURATION),
    "display_name": Field(),
    "num_uses": Field(Kind.INT),
    "period": Field(Kind.DURATION),
    "type": Field(allowed=("", "service")),
    "entity_alias": Field(),
}


class TokenBackend:
    """A namespace's ``auth/token/``."""

    type = "token"

    def __init__(self, vault: Vault, namespace: Namespace) -> None:
        self._vault = vault
        self._namespace = namespace
        update, read = Operation.UPDATE, Operation.READ
        token = {"token": Field(), "increment": Field(Kind.DURATION)}
        accessor = {"accessor": Field(), "increment": Field(Kind.DURATION)}
        self.paths: Sequence[Path] = [
            Path("create", {update: self._create}, _CREATE_FIELDS),
            Path("create-orphan", {update: self._create_orphan}, _CREATE_FIELDS, sudo=True),
            Path("lookup", {update: self._lookup, read: self._lookup}, token),
            Path("lookup-self", {read: self._lookup_self, update: self._lookup_self}, token),
            Path("lookup-accessor", {update: self._lookup_accessor}, accessor),
            Path("accessors", {Operation.LIST: self._accessors}, sudo=True),
            Path("renew", {update: self._renew}, token),
            Path("renew-self", {update: self._renew_self}, token),
            Path("renew-accessor", {update: self._renew_accessor}, accessor),
            Path("revoke", {update: self._revoke}, token),
            Path("revoke-self", {update: self._revoke_self}, token),
            Path("revoke-accessor", {update: self._revoke_accessor}, accessor),
            Path("revoke-orphan", {update: self._revoke_orphan}, token, sudo=True),
        ]

    def start(self) -> None:
        """Nothing runs in the background."""

    def stop(self) -> None:
        """Nothing runs in the background."""

    # ------------------------------------------------------------------ making

    def _create(self, request: Request) -> Response:
        return self._make(request, orphan=request.get("no_parent"))

    def _create_orphan(self, request: Request) -> Response:
        return self._make(request, orphan=True)

    def _make(self, request: Request, *, orphan: bool) -> Response:
        parent = self._holder(request)
        if parent.num_uses:
            raise invalid("restricted use token cannot generate child tokens")
        path = f"{self._namespace.path}auth/token/create"
        acl = self._vault.acl(parent)
        sudo = acl.root or "sudo" in acl.capabilities(path)
        for wanted, what in (
            (request.get("id"), "specify token id"),
            (orphan and request.path != "create-orphan", "create orphan token"),
            (request.get("period"), "create periodic token"),
        ):
            if wanted and not sudo:
                raise invalid(f"root or sudo privileges required to {what}")
        if request.get("entity_alias"):
            raise invalid("entity_alias needs a token role, and the development server has none")
        for name in ("ttl", "explicit_max_ttl", "period", "num_uses"):
            if request.get(name) < 0:
                raise invalid(f"{name} must be positive")
        policies = self._policies(request, parent, sudo)
        ttl = self._ttl(request, parent, policies)
        display_name = f"token-{request.get('display_name')}" if request.get("display_name") else "token"
        token = self._vault.tokens.create(
            namespace=self._namespace.path,
            namespace_id=self._namespace.id if self._namespace.path else "",
            policies=policies,
            path="auth/token/" + request.path,
            id=request.get("id"),
            ttl=ttl,
            max_ttl=DEFAULT_TTL,
            display_name=re.sub("[^a-zA-Z0-9-]", "-", display_name).removesuffix("-"),
            metadata=string_map(request.get("meta") or request.get("metadata")),
            entity_id="" if orphan or parent.namespace != self._namespace.path else parent.entity_id,
            parent="" if orphan else parent.id,
            explicit_max_ttl=request.get("explicit_max_ttl"),
            period=request.get("period"),
            num_uses=request.get("num_uses"),
            renewable=request.get("renewable"),
        )
        return Response(auth=self._auth(token))

    def _policies(self, request: Request, parent: Token, sudo: bool) -> list[str]:
        wanted = {name.lower() for name in request.get("policies")}
        if parent.namespace != self._namespace.path:
            if not sudo:
                raise invalid("root or sudo privileges required to directly generate a token in a child namespace")
            add_default = True
        elif wanted and sudo:
            add_default = True
        else:
            wanted = wanted or set(parent.policies)
            add_default = "default" in parent.policies
            if not wanted <= set(parent.policies):
                raise invalid("child policies must be subset of parent")
        if "root" in wanted:
            if not parent.is_root:
                raise invalid("root tokens may not be created without parent token being root")
            if self._namespace.path:
                raise invalid("root tokens may not be created in a child namespace")
            return ["root"]
        if request.get("no_default_policy"):
            wanted.discard("default")
        elif add_default:
            wanted.add("default")
        for name in sorted(wanted - set(self._namespace.policies)):
            request.warnings.append(f'Policy "{name}" does not exist')
        return sorted(wanted)

    def _ttl(self, request: Request, parent: Token, policies: list[str]) -> int:
        asked: int = request.get("period") or request.get("ttl") or request.get("lease")
        limit: int = request.get("explicit_max_ttl") or DEFAULT_TTL
        if policies == ["root"] and not asked:
            if parent.expires:
                raise invalid("expiring root tokens cannot create non-expiring root tokens")
            return 0
        if not asked:
            return min(DEFAULT_TTL, limit)
        if not request.get("period") and asked > limit:
            request.warnings.append(
                f"TTL of {asked}s exceeded the effective max_ttl of {limit}s; it is capped accordingly"
            )
        return asked if request.get("period") else min(asked, limit)

    # ------------------------------------------------------------------ looking up

    def _lookup(self, request: Request) -> Response:
        if not request.get("token"):
            return self._lookup_self(request)
        token = self._found(request)
        if token is None:
            raise Refusal(403, "bad token")
        return self._described(token)

    def _lookup_self(self, request: Request) -> Response:
        return self._described(self._holder(request))

    def _lookup_accessor(self, request: Request) -> Response:
        described = self._described(self._by_accessor(request))
        return Response({**(described.data or {}), "id": ""})

    def _accessors(self, request: Request) -> Response:
        return Response({"keys": self._vault.tokens.accessors(self._namespace.path)})

    # ------------------------------------------------------------------ renewing and revoking

    def _renew(self, request: Request) -> Response:
        token = self._found(request)
        if token is None:
            raise invalid("token not found")
        return self._renewed(token, request)

    def _renew_self(self, request: Request) -> Response:
        return self._renewed(self._holder(request), request)

    def _renew_accessor(self, request: Request) -> Response:
        return self._renewed(self._by_accessor(request), request)

    def _revoke(self, request: Request) -> None:
        token = self._found(request)
        if token is not None:  # one that is gone already is as good as revoked
            self._vault.tokens.revoke(token)

    def _revoke_self(self, request: Request) -> None:
        self._vault.tokens.revoke(self._holder(request))

    def _revoke_accessor(self, request: Request) -> Response:
        token = self._found_by_accessor(request)
        if token is None:
            request.warnings.append("No token found with this accessor")
        else:
            self._vault.tokens.revoke(token)
        return Response()

    def _revoke_orphan(self, request: Request) -> None:
        token = self._found(request)
        if token is None:
            raise invalid("token to revoke not found")
        self._vault.tokens.revoke(token, orphan_children=True)

    # ------------------------------------------------------------------ common

    def _holder(self, request: Request) -> Token:
        token = self._vault.tokens.holder(request.client_token)
        if token is None:
            raise Refusal(403, "permission denied")
        return token

    def _found(self, request: Request) -> Token | None:
        if not request.get("token"):
            raise invalid("missing token ID")
        return self._of_this_namespace(self._vault.tokens.lookup(request.get("token")))

    def _found_by_accessor(self, request: Request) -> Token | None:
        if not request.get("accessor"):
            raise invalid("missing accessor")
        return self._of_this_namespace(self._vault.tokens.by_accessor(request.get("accessor")))

    def _of_this_namespace(self, token: Token | None) -> Token | None:
        return token if token is not None and token.namespace.startswith(self._namespace.path) else None

    def _by_accessor(self, request: Request) -> Token:
        token = self._found_by_accessor(request)
        if token is None:
            raise Refusal(403, "invalid accessor")
        return token

    def _described(self, token: Token) -> Response:
        now = self._vault.clock.now().timestamp()
        return Response(describe(token, now, self._vault.identity_policies(token)))

    def _renewed(self, token: Token, request: Request) -> Response:
        request.warnings.extend(self._vault.tokens.renew(token, request.get("increment")))
        return Response(auth=self._auth(token))

    def _auth(self, token: Token) -> dict[str, object]:
        return auth_block(token, self._vault.clock.now().timestamp(), self._vault.identity_policies(token))
