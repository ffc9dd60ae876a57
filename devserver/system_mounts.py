# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: certops.vault_extca contributors
"""``sys/mounts``, ``sys/auth`` and ``sys/internal/ui/mounts``: what is mounted, and how it is tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .durations import parse_duration
from .framework import Field, Kind, Operation, Path, Refusal, Request, Response, invalid, permission_denied
from .framework import parse_parameters as parse
from .mounts import Mount, MountEntry, Namespace
from .tokens import DEFAULT_TTL, string_map

if TYPE_CHECKING:
    from .vault import Vault

_TTLS = ("default_lease_ttl", "max_lease_ttl")
_TUNABLES: Mapping[str, Field] = {
    "default_lease_ttl": Field(),
    "max_lease_ttl": Field(),
    "description": Field(),
    "options": Field(Kind.MAP),
    "audit_non_hmac_request_keys": Field(Kind.LIST),
    "audit_non_hmac_response_keys": Field(Kind.LIST),
    "passthrough_request_headers": Field(Kind.LIST),
    "allowed_response_headers": Field(Kind.LIST),
    "allowed_managed_keys": Field(Kind.LIST),
    "delegated_auth_accessors": Field(Kind.LIST),
    "listing_visibility": Field(allowed=("", "unauth", "hidden")),
    "token_type": Field(allowed=("", "default-service", "default-batch", "service", "batch")),
    "identity_token_key": Field(),
    "force_no_cache": Field(Kind.BOOL),
    "user_lockout_config": Field(Kind.MAP),
    "plugin_version": Field(),
    "override_pinned_version": Field(Kind.BOOL),
    "trim_request_trailing_slashes": Field(Kind.BOOL),
}
_ENABLE_FIELDS: Mapping[str, Field] = {
    "path": Field(),
    "type": Field(),
    "description": Field(),
    "config": Field(Kind.MAP),
    "options": Field(Kind.MAP),
    "local": Field(Kind.BOOL),
    "seal_wrap": Field(Kind.BOOL),
    "external_entropy_access": Field(Kind.BOOL),
    "plugin_name": Field(),
    "plugin_version": Field(),
}


def mount_paths(vault: Vault, namespace: Namespace) -> list[Path]:
    """The rows of ``sys/`` that are about mounts."""
    secrets_engines, auth_methods = _Mounts(vault, namespace, False), _Mounts(vault, namespace, True)
    interface = _Interface(vault, namespace)
    return [
        *secrets_engines.paths("mounts", sudo=False),
        *auth_methods.paths("auth", sudo=True),
        Path("internal/ui/mounts", {Operation.READ: interface.visible}, unauthenticated=True),
        Path("internal/ui/mounts/(?P<path>.+)", {Operation.READ: interface.preflight}, unauthenticated=True),
    ]


class _Mounts:
    """Secrets engines, or auth methods, of one namespace."""

    def __init__(self, vault: Vault, namespace: Namespace, is_auth: bool) -> None:
        self._vault = vault
        self._namespace = namespace
        self._is_auth = is_auth

    def paths(self, table: str, *, sudo: bool) -> list[Path]:
        """The rows, in the order in which they match."""
        tune = {Operation.READ: self._read_tuning, Operation.UPDATE: self._tune}
        one = {Operation.READ: self._read, Operation.UPDATE: self._enable, Operation.DELETE: self._disable}
        return [
            Path(table, {Operation.READ: self._all}),
            Path(f"{table}/(?P<path>.+)/tune", tune, {**_TUNABLES, "path": Field()}, sudo=sudo),
            Path(f"{table}/(?P<path>.+)", one, _ENABLE_FIELDS, sudo=sudo),
        ]

    def _found(self, request: Request) -> Mount | None:
        path = request.data["path"].strip("/") + "/"
        return self._namespace.mounts.get(f"auth/{path}" if self._is_auth else path)

    def _existing(self, request: Request, message: str) -> Mount:
        mount = self._found(request)
        if mount is None:
            raise invalid(message.format(path=request.data["path"].strip("/")))
        return mount

    def _all(self, request: Request) -> Response:
        mounts = (mount.entry for _route, mount in sorted(self._namespace.mounts.items()))
        return Response({entry.path: entry.describe() for entry in mounts if entry.is_auth is self._is_auth})

    def _read(self, request: Request) -> Response:
        message = "No auth engine at {path}/" if self._is_auth else "No secret engine mount at {path}/"
        return Response(self._existing(request, message).entry.describe())

    def _enable(self, request: Request) -> None:
        type_ = request.get("type")
        if type_ in ("", "plugin"):
            type_ = request.get("plugin_name")
        if not type_:
            raise invalid("backend type must be specified as a string")
        path = request.data["path"].strip("/") + "/"
        if any(not part or part != part.strip() for part in path[:-1].split("/")):
            raise invalid(f"path {path!r} has an empty part, or a space at the end of one")
        options = request.get("options")
        entry = MountEntry(
            path=path,
            type=type_,
            namespace=self._namespace.path,
            is_auth=self._is_auth,
            description=request.get("description"),
            options=string_map(options) if options else None,
            local=request.get("local"),
            seal_wrap=request.get("seal_wrap"),
            external_entropy_access=request.get("external_entropy_access"),
        )
        _apply(entry, parse(_TUNABLES, {k: v for k, v in request.get("config").items() if v is not None}))
        self._vault.enable(entry)

    def _disable(self, request: Request) -> None:
        mount = self._found(request)
        if mount is not None and mount.entry.is_auth is self._is_auth:
            self._vault.disable(self._namespace, mount)

    def _read_tuning(self, request: Request) -> Response:
        return Response(self._existing(request, "cannot fetch sysview for path {path}/").entry.tuning())

    def _tune(self, request: Request) -> None:
        entry = self._existing(request, "tune of path '{path}/' failed: no mount entry found").entry
        tuned = {name: value for name, value in request.data.items() if name != "path"}
        _apply(entry, tuned)
        self._vault.save_mount(entry)


class _Interface:
    """What the web interface and command line ask before they do anything else."""

    def __init__(self, vault: Vault, namespace: Namespace) -> None:
        self._vault = vault
        self._namespace = namespace

    def visible(self, request: Request) -> Response:
        """Mounts that this token reaches, or that are listed for everybody."""
        shown: dict[str, dict[str, Any]] = {"auth": {}, "secret": {}}
        token = self._vault.tokens.holder(request.client_token)
        for route, mount in sorted(self._namespace.mounts.items()):
            entry = mount.entry
            reached = token is not None and self._vault.acl(token).reaches_below(self._namespace.path + route)
            if reached or entry.config.get("listing_visibility") == "unauth":
                facts = {"type": entry.type, "description": entry.description, "options": entry.options}
                shown["auth" if entry.is_auth else "secret"][entry.path] = facts
        return Response(shown)

    def preflight(self, request: Request) -> Response:
        """The mount that a path belongs to, for a token that may do anything there."""
        path = request.data["path"].strip("/")
        token = self._vault.tokens.holder(request.client_token)
        if token is None:
            raise permission_denied()
        mount = self._namespace.mount_of(path)
        if mount is None or not self._vault.acl(token).reaches_below(self._namespace.path + mount.entry.route):
            text = "preflight capability check returned 403, please ensure client's policies grant access to path"
            raise Refusal(403, f'{text} "{path}/"')
        return Response({**mount.entry.describe(), "path": mount.entry.route})


def _apply(entry: MountEntry, tuned: Mapping[str, Any]) -> None:
    """Change an entry as a whole or not at all. 400 for TTLs that do not go together."""
    ttls = {name: _ttl(name, tuned[name]) if name in tuned else getattr(entry, name) for name in _TTLS}
    default, maximum = ttls["default_lease_ttl"], ttls["max_lease_ttl"]
    if default and default > (maximum or DEFAULT_TTL):
        raise invalid(
            f"backend default lease TTL of {default} greater than backend max lease TTL {maximum or DEFAULT_TTL}"
        )
    entry.default_lease_ttl, entry.max_lease_ttl = default, maximum
    for name, value in tuned.items():
        if name in _TTLS:
            continue
        if name == "description":
            entry.description = value
        elif name == "options":
            entry.options = {**(entry.options or {}), **string_map(value)}
        elif value in ("", []):
            entry.config.pop(name, None)
        else:
            entry.config[name] = value


def _ttl(name: str, value: str) -> int:
    if value in ("", "system"):
        return 0
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise invalid(f"unable to parse {name} of {value}: {error}") from None
    if seconds < 0:
        raise invalid(f"{name} cannot be negative: {value}")
    return seconds
