# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``sys/``: health and seal, policies, capabilities, namespaces, wrapping. Mounts are in ``system_mounts``."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .framework import Field, Kind, Operation, Path, Request, Response, invalid, not_found
from .mounts import Namespace
from .policies import PolicyError, parse_policy
from .system_mounts import mount_paths
from .tokens import Token, string_map
from .version import CLUSTER_NAME, VERSION

if TYPE_CHECKING:
    from .vault import Vault

_NAME = r"(?P<name>[^/]+)"
_HEALTH_CODES = ("activecode", "standbycode", "sealedcode", "uninitcode", "drsecondarycode", "performancestandbycode")
_HEALTH_SWITCHES = ("standbyok", "perfstandbyok")


class SystemBackend:
    """A namespace's ``sys/``."""

    type = "system"

    def __init__(self, vault: Vault, namespace: Namespace) -> None:
        self._vault = vault
        self._namespace = namespace
        read, update, delete, list_ = Operation.READ, Operation.UPDATE, Operation.DELETE, Operation.LIST
        health = {**dict.fromkeys(_HEALTH_CODES, Field(Kind.INT)), **dict.fromkeys(_HEALTH_SWITCHES, Field(Kind.BOOL))}
        policy = {"name": Field(), "policy": Field(), "rules": Field()}
        capabilities = {"paths": Field(Kind.LIST), "path": Field(Kind.LIST), "token": Field(), "accessor": Field()}
        token = {"token": Field()}
        self.paths: Sequence[Path] = [
            Path("health", {read: self._health}, health, unauthenticated=True),
            Path("seal-status", {read: self._seal_status}, unauthenticated=True),
            Path("leader", {read: self._leader}, unauthenticated=True),
            Path("init", {read: self._initialized}, unauthenticated=True),
            Path("seal", {update: self._seal}, sudo=True),
            Path("unseal", {update: self._unseal}, _UNSEAL_FIELDS, unauthenticated=True),
            Path("policies/acl", {list_: self._list_policies, read: self._list_policies}),
            Path(f"policies/acl/{_NAME}", self._policy_handlers("policy"), policy),
            Path("policy", {list_: self._list_policies, read: self._list_policies}),
            Path(f"policy/{_NAME}", self._policy_handlers("rules"), policy),
            Path("capabilities-self", {update: self._capabilities_self}, capabilities),
            Path("capabilities", {update: self._capabilities}, capabilities),
            Path("capabilities-accessor", {update: self._capabilities_accessor}, capabilities),
            Path("namespaces", {list_: self._list_namespaces}),
            Path(
                f"namespaces/{_NAME}/?",
                {read: self._read_namespace, update: self._write_namespace, delete: self._delete_namespace},
                {"name": Field(), "custom_metadata": Field(Kind.MAP)},
                exists=lambda request: self._child(request) is not None,
            ),
            Path("wrapping/wrap", {update: self._wrap, read: self._wrap}, _AnyFields()),
            Path("wrapping/unwrap", {update: self._unwrap}, token),
            Path("wrapping/rewrap", {update: self._rewrap}, token),
            Path(
                "wrapping/lookup",
                {update: self._lookup_wrapped, read: self._lookup_wrapped},
                token,
                unauthenticated=True,
            ),
            *mount_paths(vault, namespace),
        ]

    def start(self) -> None:
        """Nothing runs in the background."""

    def stop(self) -> None:
        """Nothing runs in the background."""

    # ------------------------------------------------------------------ health and seal

    def _health(self, request: Request) -> Response:
        sealed = self._vault.sealed
        code = request.get("sealedcode") or 503 if sealed else request.get("activecode") or 200
        if not 200 <= code <= 599:
            raise invalid(f"{code} is no status that HTTP can answer with")
        data = {
            "initialized": True,
            "sealed": sealed,
            "standby": False,
            "performance_standby": False,
            "replication_performance_mode": "disabled",
            "replication_dr_mode": "disabled",
            "server_time_utc": int(self._vault.clock.now().timestamp()),
            "version": VERSION,
            "enterprise": True,
            **self._cluster(),
            "echo_duration_ms": 0,
            "clock_skew_ms": 0,
        }
        return Response(data, status=code, top_level=True)

    def _seal_status(self, request: Request) -> Response:
        sealed = self._vault.sealed
        data = {
            "type": "shamir",
            "initialized": True,
            "sealed": sealed,
            "t": 1,
            "n": 1,
            "progress": 0,
            "nonce": "",
            "version": VERSION,
            "migration": False,
            "recovery_seal": False,
            "storage_type": "inmem",
            **self._cluster(),
        }
        return Response(data, top_level=True)

    def _cluster(self) -> dict[str, str]:
        """A sealed Vault does not know which cluster it belongs to."""
        return {} if self._vault.sealed else {"cluster_name": CLUSTER_NAME, "cluster_id": self._vault.cluster_id}

    def _leader(self, request: Request) -> Response:
        data = {"ha_enabled": False, "is_self": False, "leader_address": "", "leader_cluster_address": ""}
        return Response({**data, "performance_standby": False}, top_level=True)

    def _initialized(self, request: Request) -> Response:
        return Response({"initialized": True}, top_level=True)

    def _seal(self, request: Request) -> None:
        self._vault.sealed = True

    def _unseal(self, request: Request) -> Response:
        if not request.get("key") and not request.get("reset"):
            raise invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
        if request.get("key"):
            self._vault.sealed = False  # there is nothing to decrypt here, so every key fits
        return self._seal_status(request)

    # ------------------------------------------------------------------ policies

    def _policy_handlers(self, text_field: str) -> dict[Operation, Any]:
        def read(request: Request) -> Response:
            name = request.get("name").lower()
            if name == "root":
                return Response({"name": "root", text_field: ""})
            policy = self._namespace.policies.get(name)
            if policy is None:
                raise not_found()
            return Response({"name": name, text_field: policy.text})

        return {Operation.READ: read, Operation.UPDATE: self._write_policy, Operation.DELETE: self._delete_policy}

    def _list_policies(self, request: Request) -> Response:
        names = sorted(self._namespace.policies) + (["root"] if not self._namespace.path else [])
        return Response({"keys": names, "policies": names})

    def _write_policy(self, request: Request) -> None:
        name = request.get("name").lower()
        text = request.get("policy") or request.get("rules")
        if not text:
            raise invalid("'policy' parameter not supplied or empty")
        if name == "root":
            raise invalid('cannot update "root" policy')
        try:
            policy = parse_policy(name, _decoded(text))
        except PolicyError as error:
            raise invalid(str(error)) from None
        self._vault.write_policy(self._namespace, policy)

    def _delete_policy(self, request: Request) -> None:
        name = request.get("name").lower()
        if name in ("root", "default"):
            raise invalid(f'cannot delete "{name}" policy')
        self._vault.delete_policy(self._namespace, name)

    # ------------------------------------------------------------------ capabilities

    def _capabilities_self(self, request: Request) -> Response:
        return self._capabilities_of(self._vault.tokens.holder(request.client_token), request)

    def _capabilities(self, request: Request) -> Response:
        if not request.get("token"):
            raise invalid("missing token")
        return self._capabilities_of(self._vault.tokens.lookup(request.get("token")), request)

    def _capabilities_accessor(self, request: Request) -> Response:
        return self._capabilities_of(self._vault.tokens.by_accessor(request.get("accessor")), request)

    def _capabilities_of(self, token: Token | None, request: Request) -> Response:
        paths = request.get("paths") or request.get("path")
        if not paths:
            raise invalid("paths must be supplied")
        if token is None:
            raise invalid("invalid token")
        acl = self._vault.acl(token)
        data = {path: acl.capabilities(self._namespace.path + path.lstrip("/")) for path in paths}
        if len(paths) == 1:
            data["capabilities"] = data[paths[0]]
        return Response(data)

    # ------------------------------------------------------------------ namespaces

    def _child(self, request: Request) -> Namespace | None:
        return self._vault.namespaces.get(f"{self._namespace.path}{request.data['name']}/")

    def _list_namespaces(self, request: Request) -> Response:
        depth = self._namespace.path.count("/") + 1
        prefix = self._namespace.path
        children = {
            path[len(prefix) :]: namespace
            for path, namespace in sorted(self._vault.namespaces.items())
            if path.startswith(prefix) and path.count("/") == depth
        }
        return Response({"keys": list(children), "key_info": {name: _namespace(one) for name, one in children.items()}})

    def _read_namespace(self, request: Request) -> Response:
        namespace = self._child(request)
        if namespace is None:
            raise not_found()
        return Response(_namespace(namespace))

    def _write_namespace(self, request: Request) -> Response:
        metadata = string_map(request.get("custom_metadata"))
        return Response(_namespace(self._vault.create_namespace(self._namespace, request.get("name"), metadata)))

    def _delete_namespace(self, request: Request) -> None:
        self._vault.delete_namespace(self._namespace, request.get("name"))

    # ------------------------------------------------------------------ wrapping

    def _wrap(self, request: Request) -> Response:
        if not request.wrap_ttl:
            raise invalid("endpoint requires response wrapping to be used")
        return Response(request.raw)

    def _wrapping_token(self, request: Request) -> str:
        token: str = request.get("token") or request.client_token
        return token

    def _unwrap(self, request: Request) -> Response:
        return Response(self._vault.unwrap(self._wrapping_token(request)), top_level=True)

    def _rewrap(self, request: Request) -> Response:
        token = self._wrapping_token(request)
        stored = self._vault.lookup_wrapped(token)
        answer = self._vault.unwrap(token)
        return Response(wrap_info=self._vault.wrap(self._namespace, stored["path"], stored["ttl"], answer, ""))

    def _lookup_wrapped(self, request: Request) -> Response:
        stored = self._vault.lookup_wrapped(self._wrapping_token(request))
        data = {name: stored[key] for name, key in _WRAPPED_FIELDS.items()}
        return Response(data)


class _AnyFields(dict[str, Field]):
    """Every parameter is welcome: ``sys/wrapping/wrap`` takes what it is given."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Field:
        return Field(Kind.ANY)


_UNSEAL_FIELDS = {"key": Field(), "reset": Field(Kind.BOOL), "migrate": Field(Kind.BOOL)}
_WRAPPED_FIELDS = {"creation_path": "path", "creation_time": "created", "creation_ttl": "ttl"}


def _namespace(namespace: Namespace) -> dict[str, Any]:
    return {
        "id": namespace.id,
        "uuid": namespace.uuid,
        "path": namespace.path,
        "custom_metadata": namespace.custom_metadata,
        "locked": False,
        "tainted": False,
    }


def _decoded(text: str) -> str:
    """Vault takes a policy in base64, too."""
    if re.fullmatch(r"[A-Za-z0-9+/\s]+=*\s*", text):
        try:
            return base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return text
    return text
