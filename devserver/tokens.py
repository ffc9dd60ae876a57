# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""Tokens: who holds one, what it may do, how long and how often."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from .framework import Clock, Storage, invalid

DEFAULT_TTL = 768 * 3600  # Vault's default and maximum lease TTL, seconds
WRAPPING_POLICY = "response-wrapping"
_LETTERS = string.ascii_letters + string.digits
_TIDY_EVERY = 256  # creations


@dataclass
class Token:
    """One token. Times are seconds since the epoch; 0 means never."""

    id: str
    accessor: str
    namespace: str  # "" or "a/b/"
    policies: list[str]
    path: str  # where it was made
    display_name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    entity_id: str = ""
    parent: str = ""
    created: float = 0.0
    creation_ttl: int = 0
    expires: float = 0.0
    last_renewal: float = 0.0
    explicit_max_ttl: int = 0
    max_ttl: int = 0
    period: int = 0
    num_uses: int = 0
    renewable: bool = True

    @property
    def is_root(self) -> bool:
        """Whether it may do everything."""
        return "root" in self.policies

    def ttl(self, now: float) -> int:
        """Seconds that are left; 0 also for a token that never expires."""
        return max(0, round(self.expires - now)) if self.expires else 0


class TokenStore:
    """All tokens of the server, of every namespace. Used on the event loop alone."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._accessors: dict[str, str] = {}
        self._children: dict[str, set[str]] = {}
        self._spent: dict[str, Token] = {}  # in their last request
        self._created = 0
        self.on_revoked: list[Callable[[Token], None]] = []
        for key in storage.keys(""):
            stored = storage.get(key)
            if stored is not None:
                self._index(Token(**stored))

    def create(
        self,
        *,
        namespace: str,
        namespace_id: str = "",
        policies: Iterable[str],
        path: str,
        id: str = "",
        ttl: int = 0,
        max_ttl: int = 0,
        **rest: Any,
    ) -> Token:
        """Make a token. A TTL of 0 makes one that never expires."""
        suffix = f".{namespace_id}" if namespace_id else ""
        now = self._now()
        token = Token(
            id=id or "hvs." + _random(24) + suffix,
            accessor=_random(24) + suffix,
            namespace=namespace,
            policies=sorted(set(policies)),
            path=path,
            created=now,
            creation_ttl=ttl,
            expires=now + ttl if ttl else 0.0,
            max_ttl=max_ttl,
            **rest,
        )
        if token.id in self._tokens:
            raise invalid("cannot create a token with a duplicate ID")
        self._index(token)
        self._save(token)
        self._created += 1
        if self._created % _TIDY_EVERY == 0:
            self._tidy()
        return token

    def lookup(self, id: str) -> Token | None:
        """The token with this id, unless it has expired or used up its uses."""
        token = self._tokens.get(id)
        if token is None:
            return None
        if token.expires and token.expires <= self._now():
            self.revoke(token)
            return None
        return token

    def holder(self, id: str) -> Token | None:
        """The token of the request that is being served, which may be in its last use."""
        return self._spent.get(id) or self.lookup(id)

    def by_accessor(self, accessor: str) -> Token | None:
        """The token with this accessor."""
        return self.lookup(self._accessors.get(accessor, ""))

    def accessors(self, namespace: str) -> list[str]:
        """Accessors of all tokens of a namespace, sorted."""
        return sorted(token.accessor for token in self._alive() if token.namespace == namespace)

    def use(self, token: Token) -> bool:
        """Count one use; True when it was the last one and the token has to go once the request is done."""
        if token.num_uses == 0:
            return False
        token.num_uses -= 1
        if token.num_uses == 0:
            del self._tokens[token.id]  # no further request finds it
            self._spent[token.id] = token
            self._storage.delete(token.id)
            return True
        self._save(token)
        return False

    def renew(self, token: Token, increment: int) -> list[str]:
        """Move the expiry; warnings say where it was less than asked for. 400 for a token that cannot be renewed."""
        if not token.renewable or not token.expires:
            raise invalid("lease is not renewable")
        now = self._now()
        warnings = []
        ttl = token.period or increment or token.creation_ttl
        limit = None
        if token.explicit_max_ttl:
            limit = token.created + token.explicit_max_ttl - now
        elif not token.period:
            limit = token.created + (token.max_ttl or DEFAULT_TTL) - now
        if limit is not None and ttl > limit:
            warnings.append(
                f"TTL of {ttl}s exceeded the effective max_ttl; TTL value is capped to {max(0, int(limit))}s"
            )
            ttl = max(0, int(limit))
        token.expires = now + ttl
        token.last_renewal = now
        self._save(token)
        return warnings

    def revoke(self, token: Token, *, orphan_children: bool = False) -> None:
        """Remove the token and, unless they become orphans, all that were made with it."""
        self._tokens.pop(token.id, None)
        self._spent.pop(token.id, None)
        self._accessors.pop(token.accessor, None)
        self._storage.delete(token.id)
        self._children.get(token.parent, set()).discard(token.id)
        for listener in self.on_revoked:
            listener(token)
        for child_id in sorted(self._children.pop(token.id, ())):
            child = self._tokens.get(child_id)
            if child is None:
                continue
            if orphan_children:
                child.parent = ""
                self._save(child)
            else:
                self.revoke(child)

    def revoke_namespace(self, namespace: str) -> None:
        """Remove every token of a namespace that goes away."""
        for token in [one for one in self._tokens.values() if one.namespace == namespace]:
            self.revoke(token)

    def revoke_below(self, namespace: str, path: str) -> None:
        """Remove the tokens that logins at this mount have made."""
        for token in [one for one in self._tokens.values() if one.namespace == namespace and one.path.startswith(path)]:
            self.revoke(token)

    def _alive(self) -> list[Token]:
        now = self._now()
        return [token for token in self._tokens.values() if not token.expires or token.expires > now]

    def _tidy(self) -> None:
        now = self._now()
        for token in [one for one in self._tokens.values() if one.expires and one.expires <= now]:
            self.revoke(token)

    def _index(self, token: Token) -> None:
        self._tokens[token.id] = token
        self._accessors[token.accessor] = token.id
        if token.parent:
            self._children.setdefault(token.parent, set()).add(token.id)

    def _save(self, token: Token) -> None:
        self._storage.put(token.id, asdict(token))

    def _now(self) -> float:
        return self._clock.now().timestamp()


def describe(token: Token, now: float, identity_policies: Iterable[str] = ()) -> dict[str, Any]:
    """The data of ``auth/token/lookup``."""
    data: dict[str, Any] = {
        "accessor": token.accessor,
        "creation_time": int(token.created),
        "creation_ttl": token.creation_ttl,
        "display_name": token.display_name,
        "entity_id": token.entity_id,
        "expire_time": timestamp(token.expires) if token.expires else None,
        "explicit_max_ttl": token.explicit_max_ttl,
        "id": token.id,
        "meta": token.metadata or None,
        "num_uses": token.num_uses,
        "orphan": not token.parent,
        "path": token.path,
        "policies": token.policies,
        "ttl": token.ttl(now),
        "type": "service",
    }
    if token.expires:
        data["issue_time"] = timestamp(token.created)
        data["renewable"] = token.renewable
    if token.last_renewal:
        data["last_renewal"] = timestamp(token.last_renewal)
        data["last_renewal_time"] = int(token.last_renewal)
    if token.period:
        data["period"] = token.period
    if token.namespace:
        data["namespace_path"] = token.namespace
    names = sorted(set(identity_policies))
    if names:
        data["identity_policies"] = names
    return data


def auth_block(token: Token, now: float, identity_policies: Iterable[str] = ()) -> dict[str, Any]:
    """The envelope's ``auth`` for a token that was just made or renewed."""
    identity = sorted(set(identity_policies))
    auth: dict[str, Any] = {
        "client_token": token.id,
        "accessor": token.accessor,
        "policies": sorted({*token.policies, *identity}),
        "token_policies": token.policies,
        "metadata": token.metadata or None,
        "lease_duration": token.ttl(now),
        "renewable": token.renewable and bool(token.expires),
        "entity_id": token.entity_id,
        "token_type": "service",
        "orphan": not token.parent,
        "mfa_requirement": None,
        "num_uses": token.num_uses,
    }
    if identity:
        auth["identity_policies"] = identity
    return auth


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def string_map(value: Mapping[str, Any] | None) -> dict[str, str]:
    """Metadata: every value a text."""
    return {str(name): str(one) for name, one in (value or {}).items()}


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _letter in range(length))
