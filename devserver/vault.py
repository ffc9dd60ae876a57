# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""The development Vault itself: its namespaces, mounts, policies, tokens and identities, and what becomes of them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .answers import Answers
from .backends import AUTH_METHODS, CORE, SECRETS_ENGINES
from .clock import ServerClock
from .framework import Backend, Login, MountContext, Refusal, invalid, permission_denied
from .identity import IdentityStore
from .mounts import Mount, MountEntry, Namespace, new_namespace
from .policies import DEFAULT_POLICY, Acl, Policy, parse_policy
from .scripts import Scripts
from .storage import State
from .tokens import DEFAULT_TTL, WRAPPING_POLICY, Token, TokenStore
from .version import VERSION

_RESERVED_ROUTES = ("sys/", "auth/", "identity/", "cubbyhole/", "audit/", "control-group/")
_RESERVED_NAMESPACES = frozenset(("root", "sys", "audit", "auth", "cubbyhole", "identity"))


class Vault:
    """All state, and the operations on it. Everything but the backends' own work happens on one thread.

    ``backends`` and ``auth_methods`` are tables of type to factory; a test may hand in others.
    """

    def __init__(
        self,
        *,
        state_file: Path | None = None,
        root_token: str | None = None,
        clock: ServerClock | None = None,
        answers: Mapping[str, str] | None = None,
        backends: Mapping[str, Callable[[MountContext], Backend]] | None = None,
        auth_methods: Mapping[str, Callable[[MountContext], Backend]] | None = None,
    ) -> None:
        self.clock = clock or ServerClock()
        self.answers = Answers(answers)
        self.scripts = Scripts()
        self.sealed = False
        self.running = False
        self._backends = SECRETS_ENGINES if backends is None else backends
        self._auth_methods = AUTH_METHODS if auth_methods is None else auth_methods
        self._state = State(state_file)
        self.tokens = TokenStore(self._state.view("token/"), self.clock)
        self.identity = IdentityStore(self._state.view("identity/"), self.clock)
        self.wrapped = self._state.view("wrapped/")
        self.tokens.on_revoked.append(lambda token: self.wrapped.delete(token.id))
        self.namespaces: dict[str, Namespace] = {}
        self._acls: dict[tuple[Any, ...], Acl] = {}
        self._policies_version = 0
        self._load()
        self.root_token = self._ensure_root_token(root_token)
        self.cluster_id = self._ensure_cluster_id()

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Start every backend."""
        self.running = True
        for mount in self._mounts():
            mount.backend.start()

    def stop(self) -> None:
        """Stop every backend and close the state."""
        self.running = False
        for mount in self._mounts():
            mount.backend.stop()
        self._state.close()

    def _mounts(self) -> list[Mount]:
        return [mount for namespace in self.namespaces.values() for mount in namespace.mounts.values()]

    def _load(self) -> None:
        storage = self._state.view("namespace/")
        self.namespaces[""] = Namespace("")
        for path in storage.keys(""):
            self.namespaces[path] = Namespace(**(storage.get(path) or {}))
        by_id = {namespace.id: namespace for namespace in self.namespaces.values()}
        policies = self._state.view("policy/")
        for key in policies.keys(""):
            namespace_id, _slash, name = key.partition("/")
            stored = policies.get(key) or {}
            by_id[namespace_id].policies[name] = parse_policy(name, stored["text"])
        entries = self._state.view("mount/")
        for key in entries.keys(""):
            entry = MountEntry(**(entries.get(key) or {}))
            if not entry.built_in:
                self._attach(entry)
            else:
                self._attach_core(entry)
        for namespace in self.namespaces.values():
            self._furnish(namespace)

    def _furnish(self, namespace: Namespace) -> None:
        """What every namespace has from its beginning."""
        namespace.policies.setdefault("default", _DEFAULT)
        for type_, description in (
            ("system", "system endpoints used for control, policy and debugging"),
            ("identity", "identity store"),
            ("token", "token based credentials"),
        ):
            path = {"system": "sys/"}.get(type_, f"{type_}/")
            if (f"auth/{path}" if type_ == "token" else path) in namespace.mounts:
                continue
            entry = MountEntry(
                path, type_, namespace.path, is_auth=type_ == "token", description=description, built_in=True
            )
            self._state.put(f"mount/{entry.uuid}", entry.stored())
            self._attach_core(entry)

    def _ensure_root_token(self, wanted: str | None) -> str:
        stored = self._state.get("core/root") or {}
        before = self.tokens.lookup(stored.get("token", ""))
        if before is not None and wanted in (None, before.id):
            return before.id
        if before is not None:
            self.tokens.revoke(before)
        id_ = wanted or "hvs." + secrets.token_urlsafe(18)
        existing = self.tokens.lookup(id_)
        if existing is not None:
            self.tokens.revoke(existing)
        token = self.tokens.create(
            namespace="", policies=["root"], path="auth/token/root", id=id_, display_name="root", renewable=False
        )
        self._state.put("core/root", {"token": token.id})
        return token.id

    def _ensure_cluster_id(self) -> str:
        id_: str = (self._state.get("core/cluster") or {}).get("id") or str(uuid.uuid4())
        self._state.put("core/cluster", {"id": id_})
        return id_

    # ------------------------------------------------------------------ namespaces

    def resolve(self, header: str, path: str) -> tuple[Namespace, str]:
        """The namespace that a request means, and the path below it. The path may begin with child namespaces.

        A header that names no namespace leaves its words in the path, where no route will be found for them.
        """
        whole = "/".join(part for part in (header.strip("/"), path) if part)
        if len(self.namespaces) == 1:
            return self.namespaces[""], whole
        namespace, end = self.namespaces[""], 0
        position = whole.find("/")
        while position >= 0:
            found = self.namespaces.get(whole[: position + 1])
            if found is None:
                break
            namespace, end = found, position + 1
            position = whole.find("/", position + 1)
        return namespace, whole[end:]

    def create_namespace(self, parent: Namespace, name: str, custom_metadata: Mapping[str, str]) -> Namespace:
        """A child namespace; an existing one only gets the metadata. 400 for a name that cannot be one."""
        name = name.strip("/")
        if not name or "/" in name or " " in name or name in _RESERVED_NAMESPACES:
            raise invalid(f"{name!r} is not a namespace name: no slash, no space, and none of the reserved words")
        path = f"{parent.path}{name}/"
        if f"{name}/" in parent.mounts:
            raise invalid(f"path is already in use at {name}/")
        namespace = self.namespaces.get(path)
        if namespace is None:
            namespace = new_namespace(path)
            self.namespaces[path] = namespace
            self._furnish(namespace)
        namespace.custom_metadata = dict(custom_metadata)
        stored = {
            "path": path,
            "id": namespace.id,
            "uuid": namespace.uuid,
            "custom_metadata": namespace.custom_metadata,
        }
        self._state.put(f"namespace/{path}", stored)
        return namespace

    def delete_namespace(self, parent: Namespace, name: str) -> None:
        """Remove a namespace with all that is in it; 400 while it has children. Nothing there is fine."""
        path = f"{parent.path}{name.strip('/')}/"
        namespace = self.namespaces.get(path)
        if namespace is None or namespace is parent:
            return
        if any(other != path and other.startswith(path) for other in self.namespaces):
            raise invalid(f"cannot delete namespace {path!r}: it contains child namespaces")
        for mount in list(namespace.mounts.values()):
            self._detach(namespace, mount)
        self.tokens.revoke_namespace(path)
        self.identity.delete_namespace(path)
        self._state.clear(f"policy/{namespace.id}/")
        self._state.delete(f"namespace/{path}")
        del self.namespaces[path]
        self._policies_version += 1

    # ------------------------------------------------------------------ mounts

    def types(self, is_auth: bool) -> list[str]:
        """Types that can be mounted."""
        return sorted(self._auth_methods if is_auth else self._backends)

    def enable(self, entry: MountEntry) -> Mount:
        """Mount a secrets engine or auth method. 400 for an unknown type or a path that is taken."""
        namespace = self.namespaces[entry.namespace]
        table = self._auth_methods if entry.is_auth else self._backends
        if entry.type not in table:
            raise invalid(f"plugin not found in the catalog: {entry.type}")
        if entry.path == "/" or (not entry.is_auth and entry.path.startswith(_RESERVED_ROUTES)):
            raise invalid(f"path {entry.path!r} is reserved")
        conflict = namespace.conflict(entry.route)
        if conflict is not None:
            raise invalid(f"path is already in use at {conflict.removeprefix('auth/') if entry.is_auth else conflict}")
        if f"{namespace.path}{entry.path}" in self.namespaces:
            raise invalid(f"path is already in use at {entry.path}: it is a namespace")
        self._state.put(f"mount/{entry.uuid}", entry.stored())
        mount = self._attach(entry)
        if self.running:
            mount.backend.start()
        return mount

    def disable(self, namespace: Namespace, mount: Mount) -> None:
        """Unmount, with everything that the mount has stored."""
        if mount.entry.built_in:
            raise invalid(f"cannot unmount {mount.entry.path!r}")
        self._detach(namespace, mount)
        if mount.entry.is_auth:
            self.tokens.revoke_below(namespace.path, mount.entry.route)

    def save_mount(self, entry: MountEntry) -> None:
        """Store what was tuned."""
        self._state.put(f"mount/{entry.uuid}", entry.stored())

    def _attach(self, entry: MountEntry) -> Mount:
        table = self._auth_methods if entry.is_auth else self._backends
        mount = Mount(entry, table[entry.type](self._context(entry)))
        self.namespaces[entry.namespace].mounts[entry.route] = mount
        return mount

    def _attach_core(self, entry: MountEntry) -> None:
        namespace = self.namespaces[entry.namespace]
        namespace.mounts[entry.route] = Mount(entry, CORE[entry.type](self, namespace))

    def _detach(self, namespace: Namespace, mount: Mount) -> None:
        del namespace.mounts[mount.entry.route]
        mount.backend.stop()
        self._state.clear(f"backend/{mount.entry.uuid}/")
        self._state.delete(f"mount/{mount.entry.uuid}")

    def _context(self, entry: MountEntry) -> MountContext:
        return MountContext(
            namespace=entry.namespace,
            mount=entry.route,
            storage=self._state.view(f"backend/{entry.uuid}/"),
            clock=self.clock,
            templates=self.identity,
            answer=self.answers,
            script=self.scripts,
        )

    # ------------------------------------------------------------------ policies

    def write_policy(self, namespace: Namespace, policy: Policy) -> None:
        """Store a policy."""
        namespace.policies[policy.name] = policy
        self._state.put(f"policy/{namespace.id}/{policy.name}", {"text": policy.text})
        self._policies_version += 1

    def delete_policy(self, namespace: Namespace, name: str) -> None:
        """Remove a policy; nothing there is fine."""
        namespace.policies.pop(name, None)
        self._state.delete(f"policy/{namespace.id}/{name}")
        self._policies_version += 1

    def acl(self, token: Token) -> Acl:
        """What this token may do, on whole paths (the namespace's included)."""
        key = (token.namespace, tuple(token.policies), token.entity_id, self._policies_version, self.identity.version)
        acl = self._acls.get(key)
        if acl is None:
            if len(self._acls) > 500:
                self._acls.clear()
            acl = self._acls[key] = self._compile(token)
        return acl

    def _compile(self, token: Token) -> Acl:
        acl = Acl(root=token.is_root)
        if token.policies == [WRAPPING_POLICY]:
            # A wrapping token is good for its one purpose, in every namespace.
            for namespace in self.namespaces:
                acl.add(_WRAPPING, namespace)
            return acl
        by_namespace = {token.namespace: set(token.policies)}
        for namespace, names in self.identity.policies_of(token.entity_id).items():
            by_namespace.setdefault(namespace, set()).update(names)
        for namespace, names in by_namespace.items():
            policies = self.namespaces[namespace].policies if namespace in self.namespaces else {}
            for name in sorted(names):
                if name in policies:
                    acl.add(policies[name], namespace, lambda text: self.identity.render(text, token.entity_id))
        return acl

    def identity_policies(self, token: Token) -> list[str]:
        """Policies that the token has by way of its entity, in its own namespace."""
        return sorted(self.identity.policies_of(token.entity_id).get(token.namespace, ()))

    # ------------------------------------------------------------------ tokens

    def log_in(self, namespace: Namespace, entry: MountEntry, path: str, login: Login) -> Token:
        """The token for somebody whom an auth method has recognised."""
        entity = self.identity.log_in(
            namespace.path, entry.accessor, entry.route, entry.type, login.alias, login.metadata
        )
        if entity is None:
            raise permission_denied()
        limit = min(login.max_ttl or entry.max_ttl(), entry.max_ttl())
        ttl = login.period or min(login.ttl or entry.default_ttl(), limit)
        if login.explicit_max_ttl:
            ttl = min(ttl, login.explicit_max_ttl)
        policies = {name.lower() for name in login.policies} - {"root"}
        if not login.no_default_policy:
            policies.add("default")
        return self.tokens.create(
            namespace=namespace.path,
            namespace_id=namespace.id if namespace.path else "",
            policies=policies,
            path=path,
            ttl=ttl,
            max_ttl=limit,
            display_name=login.display_name,
            metadata=dict(login.metadata),
            entity_id=entity.id,
            explicit_max_ttl=login.explicit_max_ttl,
            period=login.period,
            num_uses=login.num_uses,
        )

    def wrap(
        self, namespace: Namespace, path: str, ttl: int, answer: Mapping[str, Any], accessor: str
    ) -> dict[str, Any]:
        """Put an answer behind a single-use token; returns the envelope's `wrap_info`."""
        token = self.tokens.create(
            namespace=namespace.path,
            namespace_id=namespace.id if namespace.path else "",
            policies=[WRAPPING_POLICY],
            path=path,
            ttl=min(ttl, DEFAULT_TTL),
            explicit_max_ttl=ttl,
            renewable=False,
        )
        created = self.clock.now().isoformat().replace("+00:00", "Z")
        self.wrapped.put(token.id, {"answer": answer, "path": path, "ttl": ttl, "created": created})
        return {
            "token": token.id,
            "accessor": token.accessor,
            "ttl": ttl,
            "creation_time": created,
            "creation_path": path,
            "wrapped_accessor": accessor,
        }

    def unwrap(self, token_id: str) -> dict[str, Any]:
        """What is behind a wrapping token, which is used up by this. 400 where it is none (any more)."""
        stored = self.lookup_wrapped(token_id)
        token = self.tokens.lookup(token_id)
        if token is not None:
            self.tokens.revoke(token)
        answer: dict[str, Any] = stored["answer"]
        return answer

    def lookup_wrapped(self, token_id: str) -> dict[str, Any]:
        """What is known of a wrapping token. 400 where it is none (any more)."""
        token = self.tokens.lookup(token_id)
        stored = self.wrapped.get(token_id) if token is not None else None
        if stored is None:
            raise Refusal(400, "wrapping token is not valid or does not exist")
        return stored

    # ------------------------------------------------------------------ for tests

    def snapshot(self) -> dict[str, Any]:
        """An overview for people who debug: namespaces and their mounts, counts; no secrets."""
        return {
            "version": VERSION,
            "sealed": self.sealed,
            "time": self.clock.now().isoformat(),
            "namespaces": {
                namespace.path or "root": {route: mount.entry.type for route, mount in sorted(namespace.mounts.items())}
                for namespace in self.namespaces.values()
            },
            "entities": [asdict(entity) for entity in self.identity.entities.values()],
        }


_DEFAULT = parse_policy("default", DEFAULT_POLICY)
_WRAPPING = parse_policy(
    WRAPPING_POLICY,
    """
path "sys/wrapping/unwrap" { capabilities = ["create", "update"] }
path "sys/wrapping/lookup" { capabilities = ["create", "update", "read"] }
path "sys/wrapping/rewrap" { capabilities = ["create", "update"] }
""",
)
